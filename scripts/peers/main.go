package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	ops     []string
	ranks   []int
	sizes   []int
	rounds  int
	limit   time.Duration
	engines []engine
	plot    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s; %d rounds, medians; microseconds of a call, out of place; f32, sum\n",
		machine(), o.rounds)
	failures := 0
	var panels []panel
	for _, op := range o.ops {
		engines := slices.DeleteFunc(slices.Clone(o.engines), func(e engine) bool {
			return e.only != "" && e.only != op
		})
		sizes := o.sizes
		if op == "barrier" {
			sizes = []int{0}
		}
		for _, ranks := range o.ranks {
			var lines []line
			for _, bytes := range sizes {
				l, failed := o.compare(ctx, engines, experiment{op, ranks, bytes}, errs)
				if err := ctx.Err(); err != nil {
					return err
				}
				lines = append(lines, l)
				failures += failed
			}
			fmt.Fprintf(out, "\n## %s, %d ranks\n\n", op, ranks)
			if err := printTable(out, engines, lines); err != nil {
				return err
			}
			panels = append(panels, panel{fmt.Sprintf("%s, %d ranks", op, ranks), engines, lines})
		}
	}
	if o.plot != "" {
		if err := savePlot(o.plot, machine(), panels); err != nil {
			return err
		}
	}
	if failures > 0 {
		return fmt.Errorf("%d runs failed", failures)
	}
	return nil
}

// compare runs the rounds of one experiment. Each round begins with another engine.
func (o *options) compare(
	ctx context.Context, engines []engine, x experiment, errs io.Writer,
) (line, int) {
	l := line{experiment: x, times: make([]samples, len(engines))}
	for i := range l.times {
		l.times[i] = make(samples, o.rounds)
	}
	failed := 0
	for round := range o.rounds {
		for turn := range engines {
			i := (round + turn) % len(engines)
			us, err := engines[i].measure(ctx, x, o.limit)
			if err != nil {
				us = math.NaN()
				failed++
				fmt.Fprintf(errs, "peers: %s: %s of %d bytes on %d ranks: %v\n",
					engines[i].name, x.op, x.bytes, x.ranks, err)
			}
			l.times[i][round] = us
			if ctx.Err() != nil {
				return l, failed
			}
		}
	}
	return l, failed
}

func parse(args []string, errs io.Writer) (*options, error) {
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.SetOutput(errs)
	ops := fs.String("op", "allreduce", "operations, with commas")
	ranks := fs.String("np", "2,4", "numbers of ranks, with commas")
	sizes := fs.String("sizes", "4,1K,64K,1M,16M,64M", "bytes of a rank's larger buffer, with commas")
	rounds := fs.Int("rounds", 5, "rounds")
	loop := fs.Duration("time", 300*time.Millisecond, "length of each timed loop")
	limit := fs.Duration("timeout", 2*time.Minute, "longest time of one run")
	drivers := fs.String("drivers", "zmq:tcp,zmq", "Tutti's drivers, with commas")
	peers := fs.String("peers", "ompi-tcp,mpich-tcp,gloo-ring,gloo-hd", "peers, with commas")
	bench := fs.String("bench", "bench", "program built from cmd/bench")
	figure := fs.String("plot", "", "SVG file to draw the medians into")
	dir := fs.String("bin", ".", "directory of the programs built from src")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 || *rounds < 1 || *loop <= 0 || *limit <= 0 {
		return nil, errors.New("want flags only, and rounds and times above 0; -h lists them")
	}
	o := &options{ops: strings.Split(*ops, ","), rounds: *rounds, limit: *limit, plot: *figure}
	var err error
	if o.ranks, err = numbers(*ranks, strconv.Atoi); err != nil {
		return nil, fmt.Errorf("-np: %w", err)
	}
	if o.sizes, err = numbers(*sizes, parseSize); err != nil {
		return nil, fmt.Errorf("-sizes: %w", err)
	}
	for name := range strings.SplitSeq(*drivers, ",") {
		o.engines = append(o.engines, ourEngine(*bench, name, *loop))
	}
	known := peerEngines(*dir, *loop)
	for name := range strings.SplitSeq(*peers, ",") {
		i := slices.IndexFunc(known, func(e engine) bool { return e.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no peer %q", name)
		}
		o.engines = append(o.engines, known[i])
	}
	for _, e := range o.engines {
		if _, err := exec.LookPath(e.program); err != nil {
			return nil, fmt.Errorf("%s: %w; run.sh builds it, run.sh -install installs the peers",
				e.name, err)
		}
	}
	return o, nil
}

func numbers(list string, parse func(string) (int, error)) ([]int, error) {
	var out []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := parse(s)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// parseSize reads bytes with K, M or G for powers of 1024.
func parseSize(s string) (int, error) {
	shift := 0
	for i, suffix := range []string{"K", "M", "G"} {
		if digits, ok := strings.CutSuffix(strings.ToUpper(s), suffix); ok {
			s, shift = digits, 10*(i+1)
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > math.MaxInt>>shift {
		return 0, fmt.Errorf("%q is no size", s)
	}
	return n << shift, nil
}

// machine names what the figures were measured on.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	load := ""
	if l, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = ", load " + strings.Join(strings.Fields(string(l))[:3], " ")
	}
	return fmt.Sprintf("%d cores %s, %s%s, %s", runtime.NumCPU(), model, runtime.GOOS, load,
		time.Now().Format(time.DateOnly))
}
