package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/internal/stack"
	"github.com/tutti-ml/tutti/rendezvous"
)

// Times of the membership.
const (
	defaultLease = 3 * time.Second
	firstRetry   = 50 * time.Millisecond // of a store that is lost
	lastRetry    = time.Second
	contestPause = 50 * time.Millisecond // between looks at a name that another holds
	farewellTime = time.Second           // for who fails to enter
)

// rosterOptions say of which group a roster is.
type rosterOptions struct {
	group  string
	types  []string // of the members to see: the expected ones; self's own only if listed
	secret []byte   // authenticates every record, when not empty
	// lease is how long a component that falls silent counts as alive, and how long its successor
	// on another host waits for the name; 0 means 3 s.
	lease  time.Duration
	logger *slog.Logger // nil discards
}

// roster is a component's place in its group and its view of the other members, kept up to date
// through the store by one goroutine; another hands the changes over. The store is needed to enter:
// while it is lost, the last view stays, and nobody is judged by it.
//
// In the store, a type is the hash <group>:<type>, of which a field is a component's name and its
// value a record. The key <group>:<name>:lease names the start that holds the name, and ends by
// itself unless it is renewed. A record without its lease counts for nothing.
type roster struct {
	store  rendezvous.Store
	group  string
	lease  time.Duration
	log    *slog.Logger
	seal   seal
	self   record
	own    []byte // self as it stands in the store
	taking func([]change)

	cancel   context.CancelFunc
	running  sync.WaitGroup
	ended    chan struct{} // closed when both goroutines are gone
	requests chan chan error
	nudge    chan struct{} // a type was added
	handing  chan struct{} // there is something in queue
	closing  sync.Once
	missed   atomic.Bool // the store has not answered who enters, and the log says so
	closed   error       // of the first close

	mu    sync.Mutex
	types []string
	told  []string // names that hints were about, since the last look
	view  view
	queue []change
	fate  *SupersededError

	watch watch // of the goroutine that keeps the roster
}

// openRoster claims self's name, publishes self and looks who is there; then the roster keeps
// itself up to date until it is closed. self is complete but for Generation and PIDSpace.
//
// A name that another process holds is waited for: until it is withdrawn or its lease ends, or no
// longer than it takes to see that the holder ran on this host and is gone. openRoster blocks until
// ctx ends (rendezvous.DefaultTimeout, where ctx has no deadline), and fails with *NameError,
// *DuplicateNameError, *MembershipError, or errIncarnationTaken: draw another one and try again.
//
// Every change of the membership, beginning with those who are there at first, is handed to deliver
// in order, from one goroutine, without a lock held, perhaps before openRoster returns. deliver may
// call the roster, except close. The store stays the caller's.
func openRoster(ctx context.Context, store rendezvous.Store, self record, o rosterOptions,
	deliver func([]change),
) (*roster, error) {
	r, err := newRoster(store, self, o, deliver)
	if err != nil {
		return nil, err
	}
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rendezvous.DefaultTimeout)
		defer cancel()
	}
	if err := r.enter(ctx); err != nil {
		r.watch.stop()
		if r.watch.claimed {
			away, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellTime)
			defer cancel()
			err = errors.Join(err, r.withdraw(away))
		}
		return nil, err
	}
	keeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	r.running.Go(func() { r.run(keeping) })
	r.running.Go(func() { r.hand(keeping) })
	go func() {
		r.running.Wait()
		close(r.ended)
	}()
	return r, nil
}

// newRoster checks what is asked for.
func newRoster(store rendezvous.Store, self record, o rosterOptions, deliver func([]change),
) (*roster, error) {
	self.PIDSpace = pidSpace()
	err := errors.Join(checkName("group", o.group), self.check())
	for _, kind := range o.types {
		err = errors.Join(err, checkName("expected type", kind))
	}
	if err != nil {
		return nil, err
	}
	if o.lease <= 0 {
		o.lease = defaultLease
	}
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
	}
	r := &roster{
		store: store, group: o.group, lease: o.lease, seal: newSeal(o.secret, o.group), self: self,
		log:    o.logger.With("group", o.group, "component", self.Name),
		taking: deliver, ended: make(chan struct{}), requests: make(chan chan error),
		nudge: make(chan struct{}, 1), handing: make(chan struct{}, 1), view: newView(self),
	}
	r.watchAlso(o.types...)
	drain(r.nudge) // openRoster looks in any case
	return r, nil
}

