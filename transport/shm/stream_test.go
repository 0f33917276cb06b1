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
