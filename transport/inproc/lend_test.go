package inproc

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/tutti-ml/tutti/transport"
)

func data(seq uint64, n int) *transport.Header {
	return &transport.Header{Kind: transport.Data, Seq: seq, Length: uint32(n)}
}

func offer(t testing.TB, l transport.Link, h *transport.Header, pieces ...[]byte) {
	t.Helper()
	var two [2][]byte
	copy(two[:], pieces)
	if ok, err := l.Send(h, two); !ok || err != nil {
		t.Fatalf("Send: %v, %v", ok, err)
	}
}

func head(t testing.TB, l transport.Link) *transport.Header {
	t.Helper()
	h, err := l.Next()
	if h == nil || err != nil {
		t.Fatalf("Next: %v, %v", h, err)
	}
	return h
}

func peek(t testing.TB, l transport.Link) []byte {
	t.Helper()
	b, err := l.Peek()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func done(t testing.TB, l transport.Link, want uint64) {
	t.Helper()
	if n, err := l.Sent(); n != want || err != nil {
		t.Fatalf("Sent counts %d, %v; want %d", n, err, want)
	}
}

// Peek of a large payload shows the sender's own memory, piece for piece, and the lend ends when
// the last byte is taken.
func TestPeekShowsTheSendersMemory(t *testing.T) {
	l := openLine(t, NewNetwork(Options{}), 2)
	memory := make([]byte, 100_000)
	offer(t, l.a, data(1, len(memory)), memory[:40_000], memory[40_000:])
	head(t, l.b)
	for _, piece := range [][]byte{memory[:40_000], memory[40_000:]} {
		b := peek(t, l.b)
		if unsafe.SliceData(b) != unsafe.SliceData(piece) || len(b) != len(piece) || cap(b) != len(b) {
			t.Errorf("Peek shows %d bytes, capacity %d, at %p; the piece is %d at %p",
				len(b), cap(b), unsafe.SliceData(b), len(piece), unsafe.SliceData(piece))
		}
		done(t, l.a, 0)
		l.b.Discard(len(b))
	}
	done(t, l.a, 1)
}

// A small payload is the sender's again at once.
func TestSmallPayloadsAreCopied(t *testing.T) {
	l := openLine(t, NewNetwork(Options{}), 2)
	memory := bytes.Repeat([]byte{1}, eagerBytes)
	sent := uint64(0)
	for n := 1; n <= eagerBytes; n *= 2 {
		offer(t, l.a, data(sent, n), memory[:n])
		sent++
		done(t, l.a, sent)
	}
	clear(memory)
	for n := 1; n <= eagerBytes; n *= 2 {
		head(t, l.b)
		if b := peek(t, l.b); !bytes.Equal(b, bytes.Repeat([]byte{1}, n)) {
			t.Fatalf("payload of %d bytes: %v", n, b)
		}
		l.b.Discard(n)
	}
}

// Reclaim waits for one who looks at the memory, and for nothing else.
func TestReclaimWaitsForPeek(t *testing.T) {
	for name, leave := range map[string]func(*line){
		"Discard": func(l *line) { l.b.Discard(1000) },
		"Next":    func(l *line) { head(l.t, l.b) },
		"Read":    func(l *line) { mustRead(l.t, l.b, 10) },
		"Wait": func(l *line) {
			for end := time.Now().Add(time.Hour); time.Now().Before(end); {
				l.eps[1].Wait(end) // the first returns at once: a peer had come
			}
		},
		"Reclaim":   func(l *line) { l.b.Reclaim() },
		"link":      func(l *line) { mustClose(l.t, l.b.Close) },
		"endpoint":  func(l *line) { mustClose(l.t, l.eps[1].Close) },
		"Peek":      func(l *line) { peek(l.t, l.b) },
		"lastBytes": func(l *line) { l.b.Discard(50_000) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := openLine(t, NewNetwork(Options{}), 2)
				memory := bytes.Repeat([]byte{7}, 50_000)
				offer(t, l.a, data(1, len(memory)), memory)
				head(t, l.b)
				seen := peek(t, l.b)
				free := false
				go func() {
					l.a.Reclaim()
					clear(memory)
					free = true
				}()
				synctest.Wait()
				if free {
					t.Fatal("Reclaim did not wait")
				}
				if !bytes.Equal(seen, bytes.Repeat([]byte{7}, 50_000)) {
					t.Fatal("the memory has changed under Peek")
				}
				leave(l)
				synctest.Wait()
				if !free {
					t.Fatal("Reclaim still waits")
				}
			})
		})
	}
}

