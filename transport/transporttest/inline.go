package transporttest

import (
	"bytes"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

var inlineTests = []subtest{
	{"InlinePayloadsAreDoneAtOnce", (*suite).inline},
	{"PostAndPick", (*suite).postAndPick},
	{"PickLeavesWhatIsNotWanted", (*suite).pickWanted},
	{"PostWaitsForUnfinishedFrames", (*suite).postBehind},
	{"PostTellsWhenThereIsNoRoom", (*suite).postFull},
	{"PostAndPickAfterClose", (*suite).postClosed},
}

// inliners are both ends of a link as Inliners, nil where they are none.
func inliners(way [2]*end) (from, to transport.Inliner) {
	from, _ = way[0].link.(transport.Inliner)
	to, _ = way[1].link.(transport.Inliner)
	return from, to
}

// inlineSizes are payloads of a link that is an Inliner.
func inlineSizes(l transport.Inliner) []int {
	return []int{0, 1, 4, 32, 33, 40, l.Inline() / 2, l.Inline()}
}

// like is the n-th header of frames that have the same identity.
func like(h *transport.Header, n uint64, length int) *transport.Header {
	f := *h
	f.Seq, f.Step, f.Length, f.Credit, f.Checksum = n, uint32(n*n), uint32(length), uint32(3*n), uint32(5*n)
	return &f
}

// inline is about what Send copies: it is the caller's when Send returns.
func (s *suite) inline(t *testing.T) {
	p := s.pair(t)
	for _, way := range p.both() {
		from, _ := inliners(way)
		if from == nil {
			return
		}
		for i, n := range inlineSizes(from) {
			payload := filled(n, uint64(i))
			want := bytes.Clone(payload)
			if !p.offer(way[0], frame(uint64(i), n), payload) {
				t.Fatalf("an idle link takes no frame of %d bytes", n)
			}
			if done, err := from.Sent(); err != nil || done != way[0].sent {
				t.Fatalf("Sent counts %d of %d frames after one of %d bytes: %v", done, way[0].sent, n, err)
			}
			clear(payload)
			p.take(way[1], frame(uint64(i), n), want)
		}
	}
}

// post posts a frame, which the link must take.
func (p *pair) post(from *end, h *transport.Header, payload []byte) {
	p.t.Helper()
	sent := bytes.Clone(payload)
	if !from.link.(transport.Inliner).Post(h, sent) {
		p.t.Fatalf("Post does not take frame %d of %d bytes", h.Seq, h.Length)
	}
	from.sent++
	clear(sent) // it is the caller's again
	if n, err := from.link.Sent(); n != from.sent || err != nil {
		p.t.Fatalf("Sent counts %d of %d frames after Post, %v", n, from.sent, err)
	}
}

// pick picks a frame, which must come.
func (p *pair) pick(at *end, want *transport.Header, payload []byte) {
	p.t.Helper()
	asked := *want
	asked.Credit, asked.Checksum = want.Credit+1, want.Checksum+1
	var got []byte
	p.until("Pick to find a frame", func() bool {
		b, credit, ok := at.link.(transport.Inliner).Pick(&asked)
		if ok && credit != want.Credit {
			p.t.Fatalf("the credit is %d, want %d", credit, want.Credit)
		}
		got = b
		return ok
	})
	p.equal(got, payload)
}

// Frames go and come by any mixture of the calls, in order, for several times what a link has room for.
func (s *suite) postAndPick(t *testing.T) {
	p := s.pair(t)
	for _, way := range p.both() {
		from, _ := inliners(way)
		if from == nil {
			return
		}
		sizes := inlineSizes(from)
		first := frame(1, 8)
		p.put(way[0], first, filled(8, 1))
		p.take(way[1], first, filled(8, 1))
		for i := range 400 {
			type sent struct {
				h       *transport.Header
				payload []byte
			}
			var burst []sent
			for k := range 1 + i%3 {
				n := sizes[(i+k)%len(sizes)]
				f := sent{like(first, uint64(i*4+k), n), filled(n, uint64(i+k))}
				f.h.Comm += uint32(i / 10 % 3 * k % 2) // of one communicator for a while, and by turns
				if burst = append(burst, f); (i+k)%5 == 0 {
					p.put(way[0], f.h, f.payload)
				} else {
					p.post(way[0], f.h, f.payload)
				}
			}
			for k, f := range burst {
				if (i+k)%7 == 0 {
					p.take(way[1], f.h, f.payload)
				} else {
					p.pick(way[1], f.h, f.payload)
				}
			}
		}
	}
}

// Pick takes no other frame than the one that is wanted, whatever it is in which they differ.
func (s *suite) pickWanted(t *testing.T) {
	p := s.pair(t)
	for _, way := range p.both() {
		from, to := inliners(way)
		if from == nil {
			return
		}
		first := frame(2, 4)
		if b, _, ok := to.Pick(first); ok {
			t.Fatalf("Pick takes %d bytes where none has come", len(b))
		}
		p.put(way[0], first, filled(4, 2))
		p.take(way[1], first, filled(4, 2))
		for i, change := range []func(*transport.Header){
			func(h *transport.Header) { h.Kind = transport.Status },
			func(h *transport.Header) { h.Flags++ },
			func(h *transport.Header) { h.Epoch++ },
			func(h *transport.Header) { h.Comm++ },
			func(h *transport.Header) { h.Seq++ },
			func(h *transport.Header) { h.Step++ },
			func(h *transport.Header) { h.Length++ },
			func(h *transport.Header) { h.Fingerprint[0]++ },
			func(h *transport.Header) { h.Fingerprint[transport.FingerprintBytes-1]++ },
		} {
			sent := like(first, uint64(i), 4)
			p.post(way[0], sent, filled(4, uint64(i)))
			p.next(way[1]) // it is here
			other := *sent
			change(&other)
			if _, _, ok := to.Pick(&other); ok {
				t.Fatalf("Pick takes\n%+v, wants\n%+v", *sent, other)
			}
			p.take(way[1], sent, filled(4, uint64(i)))

			p.post(way[0], sent, filled(4, uint64(i)))
			if _, _, ok := to.Pick(&other); ok {
				t.Fatalf("Pick takes\n%+v, wants\n%+v", *sent, other)
			}
			p.pick(way[1], sent, filled(4, uint64(i)))
			for range 2 { // it is another than the last, and no other
				p.post(way[0], &other, filled(int(other.Length), 1))
				p.pick(way[1], &other, filled(int(other.Length), 1))
			}
		}
		long := like(first, 9, from.Inline()+1)
		p.put(way[0], long, filled(int(long.Length), 9))
		if _, _, ok := to.Pick(long); ok {
			t.Fatalf("Pick takes %d bytes", long.Length)
		}
		p.take(way[1], long, filled(int(long.Length), 9))
	}
}

// Post does not overtake what Send has not finished, nor count it as done.
func (s *suite) postBehind(t *testing.T) {
	p := s.pair(t)
	for _, way := range p.both() {
		from, _ := inliners(way)
		if from == nil {
			return
		}
		payload := filled(unfinished, 5)
		long := frame(5, unfinished)
		n := uint64(0)
		for p.offer(way[0], long, payload) {
			n++
		}
		if posted := from.Post(like(long, 6, 4), filled(4, 6)); posted {
			way[0].sent++
		}
		if done, err := from.Sent(); done >= n || err != nil { // nobody has read
			t.Fatalf("Sent counts %d frames of %d that the link has not room for: %v", done, n, err)
		}
		for range n {
			p.take(way[1], long, payload)
		}
		p.settle(way[0])
		if way[0].sent == n {
			p.post(way[0], like(long, 6, 4), filled(4, 6))
		}
		p.pick(way[1], like(long, 6, 4), filled(4, 6))
	}
}

// unfinished is a payload that a link takes before it has room for all of it.
const unfinished = 1 << 20

// Post takes nothing that there is no room for, or is longer than Inline, and loses nothing then.
func (s *suite) postFull(t *testing.T) {
	p := s.pair(t)
	for _, way := range p.both() {
		from, _ := inliners(way)
		if from == nil {
			return
		}
		first := frame(3, 0)
		p.put(way[0], first)
		p.take(way[1], first, nil)
		if n := from.Inline() + 1; from.Post(like(first, 1, n), make([]byte, n)) {
			t.Fatalf("Post takes %d bytes", n)
		}
		for _, size := range []int{0, 32, from.Inline()} {
			for range 2 {
				n := uint64(0)
				for from.Post(like(first, n, size), filled(size, n)) {
					if n++; n > unreadFramesMax {
						t.Fatalf("Post takes %d frames that nobody reads", n)
					}
				}
				way[0].sent += n
				for i := range n {
					p.pick(way[1], like(first, i, size), filled(size, i))
				}
				p.put(way[0], like(first, n, size), filled(size, n)) // Next makes room
				p.take(way[1], like(first, n, size), filled(size, n))
				if h, err := way[1].link.Next(); h != nil || err != nil {
					t.Fatalf("Next: %v, %v", h, err)
				}
			}
		}
	}
}

// What was posted before the end can be picked after it, and then neither does anything.
func (s *suite) postClosed(t *testing.T) {
	p := s.pair(t)
	from, to := inliners([2]*end{p.a, p.b})
	if from == nil {
		return
	}
	first := frame(4, 4)
	for _, way := range p.both() {
		p.put(way[0], first, filled(4, 4))
		p.take(way[1], first, filled(4, 4))
	}
	p.post(p.a, like(first, 1, 4), filled(4, 1))
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	if from.Post(like(first, 2, 4), filled(4, 2)) {
		t.Fatal("a closed link takes a frame")
	}
	if _, _, ok := from.Pick(like(first, 2, 4)); ok {
		t.Fatal("a closed link has a frame")
	}
	until(t, "Pick to find a frame", func() bool {
		b, _, ok := to.Pick(like(first, 1, 4))
		return ok && bytes.Equal(b, filled(4, 1))
	}, p.eps...)
	until(t, "Next to tell that the link is closed", func() bool {
		_, err := to.Next()
		return err != nil
	}, p.eps...)
	if _, _, ok := to.Pick(like(first, 2, 4)); ok || to.Post(like(first, 2, 4), filled(4, 2)) {
		t.Fatal("a link whose other end is closed has a frame, or takes one")
	}
}
