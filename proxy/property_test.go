package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/inproc"
)

// The property: whatever is sent, cancelled and cut, every task is answered once or ends with an
// error that says why, messages of a pair keep their order and come once, and nothing is left. It
// is checked on a virtual network and clock, on which an hour takes no time.

// act is one thing that a component does.
type act struct {
	kind   string
	to     int // another one: how many places on
	bytes  int
	within time.Duration
}

// cut is a break of a link, for a while.
type cut struct {
	a, b      int
	at, after time.Duration
}

type play struct {
	seed  uint64
	acts  [][]act // of each component
	cuts  []cut
	delay time.Duration
}

func drawPlay(t *rapid.T) play {
	n := rapid.IntRange(2, 4).Draw(t, "components")
	ms := func(low, high int, what string) time.Duration {
		return time.Duration(rapid.IntRange(low, high).Draw(t, what)) * time.Millisecond
	}
	p := play{seed: rapid.Uint64().Draw(t, "seed"), delay: ms(0, 3, "delay")}
	for range n {
		var acts []act
		for range rapid.IntRange(0, 12).Draw(t, "acts") {
			acts = append(acts, act{
				kind: rapid.SampledFrom([]string{
					"send", "notify", "plain", "isend", "scatter", "broadcast", "cancel", "hurry", "fail", "ack",
				}).Draw(t, "kind"),
				to:     rapid.IntRange(1, n-1).Draw(t, "to"),
				bytes:  rapid.SampledFrom([]int{0, 8, 4000, 100_000, 3 << 20}).Draw(t, "bytes"),
				within: ms(0, 20, "within"),
			})
		}
		p.acts = append(p.acts, acts)
	}
	for range rapid.IntRange(0, 6).Draw(t, "cuts") {
		a := rapid.IntRange(0, n-1).Draw(t, "a")
		p.cuts = append(p.cuts, cut{
			a, (a + rapid.IntRange(1, n-1).Draw(t, "b")) % n, ms(0, 40, "at"), ms(1, 3000, "after"),
		})
	}
	return p
}

func TestEveryTaskEndsOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPlay(rt)
		var err error
		synctest.Test(t, func(t *testing.T) { err = p.run(t) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// stage is where a play runs.
type stagePlay struct {
	network *inproc.Network
	proxies []*Proxy

	mu    sync.Mutex
	last  map[string]int // the last number of each pair
	times map[ID]int     // how many times each message came
	errs  []error
}

func (s *stagePlay) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

func (p play) run(t *testing.T) error {
	s := &stagePlay{
		network: inproc.NewNetwork(inproc.Options{Seed: p.seed}), last: map[string]int{}, times: map[ID]int{},
	}
	var changes []change
	for i := range p.acts {
		self := component("node", fmt.Sprint("node.", i), i+1, "node")
		ep, err := s.network.Driver().Open(t.Context(), transport.Config{
			Rank: i + 1, Size: incarnations, Job: "proxy/group",
		})
		if err != nil {
			return err
		}
		self.Addresses = ep.Addresses()
		s.proxies = append(s.proxies, isolated(t, ep, self, map[string]int{"node": 1}, WithWindow(1<<20)))
		changes = append(changes, change{kind: joined, record: self})
		for j := range i {
			s.network.SetLink(i+1, j+1, inproc.LinkConditions{Delay: p.delay, Jitter: p.delay})
			s.network.SetLink(j+1, i+1, inproc.LinkConditions{Delay: p.delay, Jitter: p.delay})
		}
	}
	for i, proxy := range s.proxies {
		var others []change
		for j, c := range changes {
			if i != j {
				others = append(others, c)
			}
		}
		proxy.e.apply(others)
	}
	serving, stop := context.WithCancel(t.Context())
	var servers, actors sync.WaitGroup
	for i, proxy := range s.proxies {
		servers.Go(func() { s.serve(serving, proxy) })
		actors.Go(func() {
			for k, a := range p.acts[i] {
				s.act(t.Context(), i, k, a)
			}
		})
	}
	for _, c := range p.cuts {
		actors.Go(func() { s.cut(c) })
	}
	actors.Wait()
	s.network.HealAll()
	err := s.settled(t.Context())
	stop()
	servers.Wait()
	for _, proxy := range s.proxies {
		s.errs = append(s.errs, proxy.Close(t.Context()))
	}
	return errors.Join(append(s.errs, err)...)
}

func (s *stagePlay) cut(c cut) {
	time.Sleep(c.at)
	s.network.Cut(c.a+1, c.b+1)
	time.Sleep(c.after)
	s.network.Heal(c.a+1, c.b+1)
}

// body is a numbered one.
func numbered(k, n int) []int64 {
	body := make([]int64, 1+n/8)
	for i := range body {
		body[i] = int64(k)
	}
	return body
}

// serve answers what comes, by its tag.
func (s *stagePlay) serve(ctx context.Context, p *Proxy) {
	for m, err := range p.Receive(ctx) {
		var wait *WaitError
		if errors.As(err, &wait) {
			return
		}
		if err != nil {
			s.fault("%s received %w", p.Name(), err)
			continue
		}
		if m.inbound.re != (ID{}) || m.Stage == TaskComplete {
			continue // a reply to what was sent and not waited for
		}
		s.note(p, m)
		switch m.Tag {
		case "fail":
			err = p.ReplyError(ctx, m, errors.New("as asked"))
		case "ack":
			err = errors.Join(p.Acknowledge(ctx, m, "", nil), p.Reply(ctx, m, "", m.Body))
		default:
			if m.SessionType != Notification {
				err = p.Reply(ctx, m, "reply", m.Body)
			}
		}
		if err != nil {
			s.fault("%s replied: %w", p.Name(), err)
		}
	}
}

// note checks that a message comes once, whole and in order.
func (s *stagePlay) note(p *Proxy, m *Message) {
	body, err := Decode[[]int64](m)
	if err != nil {
		s.fault("%v: %w", m, err)
		return
	}
	for _, k := range body {
		if k != body[0] {
			s.fault("the body of message %d from %s to %s was changed", body[0], m.Source, p.Name())
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pair := m.Source + " " + p.Name()
	if last, ok := s.last[pair]; ok && last >= int(body[0]) {
		s.errs = append(s.errs, fmt.Errorf("message %d of %s came after %d", body[0], pair, last))
	}
	s.last[pair] = int(body[0])
	id := m.MessageID
	for i, c := range []byte(p.Name()) { // of a broadcast all have the same
		id[i%16] ^= c
	}
	if s.times[id]++; s.times[id] > 1 {
		s.errs = append(s.errs, fmt.Errorf("message %d of %s came twice", body[0], pair))
	}
}

// act does one thing and checks what comes of it.
func (s *stagePlay) act(ctx context.Context, i, k int, a act) {
	p, n := s.proxies[i], len(s.proxies)
	to := s.proxies[(i+a.to)%n].Name()
	body := numbered(k, a.bytes)
	m := NewSessionMessage(a.kind, to, body, Task)
	switch a.kind {
	case "notify":
		m.SessionType, m.Stage = Notification, NotificationRequest
	case "plain", "isend":
		m.SessionType, m.Stage = Plain, NoStage
	case "hurry":
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.within)
		defer cancel()
	}
	switch a.kind {
	case "send", "notify", "plain", "hurry", "fail", "ack":
		r, err := p.Send(ctx, m)
		s.check(p, a, k, r, err)
	case "isend":
		if _, err := p.ISend(ctx, m); err != nil {
			s.fault("ISend: %w", err)
		}
		return // its body is lent until it is settled
	case "cancel":
		id, err := p.ISend(ctx, m)
		if err != nil {
			s.fault("ISend: %w", err)
			return
		}
		time.Sleep(a.within)
		if session := p.Session(id); session != nil {
			session.Cancel()
			<-session.Done()
		}
	case "scatter":
		var parcels []Parcel
		for j := range n - 1 {
			parcels = append(parcels, Parcel{s.proxies[(i+1+j)%n].Name(), body})
		}
		s.checkAll(p, a, k)(p.Scatter(ctx, a.kind, Task, parcels))
	case "broadcast":
		s.checkAll(p, a, k)(p.Broadcast(ctx, "node", a.kind, Task, body))
	}
	for j := range body { // it is the caller's again
		body[j] = -1
	}
}

func (s *stagePlay) checkAll(p *Proxy, a act, k int) func([]*Message, error) {
	return func(replies []*Message, err error) {
		if err != nil || len(replies) != len(s.proxies)-1 {
			s.fault("%s: %s: %d replies, %w", p.Name(), a.kind, len(replies), err)
			return
		}
		for _, r := range replies {
			s.check(p, a, k, r, nil)
		}
	}
}

// check looks at one reply, or the error in its place.
func (s *stagePlay) check(p *Proxy, a act, k int, r *Message, err error) {
	var remote *RemoteError
	var wait *WaitError
	switch {
	case a.kind == "fail" && errors.As(err, &remote) && remote.Text == "as asked":
		return
	case a.kind == "hurry" && errors.As(err, &wait) && errors.Is(err, context.DeadlineExceeded):
		return
	case err != nil || a.kind == "fail":
		s.fault("%s: %s: %w", p.Name(), a.kind, err)
		return
	case a.kind == "notify":
		if r.Stage != NotificationReceive {
			s.fault("a notification is at %v", r.Stage)
		}
		return
	}
	body, err := Decode[[]int64](r)
	if err != nil || len(body) != 1+a.bytes/8 || body[0] != int64(k) {
		s.fault("%s: the reply to %s %d is %v, %d numbers, %w", p.Name(), a.kind, k, r, len(body), err)
	}
}

// settled waits until nothing is left anywhere.
func (s *stagePlay) settled(ctx context.Context) error {
	var left []error
	for range 1000 {
		left = nil
		for _, p := range s.proxies {
			st := p.Stats()
			p.e.enter()
			for _, q := range p.e.peers {
				if b := &q.outbox; b.requests.messages+b.answers.messages > 0 || b.flying != 0 ||
					q.inflow.unconsumed != 0 || len(q.inflow.early) > 0 || len(q.rooms) > 0 {
					left = append(left, fmt.Errorf("%s has of %s: %d requests, %d answers, %d bytes flying, "+
						"%d unconsumed", p.Name(), q.name(), b.requests.messages, b.answers.messages, b.flying,
						q.inflow.unconsumed))
				}
			}
			if len(p.e.slots) > 0 || len(p.e.watchers) > 0 || st.Sessions > 0 || st.Inbox > 0 {
				left = append(left, fmt.Errorf("%s: %+v", p.Name(), st))
			}
			p.e.leave()
		}
		if left == nil {
			return nil
		}
		time.Sleep(time.Second) // of the virtual clock
	}
	return fmt.Errorf("left: %w", errors.Join(left...))
}
