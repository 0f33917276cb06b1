// Package tensor holds what a collective needs to know about memory: the element types, the
// reduction operations and their kernels, the partition of a vector into blocks, and buffers that
// start on a cache line.
//
// # Elements
//
// A vector is a []byte with a [Type] beside it, in the byte order of the host; [Bytes] and [View]
// convert between that and a typed slice without copying. Nine types exist. Float16 is IEEE 754
// binary16, BFloat16 is the upper half of a binary32; both are storage formats, computed in float32
// and rounded (to nearest, ties to even) after every operation. A float32 has at least twice the
// precision of either plus two bits, so that sums and products equal the correctly rounded results
// of the narrow type.
//
// # Operations and their exact results
//
// [Op.Reduce] is defined to the bit, so that a result depends neither on the machine nor on which
// of two ranks holds which operand. The rules, for the built-in operations:
//
//   - Integers wrap around modulo 2^bits.
//   - Floating-point sums and products round to nearest, ties to even; subnormals are kept.
//   - A result that is not a number is the one canonical quiet NaN of its type: sign clear, only
//     the top fraction bit set (0x7FF8000000000000, 0x7FC00000, 0x7E00, 0x7FC0). Payloads do not
//     survive, as on most accelerators. x86 returns the first operand's payload, arm64 another,
//     and a compiler may swap the operands of an addition: no payload rule would be free of order.
//   - Min and Max are minimum and maximum of IEEE 754-2019: one NaN makes the result NaN, and
//     -0 is less than +0.
//
// All of them are therefore commutative on bits. Integer operations, Min and Max are associative
// too; floating-point sums and products are not, as everywhere.
//
// [Narrow], [Widen], [Round] and [Op.ReduceWide] let messages between float32 vectors be Float16 or
// BFloat16, under the same rules: rounded to nearest, ties to even, subnormals kept, one NaN.
//
// [CopyCold] copies, and [Op.ReduceCold] reduces to, what is too large for caches.
//
// # Paths
//
// On amd64 with AVX2 (and F16C for Float16) vectors of 32 bytes or more, of 8 elements where two
// types meet, go through assembly that kernelgen writes; everything else, other architectures, and
// a build with the tag noasm take the plain Go loops. Both give the same bits on every input, which
// the tests hold them to.
//
// # What it imports and what never enters
//
// The standard library and golang.org/x/sys/cpu. No communicator, rank, schedule or transport, no
// goroutine, no lock and no input or output: every function here is a pure function of its
// arguments, safe for concurrent use on memory that the caller has to itself.
package tensor
