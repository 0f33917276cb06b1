package shm

import (
	"log/slog"

	"github.com/tutti-ml/tutti/transport"
)

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
