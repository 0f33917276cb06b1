package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// results are what was measured: by the name of the experiment and by engine, a value each round.
type results struct {
	options *options
	out     io.Writer
	started string
	order   []experiment
	values  map[string]map[string][]value
}

// add takes a measurement: round trips a second, or seconds of a join.
func (r *results) add(round int, engine string, x experiment, v value) error {
	if r.options.json {
		return json.NewEncoder(r.out).Encode(struct {
			Engine string `json:"engine"`
			experiment
			Round int     `json:"round"`
			Value float64 `json:"value"`
			Unit  string  `json:"unit"`
			// Cost is the processor time of all components for one round trip, or to join, in
			// microseconds.
			Cost float64 `json:"cost_us,omitempty"`
			MARO float64 `json:"maro,omitempty"`
		}{engine, x, round, v.rate, unit(x), microseconds(v), ofMARO(x)})
	}
	if r.values == nil {
		r.values = map[string]map[string][]value{}
	}
	of := r.values[x.name()]
	if of == nil {
		of = map[string][]value{}
		r.values[x.name()] = of
		r.order = append(r.order, x)
	}
	of[engine] = append(of[engine], v)
	return nil
}

func unit(x experiment) string {
	if x.Pattern == "join" {
		return "s"
	}
	return "round trips/s"
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// medianOf is the median of what of says of the values.
func medianOf(values []value, of func(value) float64) float64 {
	var x []float64
	for _, v := range values {
		x = append(x, of(v))
	}
	return median(x)
}

func rate(v value) float64 { return v.rate }

func microseconds(v value) float64 { return float64(v.cost) / float64(time.Microsecond) }

// ratio is how many times as fast a is as b: the median over the rounds. A join is fast when its
// value is small, and so is what costs little.
func ratio(a, b []value, of func(value) float64, small bool) float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = of(a[i]) / of(b[i])
		if small {
			q[i] = 1 / q[i]
		}
	}
	return median(q)
}

// peer is the engine that another one is compared with: of the same network.
func peer(engine string) string {
	switch engine {
	case "auto", "shm", "zmq", "zmq:ipc":
		return "grpc:unix"
	case "zmq:tcp":
		return "grpc:tcp"
	}
	return ""
}

// table prints the medians, and how many times as fast as MARO and as gRPC of the same network;
// then the same of what a round trip costs.
func (r *results) table() error {
	fmt.Fprintf(r.out, "before: %s\nafter:  %s\n", r.started, machine())
	fmt.Fprintf(r.out, "%d rounds, medians; ratios above 1: ours is faster\n"+
		"MARO: as measured elsewhere, Microsoft MARO 0.3.2a4 on two cores of an AMD EPYC\n\n"+
		"round trips a second; of join, milliseconds\n", r.options.rounds)
	if err := r.section(true, rate); err != nil {
		return err
	}
	fmt.Fprint(r.out,
		"\nprocessor time of all components for one round trip, or to join, microseconds\n")
	return r.section(false, microseconds)
}

func (r *results) section(rates bool, of func(value) float64) error {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	titles := append([]string{""}, r.options.engines...)
	if rates {
		titles = append(titles, "MARO")
	}
	for _, e := range r.options.engines {
		if p := peer(e); p != "" {
			if rates {
				titles = append(titles, e+"/MARO")
			}
			if slices.Contains(r.options.engines, p) {
				titles = append(titles, e+"/grpc")
			}
		}
	}
	fmt.Fprintln(w, strings.Join(titles, "\t")+"\t")
	for _, x := range r.order {
		fmt.Fprintln(w, strings.Join(r.row(x, rates, of), "\t")+"\t")
	}
	return w.Flush()
}

func (r *results) row(x experiment, rates bool, of func(value) float64) []string {
	values := r.values[x.name()]
	cells := []string{x.name()}
	scale, small := 1.0, !rates
	if x.Pattern == "join" {
		small = true
		if rates {
			scale = 1000
		}
	}
	for _, e := range r.options.engines {
		cells = append(cells, formatValue(scale*medianOf(values[e], of)))
	}
	maro := ofMARO(x)
	if rates {
		cells = append(cells, formatValue(scale*maro))
	}
	for _, e := range r.options.engines {
		p := peer(e)
		if p == "" {
			continue
		}
		if rates {
			constant := slices.Repeat([]value{{rate: maro}}, len(values[e]))
			cells = append(cells, formatRatio(ratio(values[e], constant, of, small)))
		}
		if slices.Contains(r.options.engines, p) {
			cells = append(cells, formatRatio(ratio(values[e], values[p], of, small)))
		}
	}
	return cells
}

func formatValue(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func formatRatio(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// machine names what the figures were measured on, and how busy it is.
func machine() string {
	load := ""
	if l, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = ", load " + strings.Join(strings.Fields(string(l))[:3], " ")
	}
	return fmt.Sprintf("%d cores, %s/%s%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, load,
		time.Now().Format(time.DateTime))
}
