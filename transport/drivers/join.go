//go:build linux || darwin

package drivers

import (
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

// join has one call wait for all endpoints that there are.
func (e *endpoint) join() error {
	var all []transport.Parker
	for _, w := range e.ways {
		if w.endpoint == nil {
			continue
		}
		p, ok := w.endpoint.(transport.Parker)
		if !ok {
			return fmt.Errorf("endpoints of type %T can't be waited for together", w.endpoint)
		}
		all = append(all, p)
	}
	e.wait = transport.NewParking(all...).Wait
	return nil
}
