package proxy_test

import (
	"testing"
	"time"

	"github.com/tutti-ml/tutti/internal/netnstest"
)

// startOn runs a script on one of the hosts.
func startOn(t *testing.T, h *netnstest.Hosts, host int, s script) *process {
	t.Helper()
	return start(t, s, append(h.On(host), "env", "TUTTI_HOST_ID="+h.Names[host])...)
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
			h := netnstest.New(t)
			master := script{
				Program: "request", Kind: "master", Name: "master", Expect: map[string]int{"worker": 2},
				Store: "embedded://" + h.Addresses[0] + ":29400", Secret: "secret", Driver: "zmq", Lease: test.lease,
				Rejoin: test.rejoin, Tasks: 200,
			}
			all := []*process{startOn(t, h, 0, master)}
			for i := range 2 {
				s := worker(master.Store, i, test.lease, 1)
				s.Secret, s.Driver, s.Rejoin = master.Secret, master.Driver, test.rejoin
				all = append(all, startOn(t, h, 1, s))
			}
			for _, p := range all {
				p.read("joined")
			}
			all[0].read("running")
			h.Unplug()
			time.Sleep(test.cut) // so long it is cut, at least
			h.Plug()
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
