package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// network is a multi-layer perceptron: linear layers with rectifiers between them and a softmax at
// the end. All parameters stand in one vector and their gradient in another of the same layout: the
// last layer first, as back-propagation reaches them, each as its weights and then its biases.
type network struct {
	params, grad []float64
	layers       []layer // first to last
	rows         int     // the most images that one pass takes

	out   []blas64.General // out[l] is the input of layer l; the last one is the logits
	delta []blas64.General // delta[l] is the gradient by out[l]; none by the images
}

// layer is views of its part of the two vectors. Its weights are inputs × outputs.
type layer struct {
	weights, weightsGrad blas64.General
	biases, biasesGrad   []float64
	end                  int // of the layer's part
}

// newNetwork makes a network with all parameters zero for passes of up to rows images; widths are the
// numbers of inputs, of each hidden layer's units, and of outputs.
func newNetwork(widths []int, rows int) *network {
	n := &network{rows: rows}
	total := 0
	for l := range len(widths) - 1 {
		total += (widths[l] + 1) * widths[l+1]
	}
	n.params, n.grad = make([]float64, total), make([]float64, total)
	n.layers = make([]layer, len(widths)-1)
	at := 0
	for l := len(n.layers) - 1; l >= 0; l-- {
		inputs, outputs := widths[l], widths[l+1]
		bias := at + inputs*outputs
		end := bias + outputs
		n.layers[l] = layer{
			weights:     matrix(n.params[at:bias], inputs, outputs),
			weightsGrad: matrix(n.grad[at:bias], inputs, outputs),
			biases:      n.params[bias:end],
			biasesGrad:  n.grad[bias:end],
			end:         end,
		}
		at = end
	}
	for l, width := range widths {
		n.out = append(n.out, matrix(make([]float64, rows*width), rows, width))
		n.delta = append(n.delta, blas64.General{})
		if l > 0 {
			n.delta[l] = matrix(make([]float64, rows*width), rows, width)
		}
	}
	return n
}

func matrix(data []float64, rows, cols int) blas64.General {
	return blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: data}
}

// top is the first rows rows of m.
func top(m blas64.General, rows int) blas64.General {
	return matrix(m.Data[:rows*m.Stride], rows, m.Cols)
}

// initialise draws the weights from a normal distribution whose variance, 2/inputs, keeps that of
// the signal through rectifiers (He et al., "Delving Deep into Rectifiers", ICCV 2015).
func (n *network) initialise(random *rand.Rand) {
	for l := range n.layers {
		w := &n.layers[l].weights
		deviation := math.Sqrt(2 / float64(w.Rows))
		for i := range w.Data {
			w.Data[i] = deviation * random.NormFloat64()
		}
		clear(n.layers[l].biases)
	}
}

// load copies the images of the given numbers into the first rows of the input.
func (n *network) load(from *images, numbers []int) {
	for row, i := range numbers {
		copy(n.out[0].Data[row*pixels:], from.row(i))
	}
}

// forward computes the logits of the first rows images of the input.
func (n *network) forward(rows int) blas64.General {
	if rows > n.rows {
		panic(fmt.Sprintf("forward of %d rows in a network for %d", rows, n.rows))
	}
	for l := range n.layers {
		layer := &n.layers[l]
		in, out := top(n.out[l], rows), top(n.out[l+1], rows)
		for r := range rows {
			copy(out.Data[r*out.Stride:], layer.biases)
		}
		multiply(blas.NoTrans, blas.NoTrans, in, layer.weights, 1, out)
		if l < len(n.layers)-1 {
			for i, v := range out.Data {
				out.Data[i] = max(v, 0)
			}
		}
	}
	return top(n.out[len(n.layers)], rows)
}

// multiply computes c = a·b + beta·c. Of no rows, nothing comes.
func multiply(ta, tb blas.Transpose, a, b blas64.General, beta float64, c blas64.General) {
	if a.Rows > 0 && c.Rows > 0 {
		blas64.Gemm(ta, tb, 1, a, b, beta, c)
	}
}

// correct counts the rows of logits whose largest value is at the label.
func correct(logits blas64.General, labels []uint8) (count uint64) {
	for r, label := range labels {
		row := logits.Data[r*logits.Stride:][:logits.Cols]
		best := 0
		for c, v := range row {
			if v > row[best] {
				best = c
			}
		}
		if best == int(label) {
			count++
		}
	}
	return count
}
