package rendezvous

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// crash leaves in the store what a process leaves that is killed after it has joined: its entry,
// its lease, and for rank 0 an open roll.
func crash(ctx context.Context, t *testing.T, store Store, o RollCallOptions) {
	t.Helper()
	c, err := newCall(store, o)
	check(t, err)
	if o.Self.Rank == 0 {
		check(t, (&caller{call: c}).open(ctx))
		return
	}
	a := &answerer{call: c}
	if _, _, err := a.step(ctx); err != nil {
		t.Fatal(err)
	}
	if !a.claimed {
		t.Fatalf("rank %d could not claim its slot: %s", o.Self.Rank, a.waiting)
	}
}

// TestRestartAfterCrash kills a job in the middle of its roll call, at several points, and runs it
// again, the ranks in several orders. Nobody may meet a dead process.
func TestRestartAfterCrash(t *testing.T) {
	const size = 3
	tests := []struct {
		name    string
		crashed []int // ranks that had joined
		order   []int // in which the new ranks start, each before the next
	}{
		{"rank 0 alone, then in order", []int{0}, []int{0, 1, 2}},
		{"all but one, then rank 0 last", []int{0, 1}, []int{2, 1, 0}},
		{"all but one, then rank 0 first", []int{0, 2}, []int{0, 1, 2}},
		{"all, then the one that was missing first", []int{0, 1, 2}, []int{2, 1, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := place{url: serve(t, "").URL()}
			ctx := testContext(t)
			for _, rank := range test.crashed {
				o := rollOptions("job", rank, size, "")
				o.Self.Host, o.Lease = "dead", 300*time.Millisecond
				crash(ctx, t, dialPlace(t, p), o)
			}
			var wg sync.WaitGroup
			for _, rank := range test.order {
				o, store := rollOptions("job", rank, size, ""), dialPlace(t, p)
				log, lines := newTestLog(t)
				o.Logger, o.Patience = log, time.Millisecond
				wg.Go(func() {
					members, err := RollCall(ctx, store, o)
					if err != nil {
						t.Errorf("rank %d: %v", rank, err)
					}
					for _, member := range members {
						if member.Host == "dead" {
							t.Errorf("rank %d met the dead rank %d", rank, member.Rank)
						}
					}
				})
				awaitLine(t, lines, "roll call: ") // it is under way
			}
			wg.Wait()
		})
	}
}

// TestOneRankRestarts replaces, within one roll call, a rank that crashed after it had joined. Two
// successors come at once: one is taken, the other is told of it.
func TestOneRankRestarts(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	ctx := testContext(t)
	var wg sync.WaitGroup
	zero, store := rollOptions("job", 0, 3, ""), dialPlace(t, p)
	wg.Go(func() {
		members, err := RollCall(ctx, store, zero)
		if err != nil || members[1].Host != "successor" {
			t.Errorf("rank 0: %v, %v; want the successor as rank 1", members, err)
		}
	})
	awaitMembers(t, dialPlace(t, p), "job", nil, 1)
	dead := rollOptions("job", 1, 3, "")
	dead.Self.Host, dead.Lease = "dead", 200*time.Millisecond
	crash(ctx, t, dialPlace(t, p), dead)

	results := make(chan error, 2)
	for pid := range 2 {
		o, store := rollOptions("job", 1, 3, ""), dialPlace(t, p)
		o.Self.Host, o.Self.PID = "successor", pid
		wg.Go(func() {
			_, err := RollCall(ctx, store, o)
			results <- err
		})
	}
	var duplicate *DuplicateRankError
	if err := <-results; !errors.As(err, &duplicate) || duplicate.Other != "successor" {
		t.Errorf("the other successor got %v, want a *DuplicateRankError", err)
	}
	two, store := rollOptions("job", 2, 3, ""), dialPlace(t, p)
	if _, err := RollCall(ctx, store, two); err != nil {
		t.Errorf("rank 2: %v", err)
	}
	if err := <-results; err != nil {
		t.Errorf("the successor: %v", err)
	}
	wg.Wait()
}

// TestRankZeroRestarts replaces rank 0 while the others wait in its roll: they follow to the new
// one.
func TestRankZeroRestarts(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	ctx := testContext(t)
	dead := rollOptions("job", 0, 3, "")
	dead.Self.Host, dead.Lease = "dead", 200*time.Millisecond
	crash(ctx, t, dialPlace(t, p), dead)
	var wg sync.WaitGroup
	call := func(rank int) {
		o, store := rollOptions("job", rank, 3, ""), dialPlace(t, p)
		wg.Go(func() {
			members, err := RollCall(ctx, store, o)
			if err != nil || members[0].Host != "host0" {
				t.Errorf("rank %d: %v, %v; want the new rank 0", rank, members, err)
			}
		})
	}
	call(1)
	call(2)
	awaitMembers(t, dialPlace(t, p), "job", nil, 3)
	call(0)
	wg.Wait()
}

