package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// options are what the command line asks for, checked.
type options struct {
	ops        []*operation
	types      []tensor.Type
	redops     []tensor.Op
	root       int
	sizes      []int
	iterations int // 0: as many as fit into target
	warmup     int // -1: bench decides
	target     time.Duration
	check      int
	ranks      int // processes or goroutines to start; 0: this process is a rank
	driver     string
	algorithm  string
	chunk      byteSize    // 0: what the communicator chooses
	plain      bool        // buffers of ordinary memory
	beside     byteSize    // of the traffic on another communicator; 0: none
	priority   bool        // of the communicator that is measured
	wire       tensor.Type // of what is sent of f32 that is reduced; zero: f32
	format     string      // "table", "csv" or "json"
	timeout    time.Duration
	verbose    bool
	explain    bool
	child      []string // the command line for a rank: this one without -np
}

// aliases are the other spellings of nccl-tests.
var aliases = map[string]string{
	"d": "dtype", "o": "redop", "r": "root", "datatype": "dtype", "minbytes": "b", "maxbytes": "e",
	"stepfactor": "f", "stepbytes": "i", "iters": "n", "warmup_iters": "w", "check": "c",
	"T": "timeout",
}

// raw are the flags as given.
type raw struct {
	op, dtype, redop string
	wire             string
	least, most      byteSize
	step             byteSize
	factor           int
	csv, json        bool
}

// parse reads the command line. The error is flag.ErrHelp when help was asked for and printed.
func parse(args []string, help io.Writer) (*options, error) {
	o, r := &options{}, &raw{least: byteSize{bytes: 32 << 20}}
	fs := flags(o, r)
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(fs, help)
		return nil, err
	case err != nil:
		return nil, err
	case fs.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	fs.Visit(func(f *flag.Flag) {
		if f.Name != "np" {
			o.child = append(o.child, "-"+f.Name+"="+f.Value.String())
		}
	})
	return o, o.complete(r)
}

func flags(o *options, r *raw) *flag.FlagSet {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints the error, once
	fs.StringVar(&r.op, "op", "allreduce", "what to measure: names with commas, or all")
	fs.StringVar(&r.dtype, "dtype", "f32", "element types: names with commas, or all")
	fs.StringVar(&r.redop, "redop", "sum", "reductions: names with commas, or all")
	fs.IntVar(&o.root, "root", 0, "root `rank` of broadcast, reduce, scatter and gather")
	fs.Var(&r.least, "b", "smallest `size`, in bytes or with K, M, G (default 32M)")
	fs.Var(&r.most, "e", "largest `size` (default: the smallest)")
	fs.IntVar(&r.factor, "f", 0, "each size is this `factor` times the last (default 2, unless -i)")
	fs.Var(&r.step, "i", "each size is this many `bytes` more than the last")
	fs.IntVar(&o.iterations, "n", 0, "timed calls for each size; 0: as many as fit into -time")
	fs.IntVar(&o.warmup, "w", -1, "calls before; -1: 5 when -n is given, else as many as needed")
	fs.DurationVar(&o.target, "time", 200*time.Millisecond, "length of the timed loop without -n")
	fs.IntVar(&o.check, "c", 1, "verified calls for each size and form, outside of the timed loop")
	fs.IntVar(&o.ranks, "np", 0, "start this many ranks here; 0: be a rank of the launcher's job")
	fs.StringVar(&o.driver, "driver", "", "inproc (needs -np), auto, shm, ibverbs, zmq, zmq:tcp or zmq:ipc "+
		"(default $TUTTI_DRIVER or auto)")
	fs.StringVar(&o.algorithm, "algo", "", "force this algorithm where -op has it")
	fs.BoolVar(&o.plain, "plain", false, "use ordinary memory in place of collective.Alloc's")
	fs.Var(&o.beside, "beside", "meanwhile make all-reduces of this `size` on another communicator")
	fs.BoolVar(&o.priority, "priority", false, "measure on a communicator with priority")
	fs.StringVar(&r.wire, "wire", "f32", "send what is reduced of f32 as bf16 or f16")
	fs.Var(&o.chunk, "chunk", "largest payload of a frame, a power of two `size`; 0: by the tuner")
	fs.BoolVar(&r.csv, "csv", false, "print comma-separated values")
	fs.BoolVar(&r.json, "json", false, "print a JSON object a line")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Minute, "longest time to connect, and for each "+
		"line half; 0: none")
	fs.BoolVar(&o.explain, "explain", false, "compare predicted with measured times")
	fs.BoolVar(&o.verbose, "v", false, "tell on stderr which addresses and links are chosen")
	for alias, name := range aliases {
		fs.Var(fs.Lookup(name).Value, alias, "the same as -"+name)
	}
	return fs
}

