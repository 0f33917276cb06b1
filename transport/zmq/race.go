//go:build linux || darwin

package zmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// try goes through the stages once.
func (e *endpoint) try(ctx context.Context, peer int, stages [][]candidate) (*link, []Attempt) {
	var failed []Attempt
	for i, stage := range stages {
		l, f := e.race(ctx, peer, stage)
		if l != nil {
			return l, nil
		}
		failed = append(failed, f...)
		if i+1 < len(stages) && len(f) > 0 && ctx.Err() == nil {
			e.links.Report("falling back to TCP", "peer", peer, "tried", f[0].Address, "error", f[0].Err)
		}
	}
	return nil, failed
}

// runner is a connection that has come through its hello, or has failed.
type runner struct {
	index int
	conn  net.Conn
	took  time.Duration
	err   error
}

// race tries the candidates, each a little later than the one before or when that has failed, and
// makes a link of the first whose hello shows the right rank.
func (e *endpoint) race(ctx context.Context, peer int, all []candidate) (*link, []Attempt) {
	ctx, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	results := make(chan runner, len(all)) // as many as can come: nobody waits for a reader
	defer func() {
		stop()
		group.Wait()
		close(results)
		for r := range results {
			if r.conn != nil {
				_ = attach.CloseQuietly(r.conn) // it lost
			}
		}
	}()
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var failed []Attempt
	for started, ended := 0, 0; ended < len(all); {
		next := timer.C
		if started == len(all) {
			next = nil
		}
		select {
		case <-next:
			index := started
			group.Go(func() { results <- e.run(ctx, peer, index, all[index]) })
			started++
			timer.Reset(stagger)
		case r := <-results:
			ended++
			if r.err == nil {
				l, err := e.win(r, peer)
				if err == nil {
					e.log.Debug("zmq: connected", "rank", e.c.Rank, "peer", peer, "address",
						all[r.index].String(), "why", all[r.index].why, "of", all, "took", time.Since(begin))
					return l, nil
				}
				r.err = err
			}
			c := all[r.index]
			failed = append(failed, Attempt{Address: c.String(), Err: r.err, Remedy: remedy(r.err)})
			timer.Reset(0)
		}
	}
	return nil, failed
}

// run opens one connection and says hello.
func (e *endpoint) run(ctx context.Context, peer, index int, c candidate) (r runner) {
	r.index = index
	begin := time.Now()
	dialer := net.Dialer{Timeout: connectTime}
	if c.network == "tcp" {
		dialer.Control = fillBothWays
	}
	conn, err := dialer.DialContext(ctx, c.network, c.address)
	if err != nil {
		r.err = err
		return r
	}
	if r.err = e.introduce(ctx, conn, peer); r.err != nil {
		_ = attach.CloseQuietly(conn) // the error that counts is there already
		return r
	}
	r.conn, r.took = conn, time.Since(begin)
	return r
}

// introduce does the dialling end of greeting and hello.
func (e *endpoint) introduce(ctx context.Context, conn net.Conn, peer int) error {
	if c, ok := conn.(*net.UnixConn); ok && len(e.c.Secret) == 0 {
		if err := attach.SameUser(c, errUser); err != nil {
			return err
		}
	}
	if err := tune(conn, e.driver); err != nil {
		return err
	}
	end, err := attach.Limit(ctx, conn)
	if err != nil {
		return err
	}
	err = greet(conn, zmq4.Pair, false)
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("no answer to the greeting in %v: %w", attach.HandshakeTime, err)
	}
	if err == nil {
		m := newMessages(conn, transport.HelloMaxBytes)
		_, err = transport.HelloDial(e.self, peer, e.c.Secret, m.exchange())
	}
	if cause := end(); err == nil {
		err = cause
	}
	return err
}

// win tells the other end that this connection is the one, and makes a link of it.
func (e *endpoint) win(r runner, peer int) (*link, error) {
	if err := newMessages(r.conn, 0).write([]byte(chosen), false); err != nil {
		return nil, errors.Join(err, attach.CloseQuietly(r.conn))
	}
	l, err := e.link(r.conn, peer)
	if err != nil {
		return nil, err
	}
	if err := e.links.Enlist(l); err != nil {
		return nil, err
	}
	return l, nil
}
