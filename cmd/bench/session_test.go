package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
)

// TestGoroutineRanks runs every operation with every element type and reduction on goroutine ranks,
// with sizes that divide evenly and sizes that do not, and wants nothing wrong in any line.
func TestGoroutineRanks(t *testing.T) {
	for _, ranks := range []int{1, 2, 3, 7} {
		t.Run(fmt.Sprint(ranks), func(t *testing.T) {
			var out, errs bytes.Buffer
			args := fmt.Sprintf("-np %d -driver inproc -op all -dtype all -redop all -root %d "+
				"-b 0 -e 6000 -i 2000 -n 1 -w 0 -c 2 -json", ranks, ranks/2)
			if status := run(strings.Fields(args), &out, &errs); status != 0 {
				t.Fatalf("status %d: %s", status, errs.String())
			}
			seen := map[string]int{}
			decoder := json.NewDecoder(&out)
			for {
				var r row
				if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				seen[r.Op]++
				if r.Op != "barrier" && (r.Wrong == nil || *r.Wrong != 0) {
					t.Errorf("wrong: %+v", r)
				}
				if r.NP != ranks || r.Driver != "inproc" {
					t.Errorf("line %+v", r)
				}
			}
			// 4 sizes, 2 forms; 9 types; 5 reductions for the 4 floating-point types, 4 for others.
			const moved, reduced = 4 * 2 * 9, 4 * 2 * (4*5 + 5*4)
			want := map[string]int{
				"allreduce": reduced, "broadcast": moved, "reduce": reduced, "scatter": moved,
				"gather": moved, "allgather": moved, "reducescatter": reduced, "alltoall": moved,
				"sendrecv": moved / 2, "barrier": 1,
			}
			if ranks == 1 {
				want["sendrecv"] = 0
			}
			for op, n := range want {
				if seen[op] != n {
					t.Errorf("%s: %d lines, want %d", op, seen[op], n)
				}
			}
		})
	}
}

// TestEveryAlgorithm forces each algorithm there is, where it can be used, and verifies it.
func TestEveryAlgorithm(t *testing.T) {
	for _, op := range operations {
		for _, algorithm := range schedule.Algorithms(op.collective) {
			for _, ranks := range []int{4, 5} {
				t.Run(fmt.Sprintf("%s/%s/%d", op.name, algorithm.Name, ranks), func(t *testing.T) {
					var out, errs bytes.Buffer
					args := fmt.Sprintf("-np %d -driver inproc -op %s -algo %s -root 1 -b 4 -e 70000 "+
						"-f 130 -n 1 -w 0 -json", ranks, op.name, algorithm.Name)
					status := run(strings.Fields(args), &out, &errs)
					if status != 0 && strings.Contains(errs.String(), "can't be used") {
						t.Skip(errs.String())
					}
					if status != 0 {
						t.Fatalf("status %d: %s", status, errs.String())
					}
					if !strings.Contains(out.String(), `"algo":"`+algorithm.Name+`"`) {
						t.Errorf("another algorithm ran:\n%s", out.String())
					}
				})
			}
		}
	}
}

// TestUncheckedIsNull: -c 0 checks nothing and says so.
func TestUncheckedIsNull(t *testing.T) {
	var out, errs bytes.Buffer
	args := "-np 2 -driver inproc -b 64 -n 1 -w 0 -c 0 -json"
	if status := run(strings.Fields(args), &out, &errs); status != 0 {
		t.Fatalf("status %d: %s", status, errs.String())
	}
	if n := strings.Count(out.String(), `"wrong":null`); n != 2 {
		t.Errorf("%d unchecked lines in\n%s", n, out.String())
	}
}

// TestOutputError: what cannot be written is an error, not a silent success.
func TestOutputError(t *testing.T) {
	var errs bytes.Buffer
	args := "-np 1 -driver inproc -b 64 -n 1 -w 0"
	if status := run(strings.Fields(args), failing{}, &errs); status != exitFailed {
		t.Errorf("status %d: %s", status, errs.String())
	}
}
