package proxy_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// hosts are two network namespaces joined by a veth pair, which can be cut.
type hosts struct {
	t       *testing.T
	names   [2]string
	cards   [2]string
	address string // of the first
}

// newHosts makes two hosts, which takes root and iproute2. TUTTI_REQUIRE_NETNS=1 makes it a failure
// when that can't be done.
func newHosts(t *testing.T) *hosts {
	t.Helper()
	// Names differ between tests that run side by side; a card's has 15 bytes at most.
	id := os.Getpid()
	h := &hosts{
		t: t, names: [2]string{fmt.Sprint("tuttiA", id), fmt.Sprint("tuttiB", id)},
		cards:   [2]string{fmt.Sprint("tpA", id), fmt.Sprint("tpB", id)},
		address: fmt.Sprintf("10.%d.%d.1", id/256%256, id%256),
	}
	for _, name := range h.names {
		out, err := exec.Command("ip", "netns", "add", name).CombinedOutput()
		switch {
		case err == nil:
		case os.Getenv("TUTTI_REQUIRE_NETNS") == "1":
			t.Fatalf("TUTTI_REQUIRE_NETNS=1, but there are no network namespaces: %v: %s", err, out)
		default:
			t.Skipf("no network namespaces, which take root and iproute2: %v: %s", err, out)
		}
		t.Cleanup(func() { h.ip("netns", "del", name) })
	}
	h.ip("link", "add", h.cards[0], "netns", h.names[0], "type", "veth", "peer", "name", h.cards[1],
		"netns", h.names[1])
	for i, name := range h.names {
		h.ip("-n", name, "link", "set", "lo", "up")
		h.ip("-n", name, "address", "add",
			fmt.Sprintf("10.%d.%d.%d/24", id/256%256, id%256, i+1), "dev", h.cards[i])
		h.ip("-n", name, "link", "set", h.cards[i], "up")
	}
	return h
}

func (h *hosts) ip(arguments ...string) {
	h.t.Helper()
	if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
		h.t.Fatalf("ip %v: %v: %s", arguments, err, out)
	}
}

// start runs a script on one of the hosts.
func (h *hosts) start(host int, s script) *process {
	h.t.Helper()
	name := h.names[host]
	return start(h.t, s, "ip", "netns", "exec", name, "env", "TUTTI_HOST_ID="+name)
}

// TestCutLink takes the link between a master and its workers away for a while. Nothing is lost,
// and nothing comes twice.
func TestCutLink(t *testing.T) {
	tests := []struct {
		name   string
		cut    time.Duration
		lease  time.Duration
		rejoin bool // and the workers lapse
		long   bool
	}{
		// Nobody notices: no lease ends, and the system sends again what was lost.
		{name: "shorter than the lease", cut: 3 * time.Second, lease: time.Minute},
		// The workers can't renew their leases in the master's store.
		{
			name: "longer than the lease", cut: 3 * time.Second, lease: 500 * time.Millisecond, rejoin: true,
		},
		// Connections on which nothing is heard are given up, and opened again.
		{name: "longer than the silence", cut: 15 * time.Second, lease: time.Minute, long: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if testing.Short() {
				if test.long {
					t.Skip("it takes long")
				}
				test.cut /= 2
			}
			h := newHosts(t)
			master := script{
				Program: "request", Kind: "master", Name: "master", Expect: map[string]int{"worker": 2},
				Store: "embedded://" + h.address + ":29400", Secret: "secret", Driver: "zmq", Lease: test.lease,
				Rejoin: test.rejoin, Tasks: 200,
			}
			all := []*process{h.start(0, master)}
			for i := range 2 {
				s := worker(master.Store, i, test.lease, 1)
				s.Secret, s.Driver, s.Rejoin = master.Secret, master.Driver, test.rejoin
				all = append(all, h.start(1, s))
			}
			for _, p := range all {
				p.read("joined")
			}
			all[0].read("running")
			h.ip("-n", h.names[1], "link", "set", h.cards[1], "down")
			time.Sleep(test.cut) // so long it is cut, at least
			h.ip("-n", h.names[1], "link", "set", h.cards[1], "up")
			all[0].tell("enough")
			r := all[0].read("done")
			t.Logf("%+v", r)
			if r.Pause < test.cut/2 {
				t.Errorf("the longest pause was %v: the link was not cut", r.Pause)
			}
			if r.Stats.Resent != 0 || r.Stats.Late != 0 {
				t.Errorf("nobody was replaced, yet: %+v", r.Stats)
			}
			if test.rejoin != (r.Changes > 0) {
				t.Errorf("the membership has changed %d times", r.Changes)
			}
			for i := range all {
				all[len(all)-1-i].finish() // the master, which serves the store, is the last
			}
		})
	}
}
