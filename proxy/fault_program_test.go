package proxy_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/tutti-ml/tutti/proxy"
)

// serveProgram is a worker: it answers every task with the task's number and its own process, after
// some work.
func serveProgram(ctx context.Context, s *script, p *proxy.Proxy) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		hear(func(string) {})
		cancel()
	}()
	random := rand.New(rand.NewPCG(s.Seed, uint64(os.Getpid())))
	for m, err := range p.Receive(ctx) {
		if err == nil && m.SessionType == proxy.Task {
			work(random)
			err = p.Reply(ctx, m, "result", []int64{m.Body.([]int64)[0], int64(os.Getpid())})
		}
		var superseded *proxy.SupersededError
		switch {
		case err == nil:
		case errors.As(err, &superseded):
			say(report{What: "superseded", Text: superseded.Name})
			return nil
		case ctx.Err() != nil:
			return nil
		default:
			return err
		}
	}
	return nil
}

// work keeps a processor busy for up to a few hundred microseconds.
func work(random *rand.Rand) {
	var block [4096]byte
	for range random.IntN(60) {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
}

// campaign is what a master has done: tasks with numbers from 0 on.
type campaign struct {
	p      *proxy.Proxy
	reply  func(worker string) // is told of each result
	mu     sync.Mutex
	counts []int // how many results each task has
	pids   map[int64]bool
	last   time.Time
	pause  time.Duration // the longest in which there was no result
}

func newCampaign(p *proxy.Proxy) *campaign {
	return &campaign{p: p, reply: func(string) {}, pids: map[int64]bool{}, last: time.Now()}
}

// draw makes the next task.
func (c *campaign) draw() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = append(c.counts, 0)
	return len(c.counts) - 1
}

// result counts a result, which is of a task that was sent.
func (c *campaign) result(m *proxy.Message) error {
	body, ok := m.Body.([]int64)
	if !ok || len(body) != 2 || m.Stage != proxy.TaskComplete {
		return fmt.Errorf("the result %v has the body %v", m, m.Body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if body[0] < 0 || int(body[0]) >= len(c.counts) {
		return fmt.Errorf("a result of task %d, of %d", body[0], len(c.counts))
	}
	c.counts[body[0]]++
	c.pids[body[1]] = true
	now := time.Now()
	c.pause, c.last = max(c.pause, now.Sub(c.last)), now
	return nil
}

// drive sends tasks to a worker, some at a time, until more says that there are no more of them.
func (c *campaign) drive(ctx context.Context, worker string, atOnce int, more func() bool) error {
	errs := make([]error, atOnce)
	var group sync.WaitGroup
	for slot := range atOnce {
		group.Go(func() {
			for more() && errs[slot] == nil {
				n := c.draw()
				m := proxy.NewSessionMessage("work", worker, []int64{int64(n)}, proxy.Task)
				r, err := c.p.Send(ctx, m)
				if err == nil {
					err = c.result(r)
				}
				if err != nil {
					errs[slot] = fmt.Errorf("task %d: %w", n, err)
					return
				}
				c.reply(worker)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// verdict tells what is wrong with the results.
func (c *campaign) verdict() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for n, results := range c.counts {
		if results != 1 && len(errs) < 10 {
			errs = append(errs, fmt.Errorf("task %d has %d results", n, results))
		}
	}
	if s := c.p.Stats(); s.Sessions != 0 || s.Inbox != 0 {
		errs = append(errs, fmt.Errorf("at the end: %+v", s))
	}
	return errors.Join(errs...)
}

// budget hands out n tasks.
func budget(n int) func() bool {
	var mu sync.Mutex
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		n--
		return n >= 0
	}
}

// requestProgram is a master: it sends tasks to all workers, says "running" when there are results,
// goes on until it is told "enough", then sends so many more as the script says, and tells how it
// went.
func requestProgram(ctx context.Context, s *script, p *proxy.Proxy) error {
	c := newCampaign(p)
	before := p.Revision()
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		hear(func(string) { close(enough) })
	}()
	some := budget(20)
	running := sync.OnceFunc(func() { say(report{What: "running"}) })
	c.reply = func(string) {
		if !some() {
			running()
		}
	}
	rest := budget(s.Tasks)
	more := func() bool {
		select {
		case <-enough:
			return rest()
		default:
			return ctx.Err() == nil
		}
	}
	var mu sync.Mutex
	var errs []error
	var group sync.WaitGroup
	for _, worker := range p.Peers()["worker"] {
		group.Go(func() {
			err := c.drive(ctx, worker, 4, more)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	group.Wait()
	if err := errors.Join(append(errs, c.verdict())...); err != nil {
		return err
	}
	say(report{
		What: "done", Tasks: len(c.counts), Pause: c.pause, Changes: int(p.Revision() - before),
		Stats: p.Stats(),
	})
	<-ended
	return nil
}

// worker is the script of the i-th worker.
func worker(store string, i int, lease time.Duration, seed uint64) script {
	return script{
		Program: "serve", Kind: "worker", Name: fmt.Sprint("worker.", i),
		Expect: map[string]int{"master": 1}, Store: store, Lease: lease, Seed: seed,
	}
}
