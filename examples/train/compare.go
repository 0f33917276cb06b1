package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
)

// fingerprint is the first eight bytes of the SHA-256 of all parameters' bits.
func fingerprint(params []float64) uint64 {
	hash := sha256.New()
	var bits [8]byte
	for _, p := range params {
		binary.LittleEndian.PutUint64(bits[:], math.Float64bits(p))
		hash.Write(bits[:])
	}
	return binary.BigEndian.Uint64(hash.Sum(nil))
}

// replicaError says that the ranks ended with different parameters.
type replicaError struct{ fingerprints []uint64 } // by rank

func (e *replicaError) Error() string {
	for rank, f := range e.fingerprints {
		if f != e.fingerprints[0] {
			return fmt.Sprintf("rank %d ended with parameters %016x, rank 0 with %016x: "+
				"have all ranks been given the same flags?", rank, f, e.fingerprints[0])
		}
	}
	return "the ranks ended with different parameters"
}

// agree compares the parameters of all ranks bit for bit, and returns their fingerprint.
func agree(ctx context.Context, w world, params []float64) (uint64, error) {
	mine := fingerprint(params)
	all, err := w.collect(ctx, mine)
	if err != nil {
		return 0, fmt.Errorf("collecting the fingerprints of the parameters: %w", err)
	}
	for _, f := range all {
		if f != all[0] {
			return 0, &replicaError{all}
		}
	}
	return mine, nil
}

// curveTolerance is how far the loss of an epoch on many ranks may be, relatively, from that of one
// process. Only the order of additions differs, so the true figure is nearer to 1e-12.
const curveTolerance = 1e-5

// deviation returns the largest relative difference between the losses of two runs, and the epoch,
// from 1, where it is. It is +Inf if one run has more epochs or a loss that is no number.
func deviation(many, one []epoch) (largest float64, at int) {
	if len(many) != len(one) {
		return math.Inf(1), min(len(many), len(one)) + 1
	}
	for i := range many {
		d := math.Abs(many[i].loss-one[i].loss) / math.Abs(one[i].loss)
		if many[i].loss == one[i].loss {
			d = 0
		}
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		if d > largest {
			largest, at = d, i+1
		}
	}
	return largest, at
}
