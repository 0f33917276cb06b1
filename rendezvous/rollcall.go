package rendezvous

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"
)

// RollCallOptions say who calls the roll of what.
type RollCallOptions struct {
	// Job keeps jobs on one store apart; "" means "default".
	Job string
	// Self is what this rank publishes.
	Self Member
	// Size is the number of ranks to wait for.
	Size int
	// Patience is how often a progress line is logged; 0 means 5 s.
	Patience time.Duration
	// Lease is how long a rank that falls silent during the roll call still counts as alive; 0
	// means 5 s. It delays only a restart after a crash in the middle of a roll call.
	Lease time.Duration
	// Logger receives progress; nil discards it.
	Logger *slog.Logger
	// Secret, when not empty, authenticates every record; all ranks must have the same.
	Secret []byte
}

// RollCall publishes Self, waits until all Size ranks are there and returns them, ordered by rank.
// Rank 0 leads: it opens a roll with a new generation number, and its verdict ends the roll for
// all ranks alike, so what an earlier run left in the store is never counted. A process that
// crashed within this roll call is replaced by its successor once its lease has run out.
//
// It blocks until the verdict or the end of ctx (DefaultTimeout, where ctx has no deadline). It
// fails with *RollCallError, *DuplicateRankError, *VersionError, or *StoreError when the store is
// closed. Interruptions of the store are waited out. The store may be used for other things at the
// same time.
func RollCall(ctx context.Context, s Store, o RollCallOptions) ([]Member, error) {
	result, err := callRoll(ctx, s, o)
	return result.members, err
}

// outcome is a completed roll.
type outcome struct {
	members    []Member
	generation int64
	rollID     string
}

// callRoll is RollCall for those who also need the generation.
func callRoll(ctx context.Context, s Store, o RollCallOptions) (outcome, error) {
	c, err := newCall(s, o)
	if err != nil {
		return outcome{}, err
	}
	if o.Size == 1 {
		return outcome{members: []Member{o.Self}, generation: 1}, nil
	}
	ctx, cancel := withDefaultTimeout(ctx, DefaultTimeout)
	defer cancel()
	if o.Self.Rank == 0 {
		return (&caller{call: c}).run(ctx)
	}
	return (&answerer{call: c}).run(ctx)
}

// call is what rank 0's side and the others' side of a roll call share.
type call struct {
	RollCallOptions
	store Store
	sign  signer
	log   *slog.Logger
	nonce string
	start time.Time
	beats int64  // of this process's lease
	job   string // the prefix of all keys
}

