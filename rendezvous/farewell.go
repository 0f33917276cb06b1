package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// keepAlive renews the lease and makes sure that the slot is still this process's: one that was
// stopped for longer than its lease may find a successor there.
func (a *answerer) keepAlive(ctx context.Context) {
	if !a.claimed {
		return
	}
	if err := a.renew(ctx, a.roll.ID); err != nil {
		a.log.Debug("roll call: lease not renewed", "error", err)
		return
	}
	record, err := a.store.HGet(ctx, a.membersKey(a.roll.ID), a.slot())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return // step reports it
	}
	holder, err := decodeEntry(a.sign, a.roll.ID, a.Self.Rank, record)
	if err != nil || holder.Nonce != a.nonce {
		// Claiming anew finds out who holds it, and whether that process is alive.
		a.claimed = false
		a.log.Warn("roll call: another process has taken this rank's place", "claims",
			claimedHost(record))
	}
}

// progress logs what rank 0 says of the roll, or what this rank waits for.
func (a *answerer) progress(ctx context.Context) {
	if a.claimed {
		if t, known := a.status(ctx); known {
			a.logTally(t)
			return
		}
	}
	what := a.waiting
	if what == "" {
		what = "the others"
	}
	a.log.Info("roll call: waiting", "for", what, "waited", readable(time.Since(a.start)))
}

// status is what rank 0 has last published about the roll.
func (a *answerer) status(ctx context.Context) (tally, bool) {
	var t tally
	record, err := a.store.Get(ctx, a.statusKey(a.roll.ID))
	if err == nil {
		err = decode(a.sign, labelStatus, a.roll.ID, record, &t)
	}
	return t, err == nil
}

// giveUp marks the entry, so that the others need not wait on, and makes the error. A verdict that
// has arrived in the last moment still counts: the others rely on it.
func (a *answerer) giveUp(ctx context.Context) (outcome, error) {
	cause := context.Cause(ctx)
	ctx, cancel := farewell(ctx)
	defer cancel()
	a.reconsider(ctx)
	if result, done, err := a.lastWord(ctx, cause); done {
		return result, err
	}
	if a.waiting != "" {
		cause = fmt.Errorf("%s: %w", a.waiting, cause)
	}
	if a.roll == nil || !a.claimed {
		return outcome{}, a.report(a.unseen(ctx), cause)
	}
	a.depart(ctx, cause)
	found, err := a.takeCensus(ctx, a.roll.ID)
	if err != nil {
		return outcome{}, a.report(a.unseen(ctx), errors.Join(cause, err))
	}
	// Rank 0 may have given up between the two looks; its list is the one that all ranks return.
	if result, done, err := a.lastWord(ctx, cause); done {
		return result, err
	}
	t := found.tally(a.Size)
	t.Notes = append(t.Notes, a.outsiders(ctx)...)
	return outcome{}, a.report(t, cause)
}

// reconsider finds out whether the slot is this process's after all: the context may have ended between
// the claim and the answer, and then the others count on it.
func (a *answerer) reconsider(ctx context.Context) {
	if a.roll == nil || a.claimed {
		return
	}
	record, err := a.store.HGet(ctx, a.membersKey(a.roll.ID), a.slot())
	if err != nil {
		return // nobody has the slot, or the store does not tell
	}
	holder, err := decodeEntry(a.sign, a.roll.ID, a.Self.Rank, record)
	if err == nil && holder.Nonce == a.nonce && holder.Gone == "" {
		a.claimed, a.waiting = true, ""
	}
}

// lastWord looks for a verdict once more.
func (a *answerer) lastWord(ctx context.Context, cause error) (outcome, bool, error) {
	if a.roll == nil || !a.claimed {
		return outcome{}, false, nil
	}
	result, done, err := a.step(ctx)
	if failed := (*RollCallError)(nil); errors.As(err, &failed) {
		failed.Err = cause
	}
	return result, done, err
}

// depart replaces this rank's entry by one that says that it has given up.
func (a *answerer) depart(ctx context.Context, cause error) {
	gone, err := a.self(a.roll.ID, cause.Error())
	if err == nil {
		err = a.store.HSet(ctx, a.membersKey(a.roll.ID), a.slot(), gone)
	}
	if err == nil {
		err = a.store.Notify(ctx, a.arrivalsChannel(), "")
	}
	if err != nil {
		a.log.Debug("roll call: the others were not told that this rank gives up", "error", err)
	}
}

// unseen is the tally of a rank that could not look at the roll itself: what rank 0 has last
// published, or that rank 0 is not there for this rank.
func (a *answerer) unseen(ctx context.Context) tally {
	if a.roll != nil && a.claimed {
		if t, known := a.status(ctx); known {
			return t
		}
	}
	return tally{Joined: []int{a.Self.Rank}, Missing: []int{0}}
}
