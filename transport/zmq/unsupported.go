//go:build !linux && !darwin

package zmq

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/tutti-ml/tutti/transport"
)

// Open fails: the driver needs poll(2) and non-blocking sockets as Linux and Darwin have them.
func (d *driver) Open(_ context.Context, c transport.Config) (transport.Endpoint, error) {
	return nil, &transport.LinkError{
		Phase: "listen", Rank: c.Rank, Peer: -1, Address: c.Listen,
		Err:    fmt.Errorf("the driver %s on %s: %w", d.Name(), runtime.GOOS, errors.ErrUnsupported),
		Remedy: "run on Linux or Darwin",
	}
}
