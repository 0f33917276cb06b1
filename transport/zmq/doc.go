// Package zmq carries Tutti's frames over ZeroMQ: ZMTP 3 with NULL security on TCP between hosts
// and on Unix sockets inside one.
//
// A frame is one ZMTP message of one part. All numbers of the ZMTP prefix are big-endian, those of
// the header little-endian (transport.Header):
//
//	byte 0       1                        9                                   73
//	     +-------+------------------------+-----------------------------------+---------+
//	     | flags | length of what follows | header: "TUTI", version, kind ... | payload |
//	     |   2   |        8 bytes         |             64 bytes              |         |
//	     +-------+------------------------+-----------------------------------+---------+
//	     |<------- ZMTP prefix ---------->|<------- ZMTP body, 64 + length bytes ------>|
//
// Flags is 2: the long form of the length, which this package always sends, so that the payload
// has the same place after the prefix in every frame. Frames with the short form (flags 0, one byte
// of length) are understood as well. Between frames an end may send ZMTP commands: a PING is
// answered with a PONG, an ERROR breaks the link, all others are passed over.
//
// A connection begins with the ZMTP greeting and the NULL handshake as PAIR, done by
// github.com/go-zeromq/zmq4 behind a guard that reads and checks all bytes of the other end first,
// then the exchange of transport.HelloDial and transport.HelloAccept, every message of it in a ZMTP
// message, and at last one message by which the dialler says that this is the connection it uses,
// of those that it tried. From there on the package works on the bare descriptor, with one
// non-blocking system call for a small frame and no copy for a large one, and no goroutine: who
// calls a link's methods moves its bytes, and Wait is poll(2) on the calling thread.
//
// On connections whose round trip is below 2 ms the package takes cubic or reno where the system's
// congestion control is bbr, which can't fill a link in both directions at once. They begin with it:
// what bbr had first would stay paced.
//
// Without a secret TCP listens on 127.0.0.1 alone, and the processes that connect to the Unix
// socket must belong to the same user. With a secret, both ends prove that they know it before the
// link exists; the bytes that follow are not encrypted.
//
// It imports transport, what drivers share (transport/internal), go-zeromq/zmq4 and
// golang.org/x/sys/unix. Communicators, collectives and how ranks find each other never enter it. It
// works on Linux and Darwin; elsewhere Open fails.
package zmq
