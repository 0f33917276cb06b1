package rendezvous

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// caller is rank 0's side: it opens a roll, counts who comes and announces the verdict.
type caller struct {
	call
	roll   roll
	record []byte // the announcement as written
	rival  rival

	mismatchSeen time.Time // when settings were first found to differ
}

// errUnclear means that an earlier rank 0 may still be alive.
var errUnclear = errors.New("an earlier rank 0 may still be alive")

// run opens the roll and reviews it at every arrival and every beat.
func (c *caller) run(ctx context.Context) (outcome, error) {
	beat := time.NewTicker(c.beat())
	defer beat.Stop()
	patience := time.NewTicker(c.Patience)
	defer patience.Stop()
	var arrivals *Watcher
	defer func() {
		if arrivals != nil {
			arrivals.Stop()
		}
	}()
	var hints <-chan struct{} // nil until the roll is open
	for {
		err := c.ensureOpen(ctx, &arrivals)
		if err == nil {
			hints = arrivals.C
			var done bool
			var result outcome
			if result, done, err = c.review(ctx); done {
				return result, err
			}
		}
		if err != nil && !errors.Is(err, errUnclear) && ctx.Err() == nil {
			if !interrupted(err) {
				return outcome{}, err
			}
			c.log.Warn("roll call: the store does not answer, trying again", "error", err)
		}
		var soon <-chan time.Time
		if errors.Is(err, errUnclear) {
			soon = time.After(contestPause)
		}
		select {
		case <-ctx.Done():
			return outcome{}, c.giveUp(ctx)
		case <-hints: // an arrival, or a rival who asks for a sign of life
		case <-soon:
		case <-patience.C:
			c.progress(ctx)
		case <-beat.C:
		}
		if c.record == nil {
			continue
		}
		if err := c.renew(ctx, c.roll.ID); err != nil {
			c.log.Debug("roll call: lease not renewed", "error", err)
		}
	}
}

// ensureOpen watches for arrivals and opens the roll, once.
func (c *caller) ensureOpen(ctx context.Context, arrivals **Watcher) error {
	if *arrivals == nil {
		w, err := c.store.Watch(ctx, c.arrivalsChannel(), nil)
		if err != nil {
			return err
		}
		*arrivals = w
	}
	if c.record != nil {
		return nil
	}
	if err := c.yieldToLiving(ctx); err != nil {
		return err
	}
	return c.open(ctx)
}

// yieldToLiving refuses to replace a roll whose rank 0 is alive. What a dead one, or a finished
// run, left behind is replaced.
func (c *caller) yieldToLiving(ctx context.Context) error {
	earlier, err := c.currentRoll(ctx)
	if errors.Is(err, errSignature) {
		c.log.Warn("roll call: replacing a roll that was opened with another secret")
		return nil
	}
	if earlier == nil || err != nil {
		return err
	}
	ended, err := c.currentVerdict(ctx, earlier.ID)
	if ended != nil || err != nil {
		return err
	}
	state, err := c.rival.look(ctx, c.store, c.leaseKey(earlier.ID, 0, earlier.Nonce),
		c.arrivalsChannel())
	switch {
	case err != nil:
		return err
	case state == alive:
		c.complain(ctx, "a second process claims rank 0")
		return c.duplicate(earlier.Host, earlier.PID)
	case state == unclear:
		return errUnclear
	}
	c.log.Info("roll call: replacing the roll of a process that has died",
		"generation", earlier.Generation, "host", earlier.Host, "pid", earlier.PID)
	return nil
}

// open announces a roll with a new generation.
func (c *caller) open(ctx context.Context) error {
	generation, err := c.store.Add(ctx, c.generationKey(), 1, 0)
	if err != nil {
		return err
	}
	r := roll{
		ID: fmt.Sprintf("%d-%s", generation, rand.Text()), Generation: generation,
		Size: c.Size, Nonce: c.nonce, Host: c.Self.Host, PID: c.Self.PID,
	}
	keep := keepFor
	if deadline, has := ctx.Deadline(); has {
		left := time.Until(deadline)
		r.EndsIn = left.Milliseconds()
		keep += left
	}
	record, err := encode(c.sign, labelRoll, "", r)
	if err != nil {
		return err
	}
	self, err := c.self(r.ID, "")
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return c.renew(ctx, r.ID) },
		func() error { return c.store.HSet(ctx, c.membersKey(r.ID), "0", self) },
		func() error { return c.store.Expire(ctx, c.membersKey(r.ID), keep) },
		func() error { return c.store.Set(ctx, c.rollKey(), record, keep) },
		func() error { return c.store.Notify(ctx, c.callsChannel(), "") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	c.roll, c.record = r, record
	c.log.Debug("roll call: opened", "generation", generation, "size", c.Size)
	return nil
}