func mustRead(t testing.TB, l transport.Link, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if k, err := l.Read(b); k != n || err != nil {
		t.Fatalf("Read: %d, %v", k, err)
	}
	return b
}

func mustClose(t testing.TB, closing func() error) {
	t.Helper()
	if err := closing(); err != nil {
		t.Fatal(err)
	}
}

// Close does not wait for the other end, which goes on with a copy.
func TestCloseDoesNotWaitForPeek(t *testing.T) {
	l := openLine(t, NewNetwork(Options{}), 2)
	memory := bytes.Repeat([]byte{7}, 50_000)
	offer(t, l.a, data(1, len(memory)), memory)
	head(t, l.b)
	peek(t, l.b)
	mustClose(t, l.a.Close)
	l.b.Discard(8)
	clear(memory)
	if got := mustRead(t, l.b, 49_992); !bytes.Equal(got, bytes.Repeat([]byte{7}, 49_992)) {
		t.Error("the rest has changed")
	}
}

// Many frames go by while the sender reclaims and overwrites its memory whenever it likes.
func TestReclaimRacesWithTheReceiver(t *testing.T) {
	l := openLine(t, NewNetwork(Options{}), 2)
	const frames = 1500
	var both sync.WaitGroup
	both.Go(func() {
		g := rand.New(rand.NewPCG(1, 1))
		memory := make([]byte, 30_000)
		for i := range uint64(frames) {
			n := g.IntN(len(memory) + 1)
			for k := range memory[:n] {
				memory[k] = byte(i)
			}
			split := g.IntN(n + 1)
			for {
				ok, err := l.a.Send(data(i, n), [2][]byte{memory[:split], memory[split:n]})
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					break
				}
				l.eps[0].Wait(time.Time{})
			}
			if g.IntN(4) == 0 {
				runtime.Gosched()
			}
			l.a.Reclaim()
		}
	})
	both.Go(func() {
		g := rand.New(rand.NewPCG(2, 2))
		for i := uint64(0); i < frames; {
			h, err := l.b.Next()
			if err != nil {
				t.Error(err)
				return
			}
			if h == nil {
				l.eps[1].Wait(time.Time{})
				continue
			}
			takeAll(t, l.b, g, int(h.Length), byte(i))
			if i++; t.Failed() {
				return
			}
		}
	})
	both.Wait()
}

// takeAll takes a payload that is all of one byte, by Read and Peek as chance has it.
func takeAll(t *testing.T, l transport.Link, g *rand.Rand, length int, want byte) {
	for n := 0; n < length; {
		var b []byte
		peeked := g.IntN(2) == 0
		if peeked {
			b = peek(t, l)
			b = b[:min(len(b), 1+g.IntN(9000))]
			if g.IntN(4) == 0 {
				runtime.Gosched()
			}
		} else {
			b = make([]byte, 1+g.IntN(9000))
			k, err := l.Read(b)
			if err != nil {
				t.Error(err)
			}
			b = b[:k]
		}
		for _, c := range b {
			if c != want {
				t.Errorf("byte %d where %d was sent", c, want)
				return
			}
		}
		if peeked {
			l.Discard(len(b))
		}
		n += len(b)
	}
}
