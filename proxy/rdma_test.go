//go:build ibverbs && cgo && linux

package proxy_test

import (
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// Built with the tag ibverbs, for a machine with RDMA devices, the tests of traffic run over these
// alone.
func init() {
	drivers = map[string]func() transport.Driver{
		"ibverbs": func() transport.Driver { return ibverbs.New() },
	}
}
