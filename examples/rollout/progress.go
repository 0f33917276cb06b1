package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress is how far learning is after an update.
type progress struct {
	version, steps, episodes int
	mean                     float64 // return over the last window episodes
	losses                   losses
	took                     time.Duration // since the start
	last                     bool
}

// reporter is told how learning gets on. It is called by the goroutine that learns.
type reporter interface{ update(p progress) }

// every is how many updates there are to a line of the table.
const every = 5

// table writes a line for some of the updates, and for the last one.
type table struct {
	out    io.Writer
	headed bool
}

func (t *table) update(p progress) {
	if p.version%every != 0 && !p.last {
		return
	}
	if !t.headed {
		fmt.Fprintf(t.out, "%6s  %8s  %8s  %11s  %13s  %8s\n",
			"update", "steps", "episodes", "mean return", "entropy [nat]", "time")
		t.headed = true
	}
	fmt.Fprintf(t.out, "%6d  %8d  %8d  %11.1f  %13.3f  %8s\n",
		p.version, p.steps, p.episodes, p.mean, p.losses.entropy, p.took.Round(time.Millisecond))
}

// bar shows the steps and the mean return on a terminal, below the table.
type bar struct {
	table    table
	progress *mpb.Progress
	bar      *mpb.Bar
	mean     atomic.Uint64 // bits of the mean return, for the goroutine that draws
}

func newBar(out io.Writer, steps int, options ...mpb.ContainerOption) *bar {
	b := &bar{progress: mpb.New(append(options, mpb.WithOutput(out), mpb.WithWidth(40))...)}
	b.table.out = b.progress
	b.bar = b.progress.AddBar(int64(steps),
		mpb.PrependDecorators(decor.CountersNoUnit("%d / %d steps")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			return fmt.Sprintf("mean return %.1f", math.Float64frombits(b.mean.Load()))
		})),
		mpb.BarRemoveOnComplete(),
	)
	return b
}

func (b *bar) update(p progress) {
	b.mean.Store(math.Float64bits(p.mean))
	b.table.update(p)
	b.bar.SetCurrent(int64(p.steps))
}

// close removes the bar, even if it is not full.
func (b *bar) close() {
	b.bar.Abort(true)
	b.progress.Wait()
}

// watch returns a reporter for a run of so many steps at most, and what ends it. On a terminal it
// has a bar; elsewhere the table alone, as no bar can be redrawn there.
func watch(out io.Writer, steps int) (r reporter, end func()) {
	if file, ok := out.(*os.File); ok && cwriter.IsTerminal(int(file.Fd())) {
		b := newBar(out, steps)
		return b, b.close
	}
	return &table{out: out}, func() {}
}
