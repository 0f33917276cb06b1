//go:build !amd64 || noasm

package tensor

// fastest returns the only path of this build: the plain loops.
func fastest() *kernels { return loops() }
