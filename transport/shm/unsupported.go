//go:build !linux

package shm

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/tutti-ml/tutti/transport"
)

// Open fails: the driver needs memory files with seals, as Linux has them.
func (d driver) Open(_ context.Context, c transport.Config) (transport.Endpoint, error) {
	return nil, &transport.LinkError{
		Phase: "listen", Rank: c.Rank, Peer: -1, Address: "no address",
		Err:    fmt.Errorf("the driver %s on %s: %w", d.Name(), runtime.GOOS, errors.ErrUnsupported),
		Remedy: "run on Linux, or use the driver zmq",
	}
}
