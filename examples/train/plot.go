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
	plotHeight = 15 * vg.Centimeter
	plotDPI    = 160
	sans       = "Sans"
)

// The colours are distinguishable without colour vision too, by their lightness.
var (
	blue   = color.RGBA{R: 0x1f, G: 0x5f, B: 0xa8, A: 0xff}
	orange = color.RGBA{R: 0xe0, G: 0x82, B: 0x14, A: 0xff}
	grid   = color.RGBA{R: 0xdd, G: 0xdd, B: 0xdd, A: 0xff}
)

// curves are what is drawn.
type curves struct {
	ranks int
	many  []epoch
	one   []epoch // of one process; nil if it did not train
}

// save draws the curves into two files, name with the endings .png and .svg, and returns their names.
func (c *curves) save(name string) (files []string, err error) {
	name = strings.TrimSuffix(name, filepath.Ext(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	bitmap := vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight), vgimg.UseDPI(plotDPI))
	vectors := vgsvg.New(plotWidth, plotHeight)
	for _, canvas := range []vg.CanvasSizer{bitmap, vectors} {
		if err := c.draw(draw.New(canvas)); err != nil {
			return nil, err
		}
	}
	for file, content := range map[string]io.WriterTo{
		name + ".png": vgimg.PngCanvas{Canvas: bitmap}, name + ".svg": vectors,
	} {
		if err := write(file, content); err != nil {
			return nil, err
		}
	}
	return []string{name + ".png", name + ".svg"}, nil
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

// draw puts the loss above the accuracy, over the same epochs.
func (c *curves) draw(canvas draw.Canvas) error {
	loss, err := c.lossPanel()
	if err != nil {
		return err
	}
	accuracy, err := c.accuracyPanel()
	if err != nil {
		return err
	}
	canvas.SetColor(color.White)
	canvas.Fill(canvas.Rectangle.Path())
	style := loss.Title.TextStyle
	style.YAlign = draw.YTop
	margin := vg.Points(12)
	canvas.FillText(style, vg.Point{X: canvas.Center().X, Y: canvas.Max.Y - margin},
		"Learning to read handwritten digits on "+ranks(c.ranks))
	canvas.Max.Y -= margin + style.Font.Size
	tiles := draw.Tiles{
		Rows: 2, Cols: 1, PadY: margin, PadTop: margin, PadBottom: margin, PadLeft: margin, PadRight: margin,
	}
	upper, lower := tiles.At(canvas, 0, 0), tiles.At(canvas, 0, 1)
	// The panel with the narrower labels moves in, so that epochs stand below each other.
	shift := loss.DataCanvas(upper).Min.X - accuracy.DataCanvas(lower).Min.X
	loss.Draw(draw.Crop(upper, max(-shift, 0), 0, 0, 0))
	accuracy.Draw(draw.Crop(lower, max(shift, 0), 0, 0, 0))
	return nil
}

func (c *curves) lossPanel() (*plot.Plot, error) {
	p := panel(len(c.many))
	p.Y.Label.Text = "training loss [nat]"
	p.Y.Tick.Marker = decades{}
	p.Legend.Top = true
	line, err := line(c.many, logLoss, blue)
	if err != nil {
		return nil, err
	}
	p.Add(line)
	p.Legend.Add(ranks(c.ranks), line)
	if c.one != nil {
		points, err := plotter.NewScatter(points(c.one, logLoss))
		if err != nil {
			return nil, err
		}
		points.GlyphStyle = draw.GlyphStyle{Color: orange, Radius: vg.Points(3), Shape: ring{}}
		p.Add(points)
		p.Legend.Add("one process alone", points)
	}
	return p, nil
}

func (c *curves) accuracyPanel() (*plot.Plot, error) {
	p := panel(len(c.many))
	p.Y.Label.Text = "held-out accuracy [%]"
	p.Legend.YOffs = vg.Points(8)
	line, err := line(c.many, func(e epoch) float64 { return 100 * e.accuracy }, blue)
	if err != nil {
		return nil, err
	}
	p.Add(line)
	p.Y.Max = 100
	best, at := 0.0, 0
	for i, e := range c.many {
		if e.accuracy > best {
			best, at = e.accuracy, i+1
		}
	}
	last := c.many[len(c.many)-1].accuracy
	p.Legend.Add(fmt.Sprintf("%.1f %% at the end, at best %.1f %% in epoch %d", 100*last, 100*best, at))
	return p, nil
}

// panel is an empty plot of so many epochs.
func panel(epochs int) *plot.Plot {
	p := plot.New()
	p.Title.TextStyle.Font.Size = vg.Points(13)
	p.Title.TextStyle.Font.Variant = sans
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font.Size = vg.Points(10)
		axis.Label.TextStyle.Font.Variant = sans
		axis.Tick.Label.Font.Variant = sans
		axis.Label.Padding = vg.Points(4)
		axis.Tick.Label.Font.Size = vg.Points(9)
		axis.Padding = vg.Points(2)
	}
	p.X.Min, p.X.Max = 1, float64(max(epochs, 2))
	p.X.Label.Text = "epoch"
	p.X.Tick.Marker = wholeNumbers{}
	p.Legend.TextStyle.Font.Size = vg.Points(10)
	p.Legend.TextStyle.Font.Variant = sans
	p.Legend.Padding = vg.Points(3)
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(-6), vg.Points(-4)
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	p.Add(lines)
	return p
}

