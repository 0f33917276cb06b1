package proxy

import (
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A broadcast of a large body to components of other hosts goes over each wire once: the first
// component of a host hands it on to the others there, and hosts hand it on to each other along a
// binomial tree (as in broadcast by doubling: after each round twice as many have it). What a relay
// does not bring in time, since it died or cannot reach somebody, the source sends itself;
// receivers know what they have by the message's id.

// relayBytes is the smallest body that is relayed: below it, a further hop costs more than it
// saves.
const relayBytes = 64 << 10

// relayTime is how long the source gives relays before it sends a message itself.
const relayTime = 5 * time.Second

// maxSeen bounds how many messages that relays brought are remembered by their ids.
const maxSeen = 4096

// errand is what a relay has to do: whom to hand a message on to, and what those then do.
type errand struct {
	Name        string   `cbor:"1,keyasint"`
	Type        string   `cbor:"2,keyasint"`
	Incarnation int      `cbor:"3,keyasint"`
	HostID      string   `cbor:"4,keyasint"`
	Host        string   `cbor:"5,keyasint"`
	PID         int      `cbor:"6,keyasint"`
	Driver      string   `cbor:"7,keyasint"`
	Addresses   []byte   `cbor:"8,keyasint"`
	Expects     []string `cbor:"9,keyasint"`
	Next        []errand `cbor:"10,keyasint,omitempty"`

	peer *peer
}

// relay is what goes with a message that is relayed.
type relay struct {
	Source string   `cbor:"1,keyasint"`
	Next   []errand `cbor:"2,keyasint,omitempty"`
}

var relayDecoding = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 64, MaxMapPairs: 16,
		MaxArrayElements: 1 << 16, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}()

// seen remembers the ids of messages that relays brought.
type seen struct {
	ids   map[ID]bool
	order []ID
}

// add says whether an id is new.
func (s *seen) add(id ID) bool {
	if s.ids[id] {
		return false
	}
	if s.ids == nil {
		s.ids = map[ID]bool{}
	}
	if len(s.order) == maxSeen {
		delete(s.ids, s.order[0])
		s.order = s.order[1:]
	}
	s.ids[id] = true
	s.order = append(s.order, id)
	return true
}

func errandOf(p *peer) errand {
	r := &p.rec
	return errand{
		Name: r.Name, Type: r.Type, Incarnation: r.Incarnation, HostID: r.HostID, Host: r.Host,
		PID: r.PID, Driver: r.Driver, Addresses: r.Addresses, Expects: r.Expects, peer: p,
	}
}

// tree returns whom this component sends a broadcast of so many bytes itself, with what those hand
// on; nil when it is best to send everybody a copy.
func (e *engine) tree(peers []*peer, bytes int) []errand {
	if bytes < relayBytes {
		return nil
	}
	var hosts []string
	on := map[string][]*peer{}
	for _, p := range peers {
		if p.out == nil || !p.present || !p.outbox.idle() {
			return nil // it would come later, or earlier, than it should
		}
		if !e.remote(p) {
			continue
		}
		if on[p.rec.HostID] == nil {
			hosts = append(hosts, p.rec.HostID)
		}
		on[p.rec.HostID] = append(on[p.rec.HostID], p)
	}
	copies, rounds := 0, 0
	for _, h := range hosts {
		copies += len(on[h])
	}
	for 1<<rounds < len(hosts)+1 {
		rounds++
	}
	if rounds >= copies {
		return nil
	}
	first := make([]errand, len(hosts))
	for i, h := range hosts {
		first[i] = errandOf(on[h][0])
		for _, p := range on[h][1:] {
			first[i].Next = append(first[i].Next, errandOf(p))
		}
	}
	return e.alone(binomial(first), peers)
}

// binomial makes a list of hosts into the children of a binomial tree: the largest subtree first,
// since it takes longest.
func binomial(hosts []errand) []errand {
	var children []errand
	for len(hosts) > 0 {
		half := len(hosts) / 2
		child := hosts[0]
		child.Next = append(binomial(hosts[1:half+1]), child.Next...)
		children = append(children, child)
		hosts = hosts[half+1:]
	}
	return children
}

// alone adds the peers of this host, which get a copy each.
func (e *engine) alone(children []errand, peers []*peer) []errand {
	for _, p := range peers {
		if !e.remote(p) {
			children = append(children, errandOf(p))
		}
	}
	return children
}

// route notes in the drafts of a broadcast how each reaches its peer.
func (e *engine) route(drafts []*draft) error {
	peers := make([]*peer, len(drafts))
	of := map[*peer]*draft{}
	for i, d := range drafts {
		peers[i] = e.peers[d.destination]
		if peers[i] == nil {
			return nil // posting it will say so
		}
		of[peers[i]] = d
	}
	var walk func(list []errand, path []*peer)
	walk = func(list []errand, path []*peer) {
		for i := range list {
			of[list[i].peer].path = path
			walk(list[i].Next, append(slices.Clone(path), list[i].peer))
		}
	}
	for _, child := range e.tree(peers, len(drafts[0].body.data)) {
		if len(child.Next) == 0 {
			continue
		}
		text, err := cbor.Marshal(relay{Source: e.self.Name, Next: child.Next})
		if err != nil {
			return fmt.Errorf("proxy: relay: %w", err)
		}
		if len(text) > maxRelayBytes {
			return nil
		}
		d := of[child.peer]
		d.meta.flags |= flagRelay
		d.meta.relay = text
		walk(child.Next, []*peer{child.peer})
	}
	return nil
}

