package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

// newRogue is a victim whose rogue has introduced itself.
func newRogue(t *testing.T, window int64, options ...Option) *victim {
	v := newVictim(t, options...)
	v.rogue.feed(intro("rogue", "worker", window))
	v.move()
	return v
}

// says is an acknowledgement of the rogue.
func (v *victim) says(l *fakeLink, delivered, consumed uint64) {
	l.feed(acking(frame{h: transport.Header{Kind: transport.Credit}}, delivered, consumed))
	v.move()
}

// bodies are those of the messages that a link took, voids as "-".
func bodies(t *testing.T, l *fakeLink) []string {
	t.Helper()
	var list []string
	for _, f := range l.frames() {
		if f.h.Kind != transport.Data || f.h.Step != 0 {
			continue
		}
		for p := f.payload; len(p) > 0; {
			n, err := metaBytes(p)
			var m meta
			if err == nil {
				err = m.parse(p[:n], 1<<30)
			}
			if err != nil {
				t.Fatal(err)
			}
			end := min(n+int(m.bodyBytes), len(p)) // the rest is in other parts
			if m.flags&flagVoid != 0 {
				list = append(list, "-")
			} else {
				list = append(list, string(p[n:end]))
			}
			p = p[end:]
		}
	}
	return list
}

func lapse(v *victim) {
	v.e.enter()
	r := v.e.peers["rogue"].rec
	v.e.leave()
	v.e.apply([]change{{kind: lapsed, record: r}})
}

// back starts the rogue again.
func back(v *victim, incarnation int, window int64) *fakeLink {
	v.e.apply([]change{{kind: replaced, record: component("worker", "rogue", incarnation, "master")}})
	l := &fakeLink{rank: incarnation}
	v.attach(l)
	l.feed(intro("rogue", "worker", window))
	v.move()
	return l
}

// What a sender gave up is still in the receiver's inbox, and counts in its window.
func TestGivenUpCountsInWindow(t *testing.T) {
	v := newRogue(t, 1000)
	var seq uint64
	for i := range 10 {
		id := sendTo(t, v, Notification, strings.Repeat(fmt.Sprint(i), 400))
		v.look(func(e *engine) { seq = e.peers["rogue"].outbox.seq })
		v.says(v.rogue, seq, 0)
		v.Session(id).Cancel()
	}
	if got := bodies(t, v.rogue); len(got) != 2 {
		t.Errorf("%d messages were sent to a peer that has received none and takes two", len(got))
	}
	sendTo(t, v, Notification, "last")
	v.says(v.rogue, 2, 2)
	if got := bodies(t, v.rogue); len(got) != 3 || got[2] != "last" {
		t.Errorf("sent %q, want the last message third", got[2:])
	}
	v.says(v.rogue, 3, 3)
	s := v.Stats()
	v.look(func(e *engine) {
		o := &e.peers["rogue"].outbox
		if s.Outbox["rogue"] != 0 || s.Sessions != 0 || o.flying != 0 || o.requests.messages != 0 {
			t.Errorf("%+v is left", s)
		}
	})
	v.end()
}

// A message that is given up half sent leaves its number, and its memory to the sender.
func TestGivenUpBeforeItIsSent(t *testing.T) {
	v := newRogue(t, 1<<20)
	v.rogue.setDeaf(true)
	body := []byte("mine")
	id := sendTo(t, v, Task, body)
	v.Session(id).Cancel()
	copy(body, "void")
	v.rogue.setDeaf(false)
	sendTo(t, v, Task, "next")
	if got := bodies(t, v.rogue); len(got) != 2 || got[0] != "-" || got[1] != "next" {
		t.Errorf("sent %q", got)
	}
	v.end()
}

// CacheDropOldest makes room where what it gives up has been sent, and not been acknowledged.
func TestCacheDropsWhatWasSent(t *testing.T) {
	v := newRogue(t, 1<<20, WithRejoin(Rejoin{CacheMessages: 2, Policy: CacheDropOldest}))
	var ids []ID
	for i := range 3 {
		ids = append(ids, sendTo(t, v, Task, fmt.Sprint("sent ", i)))
	}
	lapse(v)
	for i := range 3 {
		ids = append(ids, sendTo(t, v, Task, fmt.Sprint("kept ", i)))
	}
	for _, id := range ids[:4] {
		_, err := v.ReceiveByID(t.Context(), id)
		var full *BackpressureError
		if !errors.As(err, &full) || full.Peer != "rogue" || full.Policy != CacheDropOldest {
			t.Error(err)
		}
	}
	if n := v.Stats().Outbox["rogue"]; n != 2 {
		t.Errorf("%d messages are kept", n)
	}
	l := back(v, 9, 1<<20)
	if got := bodies(t, l); len(got) != 2 || got[0] != "kept 1" || got[1] != "kept 2" {
		t.Errorf("sent %q", got)
	}
	v.end()
}

func TestCacheFails(t *testing.T) {
	v := newRogue(t, 1<<20, WithRejoin(Rejoin{CacheBytes: 100, Policy: CacheFail}))
	lapse(v)
	sendTo(t, v, Task, strings.Repeat("x", 200)) // one may be larger
	_, err := v.ISend(t.Context(), NewMessage("t", "rogue", nil))
	var full *BackpressureError
	if !errors.As(err, &full) || full.Messages != 1 || full.Policy != CacheFail {
		t.Error(err)
	}
	v.end()
}

