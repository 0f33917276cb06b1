//go:build ibverbs && cgo && linux

package ibverbs_test

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// header is of the frame of a test with that number.
func header(seq, length int) *transport.Header {
	return &transport.Header{
		Kind: transport.Data, Comm: 3, Seq: uint64(seq), Length: uint32(length),
		Flags: transport.PointToPoint,
	}
}

// alloc is memory of an endpoint's own.
func (p *couple) alloc(t testing.TB, at, n int) []byte {
	t.Helper()
	b, err := p.eps[at].(transport.Allocator).Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// expect tells an end's link of a frame, and waits until the other end's link knows. Where a
// place has yet to come back that can take a moment.
func (p *couple) expect(t testing.TB, at int, h *transport.Header, dst []byte) {
	t.Helper()
	p.until(t, func() bool { return p.links[at].(transport.Expecter).Expect(h, dst) })
	p.until(t, func() bool { return ibverbs.Knows(p.links[1-at], h) })
}

// until moves both ends on until something is so.
func (p *couple) until(t testing.TB, is func() bool) {
	t.Helper()
	for !is() {
		for i, l := range p.links {
			if h, err := l.Next(); h != nil || err != nil {
				t.Fatalf("Next: %v, %v", h, err)
			}
			if _, err := l.Sent(); err != nil {
				t.Fatal(err)
			}
			p.eps[i].Wait(time.Now().Add(time.Millisecond))
		}
	}
}

// head waits for a frame.
func (p *couple) head(t testing.TB, at int) *transport.Header {
	t.Helper()
	for {
		h, err := p.links[at].Next()
		if err != nil {
			t.Fatal(err)
		}
		if h != nil {
			return h
		}
		p.eps[at].Wait(time.Time{})
	}
}

// send gives a link a frame at once.
func (p *couple) send(t testing.TB, from int, h *transport.Header, pieces ...[]byte) {
	t.Helper()
	ok, err := p.links[from].Send(h, [2][]byte(append(pieces, nil, nil)[:2]))
	if err != nil || !ok {
		t.Fatalf("Send: %v, %v", ok, err)
	}
}

// readAll reads the payload of the head frame to dst.
func (p *couple) readAll(t testing.TB, at int, dst []byte) {
	t.Helper()
	for n := 0; n < len(dst); {
		k, err := p.links[at].Read(dst[n:])
		if err != nil {
			t.Fatal(err)
		}
		if n += k; k == 0 {
			p.eps[at].Wait(time.Time{})
		}
	}
}

func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i) + byte(i>>8)
	}
	return b
}

// guard lets nobody of this process write to pages, and says whether read tries to.
func guard(t *testing.T, pages []byte, read func()) (touched bool) {
	t.Helper()
	protect := func(rights int) {
		if err := unix.Mprotect(pages, rights); err != nil {
			t.Fatal(err)
		}
	}
	protect(unix.PROT_READ)
	defer protect(unix.PROT_READ | unix.PROT_WRITE)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { touched = recover() != nil }()
	read()
	return false
}

// TestNoCopyIsMade watches the pages of a destination: while this process may not write to them
// they fill, by the device, and Read finds the payload there. By the usual way it would have to
// write.
func TestNoCopyIsMade(t *testing.T) {
	const size = 1 << 20
	for _, expected := range []bool{true, false} {
		t.Run(fmt.Sprint("expected ", expected), func(t *testing.T) {
			p := newCouple(t, nil)
			source, dst := p.alloc(t, 0, size), p.alloc(t, 1, size)
			want := pattern(size, 1)
			copy(source, want)
			h := header(1, size)
			if expected {
				p.expect(t, 1, h, dst)
			}
			touched := guard(t, dst, func() {
				p.send(t, 0, h, source[:size/4], source[size/4:])
				if got := p.head(t, 1); *got != *h {
					t.Errorf("%+v has come", got)
				}
				if filled := bytes.Equal(dst, want); filled != expected {
					t.Errorf("filled before it is read: %v", filled)
				}
				p.readAll(t, 1, dst)
			})
			if touched == expected {
				t.Errorf("a copy was made: %v", touched)
			}
			if !expected {
				return
			}
			if !bytes.Equal(dst, want) {
				t.Error("the payload is not there")
			}
			if ibverbs.Direct(p.links[0]) != 1 || ibverbs.Found(p.links[1]) != size {
				t.Errorf("%d frames were placed, %d bytes found", ibverbs.Direct(p.links[0]),
					ibverbs.Found(p.links[1]))
			}
		})
	}
}

