package regtable

import "slices"

// index finds the queues that match a message by its tag and then by its source, so that a push
// looks at no queue that does not match.
type index[M any] struct {
	byTag  map[string]*bucket[M]
	anyTag bucket[M]
}

type bucket[M any] struct {
	bySource  map[string][]*queue[M]
	anySource []*queue[M]
}

func (x *index[M]) add(q *queue[M]) {
	n := q.unit.node
	b := &x.anyTag
	if n.tag != Wildcard {
		if b = x.byTag[n.tag]; b == nil {
			if x.byTag == nil {
				x.byTag = map[string]*bucket[M]{}
			}
			b = &bucket[M]{}
			x.byTag[n.tag] = b
		}
	}
	if n.source == Wildcard {
		b.anySource = append(b.anySource, q)
		return
	}
	if b.bySource == nil {
		b.bySource = map[string][]*queue[M]{}
	}
	b.bySource[n.source] = append(b.bySource[n.source], q)
}

func (x *index[M]) remove(q *queue[M]) {
	n := q.unit.node
	b := &x.anyTag
	if n.tag != Wildcard {
		b = x.byTag[n.tag]
	}
	if n.source == Wildcard {
		b.anySource = without(b.anySource, q)
	} else if rest := without(b.bySource[n.source], q); len(rest) > 0 {
		b.bySource[n.source] = rest
	} else {
		delete(b.bySource, n.source)
	}
	if n.tag != Wildcard && len(b.anySource) == 0 && len(b.bySource) == 0 {
		delete(x.byTag, n.tag)
	}
}

func without[M any](queues []*queue[M], q *queue[M]) []*queue[M] {
	i := slices.Index(queues, q)
	return slices.Delete(queues, i, i+1)
}

// matches are the lists of queues that match a message, some of them empty.
type matches[M any] [6][]*queue[M]

// match finds the queues that match, no queue twice.
func (x *index[M]) match(fact *Fact, found *matches[M]) {
	if b := x.byTag[fact.Tag]; b != nil {
		b.match(fact, found[:3])
	}
	x.anyTag.match(fact, found[3:])
}

func (b *bucket[M]) match(fact *Fact, found [][]*queue[M]) {
	found[0] = b.anySource
	if len(b.bySource) == 0 {
		return
	}
	found[1] = b.bySource[fact.SourceType]
	if fact.Source != fact.SourceType {
		found[2] = b.bySource[fact.Source]
	}
}