func usage(fs *flag.FlagSet, out io.Writer) {
	main := flag.NewFlagSet("bench", flag.ContinueOnError)
	main.SetOutput(out)
	fs.VisitAll(func(f *flag.Flag) {
		if aliases[f.Name] == "" {
			main.Var(f.Value, f.Name, f.Usage)
		}
	})
	fmt.Fprint(out, "Measures collectives. For example:\n\n"+
		"  bench -op allreduce -np 4 -b 4 -e 64M -f 4\n\nFlags:\n")
	main.PrintDefaults()
}

// complete checks the flags against each other and turns names into what they name.
func (o *options) complete(r *raw) (err error) {
	if o.ops, err = list(r.op, operations, parseOperation); err != nil {
		return fmt.Errorf("-op: %w", err)
	}
	if o.types, err = list(r.dtype, tensor.Types(), tensor.ParseType); err != nil {
		return fmt.Errorf("-dtype: %w", err)
	}
	if o.redops, err = list(r.redop, tensor.Ops(), tensor.ParseOp); err != nil {
		return fmt.Errorf("-redop: %w", err)
	}
	if o.wire, err = tensor.ParseType(r.wire); err != nil {
		return fmt.Errorf("-wire: %w", err)
	}
	if o.wire != tensor.F32 && o.wire != tensor.BF16 && o.wire != tensor.F16 {
		return fmt.Errorf("-wire: type %v on the wire: want bf16, f16 or f32", o.wire)
	}
	if err := o.supported(); err != nil {
		return err
	}
	if !r.most.set {
		r.most.bytes = r.least.bytes
	}
	if r.factor == 0 && !r.step.set {
		r.factor = 2
	}
	if o.sizes, err = sizeList(r.least.bytes, r.most.bytes, r.factor, r.step.bytes); err != nil {
		return err
	}
	for name, n := range map[string]int{
		"root": o.root, "n": o.iterations, "c": o.check, "np": o.ranks,
	} {
		if n < 0 {
			return fmt.Errorf("-%s %d is negative", name, n)
		}
	}
	o.format = "table"
	switch {
	case r.csv && r.json:
		return errors.New("-csv and -json exclude each other")
	case r.csv:
		o.format = "csv"
	case r.json:
		o.format = "json"
	}
	switch {
	case o.driver == "inproc" && o.ranks == 0:
		return errors.New("-driver inproc works inside one process only: give -np")
	case o.target <= 0 || o.timeout < 0:
		return errors.New("-time must be above 0, and -timeout not below")
	}
	_, err = o.forced()
	return err
}

// list parses names with commas, or takes all of them.
func list[T any](names string, every []T, parse func(string) (T, error)) ([]T, error) {
	if names == "all" {
		return every, nil
	}
	var out []T
	for name := range strings.SplitSeq(names, ",") {
		x, err := parse(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// supported refuses a choice that leaves an operation with nothing to reduce by.
func (o *options) supported() error {
	reduces := func(op *operation) bool { return op.reduces() }
	if !slices.ContainsFunc(o.ops, reduces) {
		return nil
	}
	var refused error
	for _, typ := range o.types {
		for _, redop := range o.redops {
			err := redop.Supports(typ)
			if err == nil {
				return nil
			}
			refused = err
		}
	}
	return refused
}

// forced is the choice of -algo in the form of collective.WithAlgorithms: for those of the
// operations that have an algorithm of that name.
func (o *options) forced() (string, error) {
	if o.algorithm == "" {
		return "", nil
	}
	var pairs []string
	var missing error
	for _, op := range o.ops {
		if _, err := schedule.Lookup(op.collective, o.algorithm); err != nil {
			missing = errors.Join(missing, err)
			continue
		}
		pairs = append(pairs, op.collective.String()+"="+o.algorithm)
	}
	if len(pairs) == 0 {
		return "", fmt.Errorf("-algo: %w", missing)
	}
	return strings.Join(pairs, ","), nil
}