// TestDestinationTakenBack: what the other end writes after Reclaim is not the caller's memory, and
// nothing of it is lost. Then the place is good for others.
func TestDestinationTakenBack(t *testing.T) {
	const size, lead = 70_000, 8
	p := newCouple(t, nil)
	all, _ := ibverbs.Places(p.links[1])
	source := p.alloc(t, 0, size)
	rounds := all + 20
	if testing.Short() {
		rounds = 10
	}
	for i := range rounds {
		memory := p.alloc(t, 1, lead+size)
		h := header(i, size)
		p.expect(t, 1, h, memory[lead:])
		p.links[1].Reclaim()
		mine := pattern(lead+size, 77)
		copy(memory, mine)
		copy(source, pattern(size, byte(i)))
		if i%2 == 1 { // the other end has heard
			p.until(t, func() bool { return !ibverbs.Knows(p.links[0], h) })
		}
		p.send(t, 0, h, source)
		p.head(t, 1)
		if !bytes.Equal(memory, mine) {
			t.Fatalf("round %d: the caller's memory has changed", i)
		}
		got := make([]byte, size)
		p.readAll(t, 1, got)
		if !bytes.Equal(got, source) {
			t.Fatalf("round %d: the payload is lost", i)
		}
		p.until(t, func() bool {
			n, err := p.links[0].Sent()
			return err == nil && n == uint64(i+1)
		})
		p.eps[1].(transport.Allocator).Free(memory)
	}
	if n := ibverbs.Found(p.links[1]); n != 0 {
		t.Errorf("%d bytes were found in place", n)
	}
	if n := ibverbs.Direct(p.links[0]); n < uint64(rounds/2) {
		t.Errorf("%d frames of %d were written to what had been a destination", n, rounds)
	}
}

// TestPagesOfNeighbours: a lend that is reclaimed takes away pages that a destination has a part
// of.
func TestPagesOfNeighbours(t *testing.T) {
	const size = 100_000
	p := newCouple(t, nil)
	second := &couple{eps: p.eps}
	second.connect(t)
	source, both := p.alloc(t, 0, size), p.alloc(t, 1, 2*size)
	lent, dst := both[:size-size%8], both[size-size%8:][:size]
	copy(source, pattern(size, 5))
	h := header(1, size)
	p.expect(t, 1, h, dst)
	second.send(t, 1, header(1, len(lent)), lent)
	second.links[1].Reclaim()
	copy(lent, pattern(len(lent), 9)) // from here on the page between them is a copy
	p.send(t, 0, h, source)
	p.head(t, 1)
	p.readAll(t, 1, dst)
	if !bytes.Equal(dst, source) {
		t.Error("the payload is lost")
	}
	if ibverbs.Direct(p.links[0]) != 1 || ibverbs.Found(p.links[1]) != 0 {
		t.Errorf("%d frames were placed, %d bytes found", ibverbs.Direct(p.links[0]),
			ibverbs.Found(p.links[1]))
	}
}

// TestExpectedTooLate: frames that are sent before the other end hears come by the usual way,
// and their places are good for others.
func TestExpectedTooLate(t *testing.T) {
	const size = 40_000
	p := newCouple(t, nil)
	all, _ := ibverbs.Places(p.links[1])
	source, dst := p.alloc(t, 0, 2*size), p.alloc(t, 1, 2*size)
	for i := range 2*all + 10 {
		h := header(i, size)
		if i%2 == 0 {
			p.until(t, func() bool { return p.links[1].(transport.Expecter).Expect(h, dst[:size]) })
		} else {
			p.expect(t, 1, h, dst[:size])
		}
		copy(source, pattern(size, byte(i)))
		p.send(t, 0, h, source[:size])
		p.head(t, 1)
		p.readAll(t, 1, dst[:size])
		if !bytes.Equal(dst[:size], source[:size]) {
			t.Fatalf("frame %d is not what was sent", i)
		}
		p.until(t, func() bool {
			n, err := p.links[0].Sent()
			return err == nil && n == uint64(i+1)
		})
	}
	if _, taken := ibverbs.Places(p.links[1]); taken != 0 {
		t.Errorf("%d places are taken", taken)
	}
	if n := ibverbs.Direct(p.links[0]); n < uint64(all) {
		t.Errorf("%d frames went to their destinations, want half of %d and more", n, 2*all+10)
	}
}

// TestOtherMemoryToADestination: what does not lie in memory of Alloc comes by the usual way.
func TestOtherMemoryToADestination(t *testing.T) {
	const size = 300_000
	p := newCouple(t, nil)
	dst := p.alloc(t, 1, size)
	want := pattern(size, 3)
	h := header(1, size)
	p.expect(t, 1, h, dst)
	p.send(t, 0, h, want)
	var sent sync.WaitGroup
	sent.Go(func() { // it does not fit the ring as a whole
		for {
			n, err := p.links[0].Sent()
			if err != nil || n == 1 {
				return
			}
			p.eps[0].Wait(time.Time{})
		}
	})
	p.head(t, 1)
	p.readAll(t, 1, dst)
	sent.Wait()
	if !bytes.Equal(dst, want) || ibverbs.Direct(p.links[0]) != 0 {
		t.Errorf("the payload is wrong, or %d frames went to their destination",
			ibverbs.Direct(p.links[0]))
	}
	if _, taken := ibverbs.Places(p.links[1]); taken != 0 || ibverbs.Knows(p.links[0], h) {
		t.Errorf("%d places are taken", taken)
	}
}

