package ibverbs

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

// soil is memory that the test writes in the place of a device.
type soil struct {
	released int
	moved    []byte // what was written, when that is not at the destination
}

func (s *soil) written(b []byte) ([]byte, error) {
	if s.moved != nil {
		return s.moved, nil
	}
	return b, nil
}

func (s *soil) release([]byte) { s.released++ }

// expected is the header of a frame that a test expects, and memory for its payload.
func expected(seq uint64) (*transport.Header, []byte) {
	h := &transport.Header{Kind: transport.Data, Comm: 7, Seq: seq, Length: lendMin}
	return h, make([]byte, lendMin)
}

// expect notes a destination as Expect does, and returns the place, -1 when there is none.
func expect(r *receiver, h *transport.Header, dst []byte, of ground, heard, message uint64) int {
	place := r.destinations.next(heard)
	if place >= 0 {
		r.destinations.put(h, dst, of)
		r.destinations.tell(place, 1, message)
	}
	return place
}

// placed has a frame come whose payload is at a place.
func placed(r *receiver, h *transport.Header, place int) {
	h.Encode(r.ring[r.filled&(r.size-1):])
	r.arrive(uint32(place+1)<<placeShift | lineBytes)
}

func TestPayloadAtItsDestination(t *testing.T) {
	for _, moved := range []bool{false, true} {
		r, s := emptyReceiver(), &soil{}
		h, dst := expected(1)
		place := expect(r, h, dst, s, 0, 1)
		copy(dst, "what the device has written")
		want := bytes.Clone(dst)
		if moved {
			s.moved = bytes.Clone(dst)
			clear(dst)
		}
		came := *h
		came.Credit, came.Checksum, came.Flags = 4, 5, transport.Checksummed
		write(r, 100, 0) // another frame comes first, and one behind it
		placed(r, &came, place)
		write(r, 100, 0)
		for i, length := range []int{100, lendMin, 100} {
			h, err := r.next()
			if err != nil || h == nil || int(h.Length) != length {
				t.Fatalf("frame %d: %v, %v", i, h, err)
			}
			got := make([]byte, length)
			if length == lendMin {
				if h.Credit != 4 {
					t.Errorf("a credit of %d has come, want 4", h.Credit)
				}
				if b := r.window(); !bytes.Equal(b, want) {
					t.Error("the window shows something else")
				}
				got = dst
			}
			if n := r.read(got); n != length {
				t.Fatalf("frame %d: %d of %d bytes", i, n, length)
			}
		}
		if !bytes.Equal(dst, want) {
			t.Error("the payload is not where it should be")
		}
		if found := r.placed == lendMin; found == moved {
			t.Errorf("moved %v: %d bytes were found in place", moved, r.placed)
		}
		if s.released != 1 || r.destinations.taken != 0 {
			t.Errorf("released %d times, %d places are taken", s.released, r.destinations.taken)
		}
	}
}

// bare has a frame come whose payload is at a place, and that has no header.
func bare(r *receiver, place int) { r.arrive(uint32(place+1) << placeShift) }

// TestFramesWithoutHeaders: their headers are those that were expected, with the credit of the
// frame before, and they come in their order among others.
func TestFramesWithoutHeaders(t *testing.T) {
	r, s := emptyReceiver(), &soil{}
	var memory [5][]byte
	for i := range memory {
		var h *transport.Header
		h, memory[i] = expected(uint64(i))
		expect(r, h, memory[i], s, 0, uint64(i+1))
	}
	first, _ := expected(0)
	first.Credit, first.Flags, first.Checksum = 4, transport.Checksummed, 99
	placed(r, first, 0)
	bare(r, 1)
	bare(r, 2)
	more, _ := expected(3)
	more.Credit = 9
	placed(r, more, 3)
	bare(r, 4)
	for i, credit := range []uint32{4, 4, 4, 9, 9} {
		if !r.fresh() {
			t.Errorf("frame %d is not fresh", i)
		}
		want, _ := expected(uint64(i))
		if want.Credit = credit; i == 0 {
			want = first
		}
		if h, err := r.next(); err != nil || h == nil || *h != *want {
			t.Fatalf("frame %d: %+v, %v, want %+v", i, h, err, want)
		}
		if r.read(memory[i]) != lendMin {
			t.Fatalf("frame %d is not whole", i)
		}
	}
	if h, err := r.next(); h != nil || err != nil || r.fresh() {
		t.Errorf("behind them: %v, %v", h, err)
	}
	if s.released != 5 || r.placed != 5*lendMin || r.at != 2*lineBytes {
		t.Errorf("%d released, %d bytes in place, %d of the ring", s.released, r.placed, r.at)
	}
}

