package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/rendezvous/launch"
)

// startProcesses runs this program once for each rank and waits for all.
func startProcesses(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program, to start it for each rank: %w", err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	return launch.Run(ctx, launch.Options{
		Ranks: o.ranks, Command: append([]string{program}, o.child...), Stdout: stdout,
		Stderr: stderr, NoPrefix: true, Signals: signals, Logger: o.logger(stderr),
	})
}

// startGoroutines runs all ranks inside this process.
func startGoroutines(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	settings, err := o.settings(stderr)
	if err != nil {
		return err
	}
	comms, err := collective.Local(ctx, o.ranks, settings...)
	if err != nil {
		return err
	}
	var g errgroup.Group
	for _, c := range comms {
		g.Go(func() error {
			if err := measureAll(ctx, c, o, stdout); err != nil {
				return fmt.Errorf("rank %d: %w", c.Rank(), err)
			}
			return nil
		})
	}
	return g.Wait()
}

// join makes this process a rank of the job that the launcher's environment describes.
func join(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	env, err := rendezvous.FromEnvironment(nil)
	if err != nil {
		return err
	}
	settings, err := o.settings(stderr)
	if err != nil {
		return err
	}
	if o.driver != "" && o.driver != "inproc" { // which a rank alone uses anyway
		settings = append(settings, collective.WithDriverName(o.driver))
	}
	connect := ctx
	if o.timeout > 0 {
		var cancel context.CancelFunc
		connect, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	c, err := collective.Connect(connect, append(settings, collective.WithEnvironment(env))...)
	if err != nil {
		return err
	}
	if err := measureAll(ctx, c, o, stdout); err != nil {
		return fmt.Errorf("rank %d: %w", c.Rank(), err)
	}
	return nil
}

// settings are the options of a communicator.
func (o *options) settings(stderr io.Writer) ([]collective.Option, error) {
	force, err := o.forced()
	if err != nil {
		return nil, err
	}
	out := []collective.Option{collective.WithLogger(o.logger(stderr)), collective.WithWire(o.wire)}
	if force != "" {
		out = append(out, collective.WithAlgorithms(force))
	}
	if o.chunk.bytes > 0 {
		out = append(out, collective.WithChunkBytes(o.chunk.bytes))
	}
	return out, nil
}

func (o *options) logger(stderr io.Writer) *slog.Logger {
	if !o.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// place is where a rank runs.
type place struct {
	host string
	pid  int
}

// maxHostBytes is the length to which host names are cut.
const maxHostBytes = 64

// places asks all ranks where they run.
func places(ctx context.Context, c *collective.Comm) ([]place, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "(" + err.Error() + ")"
	}
	mine := make([]uint8, 4+maxHostBytes)
	binary.LittleEndian.PutUint32(mine, uint32(os.Getpid()))
	copy(mine[4:], host)
	every := make([]uint8, len(mine)*c.Size())
	if err := collective.AllGather(ctx, c, every, mine); err != nil {
		return nil, err
	}
	out := make([]place, c.Size())
	for r := range out {
		p := every[r*len(mine) : (r+1)*len(mine)]
		name := p[4:]
		for len(name) > 0 && name[len(name)-1] == 0 {
			name = name[:len(name)-1]
		}
		out[r] = place{host: string(name), pid: int(binary.LittleEndian.Uint32(p))}
	}
	return out, nil
}
