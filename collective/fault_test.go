package collective

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/tensor"
)

func init() { programs["fault"] = faultProgram }

// fault is what goes wrong in a job, and at which rank.
type fault struct {
	Mode   string
	Victim int
	Call   int // the all-reduce in which it happens
	Count  int // its elements
	// Patience is how long the one waits that has a deadline.
	Patience time.Duration
}

func (f fault) String() string {
	return fmt.Sprintf("%s of rank %d in call %d", f.Mode, f.Victim, f.Call)
}

func (f fault) argument(t *testing.T) string {
	t.Helper()
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// faultProgram is the rank's side of all tests here.
func faultProgram(ctx context.Context, argument string) error {
	var f fault
	if err := json.Unmarshal([]byte(argument), &f); err != nil {
		return err
	}
	c, err := connect(ctx, "")
	if err != nil {
		return err
	}
	rank := &faultRank{fault: f, c: c, buf: Alloc[float32](c, f.Count)}
	err = map[string]func(context.Context) error{
		"kill": rank.kill, "stop": rank.stop, "cancel": rank.cancel, "close": rank.close,
		"late": rank.late,
	}[f.Mode](ctx)
	return errors.Join(err, c.Close())
}

type faultRank struct {
	fault
	c   *Comm
	buf []float32
}

// reduce makes one all-reduce and checks it, as far as it succeeds.
func (r *faultRank) reduce(ctx context.Context) error {
	for i := range r.buf {
		r.buf[i] = float32(i%1000 + r.c.Rank())
	}
	if err := AllReduce(ctx, r.c, r.buf, tensor.Sum); err != nil {
		return err
	}
	p := r.c.Size()
	for i, x := range r.buf {
		if want := float32(p*(i%1000) + p*(p-1)/2); x != want {
			return fmt.Errorf("element %d is %v, want %v: a wrong result without an error", i, x, want)
		}
	}
	return nil
}

// tellOutcome reports how a call ended, and that the next one ends the same.
func (r *faultRank) tellOutcome(ctx context.Context, err error) error {
	o := outcomeOf("", r.c.Rank(), err)
	if again := Barrier(ctx, r.c); again != nil {
		o.Again = again.Error()
	}
	return report(o)
}

// kill: the victim kills itself while it is in a call.
func (r *faultRank) kill(ctx context.Context) error {
	for i := 0; ; i++ {
		if i == r.Call && r.c.Rank() == r.Victim {
			go func() {
				r.awaitCall(func(*call) bool { return true })
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // does not return
			}()
		}
		if err := r.reduce(ctx); err != nil {
			return r.tellOutcome(ctx, err)
		}
	}
}

// awaitCall blocks until a call is under way of which ok holds.
func (r *faultRank) awaitCall(ok func(*call) bool) {
	for {
		r.c.e.enter()
		c := r.c.e.currentCall(r.c)
		found := c != nil && ok(c)
		r.c.e.mu.Unlock()
		if found {
			return
		}
		runtime.Gosched()
	}
}

// stop: the victim stops itself while its call is under way; one of the others has a deadline.
func (r *faultRank) stop(ctx context.Context) error {
	for i := range r.Call {
		if err := r.reduce(ctx); err != nil {
			return fmt.Errorf("call %d: %w", i, err)
		}
	}
	switch r.c.Rank() {
	case r.Victim:
		// Nobody leads here from now on: threads may run on for a while after the signal, and must not finish
		// the call.
		r.c.e.enter()
		r.c.e.leading = true
		r.c.e.mu.Unlock()
		w := AllReduceAsync(ctx, r.c, r.buf, tensor.Sum)
		if 4*r.Count > window { // what is sent at once is not all
			r.c.e.enter()
			r.c.e.step(r.c.e.currentCall(r.c))
			r.c.e.mu.Unlock()
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
			return err
		}
		return w.Wait()
	case (r.Victim + 1) % r.c.Size():
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Patience) // what is waited for never comes
		defer cancel()
	}
	return r.tellOutcome(ctx, r.reduce(ctx))
}

