package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rollOptions are those of one rank in these tests.
func rollOptions(job string, rank, size int, secret string) RollCallOptions {
	return RollCallOptions{
		Job: job, Size: size, Secret: []byte(secret),
		Self: Member{
			Rank: rank, Host: fmt.Sprintf("host%d", rank), HostID: "id", PID: 1000 + rank,
			Addresses: []byte{byte(rank), 0, 255}, Version: "v1", Config: "a=1",
		},
	}
}

// answer is what one rank's roll call returned.
type answer struct {
	members []Member
	err     error
}

// callAll runs the roll calls of all ranks, each on a connection of its own, and waits for all.
func callAll(ctx context.Context, t *testing.T, p place, options []RollCallOptions) []answer {
	t.Helper()
	answers := make([]answer, len(options))
	var wg sync.WaitGroup
	for i, o := range options {
		store := dialPlace(t, p)
		wg.Go(func() { answers[i].members, answers[i].err = RollCall(ctx, store, o) })
	}
	wg.Wait()
	return answers
}

func TestRollCall(t *testing.T) {
	for _, p := range places(t) {
		for _, size := range []int{1, 2, 4, 9} {
			t.Run(fmt.Sprintf("%s/%d", p.name, size), func(t *testing.T) {
				var options []RollCallOptions
				var want []Member
				for rank := range size {
					options = append(options, rollOptions(t.Name(), rank, size, p.secret))
					want = append(want, options[rank].Self)
				}
				for generation := range 3 { // the job is run again on the same store
					for rank, a := range callAll(testContext(t), t, p, options) {
						if a.err != nil {
							t.Fatalf("run %d, rank %d: %v", generation, rank, a.err)
						}
						if diff := cmp.Diff(want, a.members); diff != "" {
							t.Errorf("run %d, rank %d (-want +got):\n%s", generation, rank, diff)
						}
					}
				}
			})
		}
	}
}

// TestTwoJobsDoNotMeet runs two jobs at once on one store.
func TestTwoJobsDoNotMeet(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	var options []RollCallOptions
	for _, job := range []string{"one", "two"} {
		for rank := range 3 {
			o := rollOptions(job, rank, 3, "")
			o.Self.Host = job
			options = append(options, o)
		}
	}
	for i, a := range callAll(testContext(t), t, p, options) {
		check(t, a.err)
		for _, member := range a.members {
			if member.Host != options[i].Job {
				t.Errorf("a rank of job %s met %+v", options[i].Job, member)
			}
		}
	}
}

// TestMissingRank ends a roll call that one rank never joins: all others return the same list, and
// have logged it before.
func TestMissingRank(t *testing.T) {
	p := place{url: serve(t, "s3cret").URL(), secret: "s3cret"}
	const size, absent = 6, 3
	ctx, cancel := context.WithCancelCause(testContext(t))
	defer cancel(nil)
	log, lines := newTestLog(t)
	var options []RollCallOptions
	for rank := range size {
		if rank != absent {
			o := rollOptions("job", rank, size, p.secret)
			o.Logger, o.Patience = log, time.Millisecond
			options = append(options, o)
		}
	}
	late := errors.New("the scheduler lost patience")
	go func() {
		awaitLine(t, lines, "rank=0", "5/6 joined after", "missing rank 3")
		awaitLine(t, lines, "rank=5", "5/6 joined after", "missing rank 3")
		cancel(late)
	}()
	for i, a := range callAll(ctx, t, p, options) {
		var missing *RollCallError
		if !errors.As(a.err, &missing) {
			t.Fatalf("rank %d: %v, want a *RollCallError", options[i].Self.Rank, a.err)
		}
		if diff := cmp.Diff([]int{absent}, missing.Missing); diff != "" {
			t.Errorf("rank %d, missing (-want +got):\n%s", missing.Rank, diff)
		}
		if diff := cmp.Diff([]int{0, 1, 2, 4, 5}, missing.Joined); diff != "" {
			t.Errorf("rank %d, joined (-want +got):\n%s", missing.Rank, diff)
		}
	}
}

