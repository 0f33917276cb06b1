package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// mlp is a multi-layer perceptron: linear layers with tanh between them. Its parameters and their
// gradient are views of two vectors that belong to the policy.
type mlp struct {
	layers []layer
	rows   int // the most observations that one pass takes

	out   []blas32.General // out[l] is the input of layer l
	delta []blas32.General // delta[l] is the gradient by out[l]; none by the observations
}

// layer has weights of inputs × outputs.
type layer struct {
	weights, weightsGrad blas32.General
	biases, biasesGrad   []float32
}

// parametersOf is how many parameters a perceptron has with layers of these widths.
func parametersOf(widths []int) (total int) {
	for l := range len(widths) - 1 {
		total += (widths[l] + 1) * widths[l+1]
	}
	return total
}

// newMLP makes a perceptron for passes of up to rows observations on parametersOf(widths)
// parameters, which it does not copy.
func newMLP(widths []int, rows int, params, grad []float32) *mlp {
	m := &mlp{rows: rows}
	for l := range len(widths) - 1 {
		inputs, outputs := widths[l], widths[l+1]
		bias := inputs * outputs
		end := bias + outputs
		m.layers = append(m.layers, layer{
			weights:     matrix(params[:bias], inputs, outputs),
			weightsGrad: matrix(grad[:bias], inputs, outputs),
			biases:      params[bias:end],
			biasesGrad:  grad[bias:end],
		})
		params, grad = params[end:], grad[end:]
	}
	for l, width := range widths {
		m.out = append(m.out, matrix(make([]float32, rows*width), rows, width))
		m.delta = append(m.delta, blas32.General{})
		if l > 0 {
			m.delta[l] = matrix(make([]float32, rows*width), rows, width)
		}
	}
	return m
}

func matrix(data []float32, rows, cols int) blas32.General {
	return blas32.General{Rows: rows, Cols: cols, Stride: cols, Data: data}
}

// top is the first rows rows of m.
func top(m blas32.General, rows int) blas32.General {
	return matrix(m.Data[:rows*m.Stride], rows, m.Cols)
}

// initialise makes the weights of each layer orthogonal, scaled by √2 in front of tanh and by
// lastGain at the end, and the biases zero (Saxe et al., "Exact solutions to the nonlinear dynamics
// of learning in deep linear neural networks", ICLR 2014).
func (m *mlp) initialise(random *rand.Rand, lastGain float64) {
	for l, layer := range m.layers {
		gain := math.Sqrt2
		if l == len(m.layers)-1 {
			gain = lastGain
		}
		w := layer.weights
		q := orthonormal(random, max(w.Rows, w.Cols), min(w.Rows, w.Cols))
		if w.Rows < w.Cols {
			q = q.T()
		}
		for r := range w.Rows {
			for c := range w.Cols {
				w.Data[r*w.Stride+c] = float32(gain * q.At(r, c))
			}
		}
		clear(layer.biases)
	}
}

// orthonormal draws a matrix with orthonormal columns: Q of the QR decomposition of a random
// matrix, with the signs that make it uniform (Mezzadri, "How to generate random matrices from the
// classical compact groups", 2007).
func orthonormal(random *rand.Rand, rows, cols int) mat.Matrix {
	gaussian := mat.NewDense(rows, cols, nil)
	for r := range rows {
		for c := range cols {
			gaussian.Set(r, c, random.NormFloat64())
		}
	}
	var decomposition mat.QR
	decomposition.Factorize(gaussian)
	var q, r mat.Dense
	decomposition.QTo(&q)
	decomposition.RTo(&r)
	for c := range cols {
		if r.At(c, c) < 0 {
			for row := range rows {
				q.Set(row, c, -q.At(row, c))
			}
		}
	}
	return q.Slice(0, rows, 0, cols)
}

// forward computes the outputs for the first rows rows of out[0]. It allocates nothing for one row.
func (m *mlp) forward(rows int) blas32.General {
	if rows > m.rows {
		panic(fmt.Sprintf("forward of %d rows in a perceptron for %d", rows, m.rows))
	}
	for l := range m.layers {
		layer := &m.layers[l]
		in, out := top(m.out[l], rows), top(m.out[l+1], rows)
		for r := range rows {
			copy(out.Data[r*out.Stride:], layer.biases)
		}
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, in, layer.weights, 1, out)
		if l < len(m.layers)-1 {
			for i, v := range out.Data {
				out.Data[i] = float32(math.Tanh(float64(v)))
			}
		}
	}
	return top(m.out[len(m.layers)], rows)
}

// backward computes the gradient by all parameters from the one by the outputs, which the caller
// has put into the last delta, for the rows of the last forward pass.
func (m *mlp) backward(rows int) {
	for l := len(m.layers) - 1; l >= 0; l-- {
		layer := &m.layers[l]
		in, delta := top(m.out[l], rows), top(m.delta[l+1], rows)
		blas32.Gemm(blas.Trans, blas.NoTrans, 1, in, delta, 0, layer.weightsGrad)
		clear(layer.biasesGrad)
		for r := range rows {
			for c, v := range delta.Data[r*delta.Stride:][:delta.Cols] {
				layer.biasesGrad[c] += v
			}
		}
		if l == 0 {
			return
		}
		below := top(m.delta[l], rows)
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, delta, layer.weights, 0, below)
		for i, v := range in.Data {
			below.Data[i] *= 1 - v*v // the slope of tanh where it is v
		}
	}
}
