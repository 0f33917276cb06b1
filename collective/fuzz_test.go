package collective

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
)

// FuzzRecord feeds anything to the reader of abort records.
func FuzzRecord(f *testing.F) {
	r := record{
		cause: causeMismatch, culprit: 1, witness: 3, time: time.Unix(12, 34), seqA: 5, seqB: 6,
		host: "here", link: "a link", text: "a reason",
	}
	f.Add(r.encode(), 4)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		r, err := decodeRecord(b, size)
		if err != nil {
			return
		}
		if r.culprit < 0 || r.culprit >= size || r.witness < 0 || r.witness >= size {
			t.Errorf("ranks %d and %d of %d", r.culprit, r.witness, size)
		}
		if again := r.encode(); !bytes.Equal(again, b) {
			t.Errorf("read and written again (-first +again):\n%s", cmp.Diff(b, again))
		}
		if !typed(r.error()) || r.error().Error() == "" {
			t.Errorf("a record makes %v", r.error())
		}
	})
}

// FuzzDescribe feeds anything to the reader of fingerprints.
func FuzzDescribe(f *testing.F) {
	r := request{coll: schedule.Reduce, typ: tensor.F16, op: tensor.Max, root: 3, count: 1000}
	fp := r.fingerprint(1, 4096, 0)
	f.Add(uint64(7), fp[:], fp[:])
	f.Fuzz(func(t *testing.T, seq uint64, a, b []byte) {
		var x, y transport.Fingerprint
		copy(x[:], a)
		copy(y[:], b)
		c, d := describe(seq, x), describe(seq, y)
		if c.String() == "" || c.difference(c) != "" {
			t.Errorf("%v differs from itself: %q", c, c.difference(c))
		}
		if c != d && c.difference(d) == "" {
			t.Errorf("%#v and %#v: no difference", c, d)
		}
	})
}

// typed reports whether an error is one that a call may return.
func typed(err error) bool {
	for _, target := range []any{
		new(*MismatchError), new(*RankFailedError), new(*AbortedError), new(*CancelledError),
		new(*ArgumentError),
	} {
		if errors.As(err, target) {
			return true
		}
	}
	return errors.Is(err, ErrClosed)
}

// FuzzEngine gives a rank peers that send anything. Whatever they do, its calls end, with a
// result or a typed error, and what it holds of their frames is bounded.
func FuzzEngine(f *testing.F) {
	for call := range byte(16) {
		f.Add([]byte{call, 1, 0, 1, 0, 2, 100, 0, 0, 255, 100, 1, 0, 255, 100, 0, 0, 255, 100, 1, 0, 255})
		f.Add([]byte{call, 0, 0, 1, 100, 0, 0, 255, 100, 0, 3, 9, 255, 16, 0, 100, 0, 0, 255})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 600 {
			return // more of the same
		}
		watch := time.AfterFunc(hang, func() { panic("the engine hangs") }) // so that the input is kept
		defer watch.Stop()
		// Time that passes at once: Close waits for peers that never say they know.
		synctest.Test(t, func(t *testing.T) {
			if err := fuzzEngine(data); err != nil {
				t.Error(err)
			}
		})
	})
}

func fuzzEngine(data []byte) error {
	s := &script{data: data}
	which, size := int(s.byte()), 2+int(s.byte())%3
	rank := int(s.byte()) % size
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ep := &fakeEndpoint{script: s, size: size, atEnd: cancel}
	members := make([]rendezvous.Member, size)
	cfg, err := newConfig([]Option{WithChunkBytes(4096)})
	if err != nil {
		return err
	}
	c := newWorld(world{rank: rank, members: members, ep: ep, driver: "inproc", config: cfg})
	ep.frame = func(e *fakeEndpoint, peer int) (transport.Header, []byte) {
		return fuzzFrame(c, e, peer)
	}
	for i := range 3 {
		err := fuzzCall(ctx, c, which+i)
		if err != nil && !typed(err) {
			return fmt.Errorf("call %d: %T: %w", i, err, err)
		}
		if err := boundedMemory(c); err != nil {
			return err
		}
		if n := channels(c); n > size*(maxStrangers+4) {
			return fmt.Errorf("%d channels for %d ranks", n, size)
		}
	}
	if err := c.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := Barrier(ctx, c); !errors.Is(err, ErrClosed) {
		return fmt.Errorf("after Close: %w", err)
	}
	return nil
}

