package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

var patterns = []string{"send", "flight", "isend", "scatter", "broadcast", "join"}

// inFlight is how many round trips are under way at once in flight and isend.
const inFlight = 256

// maxFlightBytes bounds the bodies of which so many are under way.
const maxFlightBytes = 64 << 10

// experiment is what all engines do in turn.
type experiment struct {
	Pattern string        `json:"pattern"`
	Bytes   int           `json:"bytes"`
	Echo    bool          `json:"echo"`
	Time    time.Duration `json:"time"`
}

func (x experiment) reply() string {
	if x.Echo {
		return "echo"
	}
	return "ack"
}

func (x experiment) name() string {
	if x.Pattern == "join" {
		return "join, 1 + 4"
	}
	return fmt.Sprintf("%s %s %s", x.Pattern, formatSize(x.Bytes), x.reply())
}

// plan lists what is measured with so many workers.
func (o *options) plan(workers int) []experiment {
	of := []string{"send", "flight", "isend"}
	if workers > 1 {
		of = []string{"scatter", "broadcast"}
	}
	var list []experiment
	for _, p := range of {
		if !slices.Contains(o.cases, p) {
			continue
		}
		for _, n := range o.sizes {
			if n > maxFlightBytes && (p == "flight" || p == "isend") {
				continue
			}
			for _, echo := range []bool{false, true} {
				list = append(list, experiment{p, n, echo, o.loop})
			}
		}
	}
	if workers > 1 && list == nil && slices.Contains(o.cases, "join") {
		list = []experiment{} // the start alone
	}
	return list
}

// parseSize reads bytes with K or M for powers of 1024.
func parseSize(s string) (int, error) {
	shift := 0
	for i, suffix := range []string{"K", "M"} {
		if digits, ok := strings.CutSuffix(strings.ToUpper(s), suffix); ok {
			s, shift = digits, 10*(i+1)
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > math.MaxInt32>>shift {
		return 0, fmt.Errorf("%q is no size", s)
	}
	return n << shift, nil
}

func formatSize(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
