package main

import (
	"fmt"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func exampleCurves() *curves {
	c := &curves{ranks: 4}
	for n := range 12 {
		c.many = append(c.many, epoch{loss: math.Exp(-float64(n) / 2), accuracy: 1 - 0.1/float64(n+1)})
	}
	c.one = c.many
	return c
}

func TestCurvesAreDrawn(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a", "b", "curves.png")
	files, err := exampleCurves().save(name)
	if err != nil {
		t.Fatal(err)
	}
	vectors := strings.TrimSuffix(name, ".png") + ".svg"
	if diff := cmp.Diff([]string{name, vectors}, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[color.Color]int{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			seen[color.RGBAModel.Convert(picture.At(x, y))]++
		}
	}
	for name, c := range map[string]color.RGBA{"line": blue, "rings": orange, "grid": grid} {
		if seen[c] < 20 {
			t.Errorf("%d pixels have the colour of the %s", seen[c], name)
		}
	}
	text, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Learning to read handwritten digits on 4 ranks", "training loss [nat]", "held-out accuracy [%]",
		"epoch", "one process alone", "99.2 % at the end, at best 99.2 % in epoch 12",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the SVG", want)
		}
	}
}

func TestCurvesThatCannotBeDrawn(t *testing.T) {
	c := exampleCurves()
	if _, err := c.save(filepath.Join(os.DevNull, "curves")); err == nil {
		t.Error("into a directory that cannot be: no error")
	}
	c.many[3].loss = math.NaN()
	if _, err := c.save(filepath.Join(t.TempDir(), "curves")); err == nil {
		t.Error("a loss that is no number: no error")
	}
}

func TestOneEpochAndNoLossCanBeDrawn(t *testing.T) {
	c := &curves{ranks: 1, many: []epoch{{loss: 0, accuracy: 1}}}
	if _, err := c.save(filepath.Join(t.TempDir(), "curves")); err != nil {
		t.Error(err)
	}
}

func TestTicks(t *testing.T) {
	tests := []struct {
		highest float64
		want    string
	}{
		{2, "1 2"},
		{10, "1 2 3 4 5 6 7 8 9 10"},
		{12, "1 2 4 6 8 10 12"},
		{30, "1 5 10 15 20 25 30"},
		{75, "1 10 20 30 40 50 60 70"},
		{150, "1 20 40 60 80 100 120 140"},
	}
	for _, test := range tests {
		var labels []string
		for _, tick := range (wholeNumbers{}).Ticks(1, test.highest) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != test.want {
			t.Errorf("epochs to %g: %s, want %s", test.highest, got, test.want)
		}
	}
	var got []string
	for _, tick := range (decades{}).Ticks(-2.1, 0.4) {
		got = append(got, fmt.Sprintf("%s@%.2f", tick.Label, tick.Value))
	}
	want := []string{
		"0.01@-2.00", "0.02@-1.70", "0.05@-1.30", "0.1@-1.00", "0.2@-0.70", "0.5@-0.30", "1@0.00", "2@0.30",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decades (-want +got):\n%s", diff)
	}
}
