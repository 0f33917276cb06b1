package regtable_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/regtable"
)

// note is the message of the tests.
type note struct {
	source, kind, tag string
	number            int
}

func (n *note) String() string {
	text := n.source + "/" + n.tag
	if n.number != 0 {
		text += fmt.Sprint("#", n.number)
	}
	return text
}

func describe(n *note) regtable.Fact {
	return regtable.Fact{Source: n.source, SourceType: n.kind, Tag: n.tag}
}

// from makes a note of a source such as worker.3, whose type is what stands before the dot.
func from(source, tag string) *note {
	kind, _, _ := strings.Cut(source, ".")
	return &note{source: source, kind: kind, tag: tag}
}

func discard(context.Context, []*note) error { return nil }

func register(
	t testing.TB, table *regtable.Table[*note], text string, handler regtable.Handler[*note],
) *regtable.Registration[*note] {
	t.Helper()
	r, err := table.Register(regtable.MustParse(text), handler)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func push(t testing.TB, table *regtable.Table[*note], notes ...*note) {
	t.Helper()
	for _, n := range notes {
		if err := table.Push(n); err != nil {
			t.Fatal(err)
		}
	}
}

// texts tells firings as "event: message message".
func texts(firings []regtable.Firing[*note]) (all []string) {
	for _, f := range firings {
		text := f.Event.String() + ":"
		for _, n := range f.Messages {
			text += " " + n.String()
		}
		all = append(all, text)
	}
	return all
}

// wantGet compares what a Get returns, told as texts does.
func wantGet(t testing.TB, table *regtable.Table[*note], want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, texts(table.Get())); diff != "" {
		t.Errorf("firings (-want +got):\n%s", diff)
	}
}

// crew is a membership that changes.
type crew struct {
	names    map[string][]string // by type
	revision uint64
}

func newCrew(names ...string) *crew {
	c := &crew{names: map[string][]string{}}
	for _, name := range names {
		c.join(name)
	}
	return c
}

func (c *crew) join(name string) {
	kind, _, _ := strings.Cut(name, ".")
	c.names[kind] = append(c.names[kind], name)
	c.revision++
}

func (c *crew) leave(name string) {
	kind, _, _ := strings.Cut(name, ".")
	c.names[kind] = slices.DeleteFunc(c.names[kind], func(n string) bool { return n == name })
	c.revision++
}

func (c *crew) Count(kind string) int { return regtable.Fixed(c.names).Count(kind) }
func (c *crew) Has(name string) bool  { return regtable.Fixed(c.names).Has(name) }
func (c *crew) Revision() uint64      { return c.revision }

// numbered returns kind.1 to kind.n.
func numbered(kind string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s.%d", kind, i+1))
	}
	return names
}
