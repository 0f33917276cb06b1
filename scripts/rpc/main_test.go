package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The test binary is also the program that components run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == componentCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestRun measures a little of everything with real processes.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	args := []string{"-rounds=2", "-time=5ms", "-sizes=0,1K", "-engines=auto,zmq:ipc,grpc:unix"}
	if err := run(ctx, args, &out, &errs); err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	rates, costs, found := strings.Cut(out.String(), "processor time")
	if !found {
		t.Fatalf("no processor time in\n%s", &out)
	}
	for _, part := range []string{rates, costs} {
		for _, name := range []string{
			"send 0 B ack", "send 1 KiB echo", "flight 0 B echo", "isend 1 KiB ack", "scatter 0 B echo",
			"broadcast 1 KiB ack", "join, 1 + 4",
		} {
			_, row, found := strings.Cut(part, " "+name+" ")
			row, _, _ = strings.Cut(row, "\n")
			cells := strings.Fields(row)
			if !found || len(cells) < 3 {
				t.Errorf("%s: got %q in\n%s", name, row, part)
				continue
			}
			for _, cell := range cells[:3] { // of the engines
				if x, err := strconv.ParseFloat(cell, 64); err != nil || x <= 0 {
					t.Errorf("%s: %q is no measurement", name, cell)
				}
			}
		}
	}
}

// TestTable: a ratio is the median of those of the rounds, and above 1 where ours is faster, or
// costs less; a join is better when it is short.
func TestTable(t *testing.T) {
	r := &results{options: &options{engines: []string{"auto", "grpc:unix"}}}
	for _, m := range []struct {
		engine string
		x      experiment
		rate   float64
		cost   time.Duration
	}{
		{"auto", experiment{Pattern: "send"}, 1627, 10 * time.Microsecond},
		{"auto", experiment{Pattern: "send"}, 3254, 20 * time.Microsecond},
		{"auto", experiment{Pattern: "send"}, 4881, 30 * time.Microsecond},
		{"grpc:unix", experiment{Pattern: "send"}, 1627, 40 * time.Microsecond},
		{"grpc:unix", experiment{Pattern: "send"}, 813.5, 40 * time.Microsecond},
		{"grpc:unix", experiment{Pattern: "send"}, 1627, 30 * time.Microsecond},
		{"auto", experiment{Pattern: "join"}, 0.05, 0},
		{"grpc:unix", experiment{Pattern: "join"}, 0.01, 0},
	} {
		if err := r.add(0, m.engine, m.x, value{m.rate, m.cost}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		x     experiment
		rates bool
		of    func(value) float64
		want  string
	}{
		{experiment{Pattern: "send"}, true, rate, "send 0 B ack|3254|1627|1627|2.00|3.00"},
		{experiment{Pattern: "send"}, false, microseconds, "send 0 B ack|20.0|40.0|2.00"},
		{experiment{Pattern: "join"}, true, rate, "join, 1 + 4|50.0|10.0|3113|62.26|0.20"},
	} {
		if got := strings.Join(r.row(c.x, c.rates, c.of), "|"); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	var errs bytes.Buffer
	o, err := parse([]string{"-cases=flight,scatter", "-sizes=0,64k,1M", "-engines=zmq:tcp"}, &errs)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, workers := range []int{1, 4} {
		for _, x := range o.plan(workers) {
			names = append(names, x.name())
		}
	}
	want := []string{
		"flight 0 B ack", "flight 0 B echo", "flight 64 KiB ack", "flight 64 KiB echo", // and no more
		"scatter 0 B ack", "scatter 0 B echo", "scatter 64 KiB ack", "scatter 64 KiB echo",
		"scatter 1 MiB ack", "scatter 1 MiB echo",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	for _, args := range [][]string{
		{"-rounds=0"},
		{"-time=0s"},
		{"-cases=sned"},
		{"-engines=carrier-pigeon"},
		{"-sizes=-1"},
		{"-sizes=1G"},
		{"-sizes=4096M"},
		{"more"},
	} {
		if _, err := parse(args, &errs); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

// TestPublished: each figure of MARO's is that of an experiment there is.
func TestPublished(t *testing.T) {
	o, err := parse(nil, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	left := len(published)
	for _, workers := range []int{1, 4} {
		for _, x := range o.plan(workers) {
			if _, has := published[x.name()]; has {
				left--
			}
			if ofMARO(x) <= 0 {
				t.Errorf("%s has no figure to compare with", x.name())
			}
		}
	}
	if left != 0 {
		t.Errorf("%d figures are those of no experiment", left)
	}
}
