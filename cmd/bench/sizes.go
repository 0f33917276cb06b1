package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxSizes bounds the number of lines that -b, -e, -f and -i together may ask for.
const maxSizes = 10000

// byteSize is a flag.Value: a number of bytes with an optional suffix K, M or G, powers of 1024.
type byteSize struct {
	bytes int
	set   bool
}

// Set implements flag.Value.
func (b *byteSize) Set(s string) error {
	n, err := parseBytes(s)
	if err != nil {
		return err
	}
	b.bytes, b.set = n, true
	return nil
}

// String implements flag.Value with the largest suffix that divides.
func (b *byteSize) String() string { return formatBytes(b.bytes) }

func formatBytes(n int) string {
	for _, u := range []struct {
		shift  uint
		suffix string
	}{{30, "G"}, {20, "M"}, {10, "K"}} {
		if n != 0 && n%(1<<u.shift) == 0 {
			return strconv.Itoa(n>>u.shift) + u.suffix
		}
	}
	return strconv.Itoa(n)
}

func parseBytes(s string) (int, error) {
	shift := 0
	digits := s
	if s != "" {
		if i := strings.IndexByte("KMG", s[len(s)-1]&^0x20); i >= 0 {
			shift, digits = 10*(i+1), s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt>>shift {
		return 0, fmt.Errorf("%q is no size: want bytes, with K, M or G for powers of 1024", s)
	}
	return int(n) << shift, nil
}

// sizeList lists the sizes from least to most, each factor times the one before it, or step bytes
// more when factor is zero.
func sizeList(least, most, factor, step int) ([]int, error) {
	switch {
	case least > most:
		return nil, fmt.Errorf("-b %s is above -e %s", formatBytes(least), formatBytes(most))
	case least == most:
		return []int{least}, nil
	case factor == 0 && step == 0:
		return nil, fmt.Errorf("-b and -e differ: want -f of 2 or more, or -i of 1 or more")
	case factor != 0 && factor < 2:
		return nil, fmt.Errorf("-f %d: want 2 or more", factor)
	case factor != 0 && least == 0:
		return nil, fmt.Errorf("-b 0 with a factor stays 0: use -i")
	}
	var sizes []int
	for size := least; ; {
		if len(sizes) == maxSizes {
			return nil, fmt.Errorf("more than %d sizes: use a larger -f or -i", maxSizes)
		}
		sizes = append(sizes, size)
		if factor != 0 {
			if size > most/factor {
				return sizes, nil
			}
			size *= factor
		} else {
			if size > most-step {
				return sizes, nil
			}
			size += step
		}
	}
}
