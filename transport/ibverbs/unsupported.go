//go:build !ibverbs || !cgo || !linux

package ibverbs

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/tutti-ml/tutti/transport"
)

// Open fails: this program was built without libibverbs.
func (d driver) Open(_ context.Context, c transport.Config) (transport.Endpoint, error) {
	err := &transport.LinkError{
		Phase: "listen", Rank: c.Rank, Peer: -1, Address: "no device",
		Err: fmt.Errorf("this program was built without the driver %s: %w", d.Name(),
			errors.ErrUnsupported),
		Remedy: "install libibverbs-dev (rdma-core-devel), build with " +
			"CGO_ENABLED=1 go build -tags ibverbs, or use the driver zmq",
	}
	if runtime.GOOS != "linux" {
		err.Err = fmt.Errorf("the driver %s on %s: %w", d.Name(), runtime.GOOS, errors.ErrUnsupported)
		err.Remedy = "run on Linux, or use the driver zmq"
	}
	return nil, err
}
