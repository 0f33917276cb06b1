package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	bench   []string // the program and what stands before it
	drivers []string
	ranks   []int
	rounds  int
	limit   time.Duration
	args    []string // of bench
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "predict:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	cache, err := os.MkdirTemp("", "tutti-predict-")
	if err != nil {
		return fmt.Errorf("a directory for measured speeds: %w", err)
	}
	defer func() { _ = os.RemoveAll(cache) }() // it is in the system's place for such things
	s := sweep{}
	loads := []string{load()}
	for range o.rounds {
		for _, driver := range o.drivers {
			for _, n := range o.ranks {
				results, err := o.measure(ctx, driver, n, cache)
				if err != nil {
					return fmt.Errorf("%d ranks over %s: %w", n, driver, err)
				}
				s.add(results)
			}
		}
		loads = append(loads, load())
	}
	fmt.Fprintf(out, "%d rounds; load of the machine before, and after each: %s\n\n", o.rounds,
		strings.Join(loads, ", "))
	return s.print(out, o.rounds)
}

func parse(args []string, errs io.Writer) (*options, error) {
	fs := flag.NewFlagSet("predict", flag.ContinueOnError)
	fs.SetOutput(errs)
	o := &options{}
	bench := fs.String("bench", "bench", "program built from cmd/bench")
	under := fs.String("under", "", "command that runs bench, such as \"chrt -r 1\"")
	drivers := fs.String("drivers", "shm,zmq:tcp", "drivers, with commas")
	ranks := fs.String("np", "2,4,8", "numbers of ranks, with commas")
	fs.IntVar(&o.rounds, "rounds", 3, "rounds")
	fs.DurationVar(&o.limit, "timeout", 5*time.Minute, "longest time of one run")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if o.rounds < 1 || o.limit <= 0 {
		return nil, errors.New("want -rounds and -timeout above 0")
	}
	o.bench = append(strings.Fields(*under), *bench)
	o.drivers = strings.Split(*drivers, ",")
	for s := range strings.SplitSeq(*ranks, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 2 {
			return nil, fmt.Errorf("-np: %q is no number of ranks that send messages", s)
		}
		o.ranks = append(o.ranks, n)
	}
	if o.args = fs.Args(); len(o.args) == 0 {
		o.args = []string{"-op", "all", "-b", "4", "-e", "16M", "-f", "8", "-time", "50ms"}
	}
	return o, nil
}

// measure runs bench once.
func (o *options) measure(
	ctx context.Context, driver string, ranks int, cache string,
) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	args := append(o.bench[1:len(o.bench):len(o.bench)],
		"-explain", "-json", "-driver", driver, "-np", strconv.Itoa(ranks))
	cmd := exec.CommandContext(ctx, o.bench[0], append(args, o.args...)...)
	cmd.Env = append(os.Environ(), "TUTTI_TUNE_CACHE="+cache)
	if os.Getenv("TUTTI_TUNE") == "" {
		cmd.Env = append(cmd.Env, "TUTTI_TUNE=fresh")
	}
	// Ranks are bench's children: told to stop, it stops them.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(o.bench[0]), err, bytes.TrimSpace(errs.Bytes()))
	}
	return read(&out)
}

// read parses what bench has printed.
func read(in io.Reader) ([]result, error) {
	var all []result
	for d := json.NewDecoder(in); ; {
		var r result
		switch err := d.Decode(&r); {
		case errors.Is(err, io.EOF) && len(all) > 0:
			return all, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("bench has printed nothing")
		case err != nil:
			return nil, fmt.Errorf("a line of bench's: %w", err)
		case r.PredictedUS <= 0 || r.MeasuredUS <= 0:
			return nil, fmt.Errorf("%s of %d bytes: predicted %g us, measured %g", r.Op, r.Bytes,
				r.PredictedUS, r.MeasuredUS)
		}
		all = append(all, r)
	}
}

// load is how many threads wanted to run during the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(b))[0]
}
