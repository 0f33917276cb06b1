package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDigitsAreThoseOfTheSource(t *testing.T) {
	sum := sha256.Sum256(digitsFile)
	const want = "46abec6b12486ad9e51943373abcf22bbea1b5a51a1619b361570d8893f1464a"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("SHA-256 of data/digits.csv.gz is %s, want %s", got, want)
	}
	all, err := parseDigits(bytes.NewReader(digitsFile))
	if err != nil {
		t.Fatal(err)
	}
	var count [classes]int
	for _, label := range all.label {
		count[label]++
	}
	if diff := cmp.Diff([classes]int{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}, count); diff != "" {
		t.Errorf("images of each digit (-want +got):\n%s", diff)
	}
	if len(all.x) != all.len()*pixels {
		t.Errorf("%d pixels of %d images", len(all.x), all.len())
	}
	if lowest, highest := slices.Min(all.x), slices.Max(all.x); lowest != 0 || highest != 1 {
		t.Errorf("pixels from %g to %g, want 0 to 1", lowest, highest)
	}
	// The upper left part of the first image, a zero.
	if diff := cmp.Diff([]float64{0, 0, 5. / 16, 13. / 16}, all.row(0)[:4]); diff != "" {
		t.Errorf("first pixels (-want +got):\n%s", diff)
	}
}

func TestSplit(t *testing.T) {
	all, err := parseDigits(bytes.NewReader(digitsFile))
	if err != nil {
		t.Fatal(err)
	}
	d, err := split(all, heldOutImages)
	if err != nil {
		t.Fatal(err)
	}
	if d.train.len() != 1437 || d.heldOut.len() != 360 {
		t.Errorf("%d images to learn from and %d held out, want 1437 and 360", d.train.len(), d.heldOut.len())
	}
	counts := func(im *images) (n [classes]int) {
		for _, label := range im.label {
			n[label]++
		}
		return n
	}
	whole, held := counts(all), counts(d.heldOut)
	for digit, n := range whole {
		share := float64(n) * heldOutImages / float64(all.len())
		if math.Abs(float64(held[digit])-share) >= 1 {
			t.Errorf("%d images of digit %d held out, want about %.1f", held[digit], digit, share)
		}
	}
	both := append(rows(d.train), rows(d.heldOut)...)
	slices.Sort(both)
	want := rows(all)
	slices.Sort(want)
	if !slices.Equal(both, want) {
		t.Error("the two parts are not, together, the whole")
	}
	for _, n := range []int{-1, all.len() + 1} {
		if _, err := split(all, n); err == nil {
			t.Errorf("holding out %d images: no error", n)
		}
	}
}

// rows returns a string that stands for each image and its label.
func rows(im *images) (all []string) {
	for i, label := range im.label {
		row := []byte{label}
		for _, x := range im.row(i) {
			row = append(row, byte(x*ink))
		}
		all = append(all, string(row))
	}
	return all
}

func TestParseDigitsRefuses(t *testing.T) {
	good := strings.Repeat("0,", pixels) + "7\n"
	tests := []struct{ name, text, error string }{
		{"pixel too dark", good + strings.Replace(good, "0,", "17,", 1), `line 2: pixel 0 is "17"`},
		{"negative pixel", "-1" + good[1:], `pixel 0 is "-1"`},
		{"label too large", strings.Repeat("0,", pixels) + "10\n", `label "10"`},
		{"no label", strings.Repeat("0,", pixels-1) + "0\n", "wrong number of fields"},
		{"too many fields", "0," + good, "wrong number of fields"},
	}
	for _, test := range tests {
		_, err := parseDigits(bytes.NewReader(zip(t, []byte(test.text))))
		if err == nil || !strings.Contains(err.Error(), test.error) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.error)
		}
	}
	if _, err := parseDigits(strings.NewReader(good)); err == nil {
		t.Error("text that is not zipped: no error")
	}
	if _, err := parseDigits(bytes.NewReader(digitsFile[:len(digitsFile)/2])); err == nil {
		t.Error("half of the file: no error")
	}
}

func zip(t *testing.T, text []byte) []byte {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes()
}

func FuzzParseDigits(f *testing.F) {
	f.Add([]byte(strings.Repeat("16,", pixels) + "9\n"))
	f.Add([]byte(strings.Repeat(`"0",`, pixels) + "0\n"))
	f.Add([]byte("0,1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseDigits(bytes.NewReader(zip(t, text)))
		if err != nil {
			return
		}
		if len(all.x) != pixels*all.len() {
			t.Fatalf("%d pixels of %d images", len(all.x), all.len())
		}
		for _, x := range all.x {
			if x < 0 || x > 1 {
				t.Fatalf("pixel %g", x)
			}
		}
		for _, label := range all.label {
			if label >= classes {
				t.Fatalf("label %d", label)
			}
		}
	})
}

func TestSharesCoverEverythingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1000).Draw(t, "n")
		size := rapid.IntRange(1, 70).Draw(t, "size")
		next := 0
		for rank := range size {
			lo, hi := share(n, rank, size)
			if lo != next || hi < lo {
				t.Fatalf("rank %d takes %d to %d after %d", rank, lo, hi, next)
			}
			if length := hi - lo; length < n/size || length > (n+size-1)/size {
				t.Fatalf("rank %d takes %d of %d", rank, length, n)
			}
			next = hi
		}
		if next != n {
			t.Fatalf("shares end at %d of %d", next, n)
		}
	})
}
