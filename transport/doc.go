// Package transport is the contract between those who move frames between ranks and those who use
// them: a Driver opens an Endpoint for a rank, an Endpoint dials and accepts Links, and a Link is
// an ordered, lossless path of frames to one peer, both ways.
//
//	endpoint, err := driver.Open(ctx, transport.Config{Rank: rank, Size: size, Job: "train"})
//	link, err := endpoint.Dial(ctx, peer, peersAddresses)
//	for {
//		taken, err := link.Send(&header, [2][]byte{payload})
//		if taken || err != nil {
//			break
//		}
//		endpoint.Wait(deadline)
//	}
//
// What it promises, and a driver has to keep (package transporttest checks it):
//
//   - No method of a link blocks. Who has nothing to do spins, yields or parks in Endpoint.Wait as
//     a Patience advises, so the goroutine that makes a call does all of its work.
//   - Memory is lent, not copied: a sender's until Sent counts the frame, a transport's from Peek
//     to the next receiving call.
//     Where an endpoint is an Allocator, its links move that memory with fewer copies. An Inliner
//     copies payloads of few bytes at once, so they are not lent at all, and takes no lock for most. A
//     Shower has all that arrives in memory that Peek shows.
//   - A receiver sees the header first and then chooses where the payload goes.
//   - A lost peer is an error of the link, after all that came before. Nothing is sent twice, and
//     nothing is dialled again by itself.
//   - Errors are typed, name rank, peer, address and phase, and say what a person can do.
//
// Besides the contract there is what all drivers share: the Header that stands before every
// payload, the exchange by which the ends of a fresh connection prove who they are (HelloDial and
// HelloAccept), the policy of waiting (Patience), and how the interface filter and the address to
// listen at are read (ParseFilter, Config.ListenAddress).
//
// It imports the standard library and golang.org/x/sys. No driver ever enters it, and nothing that knows what a
// frame's payload means: communicators, calls and messages live above.
package transport