func channels(c *Comm) (n int) {
	c.e.enter()
	defer c.e.mu.Unlock()
	for _, p := range c.e.peers {
		if p != nil {
			n += len(p.channels)
		}
	}
	return n
}

// fuzzCall makes one of some calls.
func fuzzCall(ctx context.Context, c *Comm, which int) error {
	other := (c.Rank() + 1) % c.Size()
	switch which % 8 {
	case 0:
		return Barrier(ctx, c)
	case 1:
		return AllReduce(ctx, c, make([]int64, 3000), tensor.Sum)
	case 2:
		return Broadcast(ctx, c, make([]uint8, 10_000), other)
	case 3:
		return Recv(ctx, c, make([]float32, 500), other)
	case 4:
		return errors.Join(SendAsync(ctx, c, make([]float32, 500), other).Wait())
	case 5:
		return AllGather(ctx, c, make([]int8, 900*c.Size()), make([]int8, 900))
	case 6:
		_, err := c.Split(ctx, 0, 0)
		return err
	}
	counts := make([]int, c.Size())
	return AllToAllV(ctx, c, []int32{}, counts, []int32{}, counts)
}

// fuzzFrame makes a frame out of the script: the one that the rank expects next of the peer, or one
// that differs from it in as many fields as the script wants.
func fuzzFrame(c *Comm, s *fakeEndpoint, peer int) (transport.Header, []byte) {
	h := transport.Header{Kind: transport.Data}
	if call := c.e.currentCall(c); call != nil {
		h.Seq, h.Fingerprint = call.seq, *call.entry.fingerprint
		for i := range call.links {
			cl := &call.links[i]
			if cl.peer.rank == peer && cl.recvAt < len(cl.link.Recvs) {
				h.Step, h.Length = uint32(cl.recvAt), uint32(call.plan.Ops[cl.link.Recvs[cl.recvAt]].Dst.Len())
			}
			if cl.ch.id.p2p {
				h.Flags |= transport.PointToPoint
			}
		}
	}
	change := s.byte()
	if change&1 != 0 {
		h.Kind = transport.Kind(1 + s.byte()%5)
	}
	if change&2 != 0 {
		h.Seq += uint64(int64(int8(s.byte())))
	}
	if change&4 != 0 {
		h.Step = uint32(s.byte())
	}
	if change&8 != 0 {
		h.Length = uint32(s.byte()) << (s.byte() % 12)
	}
	if change&16 != 0 {
		h.Comm, h.Epoch = uint32(s.byte()), uint32(s.byte()%2)
	}
	if change&32 != 0 {
		h.Fingerprint[s.byte()%transport.FingerprintBytes] ^= s.byte()
	}
	if change&64 != 0 {
		h.Credit = uint32(int32(int8(s.byte()))) << (s.byte() % 25)
	}
	if change&128 != 0 {
		h.Flags ^= transport.Flags(s.byte())
	}
	if h.Kind != transport.Data { // drivers see to this
		h.Length = min(h.Length, transport.MaxControl)
	}
	payload := make([]byte, h.Length)
	if h.Kind == transport.Abort && change&8 == 0 {
		r := record{cause: cause(s.byte() % 5), culprit: int(int8(s.byte())), witness: int(s.byte() % 5)}
		payload = r.encode()
		h.Length = uint32(len(payload))
	}
	for i := range min(len(payload), 8) {
		payload[i] ^= s.byte()
	}
	return h, payload
}