// A link that breaks half way makes the rest come again, on the next one, from what the peer has.
func TestRewind(t *testing.T) {
	v := newRogue(t, 1<<20)
	for i := range 4 {
		sendTo(t, v, Plain, fmt.Sprint(i))
	}
	v.rogue.breaks()
	v.move()
	l := &fakeLink{rank: 7}
	v.attach(l)
	l.feed(acking(intro("rogue", "worker", 1<<20), 2, 1))
	v.move()
	if got := bodies(t, l); len(got) != 2 || got[0] != "2" || got[1] != "3" {
		t.Errorf("sent again: %q", got)
	}
	v.says(l, 4, 4)
	if s := v.Stats(); s.Outbox["rogue"] != 0 || s.Sessions != 0 {
		t.Errorf("%+v", s)
	}
	v.end()
}

// What is on a new link a second time, and turns out to have come by the old one, gives its memory
// back when it is settled.
func TestSettledWhileSentAgain(t *testing.T) {
	v := newRogue(t, 1<<20)
	body := []byte("mine")
	sendTo(t, v, Notification, body)
	sendTo(t, v, Notification, "second")
	v.rogue.breaks()
	v.move()
	l := &fakeLink{rank: 7, deaf: true}
	v.attach(l)
	l.feed(intro("rogue", "worker", 1<<20))
	v.move()
	v.says(l, 1, 1) // it came
	copy(body, "else")
	l.setDeaf(false)
	v.move()
	sendTo(t, v, Notification, "third")
	if got := bodies(t, l); len(got) != 2 || got[0] != "second" || got[1] != "third" {
		t.Errorf("sent %q", got)
	}
	v.end()
}

// A refused connection makes a peer absent, and one that comes about present again.
func TestRefusedIsNotForEver(t *testing.T) {
	v := newRogue(t, 1<<20, WithRejoin(Rejoin{}))
	v.rogue.breaks()
	v.move()
	v.e.enter()
	p := v.e.peers["rogue"]
	v.e.notDialled(p, &p.rec, errRefusedForTest)
	present, expected := p.present, p.expected()
	v.e.leave()
	if present || !expected {
		t.Errorf("present: %v, dialled on: %v", present, expected)
	}
	l := &fakeLink{rank: 7}
	v.attach(l)
	l.feed(intro("rogue", "worker", 1<<20))
	v.move()
	if !v.Has("rogue") {
		t.Error("it is not there again")
	}
	v.end()
}

var errRefusedForTest = fmt.Errorf("refused: %w", transport.ErrClosed)

// A peer that takes smaller bodies than this component does gets none that is larger.
func TestPeerTakesSmallerBodies(t *testing.T) {
	v := newRogue(t, 1<<20, WithRejoin(Rejoin{}))
	large := make([]byte, 1<<20+1) // intro says 1<<20
	var bad *ArgumentError
	if _, err := v.ISend(t.Context(), NewMessage("t", "rogue", large)); !errors.As(err, &bad) {
		t.Error(err)
	}
	lapse(v)
	v.e.apply([]change{{kind: replaced, record: component("worker", "rogue", 9, "master")}})
	id := sendTo(t, v, Task, large) // its next start may take it
	small := sendTo(t, v, Task, "small")
	l := back(v, 10, 1<<20)
	if _, err := v.ReceiveByID(t.Context(), id); !errors.As(err, &bad) {
		t.Error(err)
	}
	if got := bodies(t, l); len(got) != 1 || got[0] != "small" || v.Session(small) == nil {
		t.Errorf("sent %d bodies", len(got))
	}
	v.end()
}

// The loss of a peer that has received a plain message ends the wait for its reply.
func TestLossEndsWaitForPlainReply(t *testing.T) {
	for _, options := range [][]Option{nil, {WithRejoin(Rejoin{})}} {
		v := newRogue(t, 1<<20, options...)
		answer := make(chan error, 1)
		go func() {
			_, err := v.Send(t.Context(), NewMessage("t", "rogue", "body"))
			answer <- err
		}()
		for !slices.Equal(v.peerStages("rogue"), []string{"rogue (sent)"}) {
			v.move()
		}
		v.says(v.rogue, 1, 1)
		if options == nil {
			lapse(v)
		} else {
			back(v, 9, 1<<20)
		}
		var lost *PeerLostError
		if err := <-answer; !errors.As(err, &lost) || lost.Peer != "rogue" {
			t.Error(err)
		}
		v.end()
	}
}

// peerStages are the messages that are kept for a peer.
func (v *victim) peerStages(name string) []string {
	v.e.enter()
	defer v.e.leave()
	var list []string
	for o := v.e.peers[name].outbox.requests.head; o != nil; o = o.next {
		list = append(list, o.state())
	}
	return list
}

// A reply to what a relay brought, while a copy of it is on the stream, is a reply; the copy's
// number stays.
func TestReplyOvertakesCopy(t *testing.T) {
	v := newRogue(t, 1<<20)
	id := sendTo(t, v, Task, "body")
	v.e.enter()
	o := v.e.peers["rogue"].outbox.requests.head
	o.path = []*peer{v.e.peers["friend"]}
	v.e.leave()
	v.rogue.feed(message(1, meta{
		sessionType: Task, stage: TaskComplete, flags: flagReply, session: id, message: newID(),
		re: o.message, tag: "t",
	}, "")...)
	v.move()
	if r, err := v.ReceiveByID(t.Context(), id); err != nil || r[0].Stage != TaskComplete {
		t.Fatal(r, err)
	}
	v.rogue.breaks()
	v.move()
	sendTo(t, v, Plain, "next")
	l := &fakeLink{rank: 7}
	v.attach(l)
	l.feed(acking(intro("rogue", "worker", 1<<20), 0, 0))
	v.move()
	if got := bodies(t, l); len(got) != 2 || got[0] != "-" || got[1] != "next" {
		t.Errorf("sent %q", got)
	}
	v.says(l, 2, 2)
	if s := v.Stats(); s.Outbox["rogue"] != 0 || s.Sessions != 0 || s.Late != 0 {
		t.Errorf("%+v", s)
	}
	v.end()
}
