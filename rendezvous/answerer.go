package rendezvous

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// answerer is the side of all ranks but 0: it follows the newest roll, claims its slot there and
// waits for the verdict.
type answerer struct {
	call
	roll      *roll // the newest one seen
	claimed   bool  // the slot in it is ours
	contested bool  // another process holds the slot, and may be dead
	rival     rival
	waiting   string // what it waits for, for reports
	outside   bool   // the complaint about the signature was left
}

// run follows hints and beats until there is a verdict.
func (a *answerer) run(ctx context.Context) (outcome, error) {
	beat := time.NewTicker(a.beat())
	defer beat.Stop()
	patience := time.NewTicker(a.Patience)
	defer patience.Stop()
	var calls *Watcher
	defer func() {
		if calls != nil {
			calls.Stop()
		}
	}()
	a.waiting = "rank 0 has not opened the roll"
	for {
		var err error
		var hints <-chan struct{}
		if calls == nil {
			calls, err = a.store.Watch(ctx, a.callsChannel(), nil)
		}
		if err == nil {
			hints = calls.C
			var done bool
			var result outcome
			if result, done, err = a.step(ctx); done {
				return result, err
			}
		}
		if err != nil && ctx.Err() == nil {
			if !interrupted(err) {
				return outcome{}, err
			}
			a.log.Warn("roll call: the store does not answer, trying again", "error", err)
		}
		var soon <-chan time.Time
		if a.contested {
			soon = time.After(contestPause)
		}
		select {
		case <-ctx.Done():
			return a.giveUp(ctx)
		case <-hints: // news of the roll, or a rival who asks for a sign of life
			a.keepAlive(ctx)
		case <-soon:
		case <-patience.C:
			a.progress(ctx)
		case <-beat.C:
			a.keepAlive(ctx)
		}
	}
}

// step makes what progress it can. done means that the roll call has ended for this rank.
func (a *answerer) step(ctx context.Context) (result outcome, done bool, err error) {
	a.contested = false
	newest, err := a.currentRoll(ctx)
	if errors.Is(err, errSignature) {
		a.waiting = "the roll in the store was opened with another TUTTI_SECRET"
		if !a.outside {
			a.outside = true
			a.complain(ctx, "its TUTTI_SECRET differs from that of rank 0")
		}
		return outcome{}, false, nil
	}
	if err != nil {
		return outcome{}, false, err
	}
	if newest == nil {
		a.roll, a.claimed = nil, false
		a.waiting = "rank 0 has not opened the roll"
		return outcome{}, false, nil
	}
	if a.roll == nil || a.roll.ID != newest.ID {
		a.roll, a.claimed, a.waiting = newest, false, ""
	}
	v, err := a.currentVerdict(ctx, a.roll.ID)
	if err != nil {
		return outcome{}, false, err
	}
	if v != nil {
		return a.judged(ctx, v)
	}
	if a.claimed {
		return outcome{}, false, nil
	}
	return outcome{}, false, a.claim(ctx)
}

// judged acts on the verdict of the newest roll. One that does not name this process is the end of
// an earlier run: rank 0 will open another roll.
func (a *answerer) judged(ctx context.Context, v *verdict) (result outcome, done bool, err error) {
	switch {
	case v.Members != nil:
		result, err = a.complete(v)
		if err != nil {
			a.claimed = false
			a.waiting = err.Error()
			return outcome{}, false, nil
		}
		a.finish(ctx)
		return result, true, nil
	case !a.claimed:
		why := "ranks were missing"
		if v.Mismatch != nil {
			why = v.Mismatch.Error()
		}
		a.waiting = fmt.Sprintf("roll %d has failed (%s), and rank 0 has opened no other",
			a.roll.Generation, why)
		return outcome{}, false, nil
	case v.Mismatch != nil:
		return outcome{}, true, v.Mismatch
	case v.Failed != nil:
		return outcome{}, true, a.report(*v.Failed, errRollFailed)
	}
	return outcome{}, false, nil
}

// errRollFailed means that rank 0 has ended the roll.
var errRollFailed = errors.New("rank 0 gave the roll up")

