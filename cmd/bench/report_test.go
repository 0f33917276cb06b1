package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/tensor"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// report prints the same few lines in a format.
func report(t *testing.T, format string) string {
	t.Helper()
	var out bytes.Buffer
	r := newReporter(format, &out)
	r.begin(header{
		driver: "zmq", places: []place{{"alpha", 11}, {"beta", 12}, {"alpha", 13}, {"beta", 14}},
		options: &options{target: 200 * time.Millisecond, warmup: -1, check: 1},
	})
	lines := []struct {
		op      string
		redop   tensor.Op
		bytes   int
		took    time.Duration
		wrong   int
		checked bool
	}{
		{"allreduce", tensor.Sum, 4, 1234 * time.Nanosecond, 0, true},
		{"allreduce", tensor.Sum, 64 << 20, 70123456 * time.Nanosecond, 3, true},
		{"allgather", tensor.Op{}, 1 << 20, 654321 * time.Nanosecond, 0, false},
		{"gather", tensor.Op{}, 1 << 20, 7 * time.Microsecond, 0, true},
		{"sendrecv", tensor.Op{}, 0, 900 * time.Nanosecond, 0, true},
		{"barrier", tensor.Op{}, 0, 45 * time.Microsecond, 0, false},
	}
	for _, l := range lines {
		op, err := parseOperation(l.op)
		if err != nil {
			t.Fatal(err)
		}
		tr := trial{op: op, typ: tensor.F32, redop: l.redop, root: 2, size: 4}
		tr.count = op.countFor(l.bytes, tr.typ, tr.size)
		rows := make([]*row, 2)
		for i := range rows {
			if tr.inPlace = i == 1; tr.inPlace && !op.inPlace {
				continue
			}
			rows[i] = newRow(tr, "zmq", "ring")
			rows[i].setTimes(tr, timing{l.took, l.took - 100, l.took + 100})
			if l.checked {
				rows[i].Wrong = &l.wrong
			}
		}
		if err := r.line(tr, rows...); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestReportGolden(t *testing.T) {
	for _, format := range []string{"table", "csv", "json"} {
		file := filepath.Join("testdata", "report."+format)
		got := report(t, format)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (go test -update writes it anew):\n%s", format, diff)
		}
	}
}

// TestJSONFields: scripts read these names.
func TestJSONFields(t *testing.T) {
	want := map[string]any{
		"op": "allreduce", "dtype": "f32", "redop": "sum", "wire": "f32", "driver": "zmq", "algo": "ring",
		"np": 4.0, "bytes": 4.0, "count": 1.0, "inplace": false, "time_us": 1.234,
		"algbw_gbs": 0.0032415, "busbw_gbs": 0.0048622, "p50_us": 1.134, "p99_us": 1.334,
		"wrong": 0.0,
	}
	line, _, _ := bytes.Cut([]byte(report(t, "json")), []byte("\n"))
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// failing is a writer that is full.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errBroken }

func TestReportTellsWriteErrors(t *testing.T) {
	tr := trial{op: operations[0], typ: tensor.F32, redop: tensor.Sum, size: 2, count: 1}
	for _, format := range []string{"table", "csv", "json"} {
		r := newReporter(format, failing{})
		r.begin(header{options: &options{}})
		err := errors.Join(r.line(tr, newRow(tr, "zmq", "ring"), nil), r.end())
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestSignificant(t *testing.T) {
	for x, want := range map[float64]float64{
		0: 0, 123456.7: 123460, 1.234567: 1.2346, 0.000012345678: 0.000012346, 99999.6: 100000, 7: 7,
	} {
		if got := significant(x); got != want {
			t.Errorf("significant(%v) = %v, want %v", x, got, want)
		}
	}
}
