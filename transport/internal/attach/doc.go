// Package attach is what the endpoints of drivers whose peers are other processes have in common,
// however their frames travel: Links are an endpoint's links, from where they come to how all end.
//
//	err := e.links.Open(attach.Endpoint[*link]{Driver: "shm", Config: c, Turn: &e.turn, ...})
//	e.links.Serve(listener, e.welcome)             // links that peers open, for Accept
//	ctx, leave, err := e.links.Enter(ctx, peer)    // a dial, which ends in Enlist
//	for _, l := range e.links.Known() {            // what Wait looks at
//	err = e.links.Close(listener.Close, e.last)
//
// Every link of such a driver begins as a connection of strangers, over which both ends say hello.
// So here is also what bounds that: as many handshakes at once as there are places, a time for each
// (Limit), a log that strangers can't fill, and the pace of dials that are tried again (Tries).
//
// What a connection becomes after its hello is the driver's. Nothing of a link's memory, frames or
// system calls enters this package; it imports package transport and golang.org/x/sys/unix.
package attach