// complete reads the members of a complete roll; the error says who holds this rank there.
func (a *answerer) complete(v *verdict) (outcome, error) {
	result := outcome{generation: a.roll.Generation, rollID: a.roll.ID}
	mine := false
	for rank, body := range v.Members {
		var e entry
		if err := json.Unmarshal(body, &e); err != nil || e.Rank != rank {
			return outcome{}, fmt.Errorf("roll %d is malformed at rank %d", a.roll.Generation, rank)
		}
		if rank == a.Self.Rank {
			if e.Nonce != a.nonce {
				return outcome{}, fmt.Errorf("roll %d is complete with pid %d on host %s as rank %d, "+
					"and rank 0 has opened no other", a.roll.Generation, e.PID, e.Host, rank)
			}
			mine = true
		}
		result.members = append(result.members, e.Member)
	}
	if !mine || len(v.Members) != a.Size {
		return outcome{}, fmt.Errorf("roll %d is complete with %d ranks, without this one",
			a.roll.Generation, len(v.Members))
	}
	return result, nil
}

// finish tells rank 0 that this rank needs the store no longer, and drops the lease.
func (a *answerer) finish(ctx context.Context) {
	_, err := a.store.Add(ctx, a.finishedKey(a.roll.ID), 1, 0)
	for _, step := range []func() error{
		func() error { return a.store.Expire(ctx, a.finishedKey(a.roll.ID), keepFor) },
		func() error { return a.store.Delete(ctx, a.ownLease()) },
		func() error { return a.store.Notify(ctx, a.arrivalsChannel(), "") },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		// The roll is complete all the same; rank 0 waits no longer than its linger time.
		a.log.Debug("roll call: rank 0 was not told of the end", "error", err)
	}
	a.log.Debug("roll call: complete", "generation", a.roll.Generation, "waited",
		readable(time.Since(a.start)))
}

func (a *answerer) ownLease() string { return a.leaseKey(a.roll.ID, a.Self.Rank, a.nonce) }

func (a *answerer) slot() string { return strconv.Itoa(a.Self.Rank) }

// claim takes this rank's slot in the open roll, if it is free or its holder is dead.
func (a *answerer) claim(ctx context.Context) error {
	id := a.roll.ID
	// The lease comes first: an entry without one would look abandoned.
	if err := a.renew(ctx, id); err != nil {
		return err
	}
	self, err := a.self(id, "")
	if err != nil {
		return err
	}
	taken, err := a.store.HSetNX(ctx, a.membersKey(id), a.slot(), self)
	if err != nil {
		return err
	}
	if taken {
		return a.arrived(ctx)
	}
	record, err := a.store.HGet(ctx, a.membersKey(id), a.slot())
	if errors.Is(err, ErrNotFound) {
		return nil // its hash has just gone; the next beat tries again
	}
	if err != nil {
		return err
	}
	holder, err := decodeEntry(a.sign, id, a.Self.Rank, record)
	switch {
	case err != nil:
		a.log.Warn("roll call: replacing a forged entry for this rank", "claims",
			claimedHost(record), "reason", err)
		return a.takeOver(ctx, record, self)
	case holder.Nonce == a.nonce:
		return a.arrived(ctx) // the answer to an earlier attempt was lost
	case holder.Gone != "":
		return a.takeOver(ctx, record, self)
	}
	state, err := a.rival.look(ctx, a.store, a.leaseKey(id, a.Self.Rank, holder.Nonce),
		a.callsChannel())
	switch {
	case err != nil:
		return err
	case state == alive:
		a.complain(ctx, fmt.Sprintf("a second process claims rank %d", a.Self.Rank))
		return a.duplicate(holder.Host, holder.PID)
	case state == dead:
		return a.takeOver(ctx, record, self)
	}
	a.contested = true
	a.waiting = fmt.Sprintf("pid %d on host %s holds rank %d; its lease has not ended yet",
		holder.PID, holder.Host, a.Self.Rank)
	return nil
}

// takeOver replaces the entry of a process that is dead. Of several successors, one wins the right
// to replace exactly this entry.
func (a *answerer) takeOver(ctx context.Context, old, self []byte) error {
	sum := sha256.Sum256(old)
	right := fmt.Sprintf("%s%s:successor:%d:%s", a.job, a.roll.ID, a.Self.Rank,
		hex.EncodeToString(sum[:16]))
	won, err := a.store.SetNX(ctx, right, []byte(a.nonce), a.Lease)
	if err != nil || !won {
		return err
	}
	if err := a.store.HSet(ctx, a.membersKey(a.roll.ID), a.slot(), self); err != nil {
		return err
	}
	return a.arrived(ctx)
}

// arrived marks the slot as ours and tells rank 0.
func (a *answerer) arrived(ctx context.Context) error {
	a.claimed = true
	a.waiting = ""
	a.log.Debug("roll call: joined", "generation", a.roll.Generation, "host of rank 0", a.roll.Host,
		"rank 0 waits", readable(time.Duration(a.roll.EndsIn)*time.Millisecond))
	return a.store.Notify(ctx, a.arrivalsChannel(), "")
}
