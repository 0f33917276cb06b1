package main

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// crossEntropy returns the sum over the rows of the cross-entropy between the softmax of logits and
// the labels, in nats, and writes its gradient by the logits, times scale, to delta.
func crossEntropy(logits blas64.General, labels []uint8, scale float64, delta blas64.General) (sum float64) {
	for r, label := range labels {
		row := logits.Data[r*logits.Stride:][:logits.Cols]
		d := delta.Data[r*delta.Stride:][:logits.Cols]
		highest := row[0]
		for _, v := range row {
			highest = max(highest, v)
		}
		total := 0.0
		for c, v := range row {
			d[c] = math.Exp(v - highest)
			total += d[c]
		}
		sum += math.Log(total) - (row[label] - highest)
		for c := range d {
			d[c] *= scale / total
		}
		d[label] -= scale
	}
	return sum
}

// backward computes the gradient of the loss by all parameters from the one by the logits, which
// crossEntropy has left in the last delta, for the rows of the last forward pass. It calls filled
// with the length of the gradient vector's prefix that is complete, after each layer.
//
// Of no rows the gradient is zero: a rank without a share of the batch adds nothing to the sum, but
// takes part in it.
func (n *network) backward(rows int, filled func(length int)) {
	for l := len(n.layers) - 1; l >= 0; l-- {
		layer := &n.layers[l]
		in, delta := top(n.out[l], rows), top(n.delta[l+1], rows)
		clear(layer.weightsGrad.Data)
		multiply(blas.Trans, blas.NoTrans, in, delta, 0, layer.weightsGrad)
		clear(layer.biasesGrad)
		for r := range rows {
			row := delta.Data[r*delta.Stride:][:delta.Cols]
			for c, v := range row {
				layer.biasesGrad[c] += v
			}
		}
		filled(layer.end)
		if l == 0 {
			return
		}
		below := top(n.delta[l], rows)
		multiply(blas.NoTrans, blas.Trans, delta, layer.weights, 0, below)
		for i, v := range in.Data {
			if v == 0 { // the rectifier was closed
				below.Data[i] = 0
			}
		}
	}
}
