package transport

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func fullHeader() *Header {
	h := &Header{
		Kind: Data, Flags: Checksummed | PointToPoint, Epoch: 0x01020304, Comm: 0x11121314,
		Seq: 0x2122232425262728, Step: 0x31323334, Length: 0x00424344, Credit: 0x51525354,
		Checksum: 0x61626364,
	}
	for i := range h.Fingerprint {
		h.Fingerprint[i] = byte(0x80 + i)
	}
	return h
}

// The layout is for ever: peers of one version read each other's bytes.
func TestHeaderGolden(t *testing.T) {
	const want = "54555449" + "01" + "01" + "0300" + "04030201" + "14131211" +
		"2827262524232221" + "34333231" + "44434200" + "54535251" + "64636261" +
		"808182838485868788898a8b8c8d8e8f9091929394959697"
	var b [HeaderBytes]byte
	fullHeader().Encode(b[:])
	if got := hex.EncodeToString(b[:]); got != want {
		t.Errorf("encoded\n%s, want\n%s", got, want)
	}
	var h Header
	if err := h.Decode(b[:], DefaultMaxPayload); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*fullHeader(), h); diff != "" {
		t.Errorf("decoded (-want +got)\n%s", diff)
	}
}

func drawHeader(t *rapid.T, maxPayload int) *Header {
	h := &Header{
		Kind:     Kind(rapid.IntRange(1, int(kinds)-1).Draw(t, "kind")),
		Flags:    Flags(rapid.Uint16().Draw(t, "flags")),
		Epoch:    rapid.Uint32().Draw(t, "epoch"),
		Comm:     rapid.Uint32().Draw(t, "communicator"),
		Seq:      rapid.Uint64().Draw(t, "sequence"),
		Step:     rapid.Uint32().Draw(t, "step"),
		Credit:   rapid.Uint32().Draw(t, "credit"),
		Checksum: rapid.Uint32().Draw(t, "checksum"),
	}
	limit := maxPayload
	if h.Kind != Data {
		limit = min(limit, MaxControl)
	}
	h.Length = uint32(rapid.IntRange(0, limit).Draw(t, "length"))
	print := rapid.SliceOfN(rapid.Byte(), FingerprintBytes, FingerprintBytes)
	copy(h.Fingerprint[:], print.Draw(t, "fingerprint"))
	return h
}

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxPayload := rapid.IntRange(0, 1<<31-1).Draw(t, "limit")
		h := drawHeader(t, maxPayload)
		b := make([]byte, HeaderBytes)
		h.Encode(b)
		var back Header
		if err := back.Decode(b, maxPayload); err != nil {
			t.Fatal(err)
		}
		if back != *h {
			t.Fatalf("%+v came back as %+v", *h, back)
		}
	})
}

func TestHeaderDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		field  string
		change func(*Header, []byte) []byte
	}{
		{"header", func(_ *Header, b []byte) []byte { return b[:HeaderBytes-1] }},
		{"header", func(*Header, []byte) []byte { return nil }},
		{"magic", func(_ *Header, b []byte) []byte { b[0] = 't'; return b }},
		{"version", func(_ *Header, b []byte) []byte { b[4] = 0; return b }},
		{"version", func(_ *Header, b []byte) []byte { b[4] = Version + 1; return b }},
		{"kind", func(_ *Header, b []byte) []byte { b[5] = 0; return b }},
		{"kind", func(_ *Header, b []byte) []byte { b[5] = byte(kinds); return b }},
		{"kind", func(_ *Header, b []byte) []byte { b[5] = 255; return b }},
		{"length", func(h *Header, b []byte) []byte {
			h.Length = 1<<20 + 1
			h.Encode(b)
			return b
		}},
		{"length", func(h *Header, b []byte) []byte {
			h.Length = 1<<32 - 1
			h.Encode(b)
			return b
		}},
		{"length", func(h *Header, b []byte) []byte {
			h.Kind, h.Length = Abort, MaxControl+1
			h.Encode(b)
			return b
		}},
	} {
		h, b := fullHeader(), make([]byte, HeaderBytes)
		h.Length = 10
		h.Encode(b)
		err := h.Decode(c.change(h, b), 1<<20)
		var e *FrameError
		if !errors.As(err, &e) || e.Field != c.field {
			t.Errorf("%v, want a *FrameError of field %s", err, c.field)
			continue
		}
		if s := e.Error(); !strings.Contains(s, c.field) || !strings.Contains(s, e.Want) {
			t.Errorf("the error is %q", s)
		}
	}
}

