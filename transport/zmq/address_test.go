//go:build linux || darwin

package zmq

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tutti-ml/tutti/transport"
)

func sampleAddresses() []addresses {
	return []addresses{
		{},
		{host: "h", space: "net:[4026531840]", unix: "@tutti-x"},
		{host: "h", port: 65535, tcp: []netip.Prefix{
			netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("2001:db8::7/64"),
			netip.MustParsePrefix("127.0.0.1/32"),
		}},
	}
}

func TestAddressesRoundTrip(t *testing.T) {
	for _, a := range sampleAddresses() {
		b, err := a.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeAddresses(b)
		if err != nil {
			t.Fatal(err)
		}
		d := cmp.Diff(&a, got, cmp.AllowUnexported(addresses{}), cmpopts.EquateComparable(netip.Prefix{}))
		if d != "" {
			t.Error(d)
		}
		for cut := range b {
			if _, err := decodeAddresses(b[:cut]); err == nil {
				t.Errorf("%d of %d bytes are taken for addresses", cut, len(b))
			}
		}
		if _, err := decodeAddresses(append(b, 0)); err == nil {
			t.Error("a byte too many is taken")
		}
	}
}

func TestMostAddressesFit(t *testing.T) {
	a := addresses{
		host: strings.Repeat("h", 255), space: strings.Repeat("s", 255), unix: strings.Repeat("u", 255),
	}
	for range maxAddresses {
		a.tcp = append(a.tcp, netip.MustParsePrefix("2001:db8::7/64"))
	}
	b, err := a.encode()
	if err != nil || len(b) > maxAddressBytes {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if _, err := decodeAddresses(b); err != nil {
		t.Error(err)
	}
}

func sampleLocals() []local {
	var all []local
	for _, s := range []string{
		"lo 127.0.0.1/8", "eth0 10.0.0.5/24", "eth1 192.168.7.5/16", "docker0 172.17.0.1/16",
		"eth1 2001:db8::5/64",
	} {
		name, net, _ := strings.Cut(s, " ")
		all = append(all, local{name: name, net: netip.MustParsePrefix(net)})
	}
	return all
}

func TestInterfaceFilter(t *testing.T) {
	for filter, want := range map[string]string{
		"":                          "eth0 eth1 eth1",
		"eth0":                      "eth0",
		"eth1":                      "eth1 eth1",
		"lo":                        "lo",
		"docker0":                   "docker0",
		"10.0.0.0/8":                "eth0",
		"10.0.0.5, 2001:db8::/32":   "eth0 eth1",
		"::ffff:10.0.0.5":           "eth0",
		"^eth0":                     "eth1 eth1",
		"^eth0,eth1":                "docker0",
		"^eth0,eth1,docker0":        "lo",
		"^10.0.0.0/8,2001:db8::/32": "eth1",
		"eth9":                      "",
		"^0.0.0.0/0,::/0":           "",
		"eth0,^eth1":                "",
		"^":                         "",
		"eth0,,eth1":                "",
	} {
		f, err := transport.ParseFilter(filter)
		var chosen []local
		if err == nil {
			chosen, err = choose(f, sampleLocals())
		}
		var got []string
		for _, l := range chosen {
			got = append(got, l.name)
		}
		if s := strings.Join(got, " "); s != want || (err == nil) != (want != "") {
			t.Errorf("%q chooses %q, %v, want %q", filter, s, err, want)
		}
	}
}

func TestFilterErrorListsInterfaces(t *testing.T) {
	f, err := transport.ParseFilter("ib0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = choose(f, sampleLocals()); err == nil {
		t.Fatal("nothing is enough")
	}
	for _, l := range sampleLocals() {
		if !strings.Contains(err.Error(), l.name) || !strings.Contains(err.Error(), l.net.String()) {
			t.Errorf("%q does not name %v", err, l)
		}
	}
}
