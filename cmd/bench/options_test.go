package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/tensor"
)

func names(ops []*operation) (out []string) {
	for _, o := range ops {
		out = append(out, o.name)
	}
	return out
}

func TestParseDefaults(t *testing.T) {
	o, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(o.ops); !cmp.Equal(got, []string{"allreduce"}) {
		t.Errorf("ops %v", got)
	}
	if !cmp.Equal(o.types, []tensor.Type{tensor.F32}) || len(o.redops) != 1 ||
		o.redops[0] != tensor.Sum {
		t.Errorf("types %v, redops %v", o.types, o.redops)
	}
	if !cmp.Equal(o.sizes, []int{32 << 20}) || o.format != "table" || o.check != 1 || o.warmup != -1 {
		t.Errorf("sizes %v, format %s, check %d, warmup %d", o.sizes, o.format, o.check, o.warmup)
	}
}

func TestParse(t *testing.T) {
	o, err := parse(strings.Fields("-op allreduce,gather -d half,double -o all -r 2 -minbytes 8 "+
		"--maxbytes=1K -f 4 --iters 7 -warmup_iters 3 -c 2 -np 5 -driver zmq:ipc -json "+
		"-timeout 3s -time 1ms"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(o.ops); !cmp.Equal(got, []string{"allreduce", "gather"}) {
		t.Errorf("ops %v", got)
	}
	if !cmp.Equal(o.types, []tensor.Type{tensor.F16, tensor.F64}) ||
		len(o.redops) != len(tensor.Ops()) {
		t.Errorf("types %v, redops %v", o.types, o.redops)
	}
	if want := []int{8, 32, 128, 512}; !cmp.Equal(o.sizes, want) {
		t.Errorf("sizes %v, want %v", o.sizes, want)
	}
	if o.root != 2 || o.iterations != 7 || o.warmup != 3 || o.check != 2 || o.ranks != 5 ||
		o.driver != "zmq:ipc" || o.format != "json" || o.timeout != 3*time.Second ||
		o.target != time.Millisecond {
		t.Errorf("parsed %+v", o)
	}
}

func TestParseAll(t *testing.T) {
	o, err := parse([]string{"-op", "all", "-dtype", "all"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.ops) != len(operations) || len(o.types) != len(tensor.Types()) {
		t.Errorf("%d operations of %d, %d types", len(o.ops), len(operations), len(o.types))
	}
}

// TestChildRepeatsFlags: a rank that is started parses to the same options, less -np.
func TestChildRepeatsFlags(t *testing.T) {
	args := strings.Fields("-np 4 -b 3K -e 1G -f 8 -op alltoall -d f16 -timeout 90s -c 0 -csv")
	o, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if s := strings.Join(o.child, " "); strings.Contains(s, "np") {
		t.Errorf("child is started with %s", s)
	}
	child, err := parse(o.child, io.Discard)
	if err != nil {
		t.Fatalf("%v: %v", o.child, err)
	}
	if child.ranks != 0 || !cmp.Equal(child.sizes, o.sizes) ||
		!cmp.Equal(names(child.ops), names(o.ops)) || !cmp.Equal(child.types, o.types) ||
		child.timeout != o.timeout || child.check != 0 ||
		child.format != "csv" {
		t.Errorf("child %+v\nparent %+v", child, o)
	}
}

func TestParseRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"-op nothing":                      "no operation",
		"-dtype f8":                        "unknown element type",
		"-redop xor":                       "unknown operation",
		"-dtype i32,u8 -redop avg":         "average of integers",
		"-b 8 -e 4":                        "is above",
		"-b 8 -e 16 -f 1":                  "want 2 or more",
		"-b 0 -e 16":                       "use -i",
		"-b 1 -e 1M -i 1":                  "more than",
		"-b -1":                            "is no size",
		"-n -1":                            "negative",
		"-np -1":                           "negative",
		"-csv -json":                       "exclude",
		"-driver inproc":                   "give -np",
		"-time 0s":                         "must be above 0",
		"-op barrier -algo ring-of-saturn": "no algorithm",
		"allreduce":                        "unexpected argument",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bench %s: error %v, want %q", args, err, want)
		}
	}
}

func TestParseHelp(t *testing.T) {
	var help bytes.Buffer
	if _, err := parse([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("error %v", err)
	}
	if !strings.Contains(help.String(), "-redop") {
		t.Errorf("help:\n%s", help.String())
	}
}

func TestForced(t *testing.T) {
	o, err := parse(strings.Fields("-op allreduce,sendrecv,allgather -algo ring"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := o.forced(); err != nil || got != "allreduce=ring,allgather=ring" {
		t.Errorf("forced %q, %v", got, err)
	}
}
