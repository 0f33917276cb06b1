//go:build linux

package shm

import (
	"log/slog"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// pair is the two ends of a link without endpoints, each with a mapping of its own.
type pair struct {
	turn    sync.Mutex
	regions [2]*regions
	ends    [2]*link
}

func newPair(t testing.TB, maxPayload int) *pair {
	t.Helper()
	fd, mem, err := createMemory(segmentBytes(streamMin))
	if err != nil {
		t.Fatal(err)
	}
	again, err := openMemory(fd, segmentBytes(streamMin), unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{}
	for i, m := range [][]byte{mem, again} {
		p.regions[i] = newRegions()
		p.ends[i] = newLink(fds[i], view(m, streamMin, i), link{
			turn: &p.turn, rank: i, peer: 1 - i, maxPayload: maxPayload, address: "a pair",
			regions: p.regions[i], log: slog.New(slog.DiscardHandler),
		})
	}
	t.Cleanup(func() {
		for _, l := range p.ends {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

// put sends a frame that must be taken.
func put(t testing.TB, l *link, h transport.Header, payload []byte) {
	t.Helper()
	h.Kind, h.Length = transport.Data, uint32(len(payload))
	if ok, err := l.Send(&h, [2][]byte{payload}); !ok || err != nil {
		t.Fatalf("Send of %d bytes: %v, %v", len(payload), ok, err)
	}
}

// get takes a frame that must be there.
func get(t testing.TB, l *link) (transport.Header, []byte) {
	t.Helper()
	h, err := l.Next()
	if h == nil || err != nil {
		t.Fatalf("Next: %v, %v", h, err)
	}
	head, payload := *h, make([]byte, h.Length)
	if n, err := l.Read(payload); n != len(payload) || err != nil {
		t.Fatalf("Read: %d of %d bytes, %v", n, len(payload), err)
	}
	return head, payload
}
