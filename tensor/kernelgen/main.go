package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

const (
	assemblyFile = "kernels_amd64.s"
	stubsFile    = "kernels_amd64.go"
)

func main() {
	dir := flag.String("dir", "..", "the directory of package tensor")
	flag.Parse()
	if err := write(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "kernelgen:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	assembly, stubs, err := generate()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, assemblyFile), assembly, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, stubsFile), stubs, 0o644)
}

// generate returns the text of both files.
func generate() (assembly, stubs []byte, err error) {
	e := &emitter{Context: build.NewContext()}
	e.ConstraintExpr("!noasm")
	e.integers()
	e.floats()
	e.halves()
	e.wires()
	e.copies()
	file, err := e.Result()
	if err != nil {
		return nil, nil, fmt.Errorf("building: %w", err)
	}
	if err := pass.Compile.Execute(file); err != nil {
		return nil, nil, fmt.Errorf("compiling: %w", err)
	}
	cfg := printer.Config{Argv: []string{"go", "generate"}, Pkg: "tensor"}
	if assembly, err = printer.NewGoAsm(cfg).Print(file); err != nil {
		return nil, nil, fmt.Errorf("printing assembly: %w", err)
	}
	if stubs, err = printer.NewStubs(cfg).Print(file); err != nil {
		return nil, nil, fmt.Errorf("printing declarations: %w", err)
	}
	return assembly, stubs, nil
}