// review looks who is there. done means that the roll has ended, well or with the error.
func (c *caller) review(ctx context.Context) (result outcome, done bool, err error) {
	current, err := c.store.Get(ctx, c.rollKey())
	switch {
	case errors.Is(err, ErrNotFound):
		c.record = nil // the store has lost it, perhaps in a restart: open another
		return outcome{}, false, c.open(ctx)
	case err != nil:
		return outcome{}, false, err
	case string(current) != string(c.record):
		return outcome{}, true, c.superseded(ctx)
	}
	found, err := c.takeCensus(ctx, c.roll.ID)
	if err != nil {
		return outcome{}, false, err
	}
	t := found.tally(c.Size)
	if found.mismatch != nil {
		if c.mismatched(ctx, found.mismatch, len(t.Missing) == 0) {
			return outcome{}, true, found.mismatch
		}
		return outcome{}, false, nil
	}
	if found.gone != "" {
		t.Notes = append(t.Notes, c.outsiders(ctx)...)
		c.conclude(ctx, verdict{Failed: &t})
		return outcome{}, true, c.report(t, errGone)
	}
	if len(t.Missing) > 0 {
		return outcome{}, false, nil
	}
	if err := c.announce(ctx, verdict{Members: found.members(c.Size)}); err != nil {
		return outcome{}, false, err
	}
	result = outcome{generation: c.roll.Generation, rollID: c.roll.ID}
	for rank := range c.Size {
		result.members = append(result.members, found.present[rank].entry.Member)
	}
	c.leave(ctx)
	c.log.Info("roll call: "+tallyText(c.Size, c.Size, nil, time.Since(c.start)),
		"generation", c.roll.Generation)
	return result, true, nil
}

// mismatched ends the roll because settings differ: at once when all ranks are there to be told,
// else a little later, so that those who are just starting hear of it too.
func (c *caller) mismatched(ctx context.Context, found *VersionError, all bool) bool {
	if c.mismatchSeen.IsZero() {
		c.mismatchSeen = time.Now()
		c.log.Warn("roll call: settings differ", "error", found)
	}
	if !all && time.Since(c.mismatchSeen) < c.Patience {
		return false
	}
	c.conclude(ctx, verdict{Mismatch: found})
	return true
}

// conclude announces a verdict that this rank acts on in any case.
func (c *caller) conclude(ctx context.Context, v verdict) {
	if err := c.announce(ctx, v); err != nil {
		c.log.Warn("roll call: the verdict could not be announced", "error", err)
	}
	c.leave(ctx)
}

// errGone means that a rank which had joined has given up, so that nobody need wait on.
var errGone = errors.New("a rank that had joined gave up")

// superseded explains that another process has opened a roll over this living one's.
func (c *caller) superseded(ctx context.Context) error {
	other, err := c.currentRoll(ctx)
	if err != nil || other == nil {
		return c.duplicate("(unknown: its record cannot be read)", 0)
	}
	return c.duplicate(other.Host, other.PID)
}

// announce writes the verdict and wakes the others.
func (c *caller) announce(ctx context.Context, v verdict) error {
	record, err := encode(c.sign, labelVerdict, c.roll.ID, v)
	if err != nil {
		return err
	}
	if err := c.store.Set(ctx, c.verdictKey(c.roll.ID), record, keepFor); err != nil {
		return err
	}
	return c.store.Notify(ctx, c.callsChannel(), "")
}

// leave drops the lease, so that a next run need not wait for it to end.
func (c *caller) leave(ctx context.Context) {
	if err := c.store.Delete(ctx, c.leaseKey(c.roll.ID, 0, c.nonce)); err != nil {
		c.log.Debug("roll call: lease not removed", "error", err)
	}
}

// progress logs who is missing and publishes the same for the others' logs.
func (c *caller) progress(ctx context.Context) {
	if c.record == nil {
		c.log.Info("roll call: waiting to open the roll", "cause", errUnclear)
		return
	}
	found, err := c.takeCensus(ctx, c.roll.ID)
	if err != nil {
		return // run reports it at the next review
	}
	t := found.tally(c.Size)
	t.Notes = append(t.Notes, c.outsiders(ctx)...)
	c.logTally(t)
	record, err := encode(c.sign, labelStatus, c.roll.ID, t)
	if err == nil {
		err = c.store.Set(ctx, c.statusKey(c.roll.ID), record, keepFor)
	}
	if err != nil {
		c.log.Debug("roll call: status not published", "error", err)
	}
}

// logTally is the progress line of every rank.
func (c *call) logTally(t tally) {
	line := "roll call: " + tallyText(len(t.Joined), c.Size, t.Missing, time.Since(c.start))
	if len(t.Notes) > 0 {
		c.log.Warn(line, "notes", t.Notes)
		return
	}
	c.log.Info(line)
}

// giveUp tells all ranks the same list and makes the error.
func (c *caller) giveUp(ctx context.Context) error {
	cause := context.Cause(ctx)
	ctx, cancel := farewell(ctx)
	defer cancel()
	t := tally{Joined: []int{0}}
	for rank := 1; rank < c.Size; rank++ {
		t.Missing = append(t.Missing, rank)
	}
	if c.record == nil {
		return c.report(t, fmt.Errorf("the roll was never opened: %w", cause))
	}
	found, err := c.takeCensus(ctx, c.roll.ID)
	if err != nil {
		return c.report(t, errors.Join(cause, err))
	}
	t = found.tally(c.Size)
	t.Notes = append(t.Notes, c.outsiders(ctx)...)
	if found.mismatch != nil {
		c.conclude(ctx, verdict{Mismatch: found.mismatch})
		return found.mismatch
	}
	c.conclude(ctx, verdict{Failed: &t})
	return c.report(t, cause)
}
