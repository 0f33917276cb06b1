package transporttest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/transport"
)

var trafficTests = []subtest{
	{"AllToAll", (*suite).allToAll},
	{"DirectionsAreIndependent", (*suite).independent},
	{"RandomOperationsOfOnePair", (*suite).model},
	{"RandomTrafficOfManyRanks", (*suite).random},
}

// mesh is one rank's ends of links with all others: it dialled those below it.
type mesh map[int]*end

func joinAll(eps []transport.Endpoint, rank int) (mesh, error) {
	e, m := eps[rank], mesh{}
	for peer := range rank {
		l, err := e.Dial(context.Background(), peer, eps[peer].Addresses())
		if err != nil {
			return nil, err
		}
		m[peer] = &end{endpoint: e, link: l}
	}
	for len(m) < len(eps)-1 {
		l := e.Accept()
		if l == nil {
			e.Wait(time.Time{})
			continue
		}
		if m[l.Peer()] != nil || l.Peer() <= rank {
			return nil, fmt.Errorf("rank %d accepted a link of rank %d", rank, l.Peer())
		}
		m[l.Peer()] = &end{endpoint: e, link: l}
	}
	return m, nil
}

// play runs a goroutine for every rank and joins their errors.
func play(t *testing.T, eps []transport.Endpoint, rank func(int) error) {
	t.Helper()
	errs := make([]error, len(eps))
	var all sync.WaitGroup
	for i := range eps {
		all.Go(func() {
			if errs[i] = rank(i); errs[i] != nil {
				errs[i] = fmt.Errorf("rank %d: %w", i, errs[i])
				_ = eps[i].Close() // ends the others, which wait for this one
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (s *suite) allToAll(t *testing.T) {
	const ranks, laps = 8, 10
	eps := s.open(t, ranks)
	play(t, eps, func(rank int) error {
		m, err := joinAll(eps, rank)
		if err != nil {
			return err
		}
		for lap := range uint64(laps) {
			for d := 1; d < ranks; d++ {
				to, from := (rank+d)%ranks, (rank+ranks-d)%ranks
				n := 1000 * d
				if err := m[to].send(frame(lap, n), filled(n, lap+uint64(rank))); err != nil {
					return err
				}
				got := make([]byte, n)
				if _, err := m[from].head(); err != nil {
					return err
				}
				if err := m[from].readFull(got); err != nil {
					return err
				}
				if err := compare(got, filled(n, lap+uint64(from))); err != nil {
					return err
				}
			}
			for _, e := range m {
				if err := e.flush(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// independent fills one direction and uses the other.
func (s *suite) independent(t *testing.T) {
	p := s.pair(t)
	payload := filled(100_000, 1)
	n := p.overfill(p.a, payload)
	for i := range uint64(100) {
		p.put(p.b, frame(i, 5000), payload[:5000])
		p.take(p.a, frame(i, 5000), payload[:5000])
	}
	for i := range n {
		p.take(p.b, frame(i, len(payload)), payload)
	}
	p.settle(p.a)
}

// model is what a pair should hold: for each direction the frames under way, and how far the head
// has been taken.
type model struct {
	p        *pair
	n        uint64
	memory   [2][]uint64 // seeds of the frames under way
	lengths  [2][]int
	buffers  [2][][]byte
	taken    [2]int
	reusable [2]uint64
}

// model drives a pair through random operations and compares with queues of seeds.
func (s *suite) model(t *testing.T) {
	p := s.pair(t)
	m := &model{p: p}
	rapid.Check(t, func(rt *rapid.T) {
		rt.Repeat(map[string]func(*rapid.T){
			"send":    m.send,
			"read":    m.read,
			"peek":    m.peek,
			"reclaim": m.reclaim,
			"sent":    m.checkSent,
		})
		m.drain(rt)
	})
}

func way(rt *rapid.T) int { return rapid.IntRange(0, 1).Draw(rt, "way") }

func (m *model) send(rt *rapid.T) {
	w := way(rt)
	n := rapid.SampledFrom([]int{0, 1, 9, 64, 300, 4096, 5001, 70_000}).Draw(rt, "length")
	split := rapid.IntRange(0, n).Draw(rt, "split")
	m.n++
	payload := filled(n, m.n)
	if m.p.offer(m.p.both()[w][0], frame(m.n, n), payload[:split], payload[split:]) {
		m.memory[w] = append(m.memory[w], m.n)
		m.lengths[w] = append(m.lengths[w], n)
		m.buffers[w] = append(m.buffers[w], payload)
	}
}

// head is the frame at the head of direction w, false when it has not come; what it returns was
// compared.
func (m *model) head(w int) bool {
	at := m.p.both()[w][1]
	for {
		h, err := at.link.Next()
		if err != nil {
			m.p.t.Fatal(err)
		}
		if h == nil {
			return false
		}
		if len(m.memory[w]) == 0 {
			m.p.t.Fatalf("a frame came that nobody sent: %+v", *h)
		}
		m.p.same(h, frame(m.memory[w][0], m.lengths[w][0]))
		if h.Length > 0 {
			return true
		}
		m.pop(w)
	}
}

func (m *model) pop(w int) {
	m.memory[w], m.lengths[w], m.taken[w] = m.memory[w][1:], m.lengths[w][1:], 0
}

func (m *model) advance(w, n int) {
	if m.taken[w] += n; m.taken[w] == m.lengths[w][0] {
		m.pop(w)
	}
}

func (m *model) read(rt *rapid.T) {
	w := way(rt)
	room := rapid.IntRange(0, 100_000).Draw(rt, "room")
	if !m.head(w) {
		return
	}
	dst := make([]byte, room)
	n, err := m.p.both()[w][1].link.Read(dst)
	if err != nil {
		m.p.t.Fatal(err)
	}
	m.p.equal(dst[:n], filled(m.lengths[w][0], m.memory[w][0])[m.taken[w]:m.taken[w]+n])
	m.advance(w, n)
}

func (m *model) peek(rt *rapid.T) {
	w := way(rt)
	part := rapid.Float64Range(0, 1).Draw(rt, "part")
	if !m.head(w) {
		return
	}
	at := m.p.both()[w][1]
	b := m.p.window(at, filled(m.lengths[w][0], m.memory[w][0]), m.taken[w])
	n := min(len(b), int(part*float64(len(b)+1)))
	at.link.Discard(n)
	m.advance(w, n)
}

// reclaim takes the memory back and overwrites it.
func (m *model) reclaim(rt *rapid.T) {
	w := way(rt)
	from := m.p.both()[w][0]
	from.link.Reclaim()
	if n, err := from.link.Sent(); n != from.sent || err != nil {
		m.p.t.Fatalf("after Reclaim Sent counts %d of %d, %v", n, from.sent, err)
	}
	m.checkSent(rt)
}

// checkSent overwrites the memory of all frames that are done.
func (m *model) checkSent(*rapid.T) {
	for w, way := range m.p.both() {
		n, err := way[0].link.Sent()
		if err != nil {
			m.p.t.Fatal(err)
		}
		if n < m.reusable[w] || n > way[0].sent {
			m.p.t.Fatalf("Sent counts %d after %d, of %d", n, m.reusable[w], way[0].sent)
		}
		for ; m.reusable[w] < n; m.reusable[w]++ {
			clear(m.buffers[w][0])
			m.buffers[w] = m.buffers[w][1:]
		}
	}
}

func (m *model) drain(rt *rapid.T) {
	for w := range 2 {
		m.p.until("all frames under way", func() bool {
			m.checkSent(rt)
			if len(m.memory[w]) == 0 {
				return true
			}
			if !m.head(w) {
				return false
			}
			dst := make([]byte, m.lengths[w][0])
			n, err := m.p.both()[w][1].link.Read(dst)
			if err != nil {
				m.p.t.Fatal(err)
			}
			m.p.equal(dst[:n], filled(m.lengths[w][0], m.memory[w][0])[m.taken[w]:m.taken[w]+n])
			m.advance(w, n)
			return len(m.memory[w]) == 0
		})
		m.p.settle(m.p.both()[w][0])
	}
}

// random lets five ranks send each other random frames at once, with checksums in the headers, and
// take them in random portions.
func (s *suite) random(t *testing.T) {
	const ranks, frames = 5, 150
	eps := s.open(t, ranks)
	play(t, eps, func(rank int) error {
		m, err := joinAll(eps, rank)
		if err != nil {
			return err
		}
		g := rand.New(rand.NewPCG(uint64(rank), 3))
		var work []*stream
		for peer, e := range m {
			work = append(work, &stream{
				end: e, out: rand.New(rand.NewPCG(uint64(rank), uint64(peer))), toSend: frames, toTake: frames,
			})
		}
		for busy := true; busy; {
			busy = false
			moved := false
			for _, w := range work {
				did, err := w.step(g)
				if err != nil {
					return err
				}
				moved = moved || did
				busy = busy || !w.done()
			}
			if busy && !moved {
				eps[rank].Wait(time.Time{})
			}
		}
		return nil
	})
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stream is one link's share of random traffic.
type stream struct {
	*end
	out            *rand.Rand
	pending        *transport.Header
	payload        []byte
	toSend, toTake int
	finished       bool
	crc            uint32
	taken          int
}

func (w *stream) done() bool { return w.toSend == 0 && w.toTake == 0 && w.finished }

// step sends and takes what is possible now and says whether anything moved.
func (w *stream) step(g *rand.Rand) (bool, error) {
	moved := false
	if w.toSend > 0 {
		if w.pending == nil {
			w.payload = filled(int(w.out.ExpFloat64()*6000), w.out.Uint64())
			w.pending = frame(w.out.Uint64(), len(w.payload))
			w.pending.Checksum = crc32.Checksum(w.payload, castagnoli)
			w.pending.Step = uint32(w.toSend)
		}
		split := w.out.IntN(len(w.payload) + 1)
		ok, err := w.link.Send(w.pending, [2][]byte{w.payload[:split], w.payload[split:]})
		if err != nil {
			return false, err
		}
		if ok {
			w.sent++
			w.toSend--
			w.pending, moved = nil, true
		}
	}
	n, err := w.link.Sent()
	if err != nil {
		return false, err
	}
	if done := w.toSend == 0 && n == w.sent; done && !w.finished {
		w.finished, moved = true, true
	}
	if w.toTake == 0 {
		return moved, nil
	}
	took, err := w.takeSome(g)
	return moved || took, err
}

func (w *stream) takeSome(g *rand.Rand) (bool, error) {
	h, err := w.link.Next()
	if h == nil || err != nil {
		return false, err
	}
	if h.Step != uint32(w.toTake) {
		return false, fmt.Errorf("frame %d came when %d was due", h.Step, w.toTake)
	}
	want, length := h.Checksum, int(h.Length)
	n := 0
	if g.IntN(2) == 0 {
		dst := make([]byte, 1+g.IntN(8000))
		if n, err = w.link.Read(dst); err != nil {
			return false, err
		}
		w.crc = crc32.Update(w.crc, castagnoli, dst[:n])
	} else {
		b, err := w.link.Peek()
		if err != nil {
			return false, err
		}
		n = min(len(b), 1+g.IntN(8000))
		w.crc = crc32.Update(w.crc, castagnoli, b[:n])
		w.link.Discard(n)
	}
	if w.taken += n; w.taken < length {
		return n > 0, nil
	}
	if w.crc != want {
		return false, fmt.Errorf("the checksum of %d bytes is %#x, want %#x", length, w.crc, want)
	}
	w.crc, w.taken = 0, 0
	w.toTake--
	return true, nil
}