// TestOneGivesUp lets one rank's context end: the others need not wait for theirs.
func TestOneGivesUp(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	ctx := testContext(t)
	impatient, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for rank := range 3 {
		o, store := rollOptions("job", rank, 4, ""), dialPlace(t, p)
		own := ctx
		if rank == 2 {
			own = impatient
		}
		wg.Go(func() {
			_, err := RollCall(own, store, o)
			contains(t, err, "3/4 joined", "missing rank 3")
			if rank != 2 {
				contains(t, err, "rank 2 on host host2 gave up: context canceled")
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("rank 2: %v, want context.Canceled in it", err)
			}
		})
	}
	awaitMembers(t, dialPlace(t, p), "job", nil, 3)
	cancel()
	wg.Wait()
}

// lostAnswer is a store whose answer to a claim does not come before the caller gives up.
type lostAnswer struct {
	Store
	giveUp func()
}

func (s lostAnswer) HSetNX(ctx context.Context, key, field string, value []byte) (bool, error) {
	_, err := s.Store.HSetNX(ctx, key, field, value)
	s.giveUp()
	return false, errors.Join(err, ctx.Err())
}

// TestGivesUpWhileClaiming ends one rank's context when its claim is in the store, but it has not
// heard: rank 0 counts on it, and must be told.
func TestGivesUpWhileClaiming(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	ctx := testContext(t)
	impatient, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	leader := dialPlace(t, p)
	wg.Go(func() {
		_, err := RollCall(ctx, leader, rollOptions("job", 0, 4, ""))
		contains(t, err, "missing ranks 1, 3", "rank 2 on host host2 gave up: context canceled")
	})
	o, store := rollOptions("job", 2, 4, ""), dialPlace(t, p)
	_, err := RollCall(impatient, lostAnswer{store, cancel}, o)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("rank 2: %v, want context.Canceled in it", err)
	}
	contains(t, err, "rank 2: ")
	wg.Wait()
}

// TestRankZeroNeverComes leaves the others without a roll.
func TestRankZeroNeverComes(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	ctx, cancel := context.WithCancel(testContext(t))
	log, lines := newTestLog(t)
	o := rollOptions("job", 1, 2, "")
	o.Logger, o.Patience = log, time.Millisecond
	go func() {
		awaitLine(t, lines, "waiting", "rank 0 has not opened the roll")
		cancel()
	}()
	_, err := RollCall(ctx, dialPlace(t, p), o)
	contains(t, err, "1/2 joined", "missing rank 0", "rank 0 has not opened the roll")
}

// TestMismatch gives all ranks the same error, which names the two that differ.
func TestMismatch(t *testing.T) {
	tests := []struct {
		field  string
		change func(*RollCallOptions)
		want   []string
	}{
		{"version", func(o *RollCallOptions) { o.Self.Version = "v2" }, []string{
			"version differs between rank 0 on host host0 and rank 2 on host host2",
			`"v1" against "v2"`, "install the same version",
		}},
		{"config", func(o *RollCallOptions) { o.Self.Config = "a=1\nb=3" }, []string{
			"config differs", "rank 2", `+"b=3"`,
		}},
		{"size", func(o *RollCallOptions) { o.Size = 5 }, []string{
			"size differs", "rank 2", `"3" against "5"`,
		}},
	}
	for _, test := range tests {
		t.Run(test.field, func(t *testing.T) {
			p := place{url: serve(t, "").URL()}
			var options []RollCallOptions
			for rank := range 3 {
				options = append(options, rollOptions("job", rank, 3, ""))
			}
			test.change(&options[2])
			for rank, a := range callAll(testContext(t), t, p, options) {
				var differs *VersionError
				if !errors.As(a.err, &differs) {
					t.Fatalf("rank %d: %v, want a *VersionError", rank, a.err)
				}
				if differs.Field != test.field || differs.RankA != 0 || differs.RankB != 2 {
					t.Errorf("rank %d: %+v", rank, differs)
				}
				contains(t, a.err, test.want...)
			}
		})
	}
}

