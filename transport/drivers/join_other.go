//go:build !linux && !darwin

package drivers

import (
	"errors"

	"github.com/tutti-ml/tutti/transport"
)

// join is never called: neither driver opens an endpoint here.
func (e *endpoint) join(transport.Endpoint) error { return errors.ErrUnsupported }
