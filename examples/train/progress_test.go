package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vbauerster/mpb/v8"
)

func TestTable(t *testing.T) {
	var out strings.Builder
	report, end := watch(&out, "training", 46, true)
	report.step()
	report.epoch(1, epoch{loss: 1.5, accuracy: 0.5, took: 1234567 * time.Microsecond})
	report.epoch(2, epoch{loss: 0.0123456789, accuracy: 1})
	end()
	want := "" +
		"epoch    loss [nat]  held-out accuracy      time\n" +
		"    1      1.500000            50.00 %    1.235s\n" +
		"    2      0.012346           100.00 %        0s\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	out.Reset()
	report, end = watch(&out, "one process", 46, false)
	report.epoch(1, epoch{})
	end()
	if out.Len() > 0 {
		t.Errorf("without a table: %q", out.String())
	}
}

func TestBarLeavesTheTable(t *testing.T) {
	var out strings.Builder
	b := newBar(&out, "training", 2, true, mpb.WithAutoRefresh())
	b.step()
	b.epoch(1, epoch{loss: 1, accuracy: 0.25})
	b.close() // not full: training failed
	if want := "    1      1.000000            25.00 %"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in %q", want, out.String())
	}
}
