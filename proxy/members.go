package proxy

import (
	"maps"
	"slices"

	"github.com/tutti-ml/tutti/regtable"
)

// members is who is there at one moment. It is not changed once it is published.
type members struct {
	revision uint64
	names    map[string][]string // by type, in order
	kinds    map[string]string   // the type of each name
	expected int                 // peers of the types that this component expects
}

// publish makes what has changed about peers known to those who do not have the turn.
func (e *engine) publish() {
	last := e.members.Load()
	m := &members{names: map[string][]string{}, kinds: map[string]string{}}
	for kind := range e.expect {
		m.names[kind] = nil
	}
	for _, q := range e.peers {
		if !q.present || !q.related {
			continue
		}
		m.names[q.rec.Type] = append(m.names[q.rec.Type], q.name())
		m.kinds[q.name()] = q.rec.Type
		if _, ok := e.expect[q.rec.Type]; ok {
			m.expected++
		}
	}
	if last != nil {
		if m.revision = last.revision; maps.Equal(last.kinds, m.kinds) {
			return
		}
		m.revision++
	}
	for _, list := range m.names {
		slices.Sort(list)
	}
	e.members.Store(m)
	e.receivers = slices.DeleteFunc(e.receivers, func(r *receiver) bool {
		if r.watching {
			e.finish(&r.waiter, nil)
		}
		return r.watching
	})
}

// names returns the names of the peers that are there, by type, in a copy.
func (e *engine) names() map[string][]string {
	names := maps.Clone(e.members.Load().names)
	for kind, list := range names {
		names[kind] = slices.Clone(list)
	}
	return names
}

// Peers returns the names of the peers that are there now, by type, in order: those of the types
// that this component expects, and others that expect it. The result is the caller's.
func (p *Proxy) Peers() map[string][]string { return p.e.names() }

// Count returns how many peers of a type are there now; regtable.Wildcard means those of all types
// that this component expects. It does not block.
func (p *Proxy) Count(kind string) int {
	m := p.e.members.Load()
	if kind == regtable.Wildcard {
		return m.expected
	}
	return len(m.names[kind])
}

// Has says whether a peer of exactly this name is there now. It does not block.
func (p *Proxy) Has(name string) bool { return p.e.members.Load().kinds[name] != "" }

// Revision is another number whenever Peers, Count or Has may answer differently than before. It
// does not block.
func (p *Proxy) Revision() uint64 { return p.e.members.Load().revision }

var _ regtable.Members = (*Proxy)(nil)

// NewTable returns a table of events for messages that p receives; its percentages are of p's live
// peers. The caller pushes, or dispatches, the messages that it receives.
func NewTable(p *Proxy, o regtable.Options[*Message]) *regtable.Table[*Message] {
	return regtable.New(FactOf, p, o)
}

// FactOf tells a table of events what it has to know of a message.
func FactOf(m *Message) regtable.Fact {
	return regtable.Fact{Source: m.Source, SourceType: m.SourceType, Tag: m.Tag}
}
