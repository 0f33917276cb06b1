package regtable_test

import (
	"fmt"
	"testing"

	"github.com/tutti-ml/tutti/regtable"
)

// The test cases of MARO's tests/communication/test_registry_table.py, under their names. There, a
// get was compared with None, which it never returns; here, the firings are told.

func newRegistryTable() *regtable.Table[*note] {
	return regtable.New(describe, regtable.Fixed{
		"worker_a": numbered("worker_a", 5),
		"worker_b": numbered("worker_b", 5),
	}, regtable.Options[*note]{})
}

func TestRegisterTableUnitConditionalEvent(t *testing.T) {
	table := newRegistryTable()
	register(t, table, "worker_a:tag_a:1", discard)
	for _, name := range numbered("worker_a", 5) {
		push(t, table, from(name, "tag_a"))
		wantGet(t, table, "worker_a:tag_a:1: "+name+"/tag_a")
		wantGet(t, table)
	}
	for _, name := range numbered("worker_b", 5) {
		push(t, table, from(name, "tag_a"))
		wantGet(t, table)
	}
}

func TestRegisterTableSpecialSymbol(t *testing.T) {
	table := newRegistryTable()
	register(t, table, "worker_a:*:1", discard)
	for _, tag := range []string{"tag_a", "tag_b"} {
		for _, name := range numbered("worker_a", 5) {
			push(t, table, from(name, tag))
			wantGet(t, table, "worker_a:*:1: "+name+"/"+tag)
		}
	}
	for _, name := range numbered("worker_b", 5) {
		push(t, table, from(name, "tag_a"))
		wantGet(t, table)
	}
}

func TestRegisterTablePercentageCase(t *testing.T) {
	table := newRegistryTable()
	register(t, table, "*:tag_a:50%", discard)
	for _, kind := range []string{"worker_a", "worker_b"} {
		want := "*:tag_a:50%:"
		for i, name := range numbered(kind, 5) {
			push(t, table, from(name, "tag_a"))
			if want += " " + name + "/tag_a"; i < 4 {
				wantGet(t, table)
			} else {
				wantGet(t, table, want)
			}
		}
	}
}

func TestRegisterTableConditionalEvent(t *testing.T) {
	table := newRegistryTable()
	const both = "worker_a:tag_a:1 AND worker_b:tag_a:1"
	const either = "worker_a:tag_a:1 OR worker_b:tag_a:1"
	bothFire := func(k int) string {
		return fmt.Sprintf("%s: worker_a.%d/tag_a worker_b.%d/tag_a", both, k, k)
	}
	register(t, table, both, discard)
	for _, name := range numbered("worker_a", 5) {
		push(t, table, from(name, "tag_a"))
		wantGet(t, table)
	}
	for i, name := range numbered("worker_b", 5) {
		push(t, table, from(name, "tag_a"))
		wantGet(t, table, bothFire(i+1))
	}
	register(t, table, either, discard)
	for _, name := range numbered("worker_a", 5) {
		push(t, table, from(name, "tag_a"))
		wantGet(t, table, either+": "+name+"/tag_a")
	}
	for i, name := range numbered("worker_b", 5) {
		push(t, table, from(name, "tag_a"))
		wantGet(t, table, bothFire(i+1), either+": "+name+"/tag_a")
	}
}

func TestRegisterTableComplicatedConditionalEvent(t *testing.T) {
	table := newRegistryTable()
	const event = "(worker_a:tag_a:1 AND worker_b:tag_a:1) AND worker_a:tag_b:1"
	register(t, table, event, discard)
	for _, kind := range []string{"worker_a", "worker_b"} {
		for _, name := range numbered(kind, 5) {
			push(t, table, from(name, "tag_a"))
			wantGet(t, table)
		}
	}
	for k := 1; k <= 5; k++ {
		push(t, table, from(fmt.Sprint("worker_a.", k), "tag_b"))
		wantGet(t, table, fmt.Sprintf("%s: worker_a.%d/tag_a worker_b.%d/tag_a worker_a.%d/tag_b",
			event, k, k, k))
	}
}

func TestRegisterTableMultipleTrigger(t *testing.T) {
	table := newRegistryTable()
	register(t, table, "worker_a:tag_a:1", discard)
	register(t, table, "worker_a:*:1", discard)
	for _, name := range numbered("worker_a", 5) {
		message := from(name, "tag_a")
		push(t, table, message)
		firings := table.Get()
		if len(firings) != 2 {
			t.Fatalf("%d firings, want 2", len(firings))
		}
		for i, event := range []string{"worker_a:tag_a:1", "worker_a:*:1"} {
			f := firings[i]
			if f.Event.String() != event || len(f.Messages) != 1 || f.Messages[0] != message {
				t.Errorf("firing %d: %v with %v, want %s with the message", i, f.Event, f.Messages, event)
			}
		}
	}
}