// TestLateComer starts a rank again after its job's roll is complete: it waits for a new roll, and
// says who holds its rank.
func TestLateComer(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	options := []RollCallOptions{rollOptions("job", 0, 2, ""), rollOptions("job", 1, 2, "")}
	for _, a := range callAll(testContext(t), t, p, options) {
		check(t, a.err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	log, lines := newTestLog(t)
	options[1].Logger, options[1].Patience = log, time.Millisecond
	go func() {
		awaitLine(t, lines, "waiting", "roll 1 is complete")
		cancel()
	}()
	_, err := RollCall(ctx, dialPlace(t, p), options[1])
	contains(t, err, "roll 1 is complete with pid 1001 on host host1 as rank 1", "missing rank 0")
}

// TestStoreLosesEverything empties the store during the roll call, as the restart of a Redis
// without persistence does: rank 0 opens another roll, and the others follow.
func TestStoreLosesEverything(t *testing.T) {
	server := serve(t, "")
	p := place{url: server.URL()}
	ctx := testContext(t)
	var wg sync.WaitGroup
	call := func(rank int) {
		o, store := rollOptions("job", rank, 3, ""), dialPlace(t, p)
		o.Lease = 500 * time.Millisecond
		wg.Go(func() {
			if _, err := RollCall(ctx, store, o); err != nil {
				t.Errorf("rank %d: %v", rank, err)
			}
		})
	}
	call(0)
	call(1)
	lost := awaitMembers(t, dialPlace(t, p), "job", nil, 2)
	server.redis.FlushAll()
	if again := awaitMembers(t, dialPlace(t, p), "job", nil, 2); again.ID == lost.ID {
		t.Errorf("roll %s came back", lost.ID)
	}
	call(2)
	wg.Wait()
}

// TestStoreRestarts stops the server during the roll call and starts an empty one on its port.
func TestStoreRestarts(t *testing.T) {
	address := freeAddress(t)
	first, err := ServeEmbedded(address, "s3cret", nil)
	check(t, err)
	p := place{url: "tutti://" + address, secret: "s3cret"}
	ctx := testContext(t)
	var wg sync.WaitGroup
	call := func(rank int) {
		o, store := rollOptions("job", rank, 3, "s3cret"), dialPlace(t, p)
		o.Lease = 500 * time.Millisecond
		wg.Go(func() {
			if _, err := RollCall(ctx, store, o); err != nil {
				t.Errorf("rank %d: %v", rank, err)
			}
		})
	}
	call(0)
	call(1)
	observer := dialPlace(t, p)
	awaitMembers(t, observer, "job", []byte("s3cret"), 2)
	observer.Close()
	check(t, first.Close())
	second, err := ServeEmbedded(address, "s3cret", nil)
	check(t, err)
	t.Cleanup(func() { second.Close() })
	awaitMembers(t, dialPlace(t, p), "job", []byte("s3cret"), 2)
	call(2)
	wg.Wait()
}

// TestRankZeroSuperseded has another process open a roll over that of a living rank 0, as happens
// when a machine sleeps for longer than its lease: the first one notices and leaves.
func TestRankZeroSuperseded(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	ctx := testContext(t)
	ended := make(chan error, 1)
	first, store := rollOptions("job", 0, 2, ""), dialPlace(t, p)
	go func() {
		_, err := RollCall(ctx, store, first)
		ended <- err
	}()
	awaitMembers(t, dialPlace(t, p), "job", nil, 1)
	second := rollOptions("job", 0, 2, "")
	second.Self.Host, second.Self.PID = "successor", 5
	crash(ctx, t, dialPlace(t, p), second)
	err := <-ended
	contains(t, err, "two processes claim rank 0", "pid 1000 on host host0", "pid 5 on host successor")
}

// TestPlaceTakenWhileAsleep gives the slot of a living rank to another: it notices, finds the other
// alive, and leaves.
func TestPlaceTakenWhileAsleep(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	ctx := testContext(t)
	crash(ctx, t, dialPlace(t, p), rollOptions("job", 0, 3, ""))
	ended := make(chan error, 1)
	o, store := rollOptions("job", 1, 3, ""), dialPlace(t, p)
	o.Lease = 500 * time.Millisecond
	go func() {
		_, err := RollCall(ctx, store, o)
		ended <- err
	}()
	observer := dialPlace(t, p)
	opened := awaitMembers(t, observer, "job", nil, 2)
	thief := rollOptions("job", 1, 3, "")
	thief.Self.Host, thief.Lease = "thief", time.Hour
	c, err := newCall(observer, thief)
	check(t, err)
	record, err := c.self(opened.ID, "")
	check(t, err)
	check(t, c.renew(ctx, opened.ID))
	check(t, observer.HSet(ctx, c.membersKey(opened.ID), "1", record))
	for {
		select {
		case err := <-ended:
			contains(t, err, "two processes claim rank 1", "on host thief")
			return
		case <-time.After(10 * time.Millisecond):
			check(t, c.renew(ctx, opened.ID)) // the thief is alive
		}
	}
}