// relayed handles a message that a relay has brought, or may have: it hands it on, and says whether
// it is new here.
func (e *engine) relayed(m *meta, body []byte, in *inbound) bool {
	if m.flags&flagRelay == 0 {
		return e.seen.add(m.message)
	}
	var r relay
	if err := relayDecoding.Unmarshal(m.relay, &r); err != nil {
		e.log.Warn("a relay does not parse", "peer", in.stream.name(), "error", err)
		return e.seen.add(m.message)
	}
	fresh := e.seen.add(m.message)
	if fresh && len(r.Next) > 0 {
		body = slices.Clone(body) // the application owns what it gets
		for i := range r.Next {
			e.handOn(m, &r, &r.Next[i], body)
		}
	}
	if r.Source != in.stream.name() {
		source := e.peers[r.Source]
		if source == nil || !source.related {
			e.log.Warn("a relay brings a message of no peer", "relay", in.stream.name(), "source", r.Source)
			return false
		}
		in.peer, in.incarnation, in.relayed = source, source.rec.Incarnation, true
		if fresh {
			e.confirm(in, false)
		}
	}
	return fresh
}

// handOn sends a message on to one component.
func (e *engine) handOn(m *meta, r *relay, to *errand, body []byte) {
	p := e.acquaint(to)
	if p == nil {
		return // the source will see to it
	}
	next := *m
	text, err := cbor.Marshal(relay{Source: r.Source, Next: to.Next})
	if err != nil {
		e.log.Warn("a relay was not made", "error", err)
		return
	}
	next.relay = text
	o := &outgoing{
		peer: p, meta: next.append(nil), body: body, largest: int64(max(m.bodyBytes, m.rawBytes)),
		sessionType: m.sessionType, stage: m.stage, session: m.session, message: m.message, tag: m.tag,
		relay: true,
	}
	if !p.tooLarge(o) { // else the source will learn it by itself
		e.post(p, o)
	}
}

// acquaint returns the peer of an errand, which may be one that this component did not know.
func (e *engine) acquaint(to *errand) *peer {
	p := e.peers[to.Name]
	switch {
	case p != nil && p.rec.Incarnation == to.Incarnation:
		return p
	case p != nil && (p.present || p.related):
		return nil // one of both is out of date
	case checkName("component", to.Name) != nil || checkName("type", to.Type) != nil ||
		to.Incarnation < 1 || to.Incarnation >= incarnations || to.Name == e.self.Name:
		return nil
	}
	e.here(record{
		Name: to.Name, Type: to.Type, Incarnation: to.Incarnation, HostID: to.HostID, Host: to.Host,
		PID: to.PID, Driver: to.Driver, Addresses: to.Addresses, Expects: to.Expects,
	})
	p = e.peers[to.Name]
	if p.rec.Incarnation != to.Incarnation {
		return nil
	}
	return p
}

// confirm tells the source of a message that a relay brought how far it has come: it is here, which
// is the stage it was sent with, or the application has received it.
func (e *engine) confirm(in *inbound, received bool) {
	if in.peer.rec.Incarnation != in.incarnation {
		return
	}
	m := meta{
		sessionType: in.kind, flags: flagReply | flagReceipt, session: in.session, message: newID(),
		re: in.message, stage: in.kind.request(),
	}
	if received {
		m.flags |= flagReceived
		switch in.kind {
		case Task:
			m.stage = TaskReceive
		case Notification:
			m.stage = NotificationReceive
		}
	}
	e.post(in.peer, &outgoing{
		peer: in.peer, meta: m.append(nil), sessionType: in.kind, stage: m.stage, session: in.session,
		message: m.message, answer: true,
	})
}

// relayGone sends what a relay that is gone should have handed on.
func (e *engine) relayGone(gone *peer) {
	for _, p := range e.peers {
		for o := p.outbox.relayed.head; o != nil; {
			next := o.next
			if slices.Contains(o.path, gone) {
				p.outbox.direct(o)
				e.flushSoon(p)
			}
			o = next
		}
	}
}

// tickRelayed sends what relays have not brought in time, and returns when to look again.
func (e *engine) tickRelayed(p *peer, now time.Time) time.Time {
	next := now.Add(heartbeatTime)
	for o := p.outbox.relayed.head; o != nil; {
		following := o.next
		if late := o.posted.Add(relayTime); !o.arrived && now.Before(late) {
			next = earlier(next, late)
		} else if !o.arrived {
			p.outbox.direct(o)
			e.flushSoon(p)
		}
		o = following
	}
	return next
}
