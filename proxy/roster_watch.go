package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tutti-ml/tutti/internal/stack"
	"github.com/tutti-ml/tutti/rendezvous"
)

// watch is what the goroutine that keeps a roster knows, and openRoster before it.
type watch struct {
	watcher  *rendezvous.Watcher
	claimed  bool      // the name was self's, at least for a while
	counted  bool      // so was this start
	renewed  time.Time // when the lease was last prolonged
	lost     time.Time // since when the store has failed; zero while it answers
	calm     time.Time // until when no missing lease is judged; zero after the first look since
	ghosts   map[ghost]time.Time
	readings map[place]reading
}

// place is a field of a type's hash.
type place struct{ kind, name string }

// reading is what a value at a place was found to be, so that it is not parsed at each look.
type reading struct {
	value  string
	record record
	err    error
}

// ghost is a record without a lease.
type ghost struct {
	place
	value string
}

func (w *watch) stop() {
	if w.watcher != nil {
		w.watcher.Stop()
		w.watcher = nil
	}
}

func (w *watch) hints() <-chan struct{} {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.C
}

// restless is the largest group whose store needs no rest.
const restless = 32

// run looks at every hint, beat and request, until ctx ends or the name is lost.
func (r *roster) run(ctx context.Context) {
	stack.Deepen()
	defer r.watch.stop()
	pause, wait := r.firstPause(), r.beat()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		var asking []chan error
		select {
		case <-r.watch.hints():
		case <-r.nudge:
		case <-timer.C:
		case answer := <-r.requests:
			asking = append(asking, answer)
		case <-ctx.Done():
			return
		}
		for more := true; more; {
			select {
			case answer := <-r.requests:
				asking = append(asking, answer)
			default:
				more = false
			}
		}
		drain(r.watch.hints()) // one look is for all that has come
		drain(r.nudge)
		start := time.Now()
		err := r.look(ctx)
		took := time.Since(start)
		r.answer(asking, took, err)
		switch {
		case ctx.Err() != nil:
			return
		case r.superseded() != nil:
			r.refuse(ctx)
			return
		case err != nil:
			r.lose(err)
			wait, pause = pause, r.nextPause(pause)
		default:
			wait, pause = r.beat(), r.firstPause()
			// Where many join at once, looking at each would keep the store busy: it gets a rest
			// as long as the look was.
			if len(r.members()) > restless && !sleep(ctx, nil, min(took, r.beat()/4)) {
				return
			}
		}
		timer.Reset(wait)
	}
}

// answer tells those who asked for a look how it went.
func (r *roster) answer(asking []chan error, took time.Duration, err error) {
	var taken *SupersededError
	if err != nil && !errors.As(err, &taken) {
		err = r.failure("read", took, err)
	}
	for _, answer := range asking {
		answer <- err
	}
}

// refuse answers whoever still asks, after the name was taken over.
func (r *roster) refuse(ctx context.Context) {
	for {
		select {
		case answer := <-r.requests:
			answer <- r.superseded()
		case <-ctx.Done():
			return
		}
	}
}

// lose notes that the store failed.
func (r *roster) lose(err error) {
	if r.watch.lost.IsZero() {
		r.watch.lost = time.Now()
		r.log.Warn("lost the store; going on with the members known, and trying again",
			"store", r.store.Address(), "error", err)
	}
}

// find notes that the store is back: perhaps emptied, so that others have yet to publish themselves
// again.
func (r *roster) find() {
	if !r.watch.lost.IsZero() {
		r.log.Info("the store is back", "store", r.store.Address(),
			"away", time.Since(r.watch.lost).Round(time.Millisecond))
		r.watch.lost = time.Time{}
		r.rest()
	}
}

// rest gives the others a lease's time to renew theirs.
func (r *roster) rest() { r.watch.calm = time.Now().Add(r.lease) }

// verdict says how this look judges missing leases.
func (w *watch) verdict() verdict {
	switch {
	case w.calm.IsZero():
		return plain
	case time.Now().Before(w.calm):
		return withheld
	default:
		w.calm = time.Time{}
		return doubtful
	}
}

// about is what self tells with a hint: its type, name and instance.
func (r *roster) about() string {
	return r.self.Type + " " + r.self.Name + " " + r.self.Instance
}

// maxTold bounds the names that hints have told between two looks: the rest are found by the look.
const maxTold = 64

// concerns says whether to look at the store after a hint: where many join a group, most of them are
// none of those that self has to see. What it does not understand it looks at. For the next look it
// remembers whose lease to read.
func (r *roster) concerns(about string) bool {
	told := strings.Fields(about)
	if len(told) != 3 {
		return true
	}
	kind, name, instance := told[0], told[1], told[2]
	if instance == r.self.Instance {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if name != r.self.Name && !slices.Contains(r.types, kind) {
		return false
	}
	if len(r.told) < maxTold && validName(name) && !slices.Contains(r.told, name) {
		r.told = append(r.told, name)
	}
	return true
}

// resubscribe asks for hints, on a new connection.
func (r *roster) resubscribe(ctx context.Context) error {
	r.watch.stop()
	watcher, err := r.store.Watch(ctx, r.group, r.concerns)
	if err != nil {
		return err
	}
	r.watch.watcher = watcher
	return nil
}
