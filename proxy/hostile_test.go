package proxy

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

// with returns the notification's bytes, changed.
func with(n uint64, change func(b []byte)) []byte {
	m := notification(n)
	b := m.append(nil)
	change(b)
	return append(b, make([]byte, n)...)
}

// TestHostileFrames shows what each of these ends: the connection that it comes by, with an error
// that says why, and nothing else.
func TestHostileFrames(t *testing.T) {
	hello := intro("rogue", "worker", 1<<20)
	credit := frame{h: transport.Header{Kind: transport.Credit}}
	whole := message(1, notification(2), "hi")
	for _, test := range []struct {
		name   string
		frames []frame
		want   string
	}{
		{"data before the introduction", whole, "before the introduction"},
		{"credit before the introduction", []frame{credit}, "before the introduction"},
		{"another's name", []frame{intro("friend", "worker", 1)}, "it says that it is friend"},
		{"another's type", []frame{intro("rogue", "master", 1)}, "of type master"},
		{"no window", []frame{intro("rogue", "worker", 0)}, "window is 0"},
		{"a negative window", []frame{intro("rogue", "worker", -1)}, "window"},
		{"no bodies", []frame{raw(transport.Status, stepIntroduction,
			introduction{"rogue", "worker", 1, 0})}, "largest body is 0"},
		{
			"an introduction that is no map",
			[]frame{raw(transport.Status, stepIntroduction, "hi")},
			"introduction",
		},
		{"a nested introduction", []frame{raw(transport.Status, stepIntroduction,
			[]any{[]any{[]any{[]any{[]any{[]any{}}}}}})}, "nested"},
		{"an introduction that is cut", []frame{{
			transport.Header{Kind: transport.Status, Step: stepIntroduction, Length: 3},
			[]byte{0xa3, 1, 0x7b},
		}}, "introduction"},
		{"an introduction that acknowledges", []frame{acking(hello, 1, 0)}, "messages delivered is 1"},
		{"a gap", append([]frame{hello}, message(3, notification(2), "hi")...), "number of a message is 3"},
		{"a part without its first", []frame{hello, data(1, 1, make([]byte, 100))}, "part 1 of message 1"},
		{"a first part without a meta", []frame{hello, data(1, 0, []byte("short"))}, "has 5 bytes"},
		{"no bytes", []frame{hello, data(1, 0, nil)}, "has 0 bytes"},
		{"a part of another message", []frame{
			hello, data(1, 0, with(9, nop)[:80]),
			data(2, 1, []byte("x")),
		}, "part 1 of message 2, want part 1 of message 1"},
		{"a part twice", []frame{
			hello, data(1, 0, with(9, nop)[:80]), data(1, 1, []byte("x")),
			data(1, 1, []byte("x")),
		}, "want part 2"},
		{
			"an empty part",
			[]frame{hello, data(1, 0, with(9, nop)[:80]), data(1, 1, nil)},
			"bytes of a part is 0",
		},
		{
			"a meta over two parts",
			[]frame{hello, data(1, 0, with(9, func(b []byte) { b[6] = 200 })[:80])},
			"ends within its meta",
		},
		{"a version", []frame{hello, data(1, 0, with(0, func(b []byte) { b[0] = 9 }))}, "version"},
		{"a type", []frame{hello, data(1, 0, with(0, func(b []byte) { b[1] = 9 }))}, "session type is 9"},
		{"a stage", []frame{hello, data(1, 0, with(0, func(b []byte) { b[2] = 9 }))}, "stage is 9"},
		{"a task's stage", []frame{hello, data(1, 0, with(0, func(b []byte) {
			b[2] = byte(TaskRequest)
		}))}, "stage is 1"},
		{"a request that is received", []frame{hello, data(1, 0, with(0, func(b []byte) {
			b[2] = byte(NotificationReceive)
		}))}, "stage of a request"},
		{"a flag", []frame{hello, data(1, 0, with(0, func(b []byte) { b[3] = 0x80 }))}, "flags is 128"},
		{"a failure of nothing", []frame{hello, data(1, 0, with(0, func(b []byte) {
			b[3] = flagFailure
		}))}, "flags"},
		{
			"a void with a body",
			[]frame{hello, data(1, 0, with(1, func(b []byte) { b[3] = flagVoid }))},
			"void",
		},
		{"a long tag", []frame{hello, data(1, 0, with(0, func(b []byte) { b[7] = 0xff }))}, "bytes of a tag"},
		{
			"a large body",
			[]frame{hello, data(1, 0, with(0, func(b []byte) { b[62] = 1 }))},
			"bytes of a body is",
		},
		{
			"a large raw body",
			[]frame{hello, data(1, 0, with(0, func(b []byte) { b[70] = 1 }))},
			"before compression is",
		},
		{"more than claimed", []frame{hello, data(1, 0, append(with(2, nop), 'x'))}, "behind a message is 1"},
		{"more than claimed in another part", []frame{
			hello, data(1, 0, with(9, nop)[:80]),
			data(1, 1, make([]byte, 99)),
		}, "behind a message"},
		{"delivered, never sent", []frame{hello, acking(credit, 1, 0)}, "messages delivered is 1"},
		{"consumed, never sent", []frame{hello, acking(credit, 0, 1)}, "requests consumed is 1"},
		{"an abort", []frame{hello, {h: transport.Header{Kind: transport.Abort}}}, "has no meaning"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, part := range []int{0, 1, 7} {
				v := newVictim(t)
				v.rogue.part = part
				v.rogue.feed(test.frames...)
				v.move()
				err := v.log.errors()
				if !v.rogue.closed() || err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("closed: %v, error %v, want %q", v.rogue.closed(), err, test.want)
				}
				var link *transport.LinkError
				if !errors.As(err, &link) || link.Peer != 7 || link.Phase != "receive" {
					t.Errorf("error %v does not say whose connection it was", err)
				}
				if n := v.Stats().ReceivedMessages; n > 0 {
					t.Errorf("%d messages were taken", n)
				}
				v.end()
			}
		})
	}
}

