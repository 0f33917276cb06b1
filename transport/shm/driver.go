package shm

import (
	"errors"

	"github.com/tutti-ml/tutti/transport"
)

// ErrElsewhere is the cause when a peer can't be reached through memory: it is on another host, or
// in another container.
var ErrElsewhere = errors.New("it is on another host, or in another network namespace")

type driver struct{}

// New returns the driver. It holds no state: endpoints do.
func New() transport.Driver { return driver{} }

// Name returns "shm".
func (driver) Name() string { return "shm" }
