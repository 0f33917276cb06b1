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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "rollout:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	seed       uint64
	actors     int
	steps      int
	async      bool
	episodes   int
	wantReturn float64
	plot       string
	collective bool
	role       role
	number     int
	group      string
	store      string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	p, err := placeOf(o)
	if err != nil {
		return err
	}
	take := taking(p.actors, o.async)
	j := job{standard(o.seed, p.actors, take, o.steps), o.steps}
	if p.role == player {
		return p.play(ctx, o, j.recipe)
	}
	if !p.speaks() {
		_, err := p.learn(ctx, o, j, silent{})
		return err
	}
	describe(stdout, j, take)
	describePlace(stdout, p)
	report, end := watch(stdout, j.steps)
	out, err := p.learn(ctx, o, j, report)
	end()
	if err != nil {
		return err
	}
	return judge(o, j, out, stdout)
}

func parseFlags(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("rollout", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Uint64Var(&o.seed, "seed", 1, "of everything that is drawn at random")
	f.IntVar(&o.actors, "actors", 4, "that play, each with carts of its own")
	f.IntVar(&o.steps, "steps", 400_000, "of the environments, after which to give up")
	f.BoolVar(&o.async, "async", false,
		fmt.Sprintf("learn as soon as %d %% of the actors have played", asyncShare))
	f.IntVar(&o.episodes, "eval", 100, "episodes to play at the end, without exploring")
	f.Float64Var(&o.wantReturn, "want-return", 0, "fail if the mean return of those is lower")
	f.StringVar(&o.plot, "plot", "", "draw the learning curve into this file, as .png and .svg")
	f.BoolVar(&o.collective, "collective", false,
		"every rank plays and learns, and gradients are all-reduced")
	f.Func("role", "learner or actor, where no launcher has started several ranks", func(s string) error {
		if o.role = role(s); o.role != learning && o.role != player {
			return errors.New("want learner or actor")
		}
		return nil
	})
	f.IntVar(&o.number, "number", 0, "of this actor, with -role actor")
	f.StringVar(&o.group, "group", "rollout", "name of the job, where several share a store")
	f.StringVar(&o.store, "store", "",
		"where learner and actors meet, redis://HOST:PORT say, instead of what the launcher serves")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q? there are only flags", f.Arg(0))
	case o.actors < 1 || o.actors > 1024:
		return o, errors.New("-actors must be 1 to 1024")
	case o.steps < 1:
		return o, errors.New("-steps must be at least 1")
	case o.number < 0 || o.number >= o.actors:
		return o, errors.New("-number must be below -actors")
	case o.episodes < 1:
		return o, errors.New("-eval must be at least 1")
	}
	return o, nil
}

func describe(out io.Writer, j job, take int) {
	total := len(newPolicy(j.hidden, 1).params)
	fmt.Fprintf(out, "a pole on a cart; %d episodes of up to %d steps with a mean of %d solve it\n",
		window, longest, solvedReturn)
	fmt.Fprintf(out, "policy with %d parameters; %s, trajectories of %d steps, %d an update\n",
		total, count(j.actors, "actor"), j.horizon, take)
}

// count says how many of something there are.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// judge says what came out, plays without exploring, and draws.
func judge(o options, j job, out outcome, stdout io.Writer) error {
	verdict := "not solved"
	if out.curve.solved() {
		verdict = "solved"
	}
	fmt.Fprintf(stdout, "%s after %d steps, %d episodes and %s: mean return %.1f\n", verdict,
		out.curve.steps, len(out.curve.returns), out.took.Round(time.Millisecond), out.curve.mean())
	if out.dropped > 0 {
		fmt.Fprintf(stdout, "trajectories too stale to learn from: %d\n", out.dropped)
	}
	returns := evaluate(j.recipe, out.params, o.episodes)
	got := mean(returns)
	fmt.Fprintf(stdout, "%d episodes without exploring: mean return %.1f, lowest %.0f\n",
		o.episodes, got, slices.Min(returns))
	fmt.Fprintf(stdout, "parameters %016x at version %d\n", fingerprint(out.params), out.version)
	if o.plot != "" {
		title := fmt.Sprintf("Learning to balance a pole (%s)", count(j.actors, "actor"))
		files, err := out.curve.save(o.plot, title)
		if err != nil {
			return fmt.Errorf("drawing the curve: %w", err)
		}
		fmt.Fprintln(stdout, "curve in", strings.Join(files, " and "))
	}
	if got < o.wantReturn {
		return fmt.Errorf("the mean return is %.1f, below %.1f", got, o.wantReturn)
	}
	return nil
}
