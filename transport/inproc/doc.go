// Package inproc links ranks that are goroutines of one process: for tests, for simulation, and for
// programs whose ranks share an address space.
//
// A Network is what ties them together; all endpoints opened from one Network with the same job can
// reach each other. Small payloads are copied once when they are sent, so that the sender need not
// wait. Larger ones are not copied at all: Peek shows the sender's own memory, or Read copies it
// once, straight to where it belongs, and Sent counts the frame when the receiver has taken it.
//
// Because a receiver may be looking at the sender's memory, Reclaim waits for it to look away: for
// the end of a Read under way, or until a receiver that has called Peek calls Next, Read, Discard
// or Close of the link, or Wait or Reclaim of any of its endpoint. So what Peek has shown must be
// done with before Wait, and a goroutine that plays several ranks must not call Reclaim for one
// between Peek and Discard for another. All else never blocks.
//
// A Network can also misbehave, on the clock of package time, and so in no time at all inside a
// testing/synctest bubble: delays, jitter, limited bandwidth, slow receivers, cut and silent links,
// partitions. All chance comes from one seed. Each direction of a link draws from a source of its
// own, so what one rank does has no influence on the luck of another: the same seed and the same
// ranks give the same deliveries at the same times. Frames of one direction never overtake each
// other; those of different links do.
//
// It imports the standard library, package transport and what drivers share (transport/internal). No
// socket, no file, no goroutine of its own (the clock's apart, while a delivery is due), and no
// knowledge of what frames mean ever enters it.
package inproc
