package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// point is what is predicted and measured.
type point struct {
	Driver string `json:"driver"`
	NP     int    `json:"np"`
	Op     string `json:"op"`
	Bytes  int    `json:"bytes"`
}

// result is the part of a line of bench -explain -json that matters here.
type result struct {
	point
	Algo        string  `json:"algo"`
	PredictedUS float64 `json:"predicted_us"`
	MeasuredUS  float64 `json:"measured_us"`
}

// ratio is of predicted to measured time.
func (r *result) ratio() float64 { return r.PredictedUS / r.MeasuredUS }

// sweep is all results of each point, a round each.
type sweep map[point][]result

func (s sweep) add(all []result) {
	for _, r := range all {
		s[r.point] = append(s[r.point], r)
	}
}

// median of what is not empty.
func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func near(ratio float64) bool { return 0.5 <= ratio && ratio <= 2 }

// side is -1 of a ratio that is too low, 1 of one that is too high.
func side(ratio float64) int {
	switch {
	case ratio < 0.5:
		return -1
	case ratio > 2:
		return 1
	}
	return 0
}

// share counts points.
type share struct{ near, all int }

func (n share) String() string {
	return fmt.Sprintf("%d of %d (%d %%)", n.near, n.all, 100*n.near/max(1, n.all))
}

// print writes the shares, and the points that are lastingly far off.
func (s sweep) print(out io.Writer, rounds int) error {
	total, lines := share{}, map[point]share{}
	var lasting []point
	for p, results := range s {
		ratios := make([]float64, len(results))
		sides := 0
		for i := range results {
			ratios[i] = results[i].ratio()
			sides += side(ratios[i])
		}
		ok := 0
		if near(median(ratios)) {
			ok = 1
		}
		for _, line := range []point{{p.Driver, p.NP, p.Op, 0}, {p.Driver, p.NP, "", 0}} {
			n := lines[line]
			lines[line] = share{n.near + ok, n.all + 1}
		}
		total = share{total.near + ok, total.all + 1}
		if rounds > 1 && (sides == len(results) || sides == -len(results)) {
			lasting = append(lasting, p)
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "driver\tranks\top\twithin a factor of 2")
	for _, p := range slices.SortedFunc(maps.Keys(lines), compare) {
		fmt.Fprintf(w, "%s\t%d\t%s\t%v\n", p.Driver, p.NP, cmp.Or(p.Op, "all"), lines[p])
	}
	fmt.Fprintf(w, "all\t\t\t%v\n", total)
	if len(lasting) > 0 {
		fmt.Fprintln(w, "\nfar off in every round\t\tsize (B)\tpredicted\tmeasured (us)")
		slices.SortFunc(lasting, compare)
	}
	for _, p := range lasting {
		var predicted, measured []float64
		for _, r := range s[p] {
			predicted, measured = append(predicted, r.PredictedUS), append(measured, r.MeasuredUS)
		}
		fmt.Fprintf(w, "%s %s, %s\t%d\t%d\t%.1f\t%.1f\n", p.Driver, p.Op, s[p][0].Algo, p.NP, p.Bytes,
			median(predicted), median(measured))
	}
	return w.Flush()
}

func compare(a, b point) int {
	return cmp.Or(cmp.Compare(a.Driver, b.Driver), a.NP-b.NP, cmp.Compare(a.Op, b.Op), a.Bytes-b.Bytes)
}
