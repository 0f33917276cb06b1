package main

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	plotWidth  = 16 * vg.Centimeter
	plotHeight = 10 * vg.Centimeter
	plotDPI    = 160
	margin     = 10 // points
	sans       = "Sans"
)

// The colours are distinguishable without colour vision too, by their lightness.
var (
	blue   = color.RGBA{R: 0x1f, G: 0x5f, B: 0xa8, A: 0xff}
	orange = color.RGBA{R: 0xe0, G: 0x82, B: 0x14, A: 0xff}
	pale   = color.RGBA{R: 0xa9, G: 0xc3, B: 0xe0, A: 0xff}
	grid   = color.RGBA{R: 0xdd, G: 0xdd, B: 0xdd, A: 0xff}
)

// save draws the curve into two files, name with the endings .png and .svg, and returns their
// names.
func (c *curve) save(name, title string) (files []string, err error) {
	p, err := c.plot(title)
	if err != nil {
		return nil, err
	}
	name = strings.TrimSuffix(name, filepath.Ext(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	bitmap := vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight), vgimg.UseDPI(plotDPI))
	vectors := vgsvg.New(plotWidth, plotHeight)
	for _, canvas := range []vg.CanvasSizer{bitmap, vectors} {
		whole := draw.New(canvas)
		whole.SetColor(color.White)
		whole.Fill(whole.Rectangle.Path())
		p.Draw(draw.Crop(whole, margin, -margin, margin, -margin))
	}
	files = []string{name + ".png", name + ".svg"}
	for i, content := range []io.WriterTo{vgimg.PngCanvas{Canvas: bitmap}, vectors} {
		if err := write(files[i], content); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func write(name string, content io.WriterTo) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = content.WriteTo(file)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// plot draws each episode's return and their mean, over the steps of the environments.
func (c *curve) plot(title string) (*plot.Plot, error) {
	p := axes(title)
	single, means := make(plotter.XYs, len(c.returns)), make(plotter.XYs, len(c.means))
	for i, r := range c.returns {
		single[i] = plotter.XY{X: thousands(c.at[i]), Y: r}
	}
	for i, m := range c.means {
		means[i] = plotter.XY{X: thousands(m.steps), Y: m.mean}
	}
	episodes, err := plotter.NewScatter(single)
	if err != nil {
		return nil, err
	}
	episodes.GlyphStyle = draw.GlyphStyle{
		Color: pale, Radius: vg.Points(1.5), Shape: draw.CircleGlyph{},
	}
	line, err := plotter.NewLine(means)
	if err != nil {
		return nil, err
	}
	line.LineStyle = draw.LineStyle{Color: blue, Width: vg.Points(1.8)}
	solved := plotter.NewFunction(func(float64) float64 { return solvedReturn })
	solved.LineStyle = draw.LineStyle{
		Color: orange, Width: vg.Points(1.2), Dashes: []vg.Length{vg.Points(5), vg.Points(3)},
	}
	solved.Samples = 2
	p.Add(episodes, solved, line)
	p.X.Min, p.X.Max = 0, max(thousands(c.steps), 1)
	p.Y.Min, p.Y.Max = 0, longest
	p.Legend.Add("an episode", episodes)
	p.Legend.Add(fmt.Sprintf("mean of the last %d", window), line)
	p.Legend.Add(fmt.Sprintf("solved: %d", solvedReturn), solved)
	return p, nil
}

func thousands(steps int) float64 { return float64(steps) / 1000 }

// axes are a plot without content.
func axes(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text = title
	p.Title.Padding = vg.Points(6)
	p.Title.TextStyle.Font.Size = vg.Points(13)
	p.Title.TextStyle.Font.Variant = sans
	p.X.Label.Text = "steps of the environments [thousands]"
	p.Y.Label.Text = "return of an episode"
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font.Size = vg.Points(10)
		axis.Label.TextStyle.Font.Variant = sans
		axis.Label.Padding = vg.Points(4)
		axis.Tick.Label.Font.Size = vg.Points(9)
		axis.Tick.Label.Font.Variant = sans
		axis.Padding = vg.Points(2)
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = roundNumbers{}, roundNumbers{}
	p.Legend.TextStyle.Font.Size = vg.Points(10)
	p.Legend.TextStyle.Font.Variant = sans
	p.Legend.Padding = vg.Points(3)
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(-6), vg.Points(8)
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	p.Add(lines)
	return p
}

// roundNumbers ticks an axis at the multiples of 1, 2 or 5 times a power of ten, ten at most.
type roundNumbers struct{}

func (roundNumbers) Ticks(lowest, highest float64) (ticks []plot.Tick) {
	step := 1
	for i := 0; highest-lowest > float64(10*step); i++ {
		step = []int{2, 5, 10}[i%3] * int(math.Pow10(i/3))
	}
	for n := int(math.Ceil(lowest/float64(step))) * step; float64(n) <= highest; n += step {
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: strconv.Itoa(n)})
	}
	return ticks
}