// cancel: the victim's context ends during a call that rank 0 has not entered.
func (r *faultRank) cancel(ctx context.Context) error {
	if r.c.Rank() == 0 {
		if err := await("go"); err != nil {
			return err
		}
		return r.tellOutcome(ctx, r.reduce(ctx))
	}
	if r.c.Rank() != r.Victim {
		return r.tellOutcome(ctx, r.reduce(ctx))
	}
	mine, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		r.awaitCall(func(*call) bool { return true })
		cancel()
	}()
	err := r.reduce(mine)
	for i := range r.buf {
		r.buf[i] = 12345
	}
	if err := r.tellOutcome(ctx, err); err != nil {
		return err
	}
	if err := await("look"); err != nil { // all others are done
		return err
	}
	r.c.e.enter()
	r.c.e.sweep() // whatever has arrived has had its chance
	r.c.e.mu.Unlock()
	return report(slices.IndexFunc(r.buf, func(x float32) bool { return x != 12345 }))
}

// close: the victim closes its communicator while all, itself too, are in a call.
func (r *faultRank) close(ctx context.Context) error {
	if r.c.Rank() == 0 && r.c.Rank() != r.Victim {
		if err := await("go"); err != nil {
			return err
		}
	}
	if r.c.Rank() != r.Victim {
		return r.tellOutcome(ctx, r.reduce(ctx))
	}
	closed := make(chan error, 1)
	go func() {
		r.awaitCall(func(*call) bool { return true })
		closed <- r.c.Close()
	}()
	err := r.reduce(ctx)
	for i := range r.buf {
		r.buf[i] = 12345
	}
	return errors.Join(<-closed, r.tellOutcome(ctx, err))
}

// late: the victim enters the call only when the others have waited so long that they have told
// their status.
func (r *faultRank) late(ctx context.Context) error {
	if r.c.Rank() == r.Victim {
		if err := await("go"); err != nil {
			return err
		}
	} else {
		go func() {
			r.awaitCall(func(c *call) bool { return c.told > 0 })
			_ = report("waiting") // or the test hears nothing
		}()
	}
	return r.tellOutcome(ctx, r.reduce(ctx))
}

// sameAgain checks that a call after the failure has returned the first cause again.
func sameAgain(t *testing.T, o outcome) {
	t.Helper()
	if first, _, _ := strings.Cut(o.Text, " (later:"); !strings.HasPrefix(o.Again, first) {
		t.Errorf("rank %d: the call ends with %q, the next one with %q", o.Rank, o.Text, o.Again)
	}
}

func TestKilledRank(t *testing.T) {
	eachProcessDriver(t, []int{2, 3, 4}, func(t *testing.T, driver string, size int) {
		for i, count := range []int{1000, 300_000} {
			f := fault{Mode: "kill", Victim: (size - 1) * i, Call: 3 + 7*i, Count: count}
			all := startRanks(t, size, driver, "fault", f.argument(t))
			for _, p := range all {
				if p.rank == f.Victim {
					continue
				}
				o := read[outcome](p)
				if o.Kind != "failed" || o.Culprit != f.Victim {
					t.Errorf("%v: rank %d says %s: %s", f, p.rank, o.Kind, o.Text)
				}
				if !strings.Contains(o.Text, fmt.Sprintf("rank %d", f.Victim)) || o.Other == f.Victim {
					t.Errorf("%v: rank %d doesn't say who saw whom fail: %s", f, p.rank, o.Text)
				}
				sameAgain(t, o)
				p.mustEnd()
			}
			if s := all[f.Victim].signalOf(); s != syscall.SIGKILL {
				t.Errorf("the victim was ended by %v", s)
			}
		}
	})
}

func TestStoppedRank(t *testing.T) {
	eachProcessDriver(t, []int{2, 3, 4}, func(t *testing.T, driver string, size int) {
		stopRank(t, driver, size, 3_000_000, time.Second)
	})
}