// TestPlacesComeBack: a place is used again when the frame has come, or the other end has heard
// that the destination is withdrawn, and when it has read what it was told.
func TestPlacesComeBack(t *testing.T) {
	r, s := emptyReceiver(), &soil{}
	all := places(depthMin)
	for i := range all {
		h, dst := expected(uint64(i))
		if place := expect(r, h, dst, s, 0, uint64(i+1)); place != i {
			t.Fatalf("place %d, want %d", place, i)
		}
	}
	if place := r.destinations.next(uint64(all)); place != -1 {
		t.Fatalf("all places are taken, and there is %d", place)
	}
	h, dst := expected(0)
	placed(r, h, 0)
	if _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	r.read(dst)
	if place := r.destinations.next(0); place != -1 {
		t.Fatalf("the other end may have yet to read of place %d", place)
	}
	expect(r, h, dst, s, 1, 100)
	// The next one: its frame comes through the ring.
	h, _ = expected(1)
	r.destinations.bypassed(h)
	if place := expect(r, h, dst, s, 2, 101); place != 1 {
		t.Fatalf("place %d, want 1", place)
	}
	// The one after that is withdrawn.
	p := &r.destinations.places[2]
	r.destinations.withdraw(p)
	if place := r.destinations.next(102); place != -1 {
		t.Fatalf("the other end was not told about place %d", place)
	}
	r.destinations.said(p, 102)
	if place := r.destinations.next(101); place != -1 {
		t.Fatalf("the other end may still write to place %d", place)
	}
	if place := r.destinations.next(102); place != 2 {
		t.Fatalf("place %d, want 2", place)
	}
	r.destinations.clear()
	if want := all + 2; s.released != want || r.destinations.taken != 0 || r.destinations.unsaid != 0 {
		t.Errorf("released %d times, want %d; %d are taken, %d unsaid", s.released, want,
			r.destinations.taken, r.destinations.unsaid)
	}
}

// TestBoardIsReadInTime: the other end hears before all of its places are used, however few
// messages these take.
func TestBoardIsReadInTime(t *testing.T) {
	r := emptyReceiver()
	all := places(depthMin)
	r.came, r.placesRead = 1, uint64(all/4-1)
	if _, _, due := r.due(); due {
		t.Error("less than a quarter is due")
	}
	r.placesRead++
	messages, lines, due := r.due()
	if !due || messages != 1 || lines != 0 {
		t.Fatalf("due %v: %d messages, %d lines", due, messages, lines)
	}
	r.told(messages, lines)
	if _, _, due := r.due(); due {
		t.Error("it is due twice")
	}
}

// TestWithdrawnInVain: the other end had written before it heard.
func TestWithdrawnInVain(t *testing.T) {
	r, s := emptyReceiver(), &soil{}
	h, dst := expected(1)
	place := expect(r, h, dst, s, 0, 1)
	p := &r.destinations.places[place]
	r.destinations.withdraw(p)
	r.destinations.said(p, 2)
	s.moved = bytes.Repeat([]byte("x"), lendMin)
	placed(r, h, place)
	r.destinations.next(2) // the other end says that it has heard, behind that
	if got, err := r.next(); got == nil || err != nil {
		t.Fatalf("%v, %v", got, err)
	}
	if r.read(dst) != lendMin || !bytes.Equal(dst, s.moved) {
		t.Error("the payload has not come")
	}
}

