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
//	               128  frames taken (8)   136  stream taken (8)   144  references done with (8)
//	               256  stream filled (8)  264  messages about memory (4)
//	               384  64 numbers of memory of the other end that is mapped (4 each)
//	lines         256 lines of 64 bytes, for each direction: a line is a frame
//	references    64 of 64 bytes, for each direction
//	small rings   64 KiB, for each direction
//	stream rings  128 KiB to 1 MiB, for each direction
//
// A line is written from the back to the front, its first 8 bytes by one atomic write:
//
//	 0  stamp: the lap, from 1 (4)   4  form (1)   5  kind (1)   6  flags (2)
//	 8  sequence number (8)   16  step (4)   20  length (4)   24  credit (4)   28  checksum (4)
//	32  bit 0 of the form is 0: epoch (4), communicator (4), fingerprint (24)
//	                   it is 1: these are as in the last line of 0; a payload of at most 32 bytes
//	    bit 1: the payload is where the next reference says
//	    bit 2: the payload is at the beginning of the stream ring
//
// So a frame of a few elements arrives as one cache line, in repeated calls. The line after next is fetched
// for writing with each frame: it is in the other end's cache, and getting it back takes longer than all else
// (a stream of 4-byte calls takes 0.15 us a call in place of 0.29). Another payload of at
// most 4 KiB is in the small ring before its line is written, in one stretch that begins at a
// multiple of 64. A longer one goes through the stream ring in steps of 16 KiB, after its line: it
// begins where the one before ended, at the next multiple of 64, or at the beginning of the ring if all
// before it is taken (bit 2 of the form), and Peek shows it there, to be reduced without another copy.
// So messages that fit pass through the same few pages, and the first calls of a process do not wait
// for memory that it has never touched: that took most of the first 30 calls of 64 KiB between 7 ranks
// on two cores of a virtual machine, 3 ms each; now it is 0.3. Both ends count the positions themselves.
// What an end has taken it says when that is a quarter of a ring, and when it has nothing more to do.
//
// # Memory of Alloc
//
// A payload of 32 KiB or more in memory of Alloc is not copied at all: Peek shows the other end's own
// memory, Read copies once. Such memory, a region, is a memory file, too, mapped over memory of the Go
// heap, so that the garbage collector looks after it and no pointer can outlive it: what is freed has
// ordinary memory put in its place. A link offers a region over the socket when it first sends a
// payload of it, which is copied still; the other end maps it, for reading, and says so in the control
// page. From then on a frame is a line and a reference: 64 places and offsets of one or two pieces.
// The lend ends when the receiver has taken the last byte. 64 regions of each end are mapped at a time,
// those used last; one that was freed is unmapped when both ends have come by.
//
// Reclaim must not wait for a receiver that may be in the middle of the memory. It maps the pages of
// the payload anew, at the same address and with the same bytes, but privately: what this process
// writes from now on goes to copies of its own, and the receiver goes on seeing the old bytes. Those
// pages are ordinary memory afterwards.
//
// # Other memory
//
// Another payload is copied into the ring and out of it, or reduced out of it, by two processes at the
// same time. process_vm_readv copies it once, but the sender's memory then stays lent, and nothing can
// be reduced out of what was not copied. One way on a busy machine with two cores it moved 15 GB/s
// where the rings moved 4 to 6, for payloads that caches hold (128 to 512 KiB), and as much as they for
// larger ones (4.5 and 4.0 GB/s at 4 MiB; BenchmarkReadv). An all-reduce of 64 MiB by two ranks takes
// 13 ms through the rings; 64 MiB read by process_vm_readv would alone take as long.
//
// What it promises besides the contract of package transport:
//
//   - The calls of an idle link cost a read of one cache line that nobody writes, and no system
//     call.
//   - The processes of other users can't connect, whether there is a secret or not.
//   - The other end can write to all of the segment at any time. What is read there is checked
//     before it is used; what an end decides by, it keeps in memory of its own. So the other end
//     can break the link and send nonsense, and no more.
//   - All memory of a link is there when the link is: there is one error, at Dial, when it is short.
//     Memory of Alloc that the other end can't map is copied, and the log says so.
//
// It imports transport, what drivers share (transport/internal) and golang.org/x/sys/unix.
// Communicators, collectives and how ranks find each other never enter it. It works on Linux;
// elsewhere Open fails.
package shm
