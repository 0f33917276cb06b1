package proxy

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
)

// errIncarnationTaken means that a member has the number that self has drawn as its incarnation.
var errIncarnationTaken = errors.New("proxy: another member has this incarnation's number")

// generationLife is how long the count of a name's starts outlives the last one.
const generationLife = 24 * time.Hour

// enter makes self a member.
func (r *roster) enter(ctx context.Context) error {
	subscribing, cancel := context.WithCancel(ctx)
	defer cancel()
	subscribed := make(chan error, 1)
	go func() { subscribed <- r.insist(subscribing, "claim", r.resubscribe) }()
	hints := sync.OnceValue(func() error { return <-subscribed })
	err := r.claim(ctx, hints)
	if err != nil {
		cancel()
	}
	if failed := hints(); err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	return r.insist(ctx, "publish", r.appear)
}

// appear publishes self and looks who is there.
func (r *roster) appear(ctx context.Context) error {
	var b rendezvous.Batch
	var counted int64
	if !r.watch.counted {
		b.Add(r.generationKey(), 1, generationLife, &counted)
	}
	r.announce(&b)
	return r.lookAfter(ctx, &b, func() (err error) {
		if r.watch.counted {
			return nil
		}
		r.watch.counted = true
		if n := uint64(max(counted, 1)); n > r.self.Generation {
			// Another has counted since: its lease ended meanwhile, or this one's has.
			r.self.Generation = n
			r.own, err = r.seal.encode(r.self)
		}
		return err
	})
}

// insist repeats what failed for the store until it succeeds, ctx ends or trying is pointless.
func (r *roster) insist(ctx context.Context, phase string, try func(context.Context) error) error {
	start, pause := time.Now(), r.firstPause()
	for {
		err := try(ctx)
		var failed *rendezvous.StoreError
		if err == nil || !errors.As(err, &failed) {
			r.missed.Store(false)
			return err
		}
		if failed.Refused() || errors.Is(err, rendezvous.ErrClosed) {
			return r.failure(phase, time.Since(start), err)
		}
		if !r.missed.Swap(true) {
			r.log.Warn("the store does not answer, trying again", "phase", phase, "error", err)
		}
		if !sleep(ctx, nil, pause) {
			return r.failure(phase, time.Since(start), errors.Join(context.Cause(ctx), err))
		}
		pause = r.nextPause(pause)
	}
}

// The pauses of a store that is lost are well below the lease, so that it is kept when the store
// comes back.
func (r *roster) firstPause() time.Duration { return min(firstRetry, r.beat()/2) }

func (r *roster) nextPause(pause time.Duration) time.Duration {
	return min(2*pause, lastRetry, r.beat())
}

// claim gets the lease of self's name, and with it the number of this start. It waits for hints when
// subscribed has returned.
func (r *roster) claim(ctx context.Context, subscribed func() error) error {
	start := time.Now()
	var seen record // the holder that was waited for last
	for {
		var rival record
		err := r.insist(ctx, "claim", func(ctx context.Context) (err error) {
			rival, err = r.attempt(ctx)
			return err
		})
		if err == nil && rival.Instance == "" {
			return nil
		}
		if err == nil && rival.Instance != nobody {
			if rival.holder() != seen.holder() {
				r.log.Info("waiting for the name", "holder", rival.claimant(), "lease", r.lease)
			}
			seen = rival
			if err = subscribed(); err == nil {
				sleep(ctx, r.watch.hints(), contestPause)
			}
		}
		if ctx.Err() != nil && seen.Instance != "" {
			if err == nil {
				err = context.Cause(ctx)
			}
			return &DuplicateNameError{
				Group: r.group, Name: r.self.Name, Self: r.self.claimant(),
				Holder: seen.claimant(), Waited: time.Since(start), Err: err,
			}
		}
		if err != nil {
			return err
		}
	}
}

// nobody is the instance in place of a holder's whose lease has just ended.
const nobody = "-"

// attempt claims the name once. It returns the holder's record (only Type and Instance of one that
// is not published), or none when the name is self's.
func (r *roster) attempt(ctx context.Context) (rival record, err error) {
	var won bool
	var b rendezvous.Batch
	b.SetNX(r.leaseKey(r.self.Name), r.self.holder().encode(), r.lease, &won)
	number := r.readNumber(&b)
	if err := r.store.Do(ctx, &b); err != nil {
		return record{}, err
	}
	if !won {
		if rival, err = r.currentHolder(ctx); err != nil {
			return record{}, err
		}
		switch {
		case rival.holder() == r.self.holder(): // an earlier claim, whose answer was lost
		case hasEnded(rival, r.self):
			if won, err = r.takeOver(ctx, rival); err != nil || !won {
				return rival, err
			}
			r.log.Info("took the name over from a process of this host that is gone",
				"predecessor", rival.claimant())
		default:
			return rival, nil
		}
		var b rendezvous.Batch // the holder may have started after the first was read
		number = r.readNumber(&b)
		if err := r.store.Do(ctx, &b); err != nil {
			return record{}, err
		}
	}
	r.watch.claimed, r.watch.renewed = true, time.Now()
	r.self.Generation = number()
	r.own, err = r.seal.encode(r.self)
	return record{}, err
}

