package main

import (
	"context"
	"fmt"

	"github.com/tutti-ml/tutti/proxy"
)

// proxyEngine is package proxy over a driver.
type proxyEngine struct{ driver string }

// The tags tell a worker what to reply.
const (
	ack  = "ack"
	echo = "echo"
)

func tag(echoes bool) string {
	if echoes {
		return echo
	}
	return ack
}

func (e proxyEngine) listen(component) (string, error) { return "", nil } // the store tells

func (e proxyEngine) join(ctx context.Context, c component, kind, name string,
	expect map[string]int,
) (*proxy.Proxy, error) {
	return proxy.Join(ctx, c.Group, kind, expect, proxy.WithStore(c.Store), proxy.WithSecret(""),
		proxy.WithName(name), proxy.WithDriverName(e.driver))
}

func workerName(i int) string { return fmt.Sprint("worker.", i) }

func (e proxyEngine) serve(ctx context.Context, c component, connected func() error) (err error) {
	p, err := e.join(ctx, c, "worker", workerName(c.Index), map[string]int{"master": 1})
	if err != nil {
		return err
	}
	defer func() {
		if closing := p.Close(context.WithoutCancel(ctx)); err == nil {
			err = closing
		}
	}()
	if err := connected(); err != nil {
		return err
	}
	for m, err := range p.Receive(ctx) {
		if err == nil {
			var body any
			if m.Tag == echo {
				body = m.Body
			}
			err = p.Reply(ctx, m, "", body)
			m.Release()
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e proxyEngine) connect(ctx context.Context, c component, _ []string) (caller, error) {
	p, err := e.join(ctx, c, "master", "master", map[string]int{"worker": c.Workers})
	if err != nil {
		return nil, err
	}
	m := &proxyMaster{p: p}
	for i := range c.Workers {
		m.workers = append(m.workers, workerName(i+1))
	}
	return m, nil
}

type proxyMaster struct {
	p       *proxy.Proxy
	workers []string
}

func (m *proxyMaster) close(ctx context.Context) error { return m.p.Close(ctx) }

// checkReply checks a reply, and then gives its memory back.
func checkReply(r *proxy.Message, echo bool, body []byte, look func([]byte) error) error {
	got, err := proxy.Decode[[]byte](r)
	if err == nil {
		err = checkSize(got, echo, body)
	}
	if err == nil && look != nil {
		err = look(got)
	}
	r.Release()
	return err
}

func (m *proxyMaster) send(ctx context.Context, echo bool, body []byte, look func([]byte) error) error {
	r, err := m.p.Send(ctx, proxy.NewSessionMessage(tag(echo), m.workers[0], body, proxy.Task))
	if err != nil {
		return err
	}
	return checkReply(r, echo, body, look)
}

func (m *proxyMaster) scatter(ctx context.Context, echo bool, body []byte) error {
	parcels := make([]proxy.Parcel, len(m.workers))
	for i, w := range m.workers {
		parcels[i] = proxy.Parcel{Destination: w, Body: body}
	}
	return m.all(echo, body)(m.p.Scatter(ctx, tag(echo), proxy.Task, parcels))
}

func (m *proxyMaster) broadcast(ctx context.Context, echo bool, body []byte) error {
	return m.all(echo, body)(m.p.Broadcast(ctx, "worker", tag(echo), proxy.Task, body))
}

// all checks the replies of all workers.
func (m *proxyMaster) all(echo bool, body []byte) func([]*proxy.Message, error) error {
	return func(replies []*proxy.Message, err error) error {
		if err != nil {
			return err
		}
		if len(replies) != len(m.workers) {
			return fmt.Errorf("%d replies of %d workers", len(replies), len(m.workers))
		}
		for _, r := range replies {
			if err := checkReply(r, echo, body, nil); err != nil {
				return err
			}
		}
		return nil
	}
}

func (m *proxyMaster) stream(ctx context.Context, flight int, echo bool, body []byte,
	more func() bool,
) (int, error) {
	ids := make([]proxy.ID, 0, flight)
	isend := func() (proxy.ID, error) {
		return m.p.ISend(ctx, proxy.NewSessionMessage(tag(echo), m.workers[0], body, proxy.Task))
	}
	for range flight {
		id, err := isend()
		if err != nil {
			return 0, err
		}
		ids = append(ids, id)
	}
	n := 0
	receive := func(id proxy.ID) error {
		replies, err := m.p.ReceiveByID(ctx, id)
		if err == nil {
			n++
			err = checkReply(replies[0], echo, body, nil)
		}
		return err
	}
	for i := 0; more(); i = (i + 1) % flight {
		if err := receive(ids[i]); err != nil {
			return n, err
		}
		var err error
		if ids[i], err = isend(); err != nil {
			return n, err
		}
	}
	for _, id := range ids {
		if err := receive(id); err != nil {
			return n, err
		}
	}
	return n, nil
}
