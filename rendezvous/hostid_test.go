package rendezvous

import (
	"net"
	"strings"
	"testing"
)

func TestHostID(t *testing.T) {
	first, err := HostID()
	check(t, err)
	second, err := HostID()
	check(t, err)
	if first == "" || first != second {
		t.Errorf("%q, then %q", first, second)
	}
	t.Setenv("TUTTI_HOST_ID", " mine ")
	if id, err := HostID(); err != nil || id != "mine" {
		t.Errorf("with TUTTI_HOST_ID: %q, %v", id, err)
	}
	t.Setenv("TUTTI_HOST_ID", strings.Repeat("x", maxNameBytes+1))
	_, err = HostID()
	contains(t, err, "TUTTI_HOST_ID", "at most 1024 bytes")
}

// TestHostDigest does not depend on the order of the cards, nor on loopback, but on all else.
func TestHostDigest(t *testing.T) {
	a := net.Interface{HardwareAddr: net.HardwareAddr{1, 2, 3, 4, 5, 6}}
	b := net.Interface{HardwareAddr: net.HardwareAddr{6, 5, 4, 3, 2, 1}}
	lo := net.Interface{HardwareAddr: net.HardwareAddr{0, 0, 0, 0, 0, 0}, Flags: net.FlagLoopback}
	same := hostDigest("host", []net.Interface{a, b})
	if got := hostDigest("host", []net.Interface{lo, b, a}); got != same {
		t.Error("the order of the cards matters")
	}
	for _, other := range []string{
		hostDigest("other", []net.Interface{a, b}), hostDigest("host", []net.Interface{a}),
	} {
		if other == same {
			t.Error("two hosts have one identity")
		}
	}
}
