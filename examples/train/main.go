package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/tensor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

// joinTimeout is how long a rank waits for the others to start.
const joinTimeout = time.Minute

// options are what the flags say.
type options struct {
	recipe
	compare      bool
	wantAccuracy float64
	plot         string
	wire         tensor.Type // of gradients that are sent; zero: float64, as they are
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	data, err := loadDigits()
	if err != nil {
		return err
	}
	if o.batch > data.train.len() {
		return fmt.Errorf("-batch %d is more than the %d images there are", o.batch, data.train.len())
	}
	outcome, err := trainTogether(ctx, o, data, stdout)
	if err != nil || outcome.rank != 0 {
		return err
	}
	return judge(ctx, o, data, outcome, stdout)
}

func parseFlags(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("train", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.epochs, "epochs", 30, "passes over the training images")
	f.IntVar(&o.batch, "batch", 64, "images a step, divided among the ranks")
	f.Float64Var(&o.rate, "lr", 0.1, "learning rate")
	f.Float64Var(&o.momentum, "momentum", 0.9, "share of the last step that is taken again")
	f.Uint64Var(&o.seed, "seed", 1, "of the first parameters and of the order of images")
	hidden := f.String("hidden", "128,64", "units of the hidden layers; empty for none")
	bucket := f.Int("bucket", 32, "gradient bucket in KiB")
	f.BoolVar(&o.compare, "compare", false, "train again in one process and compare the losses")
	f.Float64Var(&o.wantAccuracy, "want-accuracy", 0, "fail if the held-out accuracy is lower at the end")
	wire := f.String("wire", "", "send gradients as f32, bf16 or f16 instead of f64")
	f.StringVar(&o.plot, "plot", "", "draw the curves into this file, as .png and .svg")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for field := range strings.SplitSeq(*hidden, ",") {
		if *hidden == "" {
			break
		}
		units, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || units < 1 || units > 1<<16 {
			return o, fmt.Errorf("-hidden %q: want numbers of units between commas", *hidden)
		}
		o.hidden = append(o.hidden, units)
	}
	o.bucketBytes = *bucket << 10
	if *wire != "" {
		var err error
		if o.wire, err = tensor.ParseType(*wire); err != nil {
			return o, fmt.Errorf("-wire: %w", err)
		}
	}
	switch {
	case o.wire != 0 && o.compare:
		return o, errors.New("-compare wants the same losses up to rounding in f64; with -wire use -want-accuracy")
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q? there are only flags", f.Arg(0))
	case o.epochs < 1 || o.batch < 1:
		return o, errors.New("-epochs and -batch must be at least 1")
	case *bucket < 1 || *bucket > 1<<20:
		return o, errors.New("-bucket must be 1 KiB to 1 GiB")
	}
	return o, nil
}

// outcome is what training together has led to.
type outcome struct {
	rank, size  int
	epochs      []epoch
	fingerprint uint64 // of every rank's parameters
}

// trainTogether is the part of all ranks: it joins them, trains, checks that all have the same
// parameters, and leaves.
func trainTogether(ctx context.Context, o options, data *dataset, stdout io.Writer) (out outcome, err error) {
	joining, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	comm, err := collective.Connect(joining)
	if err != nil {
		return out, err
	}
	var w world = group{comm}
	leave := comm.Close
	defer func() { err = errors.Join(err, leave()) }()
	if o.wire != 0 {
		gradients, err := newThrifty(joining, comm, o.wire)
		if err != nil {
			return out, err
		}
		w, leave = gradients, gradients.close
	}

	t := newTrainer(o.recipe, data, w)
	var report reporter = silent{}
	end := func() {}
	if comm.Rank() == 0 {
		describe(stdout, t)
		report, end = watch(stdout, "training", o.epochs*t.steps(), true)
	}
	epochs, err := t.train(ctx, report)
	end()
	if err != nil {
		return out, err
	}
	print, err := agree(ctx, t.world, t.net.params)
	if comm.Rank() == 0 {
		describeSums(stdout, t, o.wire)
	}
	return outcome{comm.Rank(), comm.Size(), epochs, print}, err
}

func describe(out io.Writer, t *trainer) {
	widths := fmt.Sprint(pixels)
	for _, units := range append(t.hidden[:len(t.hidden):len(t.hidden)], classes) {
		widths += fmt.Sprint("-", units)
	}
	size := t.world.size()
	fmt.Fprintf(out, "%d handwritten digits to learn from, %d held out (UCI, Alpaydin and Kaynak, CC BY 4.0)\n",
		t.data.train.len(), t.data.heldOut.len())
	fmt.Fprintf(out, "network %s, %d parameters; %s, batches of %d; gradients in %d buckets\n",
		widths, len(t.net.params), ranks(size), t.batch, t.buckets.count())
}

// describeSums tells what was sent in each step, and how long it took from the first bucket's start to
// the last one's end.
func describeSums(out io.Writer, t *trainer, wire tensor.Type) {
	if wire == 0 {
		wire = tensor.F64
	}
	n := len(t.net.grad)
	fmt.Fprintf(out, "gradients: %d of %v, %.3f MB in a step, summed in %.1f ms (median)\n",
		n, wire, float64(n*wire.Size())/1e6, t.buckets.median().Seconds()*1e3)
}

// judge is rank 0's part afterwards, alone: it says what came out, compares and draws.
func judge(ctx context.Context, o options, data *dataset, out outcome, stdout io.Writer) error {
	fmt.Fprintf(stdout, "parameters %016x on %s, bit for bit\n", out.fingerprint, ranks(out.size))
	drawn := curves{ranks: out.size, many: out.epochs}
	var failures []error
	if o.compare {
		one, err := trainAlone(ctx, o.recipe, data, stdout)
		if err != nil {
			return fmt.Errorf("training in one process: %w", err)
		}
		drawn.one = one
		failures = append(failures, compareCurves(stdout, out.epochs, one))
	}
	if o.plot != "" {
		files, err := drawn.save(o.plot)
		if err != nil {
			return fmt.Errorf("drawing the curves: %w", err)
		}
		fmt.Fprintln(stdout, "curves in", strings.Join(files, " and "))
	}
	if got := out.epochs[len(out.epochs)-1].accuracy; got < o.wantAccuracy {
		failures = append(failures,
			fmt.Errorf("the held-out accuracy is %.2f %%, below %.2f %%", 100*got, 100*o.wantAccuracy))
	}
	return errors.Join(failures...)
}

func trainAlone(ctx context.Context, r recipe, data *dataset, stdout io.Writer) ([]epoch, error) {
	t := newTrainer(r, data, alone{})
	report, end := watch(stdout, "one process", r.epochs*t.steps(), false)
	defer end()
	return t.train(ctx, report)
}

func compareCurves(stdout io.Writer, many, one []epoch) error {
	largest, at := deviation(many, one)
	if largest > curveTolerance {
		return fmt.Errorf("the loss of epoch %d differs from that of one process by %.1e of it, more than %.0e",
			at, largest, curveTolerance)
	}
	fmt.Fprintf(stdout, "one process alone has the same losses: largest relative difference %.1e, allowed %.0e\n",
		largest, curveTolerance)
	return nil
}
