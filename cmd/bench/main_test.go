package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// leakChecked runs the tests and then looks for goroutines that are left.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	status := l.m.Run()
	if err := goleak.Find(); err != nil && status == 0 {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	return status
}

// TestMain makes this binary serve as the command, too: scripts run it as bench, and so do its own
// child processes.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"bench": main})
}

// TestScripts runs the command as a user does, with real processes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
	})
}
