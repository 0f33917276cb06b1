package main

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// panel is what one panel of the figure shows: an operation on so many ranks.
type panel struct {
	title   string
	engines []engine
	lines   []line
}

const (
	panelWidth  = 12 * vg.Centimeter
	panelHeight = 9 * vg.Centimeter
)

// Ours are drawn thick in blues, the peers thin in other colours.
var (
	ourColors  = []color.RGBA{{R: 0x0b, G: 0x3c, B: 0x8c, A: 0xff}, {R: 0x35, G: 0x9a, B: 0xe8, A: 0xff}}
	peerColors = []color.RGBA{
		{R: 0xe0, G: 0x82, B: 0x14, A: 0xff},
		{R: 0x8a, G: 0x4f, B: 0x9e, A: 0xff},
		{R: 0x4d, G: 0x92, B: 0x21, A: 0xff},
		{R: 0xa0, G: 0xa0, B: 0x30, A: 0xff},
		{R: 0x80, G: 0x80, B: 0x80, A: 0xff},
	}
)

// savePlot draws the panels beside each other into an SVG file: time over size, both in decades.
func savePlot(name, caption string, panels []panel) error {
	width := panelWidth * vg.Length(len(panels))
	canvas := vgsvg.New(width, panelHeight+vg.Centimeter)
	dc := draw.New(canvas)
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	for i, p := range panels {
		drawn, err := p.draw()
		if err != nil {
			return err
		}
		left := panelWidth * vg.Length(i)
		drawn.Draw(draw.Crop(dc, left+vg.Points(6), left+panelWidth-width-vg.Points(6),
			vg.Centimeter, -vg.Points(6)))
		if i == 0 {
			style := drawn.X.Label.TextStyle
			style.XAlign, style.Font.Size = draw.XLeft, vg.Points(8)
			dc.FillText(style, vg.Point{X: vg.Points(12), Y: vg.Points(10)}, caption)
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(file)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// draw makes a panel: medians of every engine.
func (p *panel) draw() (*plot.Plot, error) {
	out := plot.New()
	for _, style := range []*text.Style{
		&out.Title.TextStyle, &out.X.Label.TextStyle, &out.Y.Label.TextStyle,
		&out.X.Tick.Label, &out.Y.Tick.Label, &out.Legend.TextStyle,
	} {
		style.Font.Variant = "Sans"
	}
	out.Title.Text = p.title
	out.X.Label.Text = "bytes"
	out.Y.Label.Text = "time of a call"
	out.X.Tick.Marker, out.Y.Tick.Marker = powers{2, formatBytes}, powers{10, formatMicroseconds}
	out.Legend.Top, out.Legend.Left = true, true
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{Y: 0xe4}, color.Gray{Y: 0xe4}
	out.Add(grid)
	ours, peers := 0, 0
	for i, e := range p.engines {
		var xy plotter.XYs
		for _, l := range p.lines {
			if us := median(l.times[i]); us > 0 && l.bytes > 0 {
				xy = append(xy, plotter.XY{X: math.Log2(float64(l.bytes)), Y: math.Log10(us)})
			}
		}
		if len(xy) == 0 {
			continue
		}
		curve, points, err := plotter.NewLinePoints(xy)
		if err != nil {
			return nil, err
		}
		c, thick := peerColors[peers%len(peerColors)], vg.Points(1)
		if e.ours {
			c, thick = ourColors[ours%len(ourColors)], vg.Points(2.5)
			ours++
		} else {
			peers++
		}
		curve.Color, curve.Width, points.Color, points.Shape = c, thick, c, draw.CircleGlyph{}
		out.Add(curve, points)
		out.Legend.Add(e.name, curve, points)
	}
	out.Y.Max += 1.2 // room for the legend
	return out, nil
}

// powers marks every power of a base on an axis of logarithms: every fourth one for base 2.
type powers struct {
	base   int
	format func(float64) string
}

// Ticks returns the marks between lo and hi.
func (p powers) Ticks(lo, hi float64) []plot.Tick {
	step := 1.0
	if p.base == 2 {
		step = 4
	}
	var out []plot.Tick
	for v := math.Floor(lo/step) * step; v <= math.Ceil(hi); v += step {
		if v >= lo && v <= hi {
			out = append(out, plot.Tick{Value: v, Label: p.format(math.Pow(float64(p.base), v))})
		}
	}
	return out
}

func formatBytes(n float64) string { return formatSize(int(n)) }

func formatMicroseconds(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.0f s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%.0f ms", us/1e3)
	}
	return fmt.Sprintf("%.0f µs", us)
}
