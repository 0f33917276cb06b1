// Package transporttest is the contract of package transport, executable: Run puts a driver through
// every sentence of the comments on transport.Endpoint and transport.Link.
//
// A driver's test is
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, open, transporttest.Options{})
//	}
//
// where open makes endpoints of ranks 0 to n-1 of one job in this process. The suite drives them
// from one goroutine or from one for each rank, so that it serves drivers between processes as
// well. Nothing in it depends on how fast anything is: where something must happen, it waits until
// it has, and says what it waits for shortly before the test binary's own time limit.
//
// Where the comments leave a question open, the suite has an answer:
//
//   - Where endpoints are transport.Allocators, most of what the tests lend is memory of Alloc. A driver
//     whose endpoints are should pass the suite a second time with Alloc hidden.
//   - Close of an endpoint and of a link can be called twice.
//   - Dial to a closed endpoint fails or, where that can't be known yet, gives a link that breaks.
//   - Byte k of a payload has an address that is k modulo 8, in every window of Peek, so that
//     elements can be used in place whatever was discarded before them.
//   - What Peek shows reaches in the end the next multiple of 8 bytes of the payload, or its end,
//     though nothing is discarded: no element is ever cut. Of a control frame it shows all.
//   - A link that nobody reads takes a bounded number of frames, also of empty ones.
//   - Wait returns when a frame becomes the head of its link because the one before it was taken.
//
// It imports the standard library, package transport, rapid and goleak. No driver ever enters it.
package transporttest
