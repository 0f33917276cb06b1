// Package attach is what the endpoints of drivers whose peers are other processes have in common,
// however their frames travel: how a Config is completed, and what is done with the connections of
// strangers, by which every link of such a driver begins.
//
// What a connection becomes after its hello is the driver's. Nothing of a link's memory, frames or
// system calls enters this package; it imports package transport and golang.org/x/sys/unix.
package attach
