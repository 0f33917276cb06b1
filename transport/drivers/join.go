//go:build linux || darwin

package drivers

import (
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

// join makes near a part of the endpoint: one call waits for both.
func (e *endpoint) join(near transport.Endpoint) error {
	n, ok := near.(transport.Parker)
	f, okFar := e.far.(transport.Parker)
	if !ok || !okFar {
		return fmt.Errorf("endpoints of types %T and %T can't be waited for together", near, e.far)
	}
	e.near, e.wait = near, transport.NewParking(n, f).Wait
	return nil
}
