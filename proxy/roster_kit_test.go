package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
)

// inBubble runs a test on virtual time; a goroutine that it leaves behind fails it.
func inBubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func mustDo(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var lastIncarnation struct {
	sync.Mutex
	n int
}

// freshRecord makes the record of a fresh start of "type" or "type/name"; the name defaults to the
// type.
func freshRecord(who string, expects ...string) record {
	kind, name, found := strings.Cut(who, "/")
	if !found {
		name = kind
	}
	lastIncarnation.Lock()
	defer lastIncarnation.Unlock()
	lastIncarnation.n++
	return record{
		Name: name, Type: kind, Incarnation: lastIncarnation.n, Instance: rand.Text(),
		Driver: "tcp", Addresses: []byte("tcp://127.0.0.1:1"), HostID: "boot-1", Host: "host",
		PID: os.Getpid(), Expects: expects, Started: time.Now().UTC().Round(0),
	}
}

// player is a roster of a test, and what it was told.
type player struct {
	*roster
	store rendezvous.Store

	mu   sync.Mutex
	told []change
	news chan struct{}
	read int // how much of told a test has taken
}

func (p *player) deliver(changes []change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, changes...)
	poke(p.news)
}

// open enters a group, or returns why not.
func open(ctx context.Context, store rendezvous.Store, self record, o rosterOptions,
) (*player, error) {
	p := &player{store: store, news: make(chan struct{}, 1)}
	if o.group == "" {
		o.group = "group"
	}
	if o.types == nil {
		o.types = self.Expects
	}
	var err error
	p.roster, err = openRoster(ctx, store, self, o, p.deliver)
	return p, err
}

// enter opens a roster that ends with the test.
func enter(t testing.TB, store rendezvous.Store, self record, o rosterOptions) *player {
	t.Helper()
	p, err := open(t.Context(), store, self, o)
	mustDo(t, err)
	t.Cleanup(func() { p.close(context.WithoutCancel(t.Context())) })
	return p
}

// crash ends a roster as SIGKILL does: nothing is withdrawn.
func (p *player) crash() {
	p.cancel()
	<-p.ended
	p.closing.Do(func() {})
}

// take returns what was told since the last time, as "joined worker/w1".
func (p *player) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var texts []string
	for _, c := range p.told[p.read:] {
		texts = append(texts, fmt.Sprintf("%s %s/%s", c.kind, c.record.Type, c.record.Name))
	}
	p.read = len(p.told)
	return texts
}

// last is the newest change that was told.
func (p *player) last() change {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told[len(p.told)-1]
}

// expect waits until nothing moves any more, and compares what the player was told.
func (p *player) expect(t testing.TB, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := p.take(); !slices.Equal(got, want) {
		t.Errorf("%s was told %q, want %q", p.self.Name, got, want)
	}
}

// hear takes the next n changes that the player is told.
func (p *player) hear(ctx context.Context, t testing.TB, n int) []string {
	t.Helper()
	told := p.take()
	for len(told) < n {
		select {
		case <-p.news:
			told = append(told, p.take()...)
		case <-ctx.Done():
			t.Fatalf("%s was told %q, want %d changes", p.self.Name, told, n)
		}
	}
	return told
}

// names of the living members.
func (p *player) names() string {
	var names []string
	for _, member := range p.members() {
		names = append(names, member.Name)
	}
	return strings.Join(names, " ")
}

// until blocks until the player's members are those of names, in order.
func (p *player) until(ctx context.Context, t testing.TB, names string) {
	t.Helper()
	for p.names() != names {
		select {
		case <-p.news:
		case <-ctx.Done():
			t.Fatalf("%s sees %q, want %q", p.self.Name, p.names(), names)
		}
	}
}

// testLog keeps the lines that were logged.
type testLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(string(p)))
	return len(p), nil
}

func (l *testLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// count says how many lines hold text.
func (l *testLog) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// says fails the test unless err is an E and its text holds all of the texts.
func says[E error](t testing.TB, err error, texts ...string) E {
	t.Helper()
	var typed E
	if !errors.As(err, &typed) {
		t.Fatalf("%v (%T), want a %T", err, err, typed)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
	return typed
}
