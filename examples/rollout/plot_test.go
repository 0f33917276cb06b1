package main

import (
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func exampleCurve() *curve {
	c := &curve{steps: 80_000}
	for n := range 80 {
		steps := 1000 * (n + 1)
		c.returns = append(c.returns, float64(20+5*n))
		c.at = append(c.at, steps)
		c.means = append(c.means, point{steps, float64(20 + 3*n)})
	}
	return c
}

func TestCurveIsDrawn(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a", "b", "curve.png")
	files, err := exampleCurve().save(name, "Learning")
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
	for name, c := range map[string]color.RGBA{
		"mean": blue, "line of what is solved": orange, "episodes": pale, "grid": grid,
	} {
		if seen[c] < 20 {
			t.Errorf("%d pixels have the colour of the %s", seen[c], name)
		}
	}
	text, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		">Learning<", "steps of the environments [thousands]", "return of an episode",
		"mean of the last 100", "solved: 475", ">500<",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the SVG", want)
		}
	}
}

func TestCurvesThatCannotBeDrawn(t *testing.T) {
	c := exampleCurve()
	if _, err := c.save(filepath.Join(os.DevNull, "curve"), ""); err == nil {
		t.Error("into a directory that cannot be: no error")
	}
	c.returns[3] = math.NaN()
	if _, err := c.save(filepath.Join(t.TempDir(), "curve"), ""); err == nil {
		t.Error("a return that is no number: no error")
	}
}

func TestTicks(t *testing.T) {
	tests := []struct {
		lowest, highest float64
		want            string
	}{
		{0, 1, "0 1"},
		{0, 10, "0 1 2 3 4 5 6 7 8 9 10"},
		{0, 81.9, "0 10 20 30 40 50 60 70 80"},
		{0, 500, "0 50 100 150 200 250 300 350 400 450 500"},
		{3, 120, "20 40 60 80 100 120"},
	}
	for _, test := range tests {
		var labels []string
		for _, tick := range (roundNumbers{}).Ticks(test.lowest, test.highest) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != test.want {
			t.Errorf("%g to %g: %s, want %s", test.lowest, test.highest, got, test.want)
		}
	}
}