// Check is what Decode checks of a header that parses.
func TestHeaderCheck(t *testing.T) {
	for _, c := range []struct {
		h     Header
		field string
	}{
		{Header{Kind: Data, Length: 100}, ""},
		{Header{Kind: Goodbye, Length: 100}, ""},
		{Header{Kind: Data, Length: 101}, "length"},
		{Header{Kind: 0}, "kind"},
		{Header{Kind: kinds}, "kind"},
	} {
		err := c.h.Check(100)
		var bad *FrameError
		if (err == nil) != (c.field == "") || err != nil && (!errors.As(err, &bad) || bad.Field != c.field) {
			t.Errorf("%+v: %v, want an error about %q", c.h, err, c.field)
		}
	}
	long := Header{Kind: Abort, Length: MaxControl + 1}
	if long.Check(1<<20) == nil {
		t.Error("a control frame over the limit of control frames")
	}
}

func TestKindString(t *testing.T) {
	for k, want := range map[Kind]string{
		Data: "data", Credit: "credit", Abort: "abort", Status: "status", Goodbye: "goodbye",
		0: "kind(0)", kinds: "kind(6)", 255: "kind(255)",
	} {
		if got := k.String(); got != want {
			t.Errorf("kind %d is %q, want %q", uint8(k), got, want)
		}
	}
}

func TestHeaderCostsNothing(t *testing.T) {
	h, b := fullHeader(), make([]byte, HeaderBytes)
	if n := testing.AllocsPerRun(100, func() {
		h.Encode(b)
		if err := h.Decode(b, DefaultMaxPayload); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHeader(b *testing.B) {
	h, wire := fullHeader(), make([]byte, HeaderBytes)
	for b.Loop() {
		h.Encode(wire)
		if err := h.Decode(wire, DefaultMaxPayload); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzHeader decodes anything: what is accepted keeps the limits and encodes to the same bytes.
func FuzzHeader(f *testing.F) {
	b := make([]byte, HeaderBytes)
	fullHeader().Encode(b)
	f.Add(b, DefaultMaxPayload)
	f.Add(b[:20], 0)
	f.Add([]byte("GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n0123456789012345"), 1<<20)
	f.Fuzz(func(t *testing.T, b []byte, maxPayload int) {
		before := bytes.Clone(b)
		var h Header
		err := h.Decode(b, maxPayload)
		if !bytes.Equal(b, before) {
			t.Fatal("Decode wrote")
		}
		if err != nil {
			var e *FrameError
			if !errors.As(err, &e) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if uint64(h.Length) > uint64(max(0, maxPayload)) {
			t.Fatalf("a length of %d under a limit of %d", h.Length, maxPayload)
		}
		if h.Kind != Data && h.Length > MaxControl {
			t.Fatalf("a %v frame of %d bytes", h.Kind, h.Length)
		}
		var again [HeaderBytes]byte
		h.Encode(again[:])
		if !bytes.Equal(again[:], b[:HeaderBytes]) {
			t.Fatalf("%x encodes to %x", b[:HeaderBytes], again)
		}
	})
}

func TestFingerprintEqual(t *testing.T) {
	a := Fingerprint{5: 1}
	for i := range a {
		b := a
		if !a.Equal(&b) {
			t.Fatal("a copy differs")
		}
		if b[i]++; a.Equal(&b) {
			t.Errorf("a difference in byte %d is not seen", i)
		}
	}
}
