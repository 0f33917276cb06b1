//go:build linux

package shm

import "github.com/tutti-ml/tutti/transport"

// ListensAt returns the name of the socket that the endpoint listens on.
func ListensAt(e transport.Endpoint) string { return e.(*endpoint).at.name }
