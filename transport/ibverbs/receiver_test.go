package ibverbs

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

// emptyReceiver is a receiver with a ring of its own, which the test writes.
func emptyReceiver() *receiver {
	r := newReceiver(make([]byte, ringOf(ringMin, depthMin)), ringMin, depthMin, 1<<20)
	return &r
}

// write puts a frame where the ring is filled up to, as a sender would, and says so in one message.
func write(r *receiver, length int, seed byte) {
	off := r.filled & (r.size - 1)
	h := transport.Header{Kind: transport.Data, Length: uint32(length)}
	h.Encode(r.ring[off:])
	for i := range length {
		at := off + lineBytes + uint64(i)
		if length > smallBytes { // what is larger is cut where the ring ends
			at &= r.size - 1
		}
		r.ring[at] = seed + byte(i)
	}
	r.arrive(uint32(aligned(uint64(lineBytes + length))))
}

// told tells what is due, as a link would.
func tellAll(r *receiver) {
	if messages, lines, due := r.due(); due {
		r.told(messages, lines)
	}
}

func TestFramesGoRoundTheRing(t *testing.T) {
	r := emptyReceiver()
	for i, length := 0, 0; i < 2000; i, length = i+1, (length+997)%(ringMin/2) {
		write(r, length, byte(i))
		h, err := r.next()
		if err != nil || h == nil || int(h.Length) != length {
			t.Fatalf("frame %d of %d bytes: %v, %v", i, length, h, err)
		}
		got := make([]byte, length)
		if n := r.read(got); n != length {
			t.Fatalf("frame %d: %d of %d bytes", i, n, length)
		}
		for k, b := range got {
			if b != byte(i)+byte(k) {
				t.Fatalf("frame %d of %d bytes: byte %d is %d", i, length, k, b)
			}
		}
		if h, err := r.next(); h != nil || err != nil {
			t.Fatalf("after frame %d: %v, %v", i, h, err)
		}
		tellAll(r)
	}
}

// TestRoomIsToldInTime: a sender that keeps to what it was told never waits for more than is there.
func TestRoomIsToldInTime(t *testing.T) {
	r := emptyReceiver()
	tells, messages := 0, uint64(0)
	for range 10 * depthMin {
		write(r, 0, 0)
		r.came++
		messages++
		if messages > r.depth {
			t.Fatal("the sender has used all it may, and was told nothing")
		}
		if _, err := r.next(); err != nil {
			t.Fatal(err)
		}
		if n, lines, due := r.due(); due {
			r.told(n, lines)
			tells++
			messages -= n
		}
	}
	if tells != 40 {
		t.Errorf("%d messages about room for %d frames that a quarter of %d may be told of at once",
			tells, 10*depthMin, depthMin)
	}
}

func TestPackTell(t *testing.T) {
	for _, c := range [][2]uint64{{0, 0}, {1, 2}, {depthMax, ringMax / lineBytes}} {
		n := packTell(c[0], c[1])
		messages, lines := unpackTell(n)
		if n&tellBit == 0 || n == goodbye || messages != c[0] || lines != c[1] {
			t.Errorf("%v is %#x and comes back as %d, %d", c, n, messages, lines)
		}
	}
}

