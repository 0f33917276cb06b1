//go:build linux || darwin

package attach

import (
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

// Complete checks the numbers of a Config, and puts defaults where it says nothing.
func Complete(c *transport.Config) error {
	if c.Rank < 0 || c.Rank >= c.Size {
		return fmt.Errorf("rank %d of %d ranks", c.Rank, c.Size)
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = transport.DefaultMaxPayload
	}
	if c.MaxPayload < 0 {
		return fmt.Errorf("a limit of %d bytes for a payload", c.MaxPayload)
	}
	if c.Linger == 0 {
		c.Linger = transport.DefaultLinger
	}
	if c.HostID == "" {
		c.HostID = bootID()
	}
	c.Logger = Logger(c.Logger)
	return nil
}

// Identity is who says hello.
func Identity(c *transport.Config) transport.Identity {
	return transport.Identity{Rank: c.Rank, Size: c.Size, Job: c.Job, HostID: c.HostID}
}
