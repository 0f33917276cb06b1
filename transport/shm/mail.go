//go:build linux

package shm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// What goes over the socket of a link after the handshake, told by its first byte. Numbers are in the
// order of the machine.
//
//	wake    1   to who is parked
//	offer   2   place (1)   zero (2)   number (4)   bytes (8), and a descriptor: memory to be mapped
//	forget  3   place (1)   zero (2)   number (4): memory to be unmapped
const (
	mailWake = iota + 1
	mailOffer
	mailForget

	offerMail  = 16
	forgetMail = 8
)

// mailbox is the receiving side of a socket.
type mailbox struct {
	room [64]byte
	kept int   // bytes of a message that is not whole yet
	fds  []int // that no offer has claimed
	oob  [64]byte
	iov  unix.Iovec
	hdr  unix.Msghdr
	err  error // what has come is no mail
}

// receive reads once. The socket has ended when it returns false.
func (m *mailbox) receive(fd int) (n int, alive bool) {
	m.iov.Base = &m.room[m.kept]
	m.iov.SetLen(len(m.room) - m.kept)
	m.hdr = unix.Msghdr{Iov: &m.iov, Control: &m.oob[0]}
	m.hdr.SetIovlen(1)
	m.hdr.SetControllen(len(m.oob))
	for {
		got, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.hdr)),
			unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return 0, true
		case errno != 0 || int(got) <= 0:
			return 0, false
		}
		if m.hdr.Controllen > 0 {
			m.claim(m.oob[:m.hdr.Controllen])
		}
		return int(got), true
	}
}

// claim takes the descriptors that came along.
func (m *mailbox) claim(oob []byte) {
	messages, err := unix.ParseSocketControlMessage(oob)
	for _, c := range messages {
		if fds, e := unix.ParseUnixRights(&c); e == nil {
			m.fds = append(m.fds, fds...)
		}
	}
	if err != nil || len(m.fds) > places {
		m.err = fmt.Errorf("%w: %d descriptors", errMail, len(m.fds))
	}
}

// descriptor returns the next one that came along, -1 when there is none: this process may have
// reached its limit.
func (m *mailbox) descriptor() int {
	if len(m.fds) == 0 {
		return -1
	}
	fd := m.fds[0]
	m.fds = append(m.fds[:0], m.fds[1:]...)
	return fd
}

func (m *mailbox) close() {
	for _, fd := range m.fds {
		_ = unix.Close(fd)
	}
	m.fds = nil
}

// errMail is what the other end has put into the socket, and makes no sense.
var errMail = errors.New("nonsense on the socket of a link")

// hear reads the socket; false says that it has ended.
func (l *link) hear() bool {
	l.heard = l.seg.theirs.mail.Load()
	for range 2 * places { // each call takes no more than one descriptor
		n, alive := l.mail.receive(l.fd)
		if !alive || n == 0 {
			return alive
		}
		b := l.mail.room[:l.mail.kept+n]
		for len(b) > 0 && l.mail.err == nil {
			k := l.deliver(b)
			if k == 0 {
				break
			}
			b = b[k:]
		}
		l.mail.kept = copy(l.mail.room[:], b)
		if l.mail.err != nil {
			return false
		}
	}
	return true
}

// deliver acts on the message that b begins with, and returns its length, 0 when it is not whole.
func (l *link) deliver(b []byte) int {
	need := 1
	switch b[0] {
	case mailWake:
		return 1
	case mailOffer:
		need = offerMail
	case mailForget:
		need = forgetMail
	}
	switch {
	case need == 1, len(b) > 1 && b[1] >= places:
		l.mail.err = fmt.Errorf("%w: %#x", errMail, b)
		return 0
	case len(b) < need:
		return 0
	}
	place, number := int(b[1]), binary.NativeEndian.Uint32(b[4:])
	if b[0] == mailForget {
		l.mail.err = l.in.forget(place, number)
		return need
	}
	l.offered(place, number, binary.NativeEndian.Uint64(b[8:]))
	return need
}

// offered maps memory of the other end. Where that fails its frames come as others do.
func (l *link) offered(place int, number uint32, bytes uint64) {
	fd := l.mail.descriptor()
	if l.in.far.maps[place].mem != nil || bytes > maxRegion {
		l.mail.err = fmt.Errorf("%w: memory of %d bytes for place %d", errMail, bytes, place)
	}
	if l.mail.err != nil || fd < 0 {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		return
	}
	mem, err := openMemory(fd, int(bytes), unix.PROT_READ)
	_ = unix.Close(fd)
	if err != nil {
		l.log.Warn("shm: can't see memory of a rank of this host: its frames are copied", "rank", l.rank,
			"peer", l.peer, "bytes", bytes, "error", err, "remedy", remedy(err))
		return
	}
	l.in.far.maps[place] = mapping{number, mem}
	l.seg.mine.mapped[place].Store(number)
}

// post puts a message into the socket, with a descriptor if fd is not negative; false when there is no
// room, or nobody to read it.
func (l *link) post(b []byte, fd int) bool {
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	for {
		n, err := unix.SendmsgN(l.fd, b, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return false
		case n < len(b): // a Unix socket takes so few bytes whole
			l.out.fail(os.NewSyscallError("sendmsg", &transport.FrameError{
				Field: "bytes of a message", Got: uint64(n), Want: fmt.Sprint(len(b)),
			}))
			return false
		}
		l.seg.mine.mail.Add(1)
		return true
	}
}
