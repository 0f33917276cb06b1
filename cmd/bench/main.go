package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/rendezvous/launch"
)

// Exit statuses. A failed rank's own status is passed on.
const (
	exitFailed = 1 // a call failed, or elements were wrong
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = alone(o)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		fmt.Fprintln(stderr, "bench -h lists the flags")
		return exitUsage
	}
	err = start(o, stdout, stderr)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "bench:", err)
	var exited *launch.ExitError
	if errors.As(err, &exited) {
		return exited.ExitCode()
	}
	return exitFailed
}

// alone refuses to start ranks inside a rank: each of a job's ranks would start a job.
func alone(o *options) error {
	if o.ranks == 0 {
		return nil
	}
	env, err := rendezvous.FromEnvironment(nil)
	if err != nil {
		return err
	}
	if env.Size > 0 {
		return fmt.Errorf("-np %d starts ranks, but the launcher %s has done so: leave out -np",
			o.ranks, env.Launcher)
	}
	return nil
}

func start(o *options, stdout, stderr io.Writer) error {
	switch {
	case o.ranks > 0 && o.driver != "inproc":
		// Signals go to the ranks, whose end ends the launcher.
		return startProcesses(context.Background(), o, stdout, stderr)
	case o.ranks > 0:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return startGoroutines(ctx, o, stdout, stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return join(ctx, o, stdout, stderr)
}
