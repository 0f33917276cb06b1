package netnstest

import (
	"os/exec"
	"strings"
	"testing"
)

// TestHosts: each has its address, alone, on a card that hears of the cable, and what runs there
// runs there.
func TestHosts(t *testing.T) {
	var names [2]string
	t.Run("two", func(t *testing.T) {
		h := New(t)
		names = h.Names
		for i := range names {
			line := append(h.On(i), "ip", "-4", "address", "show")
			out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), h.Addresses[i]+"/24") ||
				strings.Contains(string(out), h.Addresses[1-i]+"/") {
				t.Errorf("host %d: %v: %s", i, err, out)
			}
		}
		carrier := func() string {
			return strings.TrimSpace(h.ip("netns", "exec", h.Names[0], "cat",
				"/sys/class/net/"+h.cards[0]+"/carrier"))
		}
		if c := carrier(); c != "1" {
			t.Errorf("the carrier is %s", c)
		}
		h.Unplug()
		if c := carrier(); c != "0" {
			t.Errorf("unplugged, the carrier is %s", c)
		}
		h.Plug()
		if c := carrier(); c != "1" {
			t.Errorf("plugged in again, the carrier is %s", c)
		}
	})
	if names[0] == "" {
		t.SkipNow()
	}
	out, err := exec.Command("ip", "netns", "list").CombinedOutput()
	if err != nil || strings.Contains(string(out), names[0]) || strings.Contains(string(out), names[1]) {
		t.Errorf("after the test: %v: %s", err, out)
	}
}
