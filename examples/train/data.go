package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	_ "embed"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
)

const (
	pixels  = 64 // of an image, 8×8 in row-major order
	ink     = 16 // the value of a black pixel
	classes = 10

	heldOutImages = 360
	// splitSeed decides which images are held out. It is not a flag: the accuracies of two runs
	// are comparable only if they are measured on the same images.
	splitSeed = 20
)

// digitsFile is described in data/README.md.
//
//go:embed data/digits.csv.gz
var digitsFile []byte

// images are n labelled images: pixels values from 0 to 1 for each, in x, and a digit, in label.
type images struct {
	x     []float64
	label []uint8
}

func (im *images) len() int { return len(im.label) }

// row is the pixels of image i.
func (im *images) row(i int) []float64 { return im.x[i*pixels : (i+1)*pixels] }

func (im *images) add(x []float64, label uint8) {
	im.x = append(im.x, x...)
	im.label = append(im.label, label)
}

// parseDigits reads gzipped lines of 64 pixels and a label.
func parseDigits(file io.Reader) (*images, error) {
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("digits: %w", err)
	}
	lines := csv.NewReader(unzipped)
	lines.FieldsPerRecord = pixels + 1
	lines.ReuseRecord = true
	all := &images{}
	row := make([]float64, pixels)
	for n := 1; ; n++ {
		fields, err := lines.Read()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("digits: %w", err)
		}
		for i := range row {
			value, err := strconv.ParseUint(fields[i], 10, 8)
			if err != nil || value > ink {
				return nil, fmt.Errorf("digits: line %d: pixel %d is %q, not 0 to %d", n, i, fields[i], ink)
			}
			row[i] = float64(value) / ink
		}
		label, err := strconv.ParseUint(fields[pixels], 10, 8)
		if err != nil || label >= classes {
			return nil, fmt.Errorf("digits: line %d: label %q is not a digit", n, fields[pixels])
		}
		all.add(row, uint8(label))
	}
}

// dataset is the images to learn from and those to be judged by.
type dataset struct{ train, heldOut *images }

func loadDigits() (*dataset, error) {
	all, err := parseDigits(bytes.NewReader(digitsFile))
	if err != nil {
		return nil, err
	}
	return split(all, heldOutImages)
}

// split holds out exactly the given number of images, of each digit its share up to rounding, chosen
// by splitSeed.
func split(all *images, heldOut int) (*dataset, error) {
	n := all.len()
	if heldOut < 0 || heldOut > n {
		return nil, fmt.Errorf("digits: cannot hold out %d of %d images", heldOut, n)
	}
	order := rand.New(rand.NewPCG(splitSeed, 0)).Perm(n)
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(all.label[i], all.label[j]) })
	// Evenly spaced places in the shuffled images of the first digit, then of the next, and so on.
	d := &dataset{train: &images{}, heldOut: &images{}}
	for place, i := range order {
		to := d.train
		if (place+1)*heldOut/n > place*heldOut/n {
			to = d.heldOut
		}
		to.add(all.row(i), all.label[i])
	}
	return d, nil
}

// share is the part from lo up to hi of n items that rank takes. Shares are contiguous, differ by at
// most one item and may be empty.
func share(n, rank, size int) (lo, hi int) {
	return n * rank / size, n * (rank + 1) / size
}
