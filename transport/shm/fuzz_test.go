//go:build linux

package shm

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// hostile is a link whose other end writes what it likes to all of the segment, by the bytes of a
// fuzz target.
type hostile struct {
	t       *testing.T
	good    *link
	bad     *link  // the other end, for what it does in order
	mem     []byte // the other end's mapping
	text    []byte
	payload []byte
	frames  int // that have come since the last scribble
}

func (f *hostile) byte() byte {
	if len(f.text) == 0 {
		return 0
	}
	b := f.text[0]
	f.text = f.text[1:]
	return b
}

func (f *hostile) number() int {
	var b [4]byte
	f.text = f.text[copy(b[:], f.text):]
	return int(binary.LittleEndian.Uint32(b[:]))
}

// spots are the places that decide something: the words of the other end, and some lines.
func (f *hostile) spot() int {
	const linesAt = controlBytes // those that the good end, 1, receives
	n := f.number()
	switch f.byte() % 4 {
	case 0:
		return n % len(f.mem)
	case 1:
		return n % (2 * endBytes)
	}
	return linesAt + int(f.good.in.begun%lines)*lineBytes + n%(3*lineBytes)
}

func (f *hostile) step() {
	l := f.good
	switch f.byte() % 11 {
	case 0: // any bytes anywhere
		at := f.spot()
		n := min(int(f.byte()), len(f.text), len(f.mem)-at)
		copy(f.mem[at:], f.text[:n])
		f.text = f.text[n:]
		f.frames = 0
	case 1: // a line that looks good
		at := controlBytes + int(l.in.begun%lines)*lineBytes
		word := uint64(stampOf(l.in.begun)) | uint64(f.byte()%6)<<32 | uint64(f.byte()%6)<<40
		binary.NativeEndian.PutUint64(f.mem[at:], word)
		binary.NativeEndian.PutUint32(f.mem[at+20:], uint32(f.number())>>(f.byte()%32))
		f.frames = 0
	case 2: // a position of a ring
		at := []int{128, 136, 256}[f.byte()%3]
		binary.NativeEndian.PutUint64(f.mem[at:], uint64(f.number())>>(f.byte()%32))
	case 3:
		h := transport.Header{Kind: transport.Data, Seq: uint64(f.byte()), Comm: uint32(f.byte() % 2)}
		h.Length = uint32(f.number()>>(f.byte()%32)) % uint32(len(f.payload))
		_, _ = l.Send(&h, [2][]byte{f.payload[:h.Length/2], f.payload[h.Length/2 : h.Length]})
	case 4:
		n, err := l.Sent()
		if n > l.out.taken {
			f.t.Fatalf("Sent counts %d of %d, %v", n, l.out.taken, err)
		}
	case 5:
		f.next()
	case 6:
		n := f.number() % len(f.payload)
		if k, err := l.Read(f.payload[:n]); k > n || k < 0 {
			f.t.Fatalf("Read of %d bytes: %d, %v", n, k, err)
		}
	case 7:
		f.peek()
	case 8:
		l.announce()
		_ = l.fresh()
		l.seg.mine.parked.Store(0)
		if !l.hear() && l.mail.err == nil {
			f.t.Fatal("the socket has ended")
		}
	case 9: // a reference, to the memory that it has mapped or to none
		ref := &l.in.way.refs[l.in.far.begun%references]
		bad := &f.bad.out.refs[l.in.far.begun%references] // the same, where it can be written
		*bad = *ref
		bad.place[f.byte()%2] = uint32(f.byte() % 66)
		bad.at[f.byte()%2] = uint64(f.number()) >> (f.byte() % 32) << (f.byte() % 40)
		bad.first = uint32(f.number()) >> (f.byte() % 32)
	case 10:
		n := min(int(f.byte()%20), len(f.text))
		f.bad.post(f.text[:n], -1)
		f.text = f.text[n:]
	}
}

func (f *hostile) next() {
	h, err := f.good.Next()
	if err != nil || h == nil {
		return
	}
	if f.frames++; f.frames > 10*lines {
		f.t.Fatal("frames without end")
	}
	if int(h.Length) > f.good.maxPayload {
		f.t.Fatalf("a payload of %d bytes", h.Length)
	}
}

func (f *hostile) peek() {
	b, _ := f.good.Peek()
	if len(b) > f.good.maxPayload {
		f.t.Fatalf("a window of %d bytes", len(b))
	}
	sum := byte(0)
	for _, x := range b { // faults if it is not ours
		sum += x
	}
	f.payload[0] = sum
	f.good.Discard(min(len(b), f.number()))
}

// FuzzRing: whatever the other end writes to the segment, at whatever moment, this end neither
// panics nor reads outside of it nor goes on for ever.
func FuzzRing(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{1, 0, 1, 255, 255, 255, 255, 8, 5, 7, 0, 0, 0, 0, 6, 255, 0, 0, 0, 5})
	f.Add([]byte{3, 1, 0, 0, 0, 2, 0, 0, 4, 2, 0, 255, 255, 255, 255, 0, 4, 3, 1, 0, 0, 0, 2, 0, 0})
	f.Add([]byte{1, 0, 1, 0, 0, 16, 0, 0, 2, 2, 0, 255, 1, 0, 0, 5, 7, 9, 0, 0, 0, 5, 7, 9, 0, 0, 0})
	f.Add([]byte{9, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 1, 0, 1, 0, 0, 0, 5, 7, 8, 7})
	f.Add([]byte{10, 5, 3, 0, 0, 0, 1, 8, 10, 3, 0, 0, 0, 8, 5, 7})
	f.Fuzz(func(t *testing.T, text []byte) {
		p := newPair(t, 1<<18)
		h := &hostile{
			t: t, good: p.ends[1], bad: p.ends[0], mem: p.ends[0].seg.mem, text: text,
			payload: make([]byte, 1<<18),
		}
		p.known(t, p.alloc(t, 0, 1<<17))
		for len(h.text) > 0 {
			h.step()
		}
		for range 3 * lines { // and then what is left
			h.next()
			h.peek()
		}
	})
}

// TestPeerEndsWhileItsMemoryIsUsed: the memory outlives the process at the other end.
func TestPeerEndsWhileItsMemoryIsUsed(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	payload := make([]byte, streamMin/2)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	put(t, a, transport.Header{Seq: 1}, payload)
	put(t, a, transport.Header{Seq: 2}, make([]byte, streamMin))
	if err := unix.Shutdown(a.fd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	b.ended = !b.hear()
	if h, got := get(t, b); h.Seq != 1 || string(got) != string(payload) {
		t.Fatalf("the whole frame is lost: %+v", h)
	}
	if h, err := b.Next(); h == nil || err != nil || h.Seq != 2 {
		t.Fatalf("the head of a cut frame: %v, %v", h, err)
	}
	got := make([]byte, streamMin)
	if n, err := b.Read(got); n != streamMin/2 || err != nil {
		t.Fatalf("the part of a cut frame that came: %d, %v", n, err)
	}
	if n, err := b.Read(got); n != 0 || err == nil {
		t.Fatalf("after the end: %d, %v", n, err)
	}
	if _, err := b.Send(&transport.Header{Kind: transport.Data}, [2][]byte{}); err == nil {
		t.Error("Send to an ended process")
	}
}
