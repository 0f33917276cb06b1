//go:build linux || darwin

package attach

import (
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

func TestCompletePutsDefaults(t *testing.T) {
	c := transport.Config{Rank: 1, Size: 2, Job: "train"}
	if err := Complete(&c); err != nil {
		t.Fatal(err)
	}
	if c.MaxPayload != transport.DefaultMaxPayload || c.Linger != transport.DefaultLinger ||
		c.Logger == nil || c.HostID == "" {
		t.Errorf("%+v", c)
	}
	if id := Identity(&c); id.Rank != 1 || id.Size != 2 || id.Job != "train" || id.HostID != c.HostID {
		t.Errorf("%+v", id)
	}
	chosen := transport.Config{Size: 1, MaxPayload: 7, Linger: 8, HostID: "here", Logger: Logger(nil)}
	same := chosen
	if err := Complete(&chosen); err != nil || chosen.MaxPayload != same.MaxPayload ||
		chosen.Linger != same.Linger || chosen.HostID != same.HostID || chosen.Logger != same.Logger {
		t.Errorf("%+v, %v", chosen, err)
	}
}

func TestCompleteRefuses(t *testing.T) {
	for want, c := range map[string]transport.Config{
		"rank 2 of 2 ranks":  {Rank: 2, Size: 2},
		"rank -1 of 2 ranks": {Rank: -1, Size: 2},
		"rank 0 of 0 ranks":  {},
		"a limit of -1":      {Size: 1, MaxPayload: -1},
	} {
		if err := Complete(&c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