// FuzzRing has the other end write what it likes, say so by any immediates, and this end take what
// comes: it must neither fail to end nor reach beyond its memory.
func FuzzRing(f *testing.F) {
	good := emptyReceiver()
	write(good, 100, 1)
	f.Add(append([]byte{0, 192, 0, 0, 0}, good.ring[:192]...))
	f.Add([]byte{0, 64, 0, 0, 0, 1, 2, 3})
	direct, _ := expected(1)
	direct.Encode(good.ring)
	f.Add(append([]byte{4, 1, 0, 0, 0, 0, 64, 0, 16, 0}, good.ring[:lineBytes]...))
	two := []byte{4, 1, 0, 0, 0, 4, 2, 0, 0, 0, 0, 64, 0, 16, 0} // the second one has no header
	f.Add(append(append(two, good.ring[:lineBytes]...), 1, 136, 19, 0, 0, 0, 0, 0, 32, 0))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, s := emptyReceiver(), &soil{}
		dst := make([]byte, 5000)
		for len(text) > 5 {
			what, n := text[0], binary.LittleEndian.Uint32(text[1:])
			text = text[5:]
			switch what % 5 {
			case 0:
				off := r.filled & (r.size - 1)
				k := copy(r.ring[off:], text[:min(len(text), 192)])
				text = text[k:]
				r.arrive(n)
			case 1:
				r.read(dst[:n%5000])
			case 2:
				if b := r.window(); len(b) > 0 {
					r.take(int(n) % (len(b) + 1))
				}
			case 3:
				copy(r.ring[n%uint32(len(r.ring)):], text[:min(len(text), 8)])
			case 4:
				h, memory := expected(uint64(n))
				expect(r, h, memory, s, r.destinations.told, r.destinations.told)
			}
			_, err := r.next()
			if _, err2 := r.next(); err != nil && err2 == nil {
				t.Fatalf("the error %v has gone", err)
			}
			if r.left < 0 || r.at > r.filled || r.filled-r.toldAt > r.size {
				t.Fatalf("%d bytes left, taken to %d, filled to %d, told %d", r.left, r.at, r.filled,
					r.toldAt)
			}
			tellAll(r)
		}
		r.destinations.clear()
		if uint64(s.released) != r.destinations.told {
			t.Fatalf("%d destinations are released of %d", s.released, r.destinations.told)
		}
	})
}

func TestFrameErrors(t *testing.T) {
	for name, spoil := range map[string]func(*receiver){
		"no bytes":         func(r *receiver) { r.arrive(0) },
		"a part of a line": func(r *receiver) { r.arrive(100) },
		"more than room":   func(r *receiver) { r.arrive(ringMin + 64) },
		"no destination":   func(r *receiver) { r.arrive(3<<placeShift | 64) },
		"no header":        func(r *receiver) { r.arrive(64) },
		"a payload within a frame": func(r *receiver) {
			h, dst := expected(1)
			place := expect(r, h, dst, &soil{}, 0, 1)
			write(r, 100, 0)
			r.filled -= lineBytes
			bare(r, place)
			r.filled += lineBytes
			if _, err := r.next(); err != nil {
				return
			}
			r.take(100)
		},
		"a cut frame": func(r *receiver) {
			write(r, 1000, 0)
			r.filled -= 64
		},
	} {
		r := emptyReceiver()
		spoil(r)
		if h, err := r.next(); h != nil || err == nil {
			t.Errorf("%s: %v, %v", name, h, err)
		}
		if !bytes.Equal(r.window(), nil) {
			t.Errorf("%s: there is a window", name)
		}
	}
}

// TestFresh: what has come and was not asked for is fresh, once.
func TestFresh(t *testing.T) {
	r := emptyReceiver()
	ask := func(want bool, what string) {
		t.Helper()
		if r.fresh() != want {
			t.Errorf("%s: fresh is %v", what, !want)
		}
	}
	ask(false, "nothing has come")
	write(r, 100, 0)
	ask(true, "a frame has come")
	if _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	ask(false, "it was shown")
	write(r, 100, 0)
	ask(false, "one more is behind it")
	r.take(100)
	ask(true, "that has become the head")
	// A part of a long frame.
	r = emptyReceiver()
	h := transport.Header{Kind: transport.Data, Length: 10_000}
	h.Encode(r.ring)
	r.arrive(4096)
	if _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	r.take(len(r.window()))
	ask(false, "what has come is taken")
	if !r.waits() {
		t.Error("the rest is not waited for")
	}
	r.arrive(4096)
	ask(true, "more of it has come")
	if r.waits() {
		t.Error("it is waited for, and it is there")
	}
	r.reported = true
	ask(false, "the link has failed, and its caller knows")
}