func (r *roster) hashKey(kind string) string { return r.group + ":" + kind }

func (r *roster) leaseKey(name string) string { return r.group + ":" + name + ":lease" }

func (r *roster) generationKey() string { return r.group + ":" + r.self.Name + ":generation" }

// beat is how often the lease is renewed, and the store looked at without a hint.
func (r *roster) beat() time.Duration { return r.lease / 3 }

// patience is how long the store may take for one look or one farewell.
func (r *roster) patience() time.Duration { return max(r.lease, time.Second) }

// members returns the members that are alive, without self, ordered by name. They are as of the
// last look, and may be ahead of what has been delivered.
func (r *roster) members() []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view.members()
}

// byName finds a living member.
func (r *roster) byName(name string) (record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, alive := r.view.live[name]
	return found, alive
}

// byIncarnation finds a living member.
func (r *roster) byIncarnation(incarnation int) (record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, found := range r.view.live {
		if found.Incarnation == incarnation {
			return found, true
		}
	}
	return record{}, false
}

// watchAlso adds types whose members are to be seen, and returns at once; refresh waits for them.
// What cannot be the name of a type is ignored, and so are types beyond maxTypes.
func (r *roster) watchAlso(types ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range types {
		if validName(kind) && len(r.types) < maxTypes && !slices.Contains(r.types, kind) {
			r.types = append(r.types, kind)
			poke(r.nudge)
		}
	}
}

// refresh looks at the store now: when it returns nil, what stood there when it was called is in
// the view. It fails with *MembershipError while the store is lost or when the roster is closed,
// with *SupersededError, or with the error of ctx. Calls at the same time share a look.
func (r *roster) refresh(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case r.requests <- answer:
	case <-r.ended:
		return r.failure("closed", 0, errors.New("the roster is closed"))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close ends the roster's goroutines, waits for a deliver under way, withdraws record and lease and
// tells the others. It returns by the end of ctx, or of one lease: what it could not withdraw then
// ends with the lease, and the *MembershipError is for the log. Closing again returns the same.
func (r *roster) close(ctx context.Context) error {
	r.closing.Do(func() {
		r.cancel()
		select {
		case <-r.ended:
		case <-ctx.Done():
			r.closed = r.failure("withdraw", 0, fmt.Errorf("a change is still being delivered: %w",
				context.Cause(ctx)))
			return
		}
		if r.superseded() == nil {
			ctx, cancel := context.WithTimeout(ctx, r.patience())
			defer cancel()
			r.closed = r.withdraw(ctx)
		}
	})
	return r.closed
}

// superseded is the error of a component whose name was taken over.
func (r *roster) superseded() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fate == nil {
		return nil
	}
	return r.fate
}

// enqueue puts changes in line for deliver. r.mu is held.
func (r *roster) enqueue(changes ...change) {
	if len(changes) > 0 {
		r.queue = append(r.queue, changes...)
		poke(r.handing)
	}
}

// hand calls deliver with what is in line, in order, until ctx ends.
func (r *roster) hand(ctx context.Context) {
	stack.Deepen()
	for {
		select {
		case <-r.handing:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		changes := r.queue
		r.queue = nil
		r.mu.Unlock()
		if len(changes) > 0 {
			r.taking(changes)
		}
	}
}

// poke leaves a hint in a channel that holds one.
func poke(hint chan<- struct{}) {
	select {
	case hint <- struct{}{}:
	default:
	}
}

// drain takes the hint that a channel holds, if there is one.
func drain(hint <-chan struct{}) {
	select {
	case <-hint:
	default:
	}
}

// failure makes a *MembershipError.
func (r *roster) failure(phase string, waited time.Duration, err error) error {
	e := &MembershipError{
		Group: r.group, Name: r.self.Name, Phase: phase, Store: r.store.Address(), Waited: waited,
		Err: err,
	}
	var failed *rendezvous.StoreError
	switch {
	case errors.As(err, &failed) && failed.Refused():
		e.Remedy = "check the password and the permissions of the store's user, and that nobody " +
			"else uses keys that begin with the group's name"
	case phase == "closed" || errors.Is(err, rendezvous.ErrClosed):
		e.Remedy = "keep the store open for as long as the proxy"
	case phase == "withdraw":
		e.Remedy = "nothing is to be done: the others see the lease end"
	case failed != nil:
		e.Remedy = "check that the store runs and can be reached"
	}
	return e
}
