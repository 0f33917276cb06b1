package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// reporter is told how training gets on. It is called by the goroutine that trains.
type reporter interface {
	step()
	epoch(number int, e epoch) // number counts from 1
}

// silent shows nothing: ranks other than 0.
type silent struct{}

func (silent) step()            {}
func (silent) epoch(int, epoch) {}

// table writes a line an epoch.
type table struct{ out io.Writer }

func (t table) step() {}

func (t table) epoch(number int, e epoch) {
	if number == 1 {
		fmt.Fprintf(t.out, "%5s  %12s  %17s  %8s\n", "epoch", "loss [nat]", "held-out accuracy", "time")
	}
	fmt.Fprintf(t.out, "%5d  %12.6f  %15.2f %%  %8s\n",
		number, e.loss, 100*e.accuracy, e.took.Round(time.Millisecond))
}

// bar shows a progress bar on a terminal, and the table above it if there is to be one.
type bar struct {
	table    *table
	progress *mpb.Progress
	bar      *mpb.Bar
}

func newBar(
	out io.Writer, name string, steps int, withTable bool, options ...mpb.ContainerOption,
) *bar {
	b := &bar{progress: mpb.New(append(options, mpb.WithOutput(out), mpb.WithWidth(48))...)}
	if withTable {
		b.table = &table{b.progress}
	}
	b.bar = b.progress.AddBar(int64(steps),
		mpb.PrependDecorators(decor.Name(name+" "), decor.CountersNoUnit("%d / %d steps")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)),
		mpb.BarRemoveOnComplete(),
	)
	return b
}

func (b *bar) step() { b.bar.Increment() }

func (b *bar) epoch(number int, e epoch) {
	if b.table != nil {
		b.table.epoch(number, e)
	}
}

// close removes the bar, even if it is not full.
func (b *bar) close() {
	b.bar.Abort(true)
	b.progress.Wait()
}

// watch returns a reporter for a run of so many steps, and what ends it. On a terminal it is a bar;
// elsewhere the table alone, as no bar can be redrawn there.
func watch(out io.Writer, name string, steps int, withTable bool) (r reporter, end func()) {
	if file, ok := out.(*os.File); ok && cwriter.IsTerminal(int(file.Fd())) {
		b := newBar(out, name, steps, withTable)
		return b, b.close
	}
	if withTable {
		return table{out}, func() {}
	}
	return silent{}, func() {}
}
