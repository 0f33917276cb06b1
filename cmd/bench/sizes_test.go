package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseBytes(t *testing.T) {
	for s, want := range map[string]int{
		"0": 0, "4": 4, "1K": 1024, "3k": 3072, "64M": 64 << 20, "2g": 2 << 30, "007": 7,
	} {
		if got, err := parseBytes(s); err != nil || got != want {
			t.Errorf("parseBytes(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "K", "-1", "1.5M", "1T", "1KB", " 1", "9223372036854775807K", "0x10", "+1",
	} {
		if got, err := parseBytes(s); err == nil {
			t.Errorf("parseBytes(%q) = %d, want an error", s, got)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	for _, s := range []string{"4", "64M", "1g", "K", "99999999999999999999", "8191P"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseBytes(s)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("parseBytes(%q) = %d", s, n)
		}
		if again, err := parseBytes(formatBytes(n)); err != nil || again != n {
			t.Fatalf("%q is %d, printed %q, read back %d, %v", s, n, formatBytes(n), again, err)
		}
	})
}

func TestSizeList(t *testing.T) {
	for _, c := range []struct {
		least, most, factor, step int
		want                      []int
	}{
		{4, 64, 2, 0, []int{4, 8, 16, 32, 64}},
		{4, 63, 4, 0, []int{4, 16}},
		{4, 64, 2, 100, []int{4, 8, 16, 32, 64}}, // the factor wins, as in nccl-tests
		{0, 10, 0, 5, []int{0, 5, 10}},
		{1, 10, 0, 4, []int{1, 5, 9}},
		{7, 7, 0, 0, []int{7}},
		{0, 0, 2, 0, []int{0}},
	} {
		got, err := sizeList(c.least, c.most, c.factor, c.step)
		if err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("sizeList(%d, %d, %d, %d) = %v, %v, want %v",
				c.least, c.most, c.factor, c.step, got, err, c.want)
		}
	}
}

func TestSizeListProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := rapid.IntRange(0, 1<<62).Draw(t, "least")
		most := rapid.IntRange(least, 1<<62).Draw(t, "most")
		factor := rapid.IntRange(0, 1<<40).Draw(t, "factor")
		step := rapid.IntRange(0, 1<<62).Draw(t, "step")
		sizes, err := sizeList(least, most, factor, step)
		if err != nil {
			return
		}
		if sizes[0] != least || sizes[len(sizes)-1] > most || len(sizes) > maxSizes ||
			!slices.IsSorted(sizes) {
			t.Fatalf("%v", sizes)
		}
		if last := sizes[len(sizes)-1]; factor != 0 && least < most && last <= most/factor {
			t.Fatalf("ends at %d, and %d would fit", last, last*factor)
		}
	})
}
