package shm

import (
	"errors"
	"log/slog"

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

func logger(c transport.Config) *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}
