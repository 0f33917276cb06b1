package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/tutti-ml/tutti/internal/stack"
	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/transport"
)

// Proxy is one component's way to its peers. Its methods may be called by several goroutines at
// once.
type Proxy struct {
	e          *engine
	c          *config
	store      rendezvous.Store
	server     *rendezvous.Server // when this component serves the store
	compressor *compressor
}

// Join makes this process a component of type kind in a group, and returns when as many peers of
// each type as expect says are there and connected: what is sent from then on reaches them. It
// blocks until then or until ctx ends; without a deadline, for rendezvous.DefaultTimeout. The types
// in expect are those this component sends to or hears of; more peers of them may join later.
//
// The errors are *ArgumentError, *NameError, *DuplicateNameError, *rendezvous.StoreError,
// *transport.LinkError, and *WaitError, which names who is missing. The caller must Close the
// proxy.
func Join(ctx context.Context, group, kind string, expect map[string]int, options ...Option,
) (*Proxy, error) {
	stack.Deepen()
	c, err := newConfig(group, kind, expect, options)
	if err != nil {
		return nil, err
	}
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rendezvous.DefaultTimeout)
		defer cancel()
	}
	p := &Proxy{c: c, compressor: newCompressor()}
	if err := p.join(ctx); err != nil {
		away, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return nil, joinErrors(err, p.Close(away))
	}
	return p, nil
}

// joinErrors keeps the first error as it is when closing went well.
func joinErrors(err, closing error) error {
	if closing == nil {
		return err
	}
	return errors.Join(err, closing)
}

func (p *Proxy) join(ctx context.Context) error {
	met := make(chan error, 1)
	go func() { // while the endpoint opens
		stack.Deepen()
		met <- p.meet(ctx)
	}()
	err := p.open(ctx)
	if failed := <-met; failed != nil {
		err = joinErrors(failed, err)
	}
	if err != nil {
		return err
	}
	for {
		err := p.enter(ctx)
		if !errors.Is(err, errIncarnationTaken) {
			return err
		}
		e := p.e // a member has drawn the same number: draw another one
		p.e = nil
		e.enter()
		e.closing = true
		e.end()
		e.leave()
		if err := errors.Join(e.release(), p.open(ctx)); err != nil {
			return err
		}
	}
}

// open opens an endpoint for a new incarnation.
func (p *Proxy) open(ctx context.Context) error {
	self, err := p.c.record()
	if err != nil {
		return err
	}
	ep, err := p.c.driver.Open(ctx, transport.Config{
		Rank: self.Incarnation, Size: incarnations, Job: "proxy/" + p.c.group, Secret: []byte(p.c.secret),
		HostID: self.HostID, Listen: p.c.listen, Interface: p.c.filter, Logger: p.c.logger,
	})
	if err != nil {
		return err
	}
	self.Addresses = ep.Addresses()
	p.e = newEngine(p, ep, self)
	return nil
}

// enter makes the incarnation a member of the group.
func (p *Proxy) enter(ctx context.Context) error {
	e := p.e
	types := make([]string, 0, len(p.c.expect))
	for t := range p.c.expect {
		types = append(types, t)
	}
	r, err := openRoster(ctx, p.store, e.self, rosterOptions{
		group: p.c.group, types: types, secret: []byte(p.c.secret), lease: p.c.lease, logger: p.c.logger,
	}, e.apply)
	if err != nil {
		return err
	}
	e.enter()
	defer e.leave()
	e.roster = r
	for _, l := range e.links {
		if l.peer == nil { // it came before the roster
			e.lookFor(l)
		}
	}
	return e.assemble(ctx)
}

// record describes this component to the others.
func (c *config) record() (record, error) {
	host, err := os.Hostname()
	if err != nil {
		return record{}, fmt.Errorf("proxy: this host's name: %w", err)
	}
	id, err := rendezvous.HostID()
	if err != nil {
		return record{}, err
	}
	if c.hostID != "" {
		id = c.hostID
	}
	r := record{
		Name: c.name, Type: c.kind, Incarnation: newIncarnation(), Instance: newID().String(),
		Driver: c.driver.Name(), Host: host, HostID: id, PID: os.Getpid(), Started: time.Now(),
	}
	for t := range c.expect {
		r.Expects = append(r.Expects, t)
	}
	return r, nil
}

// assemble waits until the expected peers are there and connected. The turn is held.
func (e *engine) assemble(ctx context.Context) error {
	started := time.Now()
	connected := func(kind string) (n int) {
		for _, q := range e.peers {
			if q.present && q.related && q.out != nil && q.rec.Type == kind {
				n++
			}
		}
		return n
	}
	err := e.until(ctx, func() bool {
		for kind, n := range e.expect {
			if connected(kind) < n {
				return false
			}
		}
		return true
	})
	e.assembled = true
	if err == nil {
		return nil
	}
	w := &WaitError{
		Self: e.self.Name, Phase: "join", Waited: time.Since(started), Err: err,
		Remedy: "start the missing ones with the same group and store",
	}
	for kind, n := range e.expect {
		if have := connected(kind); have < n {
			w.Waiting = append(w.Waiting, fmt.Sprintf("%d of %d %s (there: %v)", have, n, kind,
				e.names()[kind]))
		}
	}
	return w
}

// meet opens the store. Of embedded://, the component that can listen at its address serves it.
func (p *Proxy) meet(ctx context.Context) (err error) {
	target := p.c.store
	if u, err := url.Parse(target); err == nil && u.Scheme == "embedded" && u.Host != "" {
		address := u.Host
		if u.Port() == "" {
			address = net.JoinHostPort(u.Hostname(), fmt.Sprint(rendezvous.DefaultStorePort))
		}
		p.server, err = rendezvous.ServeEmbedded(address, p.c.secret, p.c.logger)
		switch {
		case err == nil:
			p.c.logger.Info("this component serves the store", "address", p.server.Addr())
		case !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EADDRNOTAVAIL):
			return err
		}
	}
	p.store, err = rendezvous.Dial(ctx, target, rendezvous.DialOptions{
		Secret: p.c.secret, Logger: p.c.logger,
	})
	return err
}

// Name is this component's.
func (p *Proxy) Name() string { return p.e.self.Name }

// Type is this component's.
func (p *Proxy) Type() string { return p.e.self.Type }

// Group is the group's name.
func (p *Proxy) Group() string { return p.c.group }
