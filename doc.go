// Package tutti is the root of a module for collective communication in machine learning: many
// processes, on one host or on several, act as one.
//
//   - [github.com/tutti-ml/tutti/collective] is what training code calls: AllReduce and its
//     family, over shared memory, ZeroMQ or InfiniBand, with failures that name their culprit.
//   - [github.com/tutti-ml/tutti/proxy] is what master and worker programs call: sessions of
//     messages between named groups of processes, with conditional events (package regtable).
//   - tensor, topology and schedule hold the algorithms as data that is proved; transport and its
//     drivers move frames; rendezvous finds out who is there.
//   - cmd and examples are programs made of these.
//
// The package itself is empty: nothing imports it. Its test holds the module to the rules that no
// compiler checks, above all that imports run one way.
package tutti
