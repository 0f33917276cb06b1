package proxy_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
)

// load is a campaign that goes on in the background while a test does harm. It goes as fast as the
// test takes its results.
type load struct {
	*campaign
	t       *testing.T
	ctx     context.Context
	cancel  context.CancelFunc
	results chan string // by whom
	enough  chan struct{}
	driving sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

// loaded starts to send tasks to the workers.
func loaded(ctx context.Context, t *testing.T, master *proxy.Proxy, workers []*process) *load {
	l := &load{
		campaign: newCampaign(master), t: t, results: make(chan string), enough: make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.reply = func(worker string) {
		select {
		case l.results <- worker:
		case <-l.ctx.Done():
		}
	}
	more := func() bool {
		select {
		case <-l.enough:
			return false
		default:
			return l.ctx.Err() == nil
		}
	}
	for _, w := range workers {
		l.driving.Go(func() {
			if err := l.drive(l.ctx, w.name, 4, more); err != nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.errs = append(l.errs, err)
				l.cancel()
			}
		})
	}
	t.Cleanup(func() {
		l.cancel()
		l.driving.Wait()
	})
	return l
}

// fail reports why there are no more results.
func (l *load) fail() {
	l.t.Helper()
	l.driving.Wait()
	l.t.Fatal(errors.Join(append(l.errs, context.Cause(l.ctx))...))
}

// take waits for n more results.
func (l *load) take(n int) {
	l.t.Helper()
	for range n {
		select {
		case <-l.results:
		case <-l.ctx.Done():
			l.fail()
		}
	}
}

// takeFrom waits for n more results of one worker.
func (l *load) takeFrom(worker string, n int) {
	l.t.Helper()
	for n > 0 {
		select {
		case by := <-l.results:
			if by == worker {
				n--
			}
		case <-l.ctx.Done():
			l.fail()
		}
	}
}

// during takes results until something is done.
func (l *load) during(do func() error) {
	l.t.Helper()
	done := make(chan error, 1)
	l.driving.Go(func() { done <- do() })
	for {
		select {
		case <-l.results:
		case err := <-done:
			if err != nil {
				l.t.Fatal(err)
			}
			return
		case <-l.ctx.Done():
			l.fail()
		}
	}
}

// end waits for the results that are missing, and checks that all came, once.
func (l *load) end() {
	l.t.Helper()
	close(l.enough)
	ended := make(chan struct{})
	go func() {
		l.driving.Wait()
		close(ended)
	}()
	for going := true; going; {
		select {
		case <-l.results:
		case <-ended:
			going = false
		}
	}
	if err := errors.Join(append(l.errs, l.verdict())...); err != nil {
		l.t.Fatal(err)
	}
	l.t.Logf("%d tasks, longest pause %v, %+v", len(l.counts), l.pause, l.p.Stats())
}