func nop([]byte) {}

// A claim alone makes no memory, and what comes is held once.
func TestHostileClaimCostsLittle(t *testing.T) {
	v := newVictim(t)
	m := notification(DefaultMaxMessage)
	v.rogue.feed(intro("rogue", "worker", 1<<20), data(1, 0, append(m.append(nil), make([]byte, 17)...)))
	v.move()
	v.look(func(e *engine) {
		if l := e.peers["rogue"].out; l == nil || l.closed || cap(l.in.body) > bodyStep {
			t.Fatalf("more is held than the 90 bytes that have come: %+v", l)
		}
	})
	v.end()
}

// A peer that ignores the window is dropped when it has exceeded it, by one message at most.
func TestHostileWindow(t *testing.T) {
	v := newVictim(t, WithWindow(1000))
	v.rogue.feed(intro("rogue", "worker", 1<<20))
	for i := range uint64(20) {
		v.rogue.feed(message(i+1, notification(300), strings.Repeat("x", 300))...)
	}
	v.move()
	var wire *WireError
	if err := v.log.errors(); !v.rogue.closed() || !errors.As(err, &wire) || wire.Want != "at most 1000" {
		t.Errorf("closed: %v, error %v", v.rogue.closed(), err)
	}
	if n := v.Stats().Inbox; n != 3 { // of 373 bytes each
		t.Errorf("%d messages were taken", n)
	}
	v.end()
}

