// Command kernelgen writes the AVX2 kernels of package tensor: kernels_amd64.s and the Go
// declarations kernels_amd64.go. It is a module of its own so that the assembler framework avo
// enters nobody's go.mod.
//
// Run it with go generate in the directory of package tensor. Its test regenerates both files and
// fails if they differ from those in the repository.
//
// Every kernel has the same shape (loop.go) around a lane: what turns the operands of 32 bytes of
// the destination into these bytes, in a register. integer.go, float.go and half.go hold
// the lanes. wire.go has kernels between float32 and a 16-bit type, with a loop of their own.
package main
