// Package shm carries Tutti's frames through memory that two processes of one host share.
//
// A link is a segment of memory and a Unix socket. The dialler connects to the abstract socket
// that the other rank listens on, the ends prove by transport.HelloDial and transport.HelloAccept
// who they are, and the dialler passes a memory file without a name (memfd_create), whose size is
// sealed, over the socket. Both map it and close it, so it goes with the last of the two
// processes, whatever ends that: nothing of it is in /dev/shm, whose size does not matter either.
// The socket stays open: its end says that the other process has ended, and a byte on it wakes who
// is parked.
//
//	control page  for each end, on cache lines of its own:
//	                 0  parked (4): what the other end should wake it for   4  closed in order (4)
//	               128  frames taken (8)   136  stream taken (8)
//	               256  stream filled (8)
//	lines         256 lines of 64 bytes, for each direction: a line is a frame
//	small rings   64 KiB, for each direction
//	stream rings  128 KiB to 1 MiB, for each direction
//
// A line is written from the back to the front, its first 8 bytes by one atomic write:
//
//	 0  stamp: the lap, from 1 (4)   4  form (1)   5  kind (1)   6  flags (2)
//	 8  sequence number (8)   16  step (4)   20  length (4)   24  credit (4)   28  checksum (4)
//	32  form 0: epoch (4), communicator (4), fingerprint (24)
//	    form 1: these are as in the last line of form 0; a payload of at most 32 bytes
//
// So a frame of a few elements arrives as one cache line, in repeated calls. Another payload of at
// most 4 KiB is in the small ring before its line is written, in one stretch that begins at a
// multiple of 64. A longer one goes through the stream ring in steps of 16 KiB, after its line: it
// begins where the one before ended, at the next multiple of 64, and Peek shows it there, to be
// reduced without another copy. Both ends count the positions themselves. What an end has taken it
// says when that is a quarter of a ring, and when it has nothing more to do.
//
// A payload is copied into the ring and out of it, or reduced out of it, by two processes at the
// same time. process_vm_readv copies it once, but nothing can be reduced out of what it has not
// copied. Measured one way on a loaded machine with two cores, the rings were faster for large
// streams with both ends busy (64 MiB in 13 to 15 ms, against 23 to 28), process_vm_readv for
// payloads that the caches hold (64 KiB to 4 MiB). How they compare on an idle machine is open
// (BenchmarkReadv).
//
// What it promises besides the contract of package transport:
//
//   - The calls of an idle link cost a read of one cache line that nobody writes, and no system
//     call.
//   - The processes of other users can't connect, whether there is a secret or not.
//   - The other end can write to all of the segment at any time. What is read there is checked
//     before it is used; what an end decides by, it keeps in memory of its own. So the other end
//     can break the link and send nonsense, and no more.
//   - All memory is there when the link is: there is one error, at Dial, when it is short.
//
// It imports transport and golang.org/x/sys/unix. Communicators, collectives and how ranks find
// each other never enter it. It works on Linux; elsewhere Open fails.
package shm