// TestMismatchWithoutAll does not wait for a rank that never comes, once settings differ.
func TestMismatchWithoutAll(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	log, lines := newTestLog(t)
	zero, one := rollOptions("job", 0, 3, ""), rollOptions("job", 1, 3, "")
	zero.Patience, one.Self.Version = time.Millisecond, "v2"
	answers := callAll(testContext(t), t, p, []RollCallOptions{zero, one})
	contains(t, answers[0].err, "version differs", "rank 1 on host host1")
	contains(t, answers[1].err, "version differs", "rank 1 on host host1")

	// A rank that comes later still learns why there is no roll to join.
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		awaitLine(t, lines, "roll 1 has failed", "version differs")
		cancel()
	}()
	two := rollOptions("job", 2, 3, "")
	two.Logger, two.Patience = log, time.Millisecond
	_, err := RollCall(ctx, dialPlace(t, p), two)
	contains(t, err, "roll 1 has failed", "version differs")
}

// TestDuplicate starts a second process for a rank whose first one lives: the second is refused,
// with both named, and the roll completes all the same.
func TestDuplicate(t *testing.T) {
	for _, rank := range []int{0, 1} {
		t.Run(fmt.Sprintf("rank %d", rank), func(t *testing.T) {
			p := place{url: serve(t, "").URL()}
			ctx := testContext(t)
			const size = 3
			var wg sync.WaitGroup
			call := func(rank int) {
				o, store := rollOptions("job", rank, size, ""), dialPlace(t, p)
				o.Lease = time.Hour // a process that is slow today must not look dead
				wg.Go(func() {
					if _, err := RollCall(ctx, store, o); err != nil {
						t.Errorf("rank %d: %v", rank, err)
					}
				})
			}
			call(0)
			call(1)
			awaitMembers(t, dialPlace(t, p), "job", nil, 2)
			o := rollOptions("job", rank, size, "")
			o.Self.Host, o.Self.PID = "elsewhere", 77
			_, err := RollCall(ctx, dialPlace(t, p), o)
			want := &DuplicateRankError{
				Job: "job", Rank: rank, Host: "elsewhere", PID: 77,
				Other: fmt.Sprintf("host%d", rank), OtherPID: 1000 + rank,
			}
			var got *DuplicateRankError
			if !errors.As(err, &got) {
				t.Fatalf("the second process got %v, want a *DuplicateRankError", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			call(2)
			wg.Wait()
		})
	}
}

// TestProgressOfMany checks that a size without a name for each rank is still readable.
func TestProgressOfMany(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	log, lines := newTestLog(t)
	ctx, cancel := context.WithCancel(testContext(t))
	o := rollOptions("job", 0, 100000, "")
	o.Logger, o.Patience = log, time.Millisecond
	go func() {
		awaitLine(t, lines, "1/100000 joined after", "missing ranks 1-99999")
		cancel()
	}()
	_, err := RollCall(ctx, dialPlace(t, p), o)
	contains(t, err, "1/100000 joined", "missing ranks 1-99999")
}

// TestRollCallRefusesNonsense checks what a caller may get wrong.
func TestRollCallRefusesNonsense(t *testing.T) {
	tests := map[string]func(*RollCallOptions){
		"size 0 is not within":  func(o *RollCallOptions) { o.Size = 0 },
		"rank 4 is not within":  func(o *RollCallOptions) { o.Self.Rank = 4 },
		"rank -1 is not within": func(o *RollCallOptions) { o.Self.Rank = -1 },
		"addresses of": func(o *RollCallOptions) {
			o.Self.Addresses = make([]byte, MaxAddressesBytes+1)
		},
		"config of": func(o *RollCallOptions) {
			o.Self.Config = string(make([]byte, MaxConfigBytes+1))
		},
	}
	for want, change := range tests {
		o := rollOptions("job", 1, 4, "")
		o.Logger = slog.New(slog.DiscardHandler)
		change(&o)
		_, err := RollCall(t.Context(), nil, o)
		contains(t, err, want)
	}
}

// TestClosedStore ends a roll call whose store is closed under it.
func TestClosedStore(t *testing.T) {
	for rank := range 2 {
		p := place{url: serve(t, "").URL()}
		store := dialPlace(t, p)
		log, lines := newTestLog(t)
		o := rollOptions("job", rank, 2, "")
		o.Logger, o.Patience = log, time.Millisecond
		go func() {
			awaitLine(t, lines, "roll call: ")
			store.Close()
		}()
		if _, err := RollCall(testContext(t), store, o); !errors.Is(err, ErrClosed) {
			t.Errorf("rank %d: %v, want ErrClosed", rank, err)
		}
	}
}
