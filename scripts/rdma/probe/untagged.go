//go:build !ibverbs || !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "probe: built without ibverbs; use CGO_ENABLED=1 go run -tags ibverbs")
	os.Exit(2)
}