// Who receives makes room, in whatever order; voids need none.
func TestWindowOpens(t *testing.T) {
	v := newVictim(t, WithWindow(1000))
	v.rogue.feed(intro("rogue", "worker", 1<<20))
	for i := range uint64(100) {
		m := notification(900)
		body := strings.Repeat("x", 900)
		if i%2 == 1 {
			m.flags, m.bodyBytes, body = flagVoid, 0, ""
		}
		v.rogue.feed(message(i+1, m, body)...)
		v.move()
		if i%2 == 0 {
			if _, err := v.ReceiveByID(t.Context(), m.session); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v.rogue.closed() {
		t.Error(v.log.errors())
	}
	v.end()
}

// What is sent, received and not acknowledged by a rogue.
func sendTo(t *testing.T, v *victim, kind SessionType, body any) ID {
	t.Helper()
	id, err := v.ISend(t.Context(), NewSessionMessage("t", "rogue", body, kind))
	if err != nil {
		t.Fatal(err)
	}
	v.move()
	return id
}

// An answer counts once, of its kind, by whom it was asked of, and after the question.
func TestHostileAnswers(t *testing.T) {
	v := newVictim(t)
	v.rogue.feed(intro("rogue", "worker", 200)) // one message at a time
	v.move()
	id := sendTo(t, v, Task, strings.Repeat("x", 150))
	var asked meta
	if err := asked.parse(v.rogue.frames()[len(v.rogue.frames())-1].payload[:metaFixedBytes+1], 1<<20); err != nil {
		t.Fatal(err)
	}
	second, err := v.ISend(t.Context(), NewSessionMessage("t", "rogue", "not sent yet", Task))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(stage Stage, session, re ID) meta {
		return meta{
			sessionType: Task, stage: stage, flags: flagReply, session: session, message: newID(),
			re: re, tag: "t",
		}
	}
	reply := answer(TaskComplete, id, asked.message)
	v.friend.feed(message(1, reply, "")...) // it was not asked
	v.move()
	for i, m := range []meta{
		answer(TaskComplete, id, newID()),      // another question
		answer(TaskComplete, newID(), newID()), // another session
		answer(TaskComplete, second, asked.message),
		answer(TaskReceive, id, asked.message), // counts
		answer(TaskReceive, id, asked.message),
		reply, // counts
		reply,
		answer(TaskReceive, id, asked.message),
	} {
		for _, f := range message(uint64(i+1), m, "") {
			v.rogue.feed(acking(f, 1, 1))
		}
	}
	v.move()
	if s := v.Stats(); s.Inbox != 2 || s.Late != 7 || s.Sessions != 1 || v.rogue.closed() {
		t.Errorf("%+v, %v", s, v.log.errors())
	}
	v.end()
}

// Who says that a message was received that it cannot have yet is dropped; the memory stays lent.
func TestHostileReceipt(t *testing.T) {
	v := newVictim(t)
	v.rogue.feed(intro("rogue", "worker", 1<<20))
	v.move()
	id := sendTo(t, v, Notification, "body")
	done := v.Session(id).Done()
	v.rogue.feed(acking(frame{h: transport.Header{Kind: transport.Credit}}, 0, 1))
	v.move()
	select {
	case <-done:
		t.Error("the session is settled")
	default:
	}
	if err := v.log.errors(); !v.rogue.closed() || err == nil {
		t.Error(err)
	}
	v.end()
}

// A peer cannot make its connections, or those of strangers, add up.
func TestHostileConnections(t *testing.T) {
	v := newVictim(t)
	for range 50 {
		l := &fakeLink{rank: 7}
		l.feed(intro("rogue", "worker", 1))
		v.attach(l)
		v.move()
	}
	for i := range 2 * maxStrangers {
		l := &fakeLink{rank: 100 + i}
		l.feed(intro("who", "ever", 1))
		v.attach(l)
	}
	v.move()
	v.look(func(e *engine) {
		if n := len(e.links); n > 1+maxLinks+maxStrangers {
			t.Errorf("%d connections", n)
		}
		if v.rogue.closed() && e.peers["rogue"].out == nil {
			t.Error("the rogue has no connection in use")
		}
	})
	v.end()
}

// A body that does not decode is the error of its message.
func TestHostileBodies(t *testing.T) {
	nested := strings.Repeat("\x81", 100_000) + "\x01"
	for name, m := range map[string]meta{
		"kind":   {kind: 99, bodyBytes: 3},
		"length": {kind: kindF64, bodyBytes: 3},
		"bomb":   {kind: kindBytes, compression: compressedZstd, rawBytes: 1 << 29, bodyBytes: 3},
		"method": {kind: kindBytes, compression: 77, rawBytes: 9, bodyBytes: 3},
		"nested": {kind: kindCBOR, bodyBytes: uint64(len(nested))},
	} {
		v := newVictim(t)
		m.sessionType, m.stage, m.session, m.message = Task, TaskRequest, newID(), newID()
		body := nested
		if m.bodyBytes == 3 {
			body = "abc"
		}
		v.rogue.feed(intro("rogue", "worker", 1<<20))
		v.rogue.feed(message(1, m, body)...)
		v.move()
		got, err := v.ReceiveOnce(t.Context())
		if err == nil && name == "nested" {
			_, err = Decode[any](got)
		}
		var bad *BodyError
		if !errors.As(err, &bad) || v.rogue.closed() {
			t.Errorf("%s: got %v, %v; closed: %v", name, got, err, v.rogue.closed())
		}
		v.end()
	}
}

// Waiting for who does not introduce itself costs no turns of the processor.
func TestSilentStrangerDoesNotSpin(t *testing.T) {
	v := newVictim(t)
	v.e.enter()
	for _, l := range v.e.links {
		l.spoke = l.spoke.Add(-2 * heartbeatTime)
	}
	at := v.e.tick()
	if again := v.e.tick(); !again.After(v.e.clock) {
		t.Errorf("tick wants to be called %v ago, as at %v", v.e.clock.Sub(again), at)
	}
	v.e.leave()
	v.end()
}

func TestSendToDeafPeerEndsWithContext(t *testing.T) {
	v := newVictim(t)
	v.rogue.feed(intro("rogue", "worker", 1<<20))
	v.move()
	v.rogue.setDeaf(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := v.Send(ctx, NewSessionMessage("t", "rogue", "body", Task))
	var wait *WaitError
	if !errors.As(err, &wait) || !strings.Contains(wait.Error(), "waiting for rogue (") {
		t.Error(err)
	}
	v.end()
}
