//go:build linux

package shm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// After the hello the dialler sends one message of offerBytes, with the descriptor of the memory
// beside it, and the acceptor answers with one byte when it has mapped that:
//
//	0  "TUTTISHM"   8  version of the layout (1)   9  zero (3)   12  bytes of a stream ring (4)
//
// Numbers are in the order of the machine, which both ends run on.
const (
	offerMagic    = "TUTTISHM"
	layoutVersion = 3
	offerBytes    = 16
	accepted      = 'y'
)

// offer makes the segment of a link and passes it to the other end.
func offer(c *net.UnixConn, stream int) (segment, error) {
	fd, mem, err := createMemory(segmentBytes(stream))
	if err != nil {
		return segment{}, err
	}
	b := make([]byte, offerBytes)
	copy(b, offerMagic)
	b[8] = layoutVersion
	binary.NativeEndian.PutUint32(b[12:], uint32(stream))
	_, _, err = c.WriteMsgUnix(b, unix.UnixRights(fd), nil)
	err = errors.Join(err, unix.Close(fd)) // the mapping and the message keep the memory
	if err == nil {
		_, err = io.ReadFull(c, b[:1])
		if err == nil && b[0] != accepted {
			err = fmt.Errorf("%w: the answer is %#x", errSegment, b[0])
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("the other end could not map the memory of the link, see its log")
		}
	}
	if err != nil {
		release(mem)
		return segment{}, err
	}
	return view(mem, stream, 0), nil
}

// accept takes the segment that the dialler offers.
func accept(c *net.UnixConn) (segment, error) {
	b, fd, err := receiveOffer(c)
	if err != nil {
		return segment{}, err
	}
	stream, err := checkOffer(b)
	var mem []byte
	if err == nil {
		mem, err = openMemory(fd, segmentBytes(stream), unix.PROT_READ|unix.PROT_WRITE)
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return segment{}, err
	}
	if _, err := c.Write([]byte{accepted}); err != nil {
		release(mem)
		return segment{}, err
	}
	return view(mem, stream, 1), nil
}

// receiveOffer reads the message with exactly one descriptor.
func receiveOffer(c *net.UnixConn) (b []byte, fd int, err error) {
	b = make([]byte, offerBytes)
	// Room for more than one, so that all that are sent are known, and closed.
	oob := make([]byte, unix.CmsgSpace(8*4))
	n, oobn, flags, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, -1, err
	}
	var fds []int
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		got, e := unix.ParseUnixRights(&m)
		fds, err = append(fds, got...), errors.Join(err, e)
	}
	if err == nil && n < offerBytes {
		_, err = io.ReadFull(c, b[n:])
	}
	if err == nil && (len(fds) != 1 || flags&unix.MSG_CTRUNC != 0) {
		err = fmt.Errorf("%w: %d descriptors, want 1", errSegment, len(fds))
	}
	if err != nil {
		for _, fd := range fds {
			err = errors.Join(err, unix.Close(fd))
		}
		return nil, -1, err
	}
	return b, fds[0], nil
}

// checkOffer returns the size of the stream rings.
func checkOffer(b []byte) (int, error) {
	if string(b[:8]) != offerMagic || b[8] != layoutVersion {
		return 0, fmt.Errorf("%w: the offer begins with %q, want %q and version %d", errSegment, b[:9],
			offerMagic, layoutVersion)
	}
	n := binary.NativeEndian.Uint32(b[12:])
	if n < streamMin || n > streamMax || n&(n-1) != 0 {
		return 0, fmt.Errorf("%w: a stream ring of %d bytes", errSegment, n)
	}
	return int(n), nil
}

// errUser is a socket between the processes of two users.
var errUser = errors.New("the process at the other end is another user's")
