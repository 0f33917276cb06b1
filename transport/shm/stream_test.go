//go:build linux

package shm

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

// TestStreamByOddBytes keeps a stream full while the other end takes any number of bytes at a time, so
// that frames end where the last byte of room does: their ends are moved on to a line, and nothing
// may come to lie beyond the room for that.
func TestStreamByOddBytes(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	x := rand.New(rand.NewPCG(1, 2))
	source := make([]byte, 2*streamMin)
	for i := range source {
		source[i] = byte(x.Uint32())
	}
	var sent [][]byte
	for n := 0; n < 3000; {
		// Room that is a few bytes short of a frame, and frames that are a few bytes short of a line.
		for {
			size := inlineBytes + 1 + x.IntN(len(source)-inlineBytes-1)
			payload := source[:size]
			h := transport.Header{Kind: transport.Data, Length: uint32(size)}
			taken, err := a.Send(&h, [2][]byte{payload})
			if err != nil {
				t.Fatal(err)
			}
			if !taken {
				break
			}
			sent = append(sent, payload)
		}
		h, err := b.Next()
		if err != nil || h == nil {
			t.Fatal(h, err)
		}
		got := make([]byte, h.Length)
		for at := 0; at < len(got); {
			k, err := b.Read(got[at:min(len(got), at+1+x.IntN(3*lineBytes))])
			if err != nil {
				t.Fatal(err)
			}
			at += k
			if x.IntN(4) == 0 {
				b.in.tell() // as one that is about to park does
			}
			if _, err := a.Sent(); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, sent[0]) {
			t.Fatalf("frame %d came wrong", n)
		}
		sent = sent[1:]
		n++
	}
}

// TestStreamBeginsAnew: messages that the other end takes one by one pass through the same memory, and
// what is beyond it is never touched.
func TestStreamBeginsAnew(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	const size, ahead = 10_000, 2
	payload := func(i int) []byte { return bytes.Repeat([]byte{byte(1 + i%250)}, size) }
	for i := range 100 {
		put(t, a, transport.Header{}, payload(i))
		if i < ahead {
			continue // as many are under way from here on
		}
		if _, got := get(t, b); !bytes.Equal(got, payload(i-ahead)) {
			t.Fatalf("message %d came wrong", i-ahead)
		}
	}
	for range ahead {
		get(t, b)
	}
	clear(a.out.stream)
	for i := range 100 {
		if h, err := b.Next(); h != nil || err != nil { // nothing more to do: it says what it has taken
			t.Fatal(h, err)
		}
		for j := range ahead {
			put(t, a, transport.Header{}, payload(i+j))
		}
		for j := range ahead {
			if _, got := get(t, b); !bytes.Equal(got, payload(i+j)) {
				t.Fatalf("message %d came wrong", i+j)
			}
		}
	}
	if rest := a.out.stream[ahead*aligned(size):]; bytes.ContainsFunc(rest, func(r rune) bool { return r != 0 }) {
		t.Errorf("the stream went beyond its first %d bytes", ahead*aligned(size))
	}
	// One that is longer than the ring goes round it as ever.
	big := bytes.Repeat([]byte{7}, 3*streamMin)
	put(t, a, transport.Header{}, big)
	h, err := b.Next()
	if h == nil || err != nil {
		t.Fatal(h, err)
	}
	got := make([]byte, len(big))
	for at := 0; at < len(got); {
		n, err := b.Read(got[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += n
		if _, err := a.Sent(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, big) {
		t.Error("a message longer than the ring came wrong")
	}
	// The other end may look as soon as the line is there: how far the stream is filled comes before.
	put(t, a, transport.Header{}, payload(0))
	get(t, b)
	b.in.tell()
	if !a.out.rewind() || a.out.mine.filled.Load() != a.out.filled {
		t.Error("the other end is not told that the stream begins anew before the line that says so")
	}
}

// TestRewindFails: who finds that the other end writes nonsense sends nothing more.
func TestRewindFails(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	payload := make([]byte, 10_000)
	put(t, a, transport.Header{}, payload)
	get(t, b)
	b.seg.mine.stream.Store(1 << 40)
	h := transport.Header{Kind: transport.Data, Length: uint32(len(payload))}
	if ok, err := a.Send(&h, [2][]byte{payload}); ok || err == nil {
		t.Errorf("Send: %v, %v", ok, err)
	}
	if b.in.arrived() {
		t.Error("a frame has come without its payload")
	}
}
