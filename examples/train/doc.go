// Command train learns to read handwritten digits on several processes at once, the way a large
// model is trained: every rank holds all parameters and takes its share of each batch.
//
//	tutti run -n 4 -- train -compare -plot build/train.png
//
// In each step a rank computes the gradient of its rows by back-propagation, from the last layer to
// the first. The gradient vector is laid out in that order and cut into buckets. As soon as a
// bucket is complete its AllReduce starts, and runs while the layers below are still being
// differentiated; the optimiser waits for all of them. Each rank divides by the size of the whole
// batch, so the sum over ranks is the gradient of the batch however unevenly it was divided, and
// every rank takes the same step. At the end the ranks compare a hash of their parameters, bit for
// bit.
//
// With -compare, rank 0 then trains once more by itself, without a single collective, and checks
// that the loss of every epoch is the same up to rounding.
//
// With -wire gradients are summed in float32 on a communicator of their own, and sent so or, with bf16
// and f16, in half the bytes; see collective.WithWire. The parameters of all ranks still agree bit for
// bit, and the accuracy stays: -want-accuracy checks it.
//
// The files, in the order of the story: data.go (images, split, shares), model.go and backprop.go
// (the network and its gradient), bucket.go (overlapping the reduction), world.go (what training
// needs of other ranks), wire.go (gradients in fewer bytes), train.go (epochs), compare.go (the checks), progress.go and plot.go (what is
// shown), main.go (flags).
//
// The arithmetic is gonum's, in float64. Where the images come from, and their licence, is told in
// data/README.md.
package main
