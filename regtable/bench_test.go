package regtable_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/tutti-ml/tutti/regtable"
)

// BenchmarkPush is a push with all it leads to, in the cases that were measured of MARO, on two busy
// virtual cores of an AMD EPYC: 4.5, 6.6, 7.7, 19.1 and 147.7 us.
func BenchmarkPush(b *testing.B) {
	workers := regtable.Fixed{"worker": {"w.0", "w.1", "w.2", "w.3"}, "master": {"m.0"}}
	one := []note{{"w.0", "worker", "update", 0}}
	var mixed []note
	for i := range 4 {
		mixed = append(mixed, note{fmt.Sprint("w.", i), "worker", "update", 0})
	}
	mixed = append(mixed, note{"w.0", "worker", "grad", 0}, note{"w.0", "worker", "stop", 0})
	benchmarks := []struct {
		name   string
		events func() []string
		notes  []note
	}{
		{"one event", func() []string { return []string{"worker:update:1"} }, one},
		{"percentage", func() []string { return []string{"worker:update:50%"} }, one},
		{"mixed", func() []string {
			return []string{"(worker:update:4 AND worker:grad:1) OR worker:stop:1"}
		}, mixed},
		{"10 events, one matches", func() []string { return tags(10) }, []note{
			{"w.0", "worker", "tag_7", 0},
		}},
		{"100 events, one matches", func() []string { return tags(100) }, []note{
			{"w.0", "worker", "tag_77", 0},
		}},
	}
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			table := regtable.New(describe, workers, regtable.Options[*note]{})
			for _, text := range bench.events() {
				_, err := table.Register(regtable.MustParse(text),
					func(context.Context, []*note) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
			ctx := context.Background()
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if err := table.Dispatch(ctx, &bench.notes[i]); err != nil {
					b.Fatal(err)
				}
				if i++; i == len(bench.notes) {
					i = 0
				}
			}
			fired := table.Stats().Fired
			if fired == 0 {
				b.Fatal("nothing fired")
			}
			b.ReportMetric(float64(fired)/float64(b.N), "firings/op")
		})
	}
}

func tags(n int) (events []string) {
	for i := range n {
		events = append(events, fmt.Sprintf("worker:tag_%d:1", i))
	}
	return events
}
