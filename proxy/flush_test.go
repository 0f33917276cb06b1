package proxy

import "testing"

// TestBatchOnABreakingLink: a link that tells of its end just when a batch is to go out, behind one
// that it still had, has the batch go out on the other link to the peer, whole and in order.
func TestBatchOnABreakingLink(t *testing.T) {
	v := newVictim(t)
	first := v.friend
	second := &fakeLink{rank: first.rank}
	v.attach(second)
	second.feed(intro("friend", "worker", 1<<20))
	v.move()
	send := func(tag string) {
		t.Helper()
		if _, err := v.ISend(t.Context(), NewSessionMessage(tag, "friend", nil, Notification)); err != nil {
			t.Fatal(err)
		}
	}
	v.look(func(e *engine) {
		if e.peers["friend"].out.Link != first {
			t.Fatal("messages do not go out on the first link")
		}
	})
	first.keep()
	for range 2 {
		first.setDeaf(true)
		for _, tag := range []string{"alone", "one of two", "two of two"} {
			send(tag)
		}
		first.setDeaf(false)
		v.move() // of the second round the link does not take the batch
	}
	v.look(func(e *engine) {
		if len(e.peers["friend"].outbox.batch) == 0 {
			t.Fatal("no batch waits for the link")
		}
	})
	first.breaksBehind()
	send("last")
	v.move()
	if !first.closed() {
		t.Error("the link that has broken was not closed")
	}
	want := uint64(1)
	for _, f := range second.frames() {
		if f.h.Seq == 0 {
			continue
		}
		if f.h.Seq != want {
			t.Fatalf("message %d goes out on the other link, want %d", f.h.Seq, want)
		}
		for rest := f.payload; len(rest) > 0; want++ {
			n, err := metaBytes(rest)
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:] // no message has a body
		}
	}
	if want != 8 {
		t.Errorf("%d messages went out on the other link, want all 7", want-1)
	}
	v.friend = second
	v.end()
}