// TestWrongDestination: what the other end says of destinations is checked.
func TestWrongDestination(t *testing.T) {
	for name, spoil := range map[string]func(r *receiver, h *transport.Header){
		"a place that does not exist": func(r *receiver, h *transport.Header) { placed(r, h, 99) },
		"a free place":                func(r *receiver, h *transport.Header) { placed(r, h, 1) },
		"twice": func(r *receiver, h *transport.Header) {
			placed(r, h, 0)
			if _, err := r.next(); err != nil {
				return
			}
			r.take(lendMin)
			placed(r, h, 0)
		},
		"another frame": func(r *receiver, h *transport.Header) {
			h.Step++
			placed(r, h, 0)
		},
		"a longer frame": func(r *receiver, h *transport.Header) {
			h.Length++
			placed(r, h, 0)
		},
		"no header, and none before": func(r *receiver, _ *transport.Header) { bare(r, 0) },
		"no header, and another communicator before": func(r *receiver, _ *transport.Header) {
			write(r, 0, 0)
			if _, err := r.next(); err != nil {
				return
			}
			bare(r, 0)
		},
		"no header, and a place that is free": func(r *receiver, _ *transport.Header) { bare(r, 1) },
		"more than a header": func(r *receiver, h *transport.Header) {
			h.Encode(r.ring)
			r.arrive(1<<placeShift | 2*lineBytes)
		},
	} {
		r := emptyReceiver()
		h, dst := expected(1)
		expect(r, h, dst, &soil{}, 0, 1)
		spoil(r, h)
		if h, err := r.next(); h != nil || err == nil {
			t.Errorf("%s: %v, %v", name, h, err)
		}
		if r.window() != nil {
			t.Errorf("%s: there is a window", name)
		}
	}
}

func TestOffers(t *testing.T) {
	const all = 4
	o := offers{places: make([]offer, all)}
	board := make([]byte, all*placeBytes)
	h, _ := expected(5)
	if o.find(h) != -1 {
		t.Error("an offer where there is none")
	}
	said := offer{head: *h, address: 1 << 40, key: 77}
	said.write(board[2*placeBytes:])
	take := func(immediate uint32) {
		t.Helper()
		if err := o.take(immediate, board, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	take(packBoard(2, 1))
	h.Credit, h.Checksum, h.Flags = 4, 5, transport.Checksummed
	i := o.find(h)
	if i != 2 || o.places[i].address != said.address || o.places[i].key != said.key {
		t.Fatalf("place %d: %+v", i, o.places[max(0, i)])
	}
	for name, change := range map[string]func(h *transport.Header){
		"kind":           func(h *transport.Header) { h.Kind = transport.Status },
		"flags":          func(h *transport.Header) { h.Flags |= transport.PointToPoint },
		"epoch":          func(h *transport.Header) { h.Epoch++ },
		"communicator":   func(h *transport.Header) { h.Comm++ },
		"call":           func(h *transport.Header) { h.Seq++ },
		"step":           func(h *transport.Header) { h.Step++ },
		"length":         func(h *transport.Header) { h.Length++ },
		"what is called": func(h *transport.Header) { h.Fingerprint[23]++ },
	} {
		other := *h
		change(&other)
		if i := o.find(&other); i != -1 {
			t.Errorf("a frame of another %s finds place %d", name, i)
		}
	}
	take(withdrawnBit | packBoard(2, 1))
	if i := o.find(h); i != -1 || o.open != 0 {
		t.Errorf("it is withdrawn: place %d, %d open", i, o.open)
	}
	for at := range all {
		said.head.Seq = uint64(at)
		said.write(board[at*placeBytes:])
	}
	take(packBoard(1, 3))
	if o.open != 3 {
		t.Errorf("%d are open of 3", o.open)
	}
	for _, beyond := range []uint32{packBoard(all, 1), packBoard(1, all), packBoard(255, 256)} {
		if err := o.take(beyond, board, 1<<20); err == nil {
			t.Errorf("%#x is a place that does not exist", beyond)
		}
	}
	clear(board[placeBytes : 2*placeBytes])
	err := o.take(packBoard(1, 1), board, 1<<20)
	if err == nil || !strings.Contains(err.Error(), "magic") {
		t.Errorf("a place with nothing on it: %v", err)
	}
	said.head.Length = 1 << 21
	said.write(board)
	if err := o.take(packBoard(0, 1), board, 1<<20); err == nil {
		t.Error("a payload that is too long")
	}
}