// TestLongestMessageToADestination: a payload is cut by what the port takes as a message.
func TestLongestMessageToADestination(t *testing.T) {
	const size = 1 << 20
	p := newCouple(t, nil)
	ibverbs.LimitMessages(p.eps[0], 100_000)
	source, dst := p.alloc(t, 0, size), p.alloc(t, 1, size)
	copy(source, pattern(size, 3))
	h := header(1, size)
	p.expect(t, 1, h, dst)
	p.send(t, 0, h, source[:8], source[8:])
	p.head(t, 1)
	p.readAll(t, 1, dst)
	if !bytes.Equal(dst, source) || ibverbs.Found(p.links[1]) != size {
		t.Errorf("the payload is not there: %d bytes found", ibverbs.Found(p.links[1]))
	}
}

// TestWrongKeyOfADestination: the device that is written to refuses, and both ends hear.
func TestWrongKeyOfADestination(t *testing.T) {
	const size = 100_000
	p := newCouple(t, nil)
	source, dst := p.alloc(t, 0, size), p.alloc(t, 1, size)
	h := header(1, size)
	p.expect(t, 1, h, dst)
	ibverbs.SpoilOffers(p.links[0])
	p.send(t, 0, h, source)
	checkError(t, p.breaks(t, 0), ibverbs.RemoteAccess)
	if err := p.breaks(t, 1); err == nil {
		t.Error("the other end hears nothing")
	}
	if !bytes.Equal(dst, make([]byte, size)) {
		t.Error("something was written")
	}
}

// TestHeadersThatSayNothing: a frame that has a destination is one message while its header says
// nothing that the other end does not know; else it has its header, and the credit is right.
func TestHeadersThatSayNothing(t *testing.T) {
	const size = 100_000
	p := newCouple(t, nil)
	source, dst := p.alloc(t, 0, size), p.alloc(t, 1, size)
	for i, c := range []struct {
		comm, credit uint32
		flags        transport.Flags
		messages     uint64
	}{
		{comm: 1, messages: 2}, // the first frame of the link
		{comm: 1, messages: 1},
		{comm: 1, credit: 5, messages: 2},
		{comm: 1, credit: 5, messages: 1},
		{comm: 2, credit: 5, messages: 2},
		{comm: 2, credit: 5, messages: 1},
		{comm: 2, credit: 5, messages: 2, flags: transport.Checksummed},
		{comm: 2, credit: 5, messages: 1},
	} {
		h := header(i, size)
		h.Comm = c.comm
		p.expect(t, 1, h, dst)
		h.Credit, h.Flags = c.credit, h.Flags|c.flags
		copy(source, pattern(size, byte(i)))
		before := ibverbs.Posted(p.links[0])
		p.send(t, 0, h, source)
		if n := ibverbs.Posted(p.links[0]) - before; n != c.messages {
			t.Errorf("frame %d is %d messages, want %d", i, n, c.messages)
		}
		if got := p.head(t, 1); *got != *h {
			t.Errorf("frame %d: %+v, want %+v", i, got, h)
		}
		p.readAll(t, 1, dst)
		if !bytes.Equal(dst, source) {
			t.Errorf("frame %d: the payload is wrong", i)
		}
		p.until(t, func() bool { n, err := p.links[0].Sent(); return err == nil && n == uint64(i+1) })
	}
	if n := ibverbs.Direct(p.links[0]); n != 8 {
		t.Errorf("%d frames went to their destinations", n)
	}
}

// TestNothingToExpect: a link makes no use of what it can't be told of.
func TestNothingToExpect(t *testing.T) {
	const size = 100_000
	p := newCouple(t, nil)
	dst := p.alloc(t, 1, size)
	l := p.links[1].(transport.Expecter)
	for name, is := range map[string]bool{
		"memory that the device does not know": l.Expect(header(1, size), make([]byte, size)),
		"a small payload":                      l.Expect(header(1, 1000), dst[:1000]),
		"another length":                       l.Expect(header(1, size-8), dst),
		"an odd address":                       l.Expect(header(1, size-1), dst[1:]),
		"memory of the other end":              l.Expect(header(1, size), p.alloc(t, 0, size)),
	} {
		if is {
			t.Errorf("%s: the link says that it will write there", name)
		}
	}
	if err := p.links[1].Close(); err != nil {
		t.Fatal(err)
	}
	if l.Expect(header(1, size), dst) {
		t.Error("the link is closed")
	}
}