// stopRank checks how a call of count elements ends in which the last rank stops itself. When the one
// with the deadline gives up, the others have to be done with the call before.
func stopRank(t *testing.T, driver string, size, count int, patience time.Duration) {
	t.Helper()
	f := fault{Mode: "stop", Victim: size - 1, Call: 3, Count: count, Patience: patience}
	impatient := (f.Victim + 1) % size
	all := startRanks(t, size, driver, "fault", f.argument(t))
	for _, p := range all {
		if p.rank == f.Victim {
			continue
		}
		o := read[outcome](p)
		want := "aborted"
		if p.rank == impatient {
			want = "cancelled"
			if len(o.Waiting) == 0 || !strings.Contains(o.Text, "it waited for: ") ||
				!strings.Contains(o.Text, context.DeadlineExceeded.Error()) {
				t.Errorf("rank %d doesn't say what it waited for: %s", p.rank, o.Text)
			}
		}
		if o.Kind != want || o.Culprit != impatient {
			t.Errorf("rank %d says %s, want %s by rank %d: %s", p.rank, o.Kind, want, impatient, o.Text)
		}
		sameAgain(t, o)
		p.mustEnd()
	}
}

func TestCancelledCall(t *testing.T) {
	eachProcessDriver(t, []int{2, 3, 4}, func(t *testing.T, driver string, size int) {
		f := fault{Mode: "cancel", Victim: size - 1, Count: 4 << 20}
		all := startRanks(t, size, driver, "fault", f.argument(t))
		victim := all[f.Victim]
		if o := read[outcome](victim); o.Kind != "cancelled" || o.Culprit != f.Victim {
			t.Errorf("the victim says %s: %s", o.Kind, o.Text)
		} else {
			sameAgain(t, o)
		}
		all[0].tell("go")
		for _, p := range all[:f.Victim] {
			o := read[outcome](p)
			if o.Kind != "aborted" || o.Culprit != f.Victim {
				t.Errorf("rank %d says %s: %s", p.rank, o.Kind, o.Text)
			}
			sameAgain(t, o)
			p.mustEnd()
		}
		victim.tell("look")
		if i := read[int](victim); i >= 0 {
			t.Errorf("element %d of the victim's buffer changed after its call had returned", i)
		}
		victim.mustEnd()
	})
}

func TestClosedDuringCall(t *testing.T) {
	eachProcessDriver(t, []int{2, 3, 4}, func(t *testing.T, driver string, size int) {
		f := fault{Mode: "close", Victim: size - 1, Count: 1 << 20}
		all := startRanks(t, size, driver, "fault", f.argument(t))
		victim := all[f.Victim]
		if o := read[outcome](victim); o.Kind != "closed" {
			t.Errorf("the victim says %s: %s", o.Kind, o.Text)
		} else {
			sameAgain(t, o)
		}
		victim.mustEnd()
		// Rank 0 comes when all others have gone.
		for _, p := range append(all[1:f.Victim:f.Victim], all[0]) {
			if p.rank == 0 {
				p.tell("go")
			}
			o := read[outcome](p)
			if o.Kind != "aborted" || o.Culprit != f.Victim {
				t.Errorf("rank %d says %s of %d: %s", p.rank, o.Kind, o.Culprit, o.Text)
			}
			sameAgain(t, o)
			p.mustEnd()
		}
	})
}

func TestLateRank(t *testing.T) {
	eachProcessDriver(t, []int{3}, func(t *testing.T, driver string, size int) {
		for victim := range size {
			f := fault{Mode: "late", Victim: victim, Count: 100_000}
			all := startRanks(t, size, driver, "fault", f.argument(t))
			for _, p := range all {
				if p.rank != victim {
					read[string](p)
				}
			}
			all[victim].tell("go")
			for _, p := range all {
				if o := read[outcome](p); o.Kind != "" || o.Again != "" {
					t.Errorf("%v: rank %d: %s%s", f, p.rank, o.Text, o.Again)
				}
				p.mustEnd()
			}
		}
	})
}
