package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answers is what a batch of every command came back with.
type answers struct {
	Won, WonAgain bool
	Sum, Sums     int64
	Field, None   []byte
	Fields, Empty map[string][]byte
	Values        [][]byte
	Nothing       [][]byte
}

// batchOf makes a batch of every command, whose keys begin with prefix.
func batchOf(prefix string, a *answers) *Batch {
	b := new(Batch)
	b.SetNX(prefix+"once", []byte("first"), time.Hour, &a.Won)
	b.SetNX(prefix+"once", []byte("second"), time.Hour, &a.WonAgain)
	b.Add(prefix+"sum", 3, 0, &a.Sum)
	b.Add(prefix+"sum", -5, time.Hour, &a.Sums)
	b.HSet(prefix+"hash", "field", []byte("a\r\n\x00"))
	b.HGet(prefix+"hash", "field", &a.Field)
	b.HGet(prefix+"hash", "none", &a.None)
	b.HGetAll(prefix+"hash", &a.Fields)
	b.HGetAll(prefix+"no hash", &a.Empty)
	keys := make([]string, 2*manyKeys+1)
	for i := range keys {
		keys[i] = fmt.Sprint(prefix, i)
	}
	keys[manyKeys] = prefix + "once"
	b.GetMany(keys, &a.Values)
	b.GetMany(nil, &a.Nothing)
	b.Notify(prefix+"channel", "batch")
	return b
}

func testBatch(t *testing.T, s Store) {
	ctx := testContext(t)
	want := answers{
		Won: true, Sum: 3, Sums: -2, Field: []byte("a\r\n\x00"),
		Fields: map[string][]byte{"field": []byte("a\r\n\x00")}, Empty: map[string][]byte{},
		Values: make([][]byte, 2*manyKeys+1), Nothing: [][]byte{},
	}
	want.Values[manyKeys] = []byte("first")
	for way, do := range map[string]func(context.Context, *Batch) error{
		"together":   s.Do,
		"one by one": func(ctx context.Context, b *Batch) error { return b.OneByOne(ctx, s) },
	} {
		told := make(chan string, 1)
		watcher, err := s.Watch(ctx, way+"channel", func(about string) bool {
			told <- about
			return false
		})
		check(t, err)
		var got answers
		check(t, do(ctx, batchOf(way, &got)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", way, diff)
		}
		if about := <-told; about != "batch" {
			t.Errorf("%s: told about %q", way, about)
		}
		watcher.Stop()
	}
	check(t, s.Do(ctx, new(Batch)))
}

// testBatchErrors names the command that failed, whatever came before and after it.
func testBatchErrors(t *testing.T, s Store) {
	ctx := testContext(t)
	check(t, s.Set(ctx, "just text", []byte("text"), 0))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	var sum int64
	var field []byte
	for name, c := range map[string]struct {
		ctx     context.Context
		add     func(*Batch)
		command string
		refused bool
	}{
		"another type": {ctx, func(b *Batch) { b.HSet("just text", "field", nil) }, "set field", true},
		"not a number": {ctx, func(b *Batch) { b.Add("just text", 1, 0, &sum) }, "add", true},
		"too long": {ctx, func(b *Batch) {
			b.HSet("hash", "field", make([]byte, MaxValueBytes+1))
		}, "set field", false},
		"interrupted": {ended, func(*Batch) {}, "get field", false},
	} {
		var b Batch
		b.HGet("no hash", "field", &field)
		c.add(&b)
		b.HGet("no hash", "field", &field)
		var failure *StoreError
		err := s.Do(c.ctx, &b)
		if !errors.As(err, &failure) || failure.Command != c.command ||
			failure.Refused() != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if c.ctx == ended && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBatchOfALostStore fails as a whole, with an error that is worth trying again.
func TestBatchOfALostStore(t *testing.T) {
	server := serve(t, "")
	store := dialPlace(t, place{url: server.URL()})
	check(t, server.Close())
	var got answers
	err := store.Do(testContext(t), batchOf("lost", &got))
	var failure *StoreError
	if !errors.As(err, &failure) || failure.Refused() || errors.Is(err, ErrNotFound) ||
		!strings.Contains(err.Error(), server.Addr().String()) {
		t.Error(err)
	}
}
