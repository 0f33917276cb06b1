//go:build !linux && !darwin

package drivers

import "errors"

// join is never called: no driver opens an endpoint here.
func (e *endpoint) join() error { return errors.ErrUnsupported }
