package main

import (
	"cmp"
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

// allOps are what -op all stands for.
const allOps = "allreduce,allgather,reducescatter,broadcast,reduce,gather,scatter,alltoall,barrier"

// options are the command line.
type options struct {
	grounds []ground
	ops     []string
	ranks   []int
	sizes   []int
	rounds  int
	stat    string
	limit   time.Duration
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
	fmt.Fprintf(out, "%s; %d rounds, medians of the %s; microseconds of a call, out of place but for "+
		"%s; f32, sum\n", machine(), o.rounds, o.stat, onlyInPlace)
	failures := 0
	var panels []panel
	for _, g := range o.grounds {
		for _, op := range o.ops {
			for _, ranks := range o.ranks {
				p, failed, err := o.panel(ctx, g, op, ranks, errs)
				if err != nil {
					return err
				}
				failures += failed
				fmt.Fprintf(out, "\n## %s\n\n", p.title)
				if err := printTable(out, p.engines, p.lines); err != nil {
					return err
				}
				panels = append(panels, p)
			}
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

// panel compares an operation of all sizes.
func (o *options) panel(ctx context.Context, g ground, op string, ranks int, errs io.Writer) (
	p panel, failures int, err error,
) {
	p.title = fmt.Sprintf("%s, %d ranks, %s", op, ranks, g.name)
	p.engines = slices.DeleteFunc(slices.Clone(g.engines), func(e engine) bool {
		return e.only != "" && e.only != op
	})
	sizes := o.sizes
	if op == "barrier" {
		sizes = []int{0}
	}
	for _, bytes := range sizes {
		l, failed := o.compare(ctx, p.engines, experiment{op, ranks, bytes, o.stat}, errs)
		if err := ctx.Err(); err != nil {
			return p, failures, err
		}
		p.lines = append(p.lines, l)
		failures += failed
	}
	return p, failures, nil
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
	late := make([]bool, len(engines)) // it ran into the limit, and would again
	for round := range o.rounds {
		for turn := range engines {
			i := (round + turn) % len(engines)
			if late[i] {
				l.times[i][round] = math.NaN()
				continue
			}
			us, err := engines[i].measure(ctx, x, o.limit)
			if err != nil {
				us = math.NaN()
				failed++
				late[i] = errors.Is(err, context.DeadlineExceeded)
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
	over := fs.String("over", "tcp", "connections, with commas: tcp or shm")
	ops := fs.String("op", "allreduce", "operations, with commas, or all")
	ranks := fs.String("np", "2,4", "numbers of ranks, with commas")
	sizes := fs.String("sizes", "4,1K,64K,1M,16M,64M", "bytes of a rank's larger buffer, with commas")
	rounds := fs.Int("rounds", 5, "rounds")
	loop := fs.Duration("time", 300*time.Millisecond, "length of each timed loop")
	limit := fs.Duration("timeout", 2*time.Minute, "longest time of one run")
	drivers := fs.String("drivers", "", "Tutti's drivers, with commas (default: those of -over)")
	peers := fs.String("peers", "", "peers, with commas (default: those of -over)")
	bench := fs.String("bench", "bench", "program built from cmd/bench")
	stat := fs.String("stat", "mean", "what of the calls of a run is compared: mean, p50 or p99")
	figure := fs.String("plot", "", "SVG file to draw the medians into")
	dir := fs.String("bin", ".", "directory of the programs built from src")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 || *rounds < 1 || *loop <= 0 || *limit <= 0 {
		return nil, errors.New("want flags only, and rounds and times above 0; -h lists them")
	}
	if *ops == "all" {
		*ops = allOps
	}
	if stats[*stat] == nil {
		return nil, fmt.Errorf("-stat: no %q: mean, p50 or p99", *stat)
	}
	o := &options{
		ops: strings.Split(*ops, ","), rounds: *rounds, stat: *stat, limit: *limit, plot: *figure,
	}
	var err error
	if o.ranks, err = numbers(*ranks, strconv.Atoi); err != nil {
		return nil, fmt.Errorf("-np: %w", err)
	}
	if o.sizes, err = numbers(*sizes, parseSize); err != nil {
		return nil, fmt.Errorf("-sizes: %w", err)
	}
	for name := range strings.SplitSeq(*over, ",") {
		usual, ok := grounds[name]
		if !ok {
			return nil, fmt.Errorf("-over: no connections %q: tcp or shm", name)
		}
		g := ground{name: name}
		for driver := range strings.SplitSeq(cmp.Or(*drivers, usual.drivers), ",") {
			g.engines = append(g.engines, ourEngine(*bench, driver, *loop))
		}
		known := peerEngines(*dir, *loop)
		for peer := range strings.SplitSeq(cmp.Or(*peers, usual.peers), ",") {
			i := slices.IndexFunc(known, func(e engine) bool { return e.name == peer })
			if i < 0 {
				return nil, fmt.Errorf("no peer %q", peer)
			}
			g.engines = append(g.engines, known[i])
		}
		for _, e := range g.engines {
			if _, err := exec.LookPath(e.program); err != nil {
				return nil, fmt.Errorf("%s: %w; run.sh builds it, run.sh -install installs the peers",
					e.name, err)
			}
		}
		o.grounds = append(o.grounds, g)
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