// currentHolder reads who holds the name.
func (r *roster) currentHolder(ctx context.Context) (record, error) {
	value, err := r.store.Get(ctx, r.leaseKey(r.self.Name))
	if errors.Is(err, rendezvous.ErrNotFound) {
		return record{Name: r.self.Name, Type: r.self.Type, Instance: nobody}, nil
	}
	if err != nil {
		return record{}, err
	}
	return r.published(ctx, decodeHolder(value))
}

// published reads the record of who holds self's name, if it is there and genuine.
func (r *roster) published(ctx context.Context, who holder) (record, error) {
	unknown := record{Name: r.self.Name, Type: who.kind, Instance: who.instance}
	if !validName(who.kind) || !validName(who.instance) {
		unknown.Type, unknown.Instance = "unknown", "unknown"
		return unknown, nil
	}
	value, err := r.store.HGet(ctx, r.hashKey(who.kind), r.self.Name)
	if errors.Is(err, rendezvous.ErrNotFound) {
		return unknown, nil
	}
	if err != nil {
		return record{}, err
	}
	if found, err := r.seal.decode(who.kind, r.self.Name, value); err == nil && found.holder() == who {
		return found, nil
	}
	return unknown, nil
}

// takeOver puts self in the place of a holder that is known to be gone. Of several that want to,
// the one that gets the right to succeed this very start does.
func (r *roster) takeOver(ctx context.Context, gone record) (bool, error) {
	right := r.leaseKey(r.self.Name) + ":" + gone.Instance
	// The right outlives what is left of the lease.
	won, err := r.store.SetNX(ctx, right, []byte(r.self.Instance), 2*r.lease)
	if err != nil || !won {
		return false, err
	}
	value, err := r.store.Get(ctx, r.leaseKey(r.self.Name))
	if errors.Is(err, rendezvous.ErrNotFound) || err == nil && decodeHolder(value) != gone.holder() {
		return false, nil // the lease has ended by itself: claim it like everybody
	}
	if err != nil {
		return false, err
	}
	return true, r.store.Set(ctx, r.leaseKey(r.self.Name), r.self.holder().encode(), r.lease)
}

// readNumber adds to b what tells the number of this start: one more than that of the last start
// under this name that is remembered, by the counter or by the record that it has left.
func (r *roster) readNumber(b *rendezvous.Batch) (number func() uint64) {
	var left []byte
	var counter [][]byte
	b.HGet(r.hashKey(r.self.Type), r.self.Name, &left)
	b.GetMany([]string{r.generationKey()}, &counter)
	return func() uint64 {
		n, err := strconv.ParseUint(string(counter[0]), 10, 63)
		if err != nil {
			n = 0 // there is none: one that is no number is an error when it is added to
		}
		if was, err := r.seal.decode(r.self.Type, r.self.Name, left); err == nil {
			n = max(n, min(was.Generation, math.MaxUint64-1))
		}
		return n + 1
	}
}

// announce adds to b what publishes self's record and tells the others.
func (r *roster) announce(b *rendezvous.Batch) {
	b.HSet(r.hashKey(r.self.Type), r.self.Name, r.own)
	b.Notify(r.group, r.about())
}

// withdraw removes self's record and lease, unless they are another's by now, and tells the others.
func (r *roster) withdraw(ctx context.Context) error {
	start := time.Now()
	if err := r.erase(ctx); err != nil {
		return r.failure("withdraw", time.Since(start), err)
	}
	return nil
}

// erase removes the record before the lease: a missing lease beside a record then always means that
// its process did not withdraw.
func (r *roster) erase(ctx context.Context) error {
	value, err := r.store.Get(ctx, r.leaseKey(r.self.Name))
	held := err == nil
	if err != nil && !errors.Is(err, rendezvous.ErrNotFound) {
		return err
	}
	if held && decodeHolder(value) != r.self.holder() {
		return nil
	}
	if err := r.eraseRecord(ctx, r.self.Type, r.self.Name, r.own); err != nil {
		return err
	}
	if held {
		if err := r.store.Delete(ctx, r.leaseKey(r.self.Name)); err != nil {
			return err
		}
	}
	return r.store.Notify(ctx, r.group, r.about())
}

// eraseRecord removes a record if it still is what it was.
func (r *roster) eraseRecord(ctx context.Context, kind, name string, was []byte) error {
	value, err := r.store.HGet(ctx, r.hashKey(kind), name)
	if errors.Is(err, rendezvous.ErrNotFound) || err == nil && !bytes.Equal(value, was) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.store.HDelete(ctx, r.hashKey(kind), name)
}

// sleep waits for d or a hint; false means that ctx ended first.
func sleep(ctx context.Context, hints <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hints:
	case <-ctx.Done():
		return false
	}
	return ctx.Err() == nil
}
