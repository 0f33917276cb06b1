package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/tutti-ml/tutti/tensor"
)

// reporter prints what rank 0 has to say.
type reporter interface {
	begin(h header)
	// line prints both forms of a trial, out of place first; a form that does not exist is nil.
	line(t trial, rows ...*row) error
	// end prints what comes last and returns the first error in writing.
	end() error
}

// header is what holds for a whole run.
type header struct {
	driver  string
	places  []place
	options *options
}

func newReporter(format string, out io.Writer) reporter {
	switch format {
	case "json":
		return &jsonLines{json.NewEncoder(out)}
	case "csv":
		return &csvLines{w: csv.NewWriter(out)}
	}
	return &table{out: out}
}

// jsonLines prints an object a line, and nothing else.
type jsonLines struct{ *json.Encoder }

func (j *jsonLines) begin(header) {}
func (j *jsonLines) end() error   { return nil }

func (j *jsonLines) line(_ trial, rows ...*row) error {
	for _, r := range rows {
		if r == nil {
			continue
		}
		if err := j.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// csvLines prints the fields of the JSON objects behind a line with their names.
type csvLines struct{ w *csv.Writer }

func (c *csvLines) begin(header) {
	c.write(
		"op", "dtype", "redop", "wire", "driver", "algo", "np", "bytes", "count", "inplace", "time_us",
		"algbw_gbs", "busbw_gbs", "p50_us", "p99_us", "wrong",
	)
}

func (c *csvLines) write(fields ...string) {
	// A csv.Writer keeps its error for Error.
	_ = c.w.Write(fields)
	c.w.Flush()
}

func (c *csvLines) end() error { return c.w.Error() }

func (c *csvLines) line(_ trial, rows ...*row) error {
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	for _, r := range rows {
		if r == nil {
			continue
		}
		wrong := ""
		if r.Wrong != nil {
			wrong = strconv.Itoa(*r.Wrong)
		}
		c.write(
			r.Op, r.DType, r.RedOp, r.Wire, r.Driver, r.Algo, strconv.Itoa(r.NP), strconv.Itoa(r.Bytes),
			strconv.Itoa(r.Count), strconv.FormatBool(r.InPlace), number(r.TimeUS), number(r.AlgBW),
			number(r.BusBW), number(r.P50US), number(r.P99US), wrong,
		)
	}
	return c.w.Error()
}

// table prints columns as nccl-tests do, with percentiles.
type table struct {
	out      io.Writer
	err      error
	section  string
	sum      float64 // of bus bandwidths
	rows     int
	wrong    int
	verified bool
}

func (t *table) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, format, args...)
	}
}

func (t *table) begin(h header) {
	o := h.options
	iterations, warmup := fmt.Sprintf("for %v", o.target), "as needed"
	if o.iterations > 0 {
		iterations = strconv.Itoa(o.iterations)
		warmup = strconv.Itoa(givenWarmupCalls)
	}
	if o.warmup >= 0 {
		warmup = strconv.Itoa(o.warmup)
	}
	t.printf("# ranks %d, driver %s, calls %s, warm-up %s, verified calls %d\n",
		len(h.places), h.driver, iterations, warmup, o.check)
	if o.wire != 0 && o.wire != tensor.F32 {
		t.printf("# reductions of f32 are sent as %v\n", o.wire)
	}
	for rank, p := range h.places {
		t.printf("#  rank %3d on %s pid %d\n", rank, p.host, p.pid)
	}
}

const (
	sharedColumns = "%12s %12s %6s %6s %5s %18s"
	halfColumns   = " %10s %8s %8s %7s %10s %10s"
)

// center puts a title above one half's columns.
func center(title string) string {
	const width = 58
	return fmt.Sprintf("%*s", (width+len(title))/2, title)
}

// columns prints the titles of an operation's lines before the first of them.
func (t *table) columns(name string) {
	if name == t.section {
		return
	}
	t.section = name
	t.printf("#\n# %s\n#\n", name)
	titles := []any{"", "", "", "", "", "", center("out of place"), center("in place")}
	t.printf("#"+sharedColumns+" %-58s %s\n", titles...)
	half := []any{"time", "algbw", "busbw", "#wrong", "p50", "p99"}
	names := append([]any{"size", "count", "type", "redop", "root", "algo"}, half...)
	t.printf("#"+sharedColumns+halfColumns+halfColumns+"\n", append(names, half...)...)
	half = []any{"(us)", "(GB/s)", "(GB/s)", "", "(us)", "(us)"}
	names = append([]any{"(B)", "(elements)", "", "", "", ""}, half...)
	t.printf("#"+sharedColumns+halfColumns+halfColumns+"\n", append(names, half...)...)
}

func (t *table) line(tr trial, rows ...*row) error {
	first := rows[0]
	t.columns(first.Op)
	t.printf(" "+sharedColumns, strconv.Itoa(first.Bytes), strconv.Itoa(first.Count), first.DType,
		first.RedOp, strconv.Itoa(tr.rootNumber()), first.Algo)
	for _, r := range rows {
		t.half(r)
	}
	t.printf("\n")
	return t.err
}

func (t *table) half(r *row) {
	if r == nil {
		t.printf(halfColumns, "-", "-", "-", "-", "-", "-")
		return
	}
	wrong := "N/A"
	if r.Wrong != nil {
		wrong = strconv.Itoa(*r.Wrong)
		t.wrong += *r.Wrong
		t.verified = true
	}
	if r.Op != "barrier" {
		t.sum += r.BusBW
		t.rows++
	}
	t.printf(halfColumns, duration(r.TimeUS), bandwidth(r.AlgBW), bandwidth(r.BusBW), wrong,
		duration(r.P50US), duration(r.P99US))
}

func (t *table) end() error {
	verdict := "unchecked"
	if t.verified {
		verdict = fmt.Sprintf("%d OK", t.wrong)
		if t.wrong > 0 {
			verdict = fmt.Sprintf("%d FAILED", t.wrong)
		}
	}
	t.printf("#\n# wrong elements: %s\n", verdict)
	if t.rows > 0 {
		t.printf("# average bus bandwidth: %s GB/s\n", bandwidth(t.sum/float64(t.rows)))
	}
	return t.err
}

// duration prints microseconds with four digits or so, as nccl-tests do.
func duration(us float64) string {
	switch {
	case us >= 10000:
		return fmt.Sprintf("%.0f", us)
	case us >= 100:
		return fmt.Sprintf("%.1f", us)
	}
	return fmt.Sprintf("%.2f", us)
}

func bandwidth(gbs float64) string {
	if gbs != 0 && gbs < 0.01 {
		return fmt.Sprintf("%.5f", gbs)
	}
	return fmt.Sprintf("%.3f", gbs)
}
