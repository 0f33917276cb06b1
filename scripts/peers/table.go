package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// samples are the times of one engine in one experiment, a round each; NaN where it failed.
type samples []float64

// line is one experiment with the samples of all engines, in their order.
type line struct {
	experiment
	times []samples
}

// median of what is not NaN; NaN of nothing.
func median(x []float64) float64 {
	var s []float64
	for _, v := range x {
		if !math.IsNaN(v) {
			s = append(s, v)
		}
	}
	if len(s) == 0 {
		return math.NaN()
	}
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// ratio is the median over the rounds of a's time to b's.
func ratio(a, b samples) float64 {
	r := make(samples, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return median(r)
}

// best is the index of the peer with the lowest median, -1 when no peer has one.
func (l *line) best(engines []engine) int {
	best, least := -1, math.Inf(1)
	for i, e := range engines {
		if m := median(l.times[i]); !e.ours && m < least {
			best, least = i, m
		}
	}
	return best
}

// printTable writes the comparison of one operation on one number of ranks.
func printTable(out io.Writer, engines []engine, lines []line) error {
	titles := []string{"size"}
	for _, e := range engines {
		titles = append(titles, e.name+" µs")
	}
	titles = append(titles, "best peer")
	for _, e := range engines {
		if e.ours {
			titles = append(titles, e.name+" / best")
		}
	}
	var b strings.Builder
	row := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	row(titles)
	b.WriteString("|" + strings.Repeat(" ---: |", len(titles)) + "\n")
	for _, l := range lines {
		cells := []string{formatSize(l.bytes)}
		for _, t := range l.times {
			cells = append(cells, formatTime(median(t)))
		}
		best := l.best(engines)
		if best < 0 {
			cells = append(cells, "-")
		} else {
			cells = append(cells, engines[best].name)
		}
		for i, e := range engines {
			switch {
			case !e.ours:
			case best < 0:
				cells = append(cells, "-")
			default:
				cells = append(cells, formatRatio(ratio(l.times[i], l.times[best])))
			}
		}
		row(cells)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func formatTime(us float64) string {
	switch {
	case math.IsNaN(us):
		return "-"
	case us >= 1000:
		return fmt.Sprintf("%.0f", us)
	case us >= 10:
		return fmt.Sprintf("%.1f", us)
	}
	return fmt.Sprintf("%.2f", us)
}

func formatRatio(r float64) string {
	if math.IsNaN(r) {
		return "-"
	}
	return fmt.Sprintf("%.2f", r)
}

func formatSize(n int) string {
	for _, u := range []struct {
		unit int
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.unit && n%u.unit == 0 {
			return fmt.Sprintf("%d %s", n/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
