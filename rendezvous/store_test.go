package rendezvous

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStore is the contract, on every kind of store.
func TestStore(t *testing.T) {
	for _, p := range places(t) {
		t.Run(p.name, func(t *testing.T) {
			store := dialPlace(t, p)
			t.Run("values", func(t *testing.T) { testValues(t, store) })
			t.Run("hashes", func(t *testing.T) { testHashes(t, store) })
			t.Run("batches", func(t *testing.T) { testBatch(t, store) })
			t.Run("failed batches", func(t *testing.T) { testBatchErrors(t, store) })
			t.Run("expiry", func(t *testing.T) { testExpiry(t, store) })
			t.Run("waiting", func(t *testing.T) { testWaiting(t, store) })
			t.Run("hints", func(t *testing.T) { testHints(t, store) })
			t.Run("refusal", func(t *testing.T) { testRefusal(t, store) })
			t.Run("cancellation", func(t *testing.T) { testCancellation(t, store) })
			t.Run("close", func(t *testing.T) { testClose(t, dialPlace(t, p)) })
		})
	}
	t.Run("memory", func(t *testing.T) {
		session, err := Join(testContext(t), Environment{}, Member{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		testValues(t, session.Store())
		testHashes(t, session.Store())
		testBatch(t, session.Store())
		testHints(t, session.Store())
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testValues(t *testing.T, s Store) {
	ctx := testContext(t)
	if _, err := s.Get(ctx, "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of a missing key: %v, want ErrNotFound", err)
	}
	binary := []byte("a\r\n\x00\xff$3\r\n")
	check(t, s.Set(ctx, "key", binary, 0))
	got, err := s.Get(ctx, "key")
	if check(t, err); !bytes.Equal(got, binary) {
		t.Errorf("Get = %q, want %q", got, binary)
	}
	for i, want := range []bool{true, false} {
		won, err := s.SetNX(ctx, "once", []byte{byte(i)}, time.Hour)
		if check(t, err); won != want {
			t.Errorf("SetNX number %d = %v, want %v", i, won, want)
		}
	}
	many, err := s.GetMany(ctx, []string{"once", "none", "key"})
	check(t, err)
	if diff := cmp.Diff([][]byte{{0}, nil, binary}, many); diff != "" {
		t.Errorf("GetMany (-want +got):\n%s", diff)
	}
	for _, step := range [][2]int64{{5, 5}, {-7, -2}} {
		sum, err := s.Add(ctx, "sum", step[0], 0)
		if check(t, err); sum != step[1] {
			t.Errorf("Add(%d) = %d, want %d", step[0], sum, step[1])
		}
	}
	sum, err := s.Add(ctx, "sum", 1, 20*time.Millisecond)
	if check(t, err); sum != -1 {
		t.Errorf("Add with a time to live = %d, want -1", sum)
	}
	for err == nil { // until that is over
		_, err = s.Get(ctx, "sum")
	}
	if !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	check(t, s.Delete(ctx, "key", "none"))
	if _, err := s.Get(ctx, "key"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get after Delete: %v, want ErrNotFound", err)
	}
	large := bytes.Repeat([]byte("tutti"), 1<<20)
	check(t, s.Set(ctx, "large", large, 0))
	if got, err = s.Get(ctx, "large"); err != nil || !bytes.Equal(got, large) {
		t.Errorf("a large value came back with %d bytes, error %v", len(got), err)
	}
	var failure *StoreError
	if err := s.Set(ctx, "huge", make([]byte, MaxValueBytes+1), 0); !errors.As(err, &failure) {
		t.Errorf("Set beyond the limit: %v, want a *StoreError", err)
	}
	keys := make([]string, 1300)
	for i := range keys {
		keys[i] = fmt.Sprint("many", i)
	}
	check(t, s.Set(ctx, keys[1299], []byte("last"), 0))
	if many, err = s.GetMany(ctx, keys); err != nil || string(many[1299]) != "last" ||
		many[0] != nil {
		t.Errorf("GetMany of %d keys: %d values, error %v", len(keys), len(many), err)
	}
}

func testHashes(t *testing.T, s Store) {
	ctx := testContext(t)
	check(t, s.HSet(ctx, "hash", "a", []byte("1")))
	for i, want := range []bool{true, false} {
		won, err := s.HSetNX(ctx, "hash", "b", []byte{byte('2' + i)})
		if check(t, err); won != want {
			t.Errorf("HSetNX number %d = %v, want %v", i, won, want)
		}
	}
	all, err := s.HGetAll(ctx, "hash")
	check(t, err)
	if diff := cmp.Diff(map[string][]byte{"a": []byte("1"), "b": []byte("2")}, all); diff != "" {
		t.Errorf("HGetAll (-want +got):\n%s", diff)
	}
	check(t, s.HDelete(ctx, "hash", "a", "none"))
	if n, err := s.HLen(ctx, "hash"); err != nil || n != 1 {
		t.Errorf("HLen = %d, %v; want 1", n, err)
	}
	if b, err := s.HGet(ctx, "hash", "b"); err != nil || string(b) != "2" {
		t.Errorf("HGet = %q, %v", b, err)
	}
	if _, err := s.HGet(ctx, "hash", "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("HGet of a missing field: %v, want ErrNotFound", err)
	}
	if none, err := s.HGetAll(ctx, "no hash"); err != nil || len(none) != 0 {
		t.Errorf("HGetAll of a missing hash = %v, %v", none, err)
	}
}

func testExpiry(t *testing.T, s Store) {
	ctx := testContext(t)
	check(t, s.Set(ctx, "short", nil, time.Millisecond))
	check(t, s.Set(ctx, "long", nil, time.Hour))
	check(t, s.Set(ctx, "shortened", nil, time.Hour))
	check(t, s.Expire(ctx, "shortened", time.Millisecond))
	for _, key := range []string{"short", "shortened"} {
		for {
			_, err := s.Get(ctx, key)
			if errors.Is(err, ErrNotFound) {
				break
			}
			check(t, err)
		}
	}
	if _, err := s.Get(ctx, "long"); err != nil {
		t.Errorf("a key of one hour is gone: %v", err)
	}
}

func testWaiting(t *testing.T, s Store) {
	ctx := testContext(t)
	got := make(chan string, 1)
	go func() {
		value, err := s.Wait(ctx, "awaited")
		got <- fmt.Sprint(string(value), err)
	}()
	check(t, s.Set(ctx, "awaited", []byte("here"), 0))
	if answer := <-got; answer != "here<nil>" {
		t.Errorf("Wait = %s", answer)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Wait(ended, "never"); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a cancelled context: %v", err)
	}
}

func testHints(t *testing.T, s Store) {
	ctx := testContext(t)
	watcher, err := s.Watch(ctx, "channel", nil)
	check(t, err)
	other, err := s.Watch(ctx, "other", nil)
	check(t, err)
	defer other.Stop()
	for range 3 {
		check(t, s.Notify(ctx, "channel", ""))
		select {
		case <-watcher.C:
		case <-ctx.Done():
			t.Fatal("the hint never came")
		}
	}
	watcher.Stop()
	watcher.Stop()
	select {
	case <-other.C:
		t.Error("a hint came on another channel")
	default:
	}
	var told []string // by one goroutine, before the hint
	choosy, err := s.Watch(ctx, "channel", func(about string) bool {
		told = append(told, about)
		return about == "you"
	})
	check(t, err)
	defer choosy.Stop()
	for _, about := range []string{"them", "", "you"} {
		check(t, s.Notify(ctx, "channel", about))
	}
	select {
	case <-choosy.C:
	case <-ctx.Done():
		t.Fatal("the hint never came")
	}
	if diff := cmp.Diff([]string{"them", "", "you"}, told); diff != "" {
		t.Errorf("hints came of what does not concern (-want +got):\n%s", diff)
	}
}

func testRefusal(t *testing.T, s Store) {
	ctx := testContext(t)
	check(t, s.Set(ctx, "a text", []byte("text"), 0))
	_, sum := s.Add(ctx, "a text", 1, 0)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for name, c := range map[string]struct {
		err     error
		refused bool
	}{
		"another type": {s.HSet(ctx, "a text", "field", nil), true},
		"not a number": {sum, true},
		"interrupted":  {s.Expire(ended, "none", time.Hour), false},
	} {
		var failure *StoreError
		if !errors.As(c.err, &failure) || failure.Refused() != c.refused {
			t.Errorf("%s: %v: Refused is not %v", name, c.err, c.refused)
		}
	}
}

func testCancellation(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	var failure *StoreError
	if _, err := s.Get(ctx, "key"); !errors.Is(err, context.Canceled) || !errors.As(err, &failure) {
		t.Errorf("Get with a cancelled context: %v", err)
	}
	if _, err := s.Watch(ctx, "channel", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch with a cancelled context: %v", err)
	}
}

func testClose(t *testing.T, s Store) {
	ctx := testContext(t)
	watcher, err := s.Watch(ctx, "channel", nil)
	check(t, err)
	waited := make(chan error, 1)
	go func() {
		_, err := s.Wait(ctx, "never")
		waited <- err
	}()
	check(t, s.Close())
	check(t, s.Close())
	watcher.Stop()
	if err := <-waited; !errors.Is(err, ErrClosed) {
		t.Errorf("Wait ended with %v, want ErrClosed", err)
	}
	errs := []error{
		s.Set(ctx, "key", nil, 0), s.Notify(ctx, "channel", ""), s.HSet(ctx, "hash", "field", nil),
		s.Delete(ctx, "key"), s.Expire(ctx, "key", time.Hour), s.Do(ctx, batchOf("closed", new(answers))),
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return !errors.Is(err, ErrClosed) }); i >= 0 {
		t.Errorf("call %d after Close: %v, want ErrClosed", i, errs[i])
	}
}
