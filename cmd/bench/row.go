package main

import (
	"math"
	"time"
)

// row is one form of one line: a JSON object, a CSV record or half a line of the table.
type row struct {
	Op      string  `json:"op"`
	DType   string  `json:"dtype"`
	RedOp   string  `json:"redop"`
	Wire    string  `json:"wire"`
	Driver  string  `json:"driver"`
	Algo    string  `json:"algo"`
	NP      int     `json:"np"`
	Bytes   int     `json:"bytes"`
	Count   int     `json:"count"`
	InPlace bool    `json:"inplace"`
	TimeUS  float64 `json:"time_us"`
	AlgBW   float64 `json:"algbw_gbs"`
	BusBW   float64 `json:"busbw_gbs"`
	P50US   float64 `json:"p50_us"`
	P99US   float64 `json:"p99_us"`
	Wrong   *int    `json:"wrong"` // nil: unchecked
}

func newRow(t trial, driver, algorithm string) *row {
	wire := t.typeName()
	if t.sent() != t.typ {
		wire = t.sent().String()
	}
	return &row{
		Op: t.op.name, DType: t.typeName(), RedOp: t.redopName(), Wire: wire,
		Driver: driver, Algo: algorithm,
		NP: t.size, Bytes: t.bytes(), Count: t.count, InPlace: t.inPlace,
	}
}

func (r *row) setTimes(t trial, took timing) {
	r.TimeUS = microseconds(took.mean)
	r.P50US, r.P99US = microseconds(took.p50), microseconds(took.p99)
	if took.mean > 0 {
		r.AlgBW = float64(r.Bytes) / float64(took.mean) // bytes in a nanosecond: 10^9 in a second
	}
	r.BusBW = significant(r.AlgBW * t.op.factor(float64(t.size)))
	r.AlgBW = significant(r.AlgBW)
}

// significant rounds to five significant digits: more would only look measured.
func significant(x float64) float64 {
	if x == 0 {
		return 0
	}
	digits := 4 - int(math.Floor(math.Log10(math.Abs(x))))
	if digits > 0 {
		scale := math.Pow10(digits)
		return math.Round(x*scale) / scale
	}
	scale := math.Pow10(-digits)
	return math.Round(x/scale) * scale
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
