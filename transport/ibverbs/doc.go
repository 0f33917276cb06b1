// Package ibverbs carries Tutti's frames by RDMA: InfiniBand or RoCE, through libibverbs.
//
// It is built with the tag ibverbs and cgo, on Linux; in other builds Open says how. All that is C
// is in shim.c: few calls that do much each, since a call into C costs as much as a device's
// doorbell.
//
// An endpoint opens one port of one device: the first that is up and that Config.Interface allows,
// by the name of the device ("mlx5_0", "mlx5_0:1"), by that of its network interface, or by a
// network or an address. On Ethernet it takes the first RoCE v2 address that is an IPv4 address of
// the host.
//
// A link is a reliable connected queue pair and a TCP connection. The dialler connects to the
// socket that the other rank listens on, the ends prove by transport.HelloDial and
// transport.HelloAccept who they are, each describes its queue pair (record.go), and both connect
// them. The TCP connection stays open and silent: its end says at once that the other process has
// ended, where the device would try for seconds to reach a queue pair that is no more.
//
// # Messages
//
// Each end lets the other write to a ring of its memory, 64 to 512 KiB, whose address and key it
// has told in its description: the room for what will come is advertised ahead of time, so no frame
// waits for a round trip. A frame is a header of 64 bytes and its payload, at the next multiple of
// 64:
//
//   - One of at most 4 KiB of payload is one RDMA write with an immediate, in one stretch: the ring
//     has an overhang behind its end for that. Up to 256 bytes go with the work request itself.
//   - A longer one is several of up to a quarter of the ring, or what the port takes as a message,
//     which go as far as there is room; the ring's end cuts them.
//
// The immediate says how far a write moves the end of what has come. Receives have no memory of
// their own: they are there for the immediates. Peek shows the payload in the ring, so that a
// reduction reads it there; Read copies it once, unless it has a destination. What an end has
// taken it says when that is a quarter of the ring, or of the messages that it has receives for,
// by a send that is an immediate alone; so at most 13 of these are under way, and room for them is
// kept. Most sends are unsignalled: the device tells of one in 40 or so, and of those by whose end
// the caller's memory comes back.
//
// A device gives up what the other end's does not acknowledge. Soft RoCE does not: a descriptor among
// those that Wait polls becomes readable every few seconds, and a link of which nothing has got
// through for some of these times breaks. When all that was sent is unsignalled a write of no bytes
// finds that out.
//
// Closing sends a goodbye behind all that was sent. The queue pair is kept until the other end's
// device has acknowledged that, without the help of either process, and Close of an endpoint waits
// for it as long as Config.Linger allows.
//
// # Destinations
//
// Expect has a payload of 16 KiB or more written to where it is to be, in memory of Alloc, if
// the sender has it in such memory, too. Behind the ring an end has a board, memory of half as
// many places as it takes messages. There the other end describes a destination, by a write with
// an immediate that says the place, several in a row by one: the header that the frame will
// have, and address and key. A frame that has a destination when it is sent is writes of its
// payload to that, of up to what the port takes as a message, and the immediate of the last says
// the place. What else the header would say is the checksum, if there is one, and the credit: where
// that is not what the frame before has said, one more write has the header go to the ring, and
// that one has the immediate. The payload takes no room of the ring, so frames of any size follow
// each other without waiting. The receiver lets go of a destination when its frame has come, by
// whatever way: one that was sent before the sender heard of the destination comes through the
// ring, and needs no answer, as no other frame has that header.
//
// Reclaim and Close wait for nobody. They map the pages of destinations anew, with copies of
// what they hold, so that what the other end still writes is in pages that only the device
// knows; if its frame is to be read all the same, it is read there. The other end is told, and
// what it then says that it has read tells when the place is good for another destination.
//
// The key is that of the whole region: a peer is trusted to write to nothing but the
// destinations it was told of, as it is with what it sends; that it cannot do worse than write
// in memory of Alloc, the devices see to. Memory windows would narrow that, at the price of a
// work request to bind and one to end each, and an end that is to come before a call returns
// would have to wait.
//
// # Memory
//
// A payload of 16 KiB or more in memory of Alloc is sent from where it lies. Such memory is a
// file without a name, mapped over memory of the Go heap, and registered: the garbage collector
// looks after it, and Reclaim can give its pages back to the caller while the device still reads
// or writes the old ones: they are mapped anew, privately.
//
// Other memory is copied into the stage, a registered image of the other end's ring, and is the
// caller's again as soon as it is there. It is not registered on the way, in no cache either:
// memory that the Go runtime has given back to the system and got again, as it does behind
// everybody's back, is not what the device still knows under its address. And to register it takes
// longer than to copy it: soft RoCE takes 10 ms for a MiB, and on cards it is a system call that
// pins each page.
//
// # How much of it
//
// In a job of up to 17 ranks a link has two rings of 512 KiB, in larger ones less, 64 KiB each
// from 66 on: a rank's are 16 MiB, and then 140 KiB a link with what is behind them. Its queue
// pair takes 256, 64 or 32 messages each way, and some more that are about room, at 64 bytes or
// so a send and 16 a receive on common cards: about 15, 6 or 4 KiB, and as much again in the
// completion queue. So 4,096 links are some 590 MiB of rings and queues.
//
// A shared receive queue would save nothing of that: receives are without memory here, and take 16
// bytes. The ring is what takes room, and one that senders shared would need them to agree on
// places in it. Dynamically connected transport (DCT) would save the queue pairs, on the cards of
// one maker, with an address handle for each message, and nothing of the rings either.
//
// A link is one queue pair. Several would share out the work of a device that serves each by an
// engine of its own, and frames that come by several have to be put in order again. On soft RoCE
// two are no faster than one (docs/ibverbs.md), as whoever rings the doorbell does the work; where
// a card's one queue pair does not fill its port there would be something to gain, and that is not
// known of any here.
//
// All links of an endpoint share one completion queue, with room for a link to each other rank from
// the beginning in jobs of up to 100 ranks or so; then it grows, where the device can do that.
// Whoever waits polls it for all links; Wait parks on its completion channel, in the same poll(2) as
// everything else.
//
// It imports transport, what drivers share (transport/internal), libibverbs and golang.org/x/sys.
// Nothing of a frame's meaning enters it.
package ibverbs