func newCall(s Store, o RollCallOptions) (call, error) {
	if o.Job == "" {
		o.Job = defaultJob
	}
	if err := o.Self.check(o.Size); err != nil {
		return call{}, &RollCallError{Job: o.Job, Rank: o.Self.Rank, Size: o.Size, Err: err}
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.Lease <= 0 {
		o.Lease = 5 * time.Second
	}
	return call{
		RollCallOptions: o, store: s, sign: newSigner(o.Secret, o.Job),
		log:   orDiscard(o.Logger).With("job", o.Job, "rank", o.Self.Rank),
		nonce: rand.Text(), start: time.Now(),
		job: jobPrefix(o.Job),
	}, nil
}

// jobPrefix begins all keys of a job.
func jobPrefix(job string) string {
	if job == "" {
		job = defaultJob
	}
	return "tutti:{" + url.QueryEscape(job) + "}:"
}

const defaultJob = "default"

// keepFor is how long a roll's keys outlive it in a store that persists.
const keepFor = time.Hour

// The keys of a job and, below it, of one roll. The braces keep them on one node of a Redis
// cluster.
func (c *call) generationKey() string        { return c.job + "generation" }
func (c *call) rollKey() string              { return c.job + "roll" }
func (c *call) outsideKey() string           { return c.job + "outside" }
func (c *call) callsChannel() string         { return c.job + "calls" }
func (c *call) arrivalsChannel() string      { return c.job + "arrivals" }
func (c *call) membersKey(id string) string  { return c.job + id + ":members" }
func (c *call) verdictKey(id string) string  { return c.job + id + ":verdict" }
func (c *call) statusKey(id string) string   { return c.job + id + ":status" }
func (c *call) finishedKey(id string) string { return c.job + id + ":finished" }

func (c *call) leaseKey(id string, rank int, nonce string) string {
	return fmt.Sprintf("%s%s:lease:%d:%s", c.job, id, rank, nonce)
}

// beat is how often a lease is renewed and the keys are looked at without a hint.
func (c *call) beat() time.Duration { return c.Lease / 5 }

// renew keeps this process's claim alive. The value changes each time, so that a rival can tell a
// living process from the rest of a dead one's lease.
func (c *call) renew(ctx context.Context, id string) error {
	c.beats++
	return c.store.Set(ctx, c.leaseKey(id, c.Self.Rank, c.nonce),
		[]byte(strconv.FormatInt(c.beats, 10)), c.Lease)
}

// self is this rank's record within a roll.
func (c *call) self(id, gone string) ([]byte, error) {
	return encode(c.sign, labelMember, id, entry{
		Member: c.Self, Size: c.Size, Nonce: c.nonce,
		Gone: gone,
	})
}

// currentRoll reads rank 0's announcement: nil when there is none. The error is errSignature for
// one that was not made with this secret.
func (c *call) currentRoll(ctx context.Context) (*roll, error) {
	record, err := c.store.Get(ctx, c.rollKey())
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := new(roll)
	if err := decode(c.sign, labelRoll, "", record, r); err != nil {
		return nil, errSignature
	}
	return r, nil
}

// currentVerdict reads a roll's verdict: nil when there is none that is authentic.
func (c *call) currentVerdict(ctx context.Context, id string) (*verdict, error) {
	record, err := c.store.Get(ctx, c.verdictKey(id))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := new(verdict)
	if err := decode(c.sign, labelVerdict, id, record, v); err != nil {
		c.log.Warn("a forged verdict was ignored", "roll", id)
		return nil, nil
	}
	return v, nil
}

// rival watches the lease of another process that holds what this one wants.
type rival struct {
	key  string
	seen []byte
}

// state of a rival.
type vitality int

const (
	unclear vitality = iota // its lease has not moved yet
	alive
	dead
)

// contestPause is how often a contested lease is looked at.
const contestPause = 50 * time.Millisecond

// look compares the lease with what it was at the first look: a lease that moves is alive, one that
// is gone is dead. A hint on channel asks its holder to renew it at once.
func (r *rival) look(ctx context.Context, s Store, key, channel string) (vitality, error) {
	value, err := s.Get(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound):
		return dead, nil
	case err != nil:
		return unclear, err
	case r.key != key:
		*r = rival{key: key, seen: value}
		return unclear, s.Notify(ctx, channel, "")
	case string(r.seen) != string(value):
		return alive, nil
	default:
		return unclear, nil
	}
}

// duplicate makes the error for a rank that another process holds.
func (c *call) duplicate(host string, pid int) error {
	return &DuplicateRankError{
		Job: c.Job, Rank: c.Self.Rank, Host: c.Self.Host, PID: c.Self.PID,
		Other: clip(host, 255), OtherPID: pid,
	}
}

// complain leaves a note for rank 0's reports: nobody relies on it, so it need not be signed.
func (c *call) complain(ctx context.Context, what string) {
	field := fmt.Sprintf("%d:%s", c.Self.Rank, c.nonce)
	note := fmt.Sprintf("rank %d, host %q, pid %d: %s", c.Self.Rank, c.Self.Host, c.Self.PID, what)
	err := c.store.HSet(ctx, c.outsideKey(), field, []byte(clip(note, 500)))
	if err == nil {
		err = c.store.Expire(ctx, c.outsideKey(), 10*c.Lease)
	}
	if err != nil {
		c.log.Debug("could not leave a note", "error", err)
	}
}

// interrupted says whether a failed store call is worth repeating.
func interrupted(err error) bool {
	var failure *StoreError
	return errors.As(err, &failure) && !errors.Is(err, ErrClosed)
}

// farewellTime bounds what a rank does after its context has ended: telling the others.
const farewellTime = time.Second

// farewell is a context for that.
func farewell(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), farewellTime)
}
