//go:build ibverbs && cgo

package main

import "testing"

// Run by scripts/rdma/test.sh it shows that the virtual machine's devices are found; anywhere
// without a device it fails.
func TestProbeFindsAnActivePort(t *testing.T) {
	active, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if active == 0 {
		t.Fatal("no device has an active port")
	}
}
