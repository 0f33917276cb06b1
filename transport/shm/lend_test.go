//go:build linux

package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/alloc"
)

// alloc returns shared memory of an end, with a pattern.
func (p *pair) alloc(t testing.TB, end, n int) []byte {
	t.Helper()
	b, err := p.regions[end].Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// known sends the memory until the other end has mapped it.
func (p *pair) known(t testing.TB, b []byte) {
	t.Helper()
	a := p.ends[0]
	for range 3 {
		put(t, a, transport.Header{}, b)
		p.get(t)
		done(t, a)
	}
	if place, _ := a.locate(b); place < 0 {
		t.Fatal("the other end does not map memory that it is shown")
	}
}

// get takes a frame of end 0, which may have to go on with it.
func (p *pair) get(t testing.TB) []byte {
	t.Helper()
	h, err := p.ends[1].Next()
	if h == nil || err != nil {
		t.Fatalf("Next: %v, %v", h, err)
	}
	payload := make([]byte, h.Length)
	for n := 0; n < len(payload); {
		k, err := p.ends[1].Read(payload[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
		if _, err := p.ends[0].Sent(); err != nil {
			t.Fatal(err)
		}
	}
	return payload
}

// done waits for nothing: all memory must be the caller's.
func done(t testing.TB, l *link) {
	t.Helper()
	if n, err := l.Sent(); n != l.out.taken || err != nil {
		t.Fatalf("Sent counts %d of %d frames, %v", n, l.out.taken, err)
	}
}

// TestAFrameIsReadWhereItLies: once the other end has mapped the memory, nothing is copied, and the
// lend ends when the last byte is taken.
func TestAFrameIsReadWhereItLies(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	mem := p.alloc(t, 0, 3<<20)
	p.known(t, mem[:1<<20])
	filled := a.out.filled
	h := transport.Header{Kind: transport.Data, Length: 1 << 20, Seq: 7}
	if ok, err := a.Send(&h, [2][]byte{mem[2<<20:][:512<<10], mem[64 : 64+512<<10]}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if head, err := b.Next(); err != nil || *head != h {
		t.Fatalf("Next: %v, %v", head, err)
	}
	got := make([]byte, 1<<20)
	for at := 0; at < len(got); {
		if n, err := a.Sent(); n != a.out.taken-1 || err != nil {
			t.Fatalf("with %d bytes taken, Sent counts %d of %d, %v", at, n, a.out.taken, err)
		}
		w, err := b.Peek()
		if len(w) == 0 || err != nil {
			t.Fatalf("Peek with %d bytes taken: %d bytes, %v", at, len(w), err)
		}
		place, _ := a.locate(mem)
		theirs := b.in.far.maps[place].mem
		lo, start := uintptr(unsafe.Pointer(&theirs[0])), uintptr(unsafe.Pointer(&w[0]))
		if err != nil || start < lo || start >= lo+uintptr(len(theirs)) {
			t.Fatalf("the window of %d bytes is not of the other end's memory; %v", len(w), err)
		}
		n := copy(got[at:], w[:min(len(w), 300_000)])
		b.Discard(n)
		at += n
	}
	done(t, a)
	if !bytes.Equal(got[:512<<10], mem[2<<20:][:512<<10]) || !bytes.Equal(got[512<<10:], mem[64:64+512<<10]) {
		t.Error("the payload is another")
	}
	if a.out.filled != filled {
		t.Errorf("%d bytes went through the stream", a.out.filled-filled)
	}
}

// TestReclaimLeavesThePeerWhatItSees: the sender writes to its memory at once, and the other end goes
// on with the old bytes, from where it is.
func TestReclaimLeavesThePeerWhatItSees(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	mem := p.alloc(t, 0, 1<<20)
	old := bytes.Clone(mem)
	p.known(t, mem)
	put(t, a, transport.Header{Seq: 1}, mem[1000:400_000]) // in the middle of pages
	put(t, a, transport.Header{Seq: 2}, mem[400_000:800_000])
	if h, err := b.Next(); h == nil || err != nil {
		t.Fatal(h, err)
	}
	got := make([]byte, 399_000)
	if n, err := b.Read(got[:1000]); n != 1000 || err != nil {
		t.Fatal(n, err)
	}
	a.Reclaim()
	done(t, a)
	if !bytes.Equal(mem, old) {
		t.Fatal("Reclaim changes the caller's memory")
	}
	clear(mem)
	if n, err := b.Read(got[1000:]); n != len(got)-1000 || err != nil {
		t.Fatal(n, err)
	}
	if !bytes.Equal(got, old[1000:400_000]) {
		t.Error("the rest of the frame at hand is another")
	}
	if got := p.get(t); !bytes.Equal(got, old[400_000:800_000]) {
		t.Error("the frame behind it is another")
	}
	// What was taken back is as any other memory, the rest is still shared.
	if place, _ := a.locate(mem[100_000:200_000]); place >= 0 {
		t.Error("memory that was taken back is shared")
	}
	if place, _ := a.locate(mem[900_000:]); place < 0 {
		t.Error("memory that was not lent is not shared any more")
	}
	copy(mem, old)
	for _, part := range [][]byte{mem[:200_000], mem[700_000:], mem[900_000:]} {
		put(t, a, transport.Header{}, part)
		if got := p.get(t); !bytes.Equal(got, part) {
			t.Error("a frame after Reclaim is another")
		}
		done(t, a)
	}
}

// TestFreeGivesMemoryBack: the other end unmaps it when it next looks at its socket, and its place is
// used again.
func TestFreeGivesMemoryBack(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	for range 2 * places {
		mem := p.alloc(t, 0, alloc.Min)
		p.known(t, mem)
		p.regions[0].Free(mem)
	}
	a.announce()
	if !b.hear() {
		t.Fatal("the socket has ended")
	}
	for place, m := range b.in.far.maps {
		if m.mem != nil {
			t.Errorf("memory %d is still mapped at place %d", m.number, place)
		}
	}
}

// TestMoreMemoryThanPlaces: the memory that was used longest ago makes room.
func TestMoreMemoryThanPlaces(t *testing.T) {
	p := newPair(t, 1<<20)
	var all [places + 8][]byte
	for lap := range 2 {
		for i := range all {
			if lap == 0 {
				all[i] = p.alloc(t, 0, alloc.Min)
			}
			p.known(t, all[i])
		}
	}
}

// TestRandomLends compares what comes with what was sent, over lends, copies and Reclaims of all kinds.
func TestRandomLends(t *testing.T) {
	p := newPair(t, 1<<20)
	a := p.ends[0]
	g := rand.New(rand.NewPCG(1, 2))
	mem := p.alloc(t, 0, 4<<20)
	p.known(t, mem[:1<<20])
	free := 0 // memory from here on is not lent
	var want [][]byte
	take := func() {
		got := p.get(t)
		if !bytes.Equal(got, want[0]) {
			t.Fatalf("a frame of %d bytes is another", len(got))
		}
		want = want[1:]
	}
	for range 3000 {
		switch g.IntN(10) {
		case 0, 1, 2, 3, 4:
			n := 1 + g.IntN(200_000)
			at := g.IntN(16)
			if free+at+n > len(mem) {
				for len(want) > 0 {
					take()
				}
				done(t, a)
				free = 0
			}
			payload := mem[free+at : free+at+n]
			payload[0]++
			split := g.IntN(n + 1)
			h := transport.Header{Kind: transport.Data, Length: uint32(n)}
			ok, err := a.Send(&h, [2][]byte{payload[:split], payload[split:]})
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				want = append(want, bytes.Clone(payload))
				free += at + n
			}
		case 5, 6, 7, 8:
			if len(want) > 0 {
				take()
			}
		case 9:
			if g.IntN(20) == 0 {
				a.Reclaim()
				done(t, a)
				clear(mem)
				free = 0
			}
		}
	}
}

// TestHostileReferences: what the other end writes about memory breaks the link, and no more.
func TestHostileReferences(t *testing.T) {
	for name, spoil := range map[string]func(r *reference, h *transport.Header){
		"a place too high":            func(r *reference, _ *transport.Header) { r.place[0] = places },
		"a place without memory":      func(r *reference, _ *transport.Header) { r.place[0] = 9 },
		"an odd offset":               func(r *reference, _ *transport.Header) { r.at[0]++ },
		"an offset behind the end":    func(r *reference, _ *transport.Header) { r.at[0] = 1 << 40 },
		"an offset that overflows":    func(r *reference, _ *transport.Header) { r.at[0] = 1<<64 - 8 },
		"over the end":                func(r *reference, _ *transport.Header) { r.at[0] = 1<<20 - 8 },
		"a first piece too long":      func(r *reference, _ *transport.Header) { r.first = 1 << 31 },
		"a second piece from nowhere": func(r *reference, _ *transport.Header) { r.first, r.place[1] = 8, 63 },
		"a first piece of odd bytes":  func(r *reference, _ *transport.Header) { r.first = 9 },
		"no payload":                  func(_ *reference, h *transport.Header) { h.Length = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 1<<20)
			a, b := p.ends[0], p.ends[1]
			mem := p.alloc(t, 0, 1<<20)
			p.known(t, mem)
			put(t, a, transport.Header{}, mem)
			h := transport.Header{Kind: transport.Data, Length: 1 << 20}
			spoil(&b.in.way.refs[b.in.far.begun%references], &h)
			b.in.way.lines[b.in.begun%lines].length = h.Length
			_, err := b.Next()
			var frame *transport.FrameError
			if !errors.As(err, &frame) {
				t.Errorf("Next: %v, want a *FrameError", err)
			}
		})
	}
}

// TestHostileCountOfReferences: the other end can't return what it was not lent.
func TestHostileCountOfReferences(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	mem := p.alloc(t, 0, 1<<20)
	p.known(t, mem)
	put(t, a, transport.Header{}, mem)
	b.seg.mine.refs.Store(b.in.far.done + 2)
	_, err := a.Sent()
	var frame *transport.FrameError
	if !errors.As(err, &frame) {
		t.Errorf("Sent: %v, want a *FrameError", err)
	}
}

// TestHostileMail: what is no mail ends the link; memory that is none is not mapped.
func TestHostileMail(t *testing.T) {
	offer := func(place byte, bytes uint64) []byte {
		b := make([]byte, offerMail)
		b[0], b[1], b[4] = mailOffer, place, 1
		binary.NativeEndian.PutUint64(b[8:], bytes)
		return b
	}
	sealed := func(t *testing.T) int {
		fd, err := alloc.CreateFile("test", 8192)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	none := func(*testing.T) int { return -1 }
	for name, c := range map[string]struct {
		says  []byte
		file  func(t *testing.T) int
		alive bool
	}{
		"no message":         {[]byte{77}, none, false},
		"a place too high":   {offer(places, 8192), sealed, false},
		"larger than memory": {offer(0, 1<<60), sealed, false},
		"taken back unasked": {[]byte{mailForget, 3, 0, 0, 9, 0, 0, 0}, none, true},
		"no descriptor":      {offer(1, 8192), none, true},
		"another size":       {offer(1, 4096), sealed, true},
		"not sealed":         {offer(1, 8192), func(t *testing.T) int { return file(t, 8192, 0) }, true},
		"sparse": {offer(1, 8192), func(t *testing.T) int {
			return file(t, 8192, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, 1<<20)
			a, b := p.ends[0], p.ends[1]
			fd := c.file(t)
			for range 2 {
				if !a.post(c.says[:1], fd) || len(c.says) > 1 && !a.post(c.says[1:], -1) {
					t.Fatal("no room in the socket")
				}
				if alive := b.hear(); alive != c.alive {
					t.Fatalf("alive: %v", alive)
				}
				if !c.alive {
					break
				}
			}
			for place, m := range b.in.far.maps {
				if m.mem != nil {
					t.Errorf("something is mapped at place %d", place)
				}
			}
			if !c.alive {
				b.ended = true
				if _, err := b.Next(); !errors.Is(err, errMail) {
					t.Errorf("Next: %v", err)
				}
			}
			b.mail.close()
			if fd >= 0 {
				if err := unix.Close(fd); err != nil {
					t.Error(err)
				}
			}
			if n := openFiles(t, "/memfd:test "); n > 0 {
				t.Errorf("%d descriptors are left", n)
			}
		})
	}
}

// openFiles counts this process's descriptors of files of a name.
func openFiles(t *testing.T, name string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, name) {
			n++
		}
	}
	return n
}

// TestMemoryAtHandIsNotTakenBack: a peer that takes memory back which holds the frame at hand is cut
// off; what is there stays readable.
func TestMemoryAtHandIsNotTakenBack(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	mem := p.alloc(t, 0, 1<<20)
	p.known(t, mem)
	put(t, a, transport.Header{}, mem)
	if h, err := b.Next(); h == nil || err != nil {
		t.Fatal(h, err)
	}
	if !a.revoke(0) {
		t.Fatal("no room in the socket")
	}
	if b.hear() {
		t.Fatal("the link goes on")
	}
	got := make([]byte, len(mem))
	if n, err := b.Read(got); n != len(got) || err != nil || !bytes.Equal(got, mem) {
		t.Errorf("Read of what is at hand: %d, %v", n, err)
	}
}
