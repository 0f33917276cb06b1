package netnstest

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Hosts are two network namespaces that a pair of network cards joins. They go when the test ends.
type Hosts struct {
	Names     [2]string // of the namespaces
	Addresses [2]string // IPv4
	t         *testing.T
	cards     [2]string
}

// New makes two hosts, which takes root and iproute2; one test of a process has some at a time.
// Where it can't be done the test is skipped, or with TUTTI_REQUIRE_NETNS=1 fails.
func New(t *testing.T) *Hosts {
	t.Helper()
	// Names differ between the processes of tests that run side by side; a card's has 15 bytes at
	// most.
	id := os.Getpid()
	h := &Hosts{t: t}
	for i := range h.Names {
		h.Names[i], h.cards[i] = fmt.Sprintf("tutti%d-%d", i, id), fmt.Sprintf("tt%d-%d", i, id)
		h.Addresses[i] = fmt.Sprintf("10.%d.%d.%d", id/256%256, id%256, i+1)
	}
	for _, name := range h.Names {
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
	h.ip("link", "add", h.cards[0], "netns", h.Names[0], "type", "veth", "peer", "name", h.cards[1],
		"netns", h.Names[1])
	for i, name := range h.Names {
		h.ip("-n", name, "link", "set", "lo", "up")
		h.ip("-n", name, "address", "add", h.Addresses[i]+"/24", "dev", h.cards[i])
		h.ip("-n", name, "link", "set", h.cards[i], "up")
	}
	return h
}

func (h *Hosts) ip(arguments ...string) string {
	h.t.Helper()
	out, err := exec.Command("ip", arguments...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("ip %v: %v: %s", arguments, err, out)
	}
	return string(out)
}

// On is the beginning of a command line that runs on a host what follows it.
func (h *Hosts) On(host int) []string { return []string{"ip", "netns", "exec", h.Names[host]} }

// Unplug takes the cable out of the second host, and Plug puts it in again.
func (h *Hosts) Unplug() {
	h.t.Helper()
	h.ip("-n", h.Names[1], "link", "set", h.cards[1], "down")
}

// Plug ends an Unplug.
func (h *Hosts) Plug() {
	h.t.Helper()
	h.ip("-n", h.Names[1], "link", "set", h.cards[1], "up")
}

// Sent is how many bytes the cards of both hosts have sent, headers included as the card counts
// them: one for each packet that it is handed, which may be cut into smaller ones later.
func (h *Hosts) Sent() (bytes [2]int) {
	h.t.Helper()
	for i := range bytes {
		text := h.ip("netns", "exec", h.Names[i], "cat",
			"/sys/class/net/"+h.cards[i]+"/statistics/tx_bytes")
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			h.t.Fatal(err)
		}
		bytes[i] = n
	}
	return bytes
}
