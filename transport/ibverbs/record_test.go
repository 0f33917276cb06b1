package ibverbs

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func someRecord() record {
	return record{
		layer: ethernet, mtu: 5, qp: 0x1234, psn: 0xfedcba, gid: [16]byte{10: 255, 11: 255, 12: 10},
		ring: 0x7f0000001000, key: 0xcafe, size: ringMin, messages: depthMax, reads: 16,
	}
}

func TestRecordComesBack(t *testing.T) {
	r := someRecord()
	got, err := readRecord(bytes.NewReader(r.encode()))
	if err != nil || got != r {
		t.Errorf("%+v comes back as %+v: %v", r, got, err)
	}
}

func TestRecordsThatAreNone(t *testing.T) {
	for name, spoil := range map[string]func(*record){
		"link layer":            func(r *record) { r.layer = 3 },
		"MTU":                   func(r *record) { r.mtu = 6 },
		"LID":                   func(r *record) { r.lid = 1 << 16 },
		"queue pair":            func(r *record) { r.qp = 1 << 24 },
		"packet":                func(r *record) { r.psn = 1 << 24 },
		"ring's size, no power": func(r *record) { r.size = ringMin + 64 },
		"ring's size, small":    func(r *record) { r.size = ringMin / 2 },
		"ring's size, large":    func(r *record) { r.size = 2 * ringMax },
		"ring's address":        func(r *record) { r.ring++ },
		"no messages":           func(r *record) { r.messages = 0 },
		"many messages":         func(r *record) { r.messages = depthMax + 1 },
		"reads":                 func(r *record) { r.reads = 256 },
	} {
		r := someRecord()
		spoil(&r)
		if _, err := readRecord(bytes.NewReader(r.encode())); !errors.Is(err, errRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := someRecord()
	for n := range recordBytes {
		_, err := readRecord(bytes.NewReader(good.encode()[:n]))
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestRefusalComesBack(t *testing.T) {
	for _, why := range []string{"no memory", strings.Repeat("é", 200)} {
		_, err := readRecord(bytes.NewReader(encodeRefusal(why)))
		var peer *PeerError
		if !errors.As(err, &peer) || !strings.HasPrefix(why, peer.Text) || len(peer.Text) < 9 {
			t.Errorf("%q comes back as %v", why, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	r := someRecord()
	f.Add(r.encode())
	f.Add(encodeRefusal("no memory"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readRecord(bytes.NewReader(b))
		var peer *PeerError
		switch {
		case err == nil:
			// What is not used may be anything.
			if again, err := readRecord(bytes.NewReader(got.encode())); err != nil || again != got {
				t.Errorf("%+v comes back as %+v: %v", got, again, err)
			}
		case errors.As(err, &peer) && len(peer.Text) > maxRefusal:
			t.Errorf("a refusal of %d bytes", len(peer.Text))
		}
	})
}

func someAddresses() addresses {
	return addresses{
		layer: ethernet, gid: [16]byte{15: 1}, port: 4711,
		ips: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")},
	}
}

func FuzzAddresses(f *testing.F) {
	a := someAddresses()
	f.Add(a.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeAddresses(b)
		if err != nil {
			if !errors.Is(err, errAddress) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if again := got.encode(); !bytes.Equal(again, b) {
			t.Errorf("%x is taken for %+v, which is %x", b, got, again)
		}
	})
}

func TestAddressesComeBack(t *testing.T) {
	a := someAddresses()
	b := a.encode()
	got, err := decodeAddresses(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(a, got, cmp.AllowUnexported(addresses{}), cmp.Comparer(
		func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	for n := range b {
		if _, err := decodeAddresses(b[:n]); !errors.Is(err, errAddress) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestChooseGID(t *testing.T) {
	entry := func(index uint32, address string, v2 bool) gid {
		a := netip.MustParseAddr(address)
		return gid{raw: a.As16(), index: index, roceV2: v2}
	}
	table := []gid{
		entry(0, "fe80::1", false), entry(1, "fe80::1", true), entry(2, "10.0.0.1", false),
		entry(3, "2001:db8::1", true), entry(4, "10.0.0.1", true), entry(5, "10.0.0.2", true),
	}
	all := func(gid) bool { return true }
	for _, c := range []struct {
		name   string
		table  []gid
		layer  uint8
		allows func(gid) bool
		want   uint32
	}{
		{"the IPv4 one of version 2", table, ethernet, all, 4},
		{"without IPv4", table[:4], ethernet, all, 3},
		{"link-local", table[:3], ethernet, all, 1},
		{"a filter", table, ethernet, func(g gid) bool { return g.index == 5 }, 5},
		{"InfiniBand", []gid{{raw: [16]byte{0: 0xfe, 15: 9}, index: 0}}, infiniBand, all, 0},
	} {
		got, err := chooseGID(c.table, c.layer, c.allows)
		if err != nil || got.index != c.want {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	for name, table := range map[string][]gid{
		"none": nil, "version 1 alone": table[:1], "empty entries": {{roceV2: true}},
	} {
		if _, err := chooseGID(table, ethernet, all); !errors.Is(err, ErrGID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
