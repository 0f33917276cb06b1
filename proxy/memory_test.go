package proxy

import (
	"bytes"
	"testing"
	"time"
)

func TestPoolTakesWhatFits(t *testing.T) {
	var p pool
	small, large := p.adopt(make([]byte, 100<<10)), p.adopt(make([]byte, 250<<10))
	if p.adopt(make([]byte, pooledMin-1)) != nil {
		t.Error("small memory was adopted")
	}
	for _, m := range []*memory{small, large} {
		m.release()
	}
	for _, c := range []struct {
		n    int
		want *memory
	}{
		{pooledMin - 1, nil},
		{40 << 10, nil}, // both are far too large
		{60 << 10, small},
		{100 << 10, small},
		{100<<10 + 1, nil}, // large is more than twice that
		{125 << 10, large},
		{250 << 10, large},
		{250<<10 + 1, nil},
	} {
		m := p.take(c.n)
		if m != c.want {
			t.Errorf("took %v for %d bytes, want %v", m, c.n, c.want)
		}
		if m == nil {
			continue
		}
		if again := p.take(c.n); again == m {
			t.Errorf("memory for %d bytes was taken twice", c.n)
		}
		m.hold()
		m.release()
		if p.take(c.n) == m {
			t.Error("memory was taken that somebody holds")
		}
		m.release()
	}
	for _, c := range []struct {
		b    []byte
		want bool
	}{
		{small.bytes, true},
		{small.bytes[len(small.bytes)-1:], true},
		{small.bytes[:0], false},
		{large.bytes, false},
		{nil, false},
	} {
		if small.has(c.b) != c.want {
			t.Errorf("has says %v of %d bytes", !c.want, len(c.b))
		}
	}
	if (*memory)(nil).has(small.bytes) {
		t.Error("no memory has something")
	}
}

func TestPoolIsBounded(t *testing.T) {
	var p pool
	var all []*memory
	for range pooledBytes/(1<<20) + 5 {
		all = append(all, p.adopt(make([]byte, 1<<20)))
	}
	for _, m := range all {
		m.release()
	}
	if p.bytes != pooledBytes || len(p.free) != pooledBytes>>20 {
		t.Errorf("%d bytes are kept, want %d", p.bytes, pooledBytes)
	}
	p.trim(time.Now())
	if p.bytes != pooledBytes {
		t.Error("memory went that was used just now")
	}
	p.free[0].since = p.free[0].since.Add(-pooledTime)
	p.trim(time.Now().Add(time.Second))
	if p.bytes != pooledBytes-1<<20 {
		t.Errorf("%d bytes are kept after the oldest has gone", p.bytes)
	}
	p.trim(time.Now().Add(2 * pooledTime))
	if p.bytes != 0 || len(p.free) != 0 {
		t.Errorf("%d bytes are kept for ever", p.bytes)
	}
}

// task is a message of friend's, of so many bytes, as a whole.
func (v *victim) task(seq uint64, body []byte) {
	v.friend.feed(message(seq, meta{
		sessionType: Task, stage: TaskRequest, session: newID(), message: newID(), kind: kindBytes,
		bodyBytes: uint64(len(body)), tag: "t",
	}, string(body))...)
	v.move()
}

// TestReplyHoldsReleasedMemory: a body that goes back in a reply is not used again before that has
// arrived, though the application has released it.
func TestReplyHoldsReleasedMemory(t *testing.T) {
	v := newVictim(t)
	defer v.end()
	body := bytes.Repeat([]byte("x"), 64<<10)
	v.task(1, body)
	m, err := v.ReceiveOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v.friend.setDeaf(true)
	got := m.Body.([]byte)
	if err := v.Reply(t.Context(), m, "", got[:60<<10]); err != nil {
		t.Fatal(err)
	}
	m.Release()
	if m.Release(); m.Body != nil {
		t.Error("a released message has a body")
	}
	v.task(2, bytes.Repeat([]byte("y"), 64<<10))
	m, err = v.ReceiveOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := m.Body.([]byte)
	v.friend.setDeaf(false)
	v.move()
	frames := v.friend.frames()
	if last := frames[len(frames)-1].payload; !bytes.HasSuffix(last, body[:60<<10]) {
		t.Errorf("the reply of %d bytes has other bytes", len(last))
	}
	v.friend.feed(acking(message(3, notification(2), "hi")[0], 1, 0))
	v.move()
	m.Release()
	third, err := v.ReceiveOnce(t.Context())
	if err != nil || third.Body != "hi" {
		t.Fatal(third, err)
	}
	if third.Release(); third.Body != "hi" {
		t.Error("a message without memory of its own was released")
	}
	for range 2 { // that of the reply which has arrived, and the second body
		at := v.e.pool.take(64 << 10)
		if at == nil || &at.bytes[0] != &got[0] && &at.bytes[0] != &second[0] {
			t.Fatal("the memory of a released body is not in the pool")
		}
	}
	if v.e.pool.take(64<<10) != nil {
		t.Error("more is in the pool than was released")
	}
}

// pooled is how many bytes are for bodies to come.
func (v *victim) pooled() int {
	v.e.pool.mu.Lock()
	defer v.e.pool.mu.Unlock()
	return v.e.pool.bytes
}

// TestDroppedBodiesAreReused: what comes twice, or half, does not cost memory each time.
func TestDroppedBodiesAreReused(t *testing.T) {
	v := newVictim(t)
	defer v.end()
	body := make([]byte, 100<<10)
	v.task(1, body)
	v.task(1, body) // a duplicate
	if n := v.pooled(); n != len(body) {
		t.Errorf("%d bytes are in the pool after a duplicate", n)
	}
	if _, err := v.ReceiveOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.rogue.feed(intro("rogue", "worker", 1<<20))
	whole := message(1, notification(uint64(len(body))), string(body))[0]
	whole.payload = whole.payload[:len(whole.payload)-1]
	v.rogue.feed(whole)
	v.move()
	if v.pooled() != 0 {
		t.Error("a body is not received into memory of the pool")
	}
	v.e.enter()
	v.e.broken(v.e.peers["rogue"].out, errFake)
	v.e.leave()
	if n := v.pooled(); n != len(body) {
		t.Errorf("%d bytes are in the pool after a link broke", n)
	}
}