func line(epochs []epoch, y func(epoch) float64, c color.Color) (*plotter.Line, error) {
	l, err := plotter.NewLine(points(epochs, y))
	if err != nil {
		return nil, err
	}
	l.LineStyle = draw.LineStyle{Color: c, Width: vg.Points(1.8)}
	return l, nil
}

func points(epochs []epoch, y func(epoch) float64) plotter.XYs {
	xys := make(plotter.XYs, len(epochs))
	for i, e := range epochs {
		xys[i] = plotter.XY{X: float64(i + 1), Y: y(e)}
	}
	return xys
}

func ranks(n int) string {
	if n == 1 {
		return "1 rank"
	}
	return fmt.Sprint(n, " ranks")
}

// ring is draw.RingGlyph with a bolder line.
type ring struct{}

func (ring) DrawGlyph(c *draw.Canvas, style draw.GlyphStyle, center vg.Point) {
	c.SetLineStyle(draw.LineStyle{Color: style.Color, Width: vg.Points(1.2)})
	var path vg.Path
	path.Move(vg.Point{X: center.X + style.Radius, Y: center.Y})
	path.Arc(center, style.Radius, 0, 2*math.Pi)
	path.Close()
	c.Stroke(path)
}

// wholeNumbers ticks an axis at 1 and at the multiples of a round number, ten at most.
type wholeNumbers struct{}

func (wholeNumbers) Ticks(lowest, highest float64) (ticks []plot.Tick) {
	step := 1
	for i := 0; highest > float64(10*step); i++ {
		step = []int{2, 5, 10}[i%3] * int(math.Pow10(i/3))
	}
	for n := 1; float64(n) <= highest; n++ {
		if float64(n) >= lowest && (n == 1 || n%step == 0) {
			ticks = append(ticks, plot.Tick{Value: float64(n), Label: strconv.Itoa(n)})
		}
	}
	return ticks
}

// logLoss is what the loss panel shows: plot.LogScale would make the axis logarithmic by itself, but
// leaves room for the axis' label where a linear scale has its middle.
func logLoss(e epoch) float64 { return math.Log10(max(e.loss, 1e-12)) }

// decades ticks an axis of decimal logarithms at 1, 2 and 5 times the powers of ten.
type decades struct{}

func (decades) Ticks(lowest, highest float64) (ticks []plot.Tick) {
	for exponent := math.Floor(lowest); exponent <= highest; exponent++ {
		for _, digit := range []float64{1, 2, 5} {
			at := exponent + math.Log10(digit)
			if lowest <= at && at <= highest {
				label := strconv.FormatFloat(digit*math.Pow(10, exponent), 'g', 1, 64)
				ticks = append(ticks, plot.Tick{Value: at, Label: label})
			}
		}
	}
	return ticks
}
