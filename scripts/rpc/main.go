package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	rounds  int
	loop    time.Duration
	limit   time.Duration
	engines []string
	cases   []string
	sizes   []int
	json    bool
	store   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == componentCommand {
		err = runComponent(ctx, os.Args[2:], os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "rpc:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	r := &results{options: o, out: out, started: machine()}
	for round := range o.rounds {
		for _, workers := range []int{1, 4} {
			list := o.plan(workers)
			if list == nil {
				continue
			}
			limited, cancel := context.WithTimeout(ctx, o.limit)
			err := r.round(limited, round, workers, list)
			cancel()
			if err != nil {
				return fmt.Errorf("round %d, %d workers: %w", round, workers, err)
			}
		}
		fmt.Fprintf(errs, "rpc: round %d of %d, %s\n", round+1, o.rounds, machine())
	}
	if o.json {
		return nil
	}
	return r.table()
}

// round starts all engines with so many workers, and measures each case with each.
func (r *results) round(ctx context.Context, round, workers int, list []experiment) (err error) {
	o := r.options
	groups := make([]*group, len(o.engines))
	defer func() {
		for _, g := range groups {
			if g != nil {
				err = errors.Join(err, g.stop())
			}
		}
	}()
	for turn := range o.engines {
		i := (round + turn) % len(o.engines)
		if groups[i], err = startGroup(ctx, o, o.engines[i], workers); err != nil {
			return fmt.Errorf("%s: %w", o.engines[i], err)
		}
		if workers == 4 && slices.Contains(o.cases, "join") {
			seconds := value{groups[i].joined.Seconds(), groups[i].cost}
			if err := r.add(round, o.engines[i], experiment{Pattern: "join"}, seconds); err != nil {
				return err
			}
		}
	}
	for n, x := range list {
		for turn := range o.engines {
			i := (round + n + turn) % len(o.engines)
			v, err := groups[i].measure(x)
			if err == nil {
				err = r.add(round, o.engines[i], x, v)
			}
			if err != nil {
				return fmt.Errorf("%s: %s: %w", o.engines[i], x.name(), err)
			}
		}
	}
	return nil
}

func parse(args []string, errs io.Writer) (*options, error) {
	fs := flag.NewFlagSet("rpc", flag.ContinueOnError)
	fs.SetOutput(errs)
	o := &options{}
	fs.IntVar(&o.rounds, "rounds", 5, "rounds")
	fs.DurationVar(&o.loop, "time", 250*time.Millisecond, "length of each timed loop")
	fs.DurationVar(&o.limit, "timeout", 5*time.Minute, "longest time of one round")
	fs.BoolVar(&o.json, "json", false, "print a line of JSON for each measurement")
	fs.StringVar(&o.store, "store", "", "where the components meet; without it they are served one")
	engines := fs.String("engines", "auto,zmq:ipc,zmq:tcp,grpc:unix,grpc:tcp", "engines, with commas")
	cases := fs.String("cases", strings.Join(patterns, ","), "patterns, with commas")
	sizes := fs.String("sizes", "0,1K,64K,1M", "bytes of a body, with commas")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 || o.rounds < 1 || o.loop <= 0 || o.limit <= 0 {
		return nil, errors.New("want flags only, and rounds and times above 0; -h lists them")
	}
	o.engines, o.cases = strings.Split(*engines, ","), strings.Split(*cases, ",")
	for _, c := range o.cases {
		if !slices.Contains(patterns, c) {
			return nil, fmt.Errorf("no pattern %q among %v", c, patterns)
		}
	}
	for _, e := range o.engines {
		if _, err := openEngine(e); err != nil {
			return nil, err
		}
	}
	for s := range strings.SplitSeq(*sizes, ",") {
		n, err := parseSize(s)
		if err != nil {
			return nil, fmt.Errorf("-sizes: %w", err)
		}
		o.sizes = append(o.sizes, n)
	}
	return o, nil
}
