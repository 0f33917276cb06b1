package collective

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/shm"
)

// mirror is a peer that does what this rank does, at once: every frame comes back as its own. What
// a call costs then is what the engine costs, beside the wire and the wait.
type mirror struct {
	peer    int
	header  transport.Header
	payload [64]byte
	data    []byte
	here    bool
	sent    uint64
	silent  bool                    // nothing comes back
	edit    func(*transport.Header) // what happens to a frame on its way
}

func (m *mirror) Addresses() []byte                                         { return nil }
func (m *mirror) Dial(context.Context, int, []byte) (transport.Link, error) { return m, nil }
func (m *mirror) Accept() transport.Link                                    { return nil }
func (m *mirror) Wait(time.Time)                                            {}
func (m *mirror) Wake()                                                     {}
func (m *mirror) Close() error                                              { return nil }
func (m *mirror) Peer() int                                                 { return m.peer }
func (m *mirror) String() string                                            { return "mirror" }
func (m *mirror) Sent() (uint64, error)                                     { return m.sent, nil }
func (m *mirror) Reclaim()                                                  {}

func (m *mirror) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	m.header = *h
	if m.edit != nil {
		m.edit(&m.header)
	}
	m.data = m.payload[:copy(m.payload[:], pieces[0])]
	m.here = !m.silent
	m.sent++
	return true, nil
}

func (m *mirror) Next() (*transport.Header, error) {
	if !m.here {
		return nil, nil
	}
	m.here = len(m.data) > 0
	return &m.header, nil
}

func (m *mirror) Read(dst []byte) (int, error) {
	n := copy(dst, m.data)
	m.Discard(n)
	return n, nil
}

func (m *mirror) Peek() ([]byte, error) { return m.data, nil }

func (m *mirror) Discard(n int) {
	m.data = m.data[n:]
	m.here = len(m.data) > 0
}

// mirrored is rank 1 of two, whose peer is a mirror.
func mirrored(t testing.TB, m transport.Endpoint) *Comm {
	cfg, err := newConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(world{rank: 1, members: []rendezvous.Member{{}, {}}, ep: m, config: cfg, driver: "shm"})
}

// BenchmarkCall is a call of a few bytes without wire and wait.
func BenchmarkCall(b *testing.B) {
	c, ctx := mirrored(b, &mirror{}), context.Background()
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprint("AllReduce/", 4*n), func(b *testing.B) {
			buf := make([]float32, n)
			for b.Loop() {
				if err := AllReduce(ctx, c, buf, tensor.Sum); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Barrier", func(b *testing.B) {
		for b.Loop() {
			if err := Barrier(ctx, c); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEnds is a broadcast of a few bytes by shared memory that one goroutine makes for both of its
// ranks, one after the other: what it costs the two without waiting, and without another processor.
func BenchmarkEnds(b *testing.B) {
	if !hasDriver("shm") {
		b.Skip("no shared memory")
	}
	comms, err := Local(b.Context(), 2, WithDriver(shm.New()))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := closeAll(comms); err != nil {
			b.Error(err)
		}
	}()
	ctx, buf := b.Context(), [2][]float32{make([]float32, 1), make([]float32, 1)}
	both := func() {
		for r, c := range comms {
			if err := Broadcast(ctx, c, buf[r], 0); err != nil {
				b.Fatal(err)
			}
		}
	}
	both() // opens the link
	for b.Loop() {
		both()
	}
}
