package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/regtable"
)

// killing is a run in which the workers are killed and started again. Each supervisor has one.
type killing struct {
	t       *testing.T
	store   string
	seed    uint64
	workers int
	tasks   int // of each worker
	kills   int // of all
	atOnce  int // tasks of each worker under way
	results map[string]chan struct{}
}

// killLease is short: a process that is killed while it joins, before it has published itself, is
// known to be dead by the end of its lease alone.
const killLease = 500 * time.Millisecond

func newKilling(t *testing.T) *killing {
	k := &killing{
		t: t, store: embeddedStore(t), seed: rand.Uint64(), workers: 4, atOnce: 6, tasks: 500, kills: 50,
		results: map[string]chan struct{}{},
	}
	if testing.Short() {
		k.tasks, k.kills = 75, 5
	}
	t.Logf("seed %d", k.seed)
	return k
}

// run starts the master and the workers, kills workers while the master does its work, and checks
// that all is well afterwards.
func (k *killing) run(drive func(ctx context.Context, c *campaign) error) {
	k.t.Helper()
	ctx, cancel := context.WithCancel(faulty(k.t))
	defer cancel()
	first := make([]*process, k.workers)
	for i := range first {
		first[i] = start(k.t, worker(k.store, i, killLease, k.seed))
		k.results[first[i].name] = make(chan struct{}, k.tasks)
	}
	// The workers do not let their master come back: its lease is not to lapse on a busy machine.
	all := join(k.t, k.store, []part{{"master", "master", map[string]int{"worker": k.workers}}},
		proxy.WithRejoin(proxy.Rejoin{}), proxy.WithLease(time.Minute))
	c := newCampaign(all["master"])
	c.reply = func(worker string) { k.results[worker] <- struct{}{} }
	last := make([]*process, k.workers)
	errs := make([]error, k.workers+1)
	var group sync.WaitGroup
	for i, p := range first {
		p.read("joined")
		group.Go(func() {
			if last[i], errs[i] = k.supervise(ctx, p, i); errs[i] != nil {
				cancel()
			}
		})
	}
	group.Go(func() {
		if errs[k.workers] = drive(ctx, c); errs[k.workers] != nil {
			cancel()
		}
	})
	group.Wait()
	if err := errors.Join(append(errs, c.verdict())...); err != nil {
		k.t.Fatal(err)
	}
	for _, p := range last {
		p.finish()
	}
	s := c.p.Stats()
	if len(c.counts) != k.workers*k.tasks || s.Resent == 0 || len(c.pids) <= k.workers {
		k.t.Errorf("%d tasks, results of %d processes: %+v", len(c.counts), len(c.pids), s)
	}
	k.t.Logf("%d tasks, results of %d processes: %+v", len(c.counts), len(c.pids), s)
}

// supervise kills a worker as soon as it has given as many results as chance says, or while it
// joins, and starts it again. It returns the last one, which has joined.
func (k *killing) supervise(ctx context.Context, p *process, i int) (*process, error) {
	random := rand.New(rand.NewPCG(k.seed, uint64(i)))
	moments := make([]int, k.kills/k.workers, k.kills)
	if i < k.kills%k.workers {
		moments = append(moments, 0)
	}
	for j := range moments {
		moments[j] = random.IntN(k.tasks - k.atOnce)
	}
	slices.Sort(moments)
	have, joined := 0, true
	for _, moment := range moments {
		if !joined && random.IntN(6) == 0 {
			// Somewhere between its start and its first results.
			time.Sleep(time.Duration(random.Int64N(2e8)))
		} else {
			if !joined {
				if _, err := p.expect("joined"); err != nil {
					return p, err
				}
			}
			for have < moment {
				select {
				case <-k.results[p.name]:
					have++
				case <-ctx.Done():
					return p, fmt.Errorf("%s has given %d of %d results: %w", p.name, have, moment, ctx.Err())
				}
			}
			time.Sleep(time.Duration(random.Int64N(1e6))) // somewhere in the work that follows
		}
		p.kill()
		var err error
		if p, err = launch(k.t, worker(k.store, i, killLease, k.seed)); err != nil {
			return p, err
		}
		joined = false
	}
	if !joined {
		if _, err := p.expect("joined"); err != nil {
			return p, err
		}
	}
	return p, nil
}

// TestKilledWorkersLoseNoTask kills workers at random moments: every task gets its result, once.
func TestKilledWorkersLoseNoTask(t *testing.T) {
	k := newKilling(t)
	k.run(func(ctx context.Context, c *campaign) error {
		errs := make([]error, k.workers)
		var group sync.WaitGroup
		for i := range k.workers {
			group.Go(func() {
				errs[i] = c.drive(ctx, fmt.Sprint("worker.", i), k.atOnce, budget(k.tasks))
			})
		}
		group.Wait()
		return errors.Join(errs...)
	})
}

// TestKilledWorkersLoseNoTaskOfEvents is the same for a master that sends tasks without waiting,
// and goes on whenever results of 60 % of its workers are there.
func TestKilledWorkersLoseNoTaskOfEvents(t *testing.T) {
	k := newKilling(t)
	k.run(func(ctx context.Context, c *campaign) error {
		left := map[string]int{}
		sessions := map[proxy.ID]int64{}
		// send gives each of the workers another task, where it is to have more.
		send := func(ctx context.Context, workers ...string) error {
			var parcels []proxy.Parcel
			var numbers []int64
			for _, w := range workers {
				if left[w] > 0 {
					left[w]--
					numbers = append(numbers, int64(c.draw()))
					parcels = append(parcels, proxy.Parcel{Destination: w, Body: numbers[len(numbers)-1:]})
				}
			}
			if parcels == nil {
				return nil
			}
			ids, err := c.p.IScatter(ctx, "work", proxy.Task, parcels)
			for i, id := range ids {
				sessions[id] = numbers[i]
			}
			return err
		}
		handled := 0
		table := proxy.NewTable(c.p, regtable.Options[*proxy.Message]{})
		_, err := table.Register(regtable.MustParse("worker:result:60%"),
			func(ctx context.Context, messages []*proxy.Message) error {
				workers := make([]string, len(messages))
				for i, m := range messages {
					workers[i] = m.Source
				}
				handled += len(messages)
				return send(ctx, workers...)
			})
		if err != nil {
			return err
		}
		workers := slices.Sorted(maps.Keys(k.results))
		for _, w := range workers {
			left[w] = k.tasks
		}
		for range k.atOnce {
			if err := send(ctx, workers...); err != nil {
				return err
			}
		}
		for received := range k.workers * k.tasks {
			m, err := c.p.ReceiveOnce(ctx)
			if err != nil {
				return fmt.Errorf("after %d results, of which %d are handled: %w", received, handled, err)
			}
			if err := c.result(m); err != nil {
				return err
			}
			if n, ok := sessions[m.SessionID]; !ok || m.Body.([]int64)[0] != n {
				return fmt.Errorf("%v, of task %d, answers %v", m, n, m.Body)
			}
			c.reply(m.Source)
			if err := table.Dispatch(ctx, m); err != nil {
				return err
			}
		}
		if s := table.Stats(); handled+s.Cached != k.workers*k.tasks || s.Fired == 0 || s.Unmatched != 0 {
			return fmt.Errorf("%d messages were handled: %+v", handled, s)
		}
		return nil
	})
}
