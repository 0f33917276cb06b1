//go:build ibverbs && cgo && linux

package ibverbs

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport/internal/alloc"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// agree makes a queue pair for a connection that is past its hello, and connects it with that of
// the other end. The link that it returns has taken c over.
func (e *endpoint) agree(c net.Conn, peer int, dialled bool) (*link, error) {
	l, err := e.prepare(c, peer)
	if err != nil {
		_, _ = c.Write(encodeRefusal(err.Error())) // the error that counts is there already
		return nil, err
	}
	if dialled {
		err = l.offer(c)
	} else {
		err = l.answer(c)
	}
	if err == nil {
		l.fd, err = take(c)
	}
	if err != nil {
		return nil, errors.Join(err, l.drop())
	}
	return l, nil
}

// prepare makes a link that is not connected yet.
func (e *endpoint) prepare(c net.Conn, peer int) (_ *link, err error) {
	id, err := e.number()
	if err != nil {
		return nil, err
	}
	remote := c.RemoteAddr().String()
	size, n := ringBytes(e.c.Size), depth(e.c.Size)
	l := &link{at: e, peer: peer, id: id, address: remote, fd: -1}
	l.text = fmt.Sprintf("ibverbs %s:%d, rank %d at %v, rank %d at %s", e.device.device,
		e.device.number, e.c.Rank, e.device.gid.address(), peer, remote)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.drop())
		}
	}()
	if l.ring, err = e.device.register(alloc.Aligned(ringOf(size, n)), theirMemory); err != nil {
		return nil, err
	}
	if l.stage, err = e.device.register(alloc.Aligned(ringOf(size, n)), ownMemory); err != nil {
		return nil, err
	}
	l.queue, err = newQueuePair(e.device, sendDepth(n), receiveDepth(n), random24(), id)
	if err != nil {
		return nil, err
	}
	l.in = newReceiver(l.ring.bytes, size, n, e.c.MaxPayload)
	l.grounds = make([]stay, places(n))
	return l, nil
}

func random24() uint32 {
	var b [4]byte
	rand.Read(b[1:]) // never fails: it ends the process instead
	return binary.BigEndian.Uint32(b[:])
}

// record describes this end.
func (l *link) record() []byte {
	d := l.at.device
	r := record{
		layer: d.layer, mtu: d.mtu, lid: d.lid, qp: l.queue.number, psn: l.queue.psn, gid: d.gid.raw,
		ring: l.ring.address(), key: l.ring.key(), size: uint32(l.in.size),
		messages: uint32(l.in.depth), reads: d.reads,
	}
	return r.encode()
}

// offer does the dialling end.
func (l *link) offer(c net.Conn) error {
	if _, err := c.Write(l.record()); err != nil {
		return err
	}
	if err := l.meet(c); err != nil {
		return err
	}
	_, err := c.Write([]byte{readyByte})
	return err
}

// answer does the accepting end.
func (l *link) answer(c net.Conn) error {
	if err := l.meet(c); err != nil {
		_, _ = c.Write(encodeRefusal(err.Error())) // the error that counts is there already
		return err
	}
	if _, err := c.Write(l.record()); err != nil {
		return err
	}
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return fmt.Errorf("rank %d gave up after its hello: %w", l.peer, err)
	}
	if b[0] != readyByte {
		return fmt.Errorf("%w: then comes %#x, want %#x", errRecord, b[0], readyByte)
	}
	return nil
}

// meet reads what the other end says of itself, and connects with it. From then on messages may
// come.
func (l *link) meet(c net.Conn) error {
	r, err := readRecord(c)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the other end gave up, see its log")
		}
		return err
	}
	switch d := l.at.device; {
	case r.layer != d.layer:
		return ErrLinkLayer
	case uint64(r.size) != l.in.size || uint64(r.messages) != l.in.depth:
		return fmt.Errorf("%w: a ring of %d bytes for %d messages, and this end's has %d for %d",
			errRecord, r.size, r.messages, l.in.size, l.in.depth)
	}
	l.out = newSender(l.queue, l.stage, &l.at.regions, &r)
	l.at.register(l)
	return l.queue.connect(&r, l.at.timeout, l.at.patience)
}

// drop gives up a link that nobody else has.
func (l *link) drop() error {
	l.at.polling.Lock() // completions may have come for it
	l.at.unregister(l.id)
	l.at.polling.Unlock()
	var errs []error
	if l.queue != nil {
		errs = append(errs, l.queue.destroy())
	}
	errs = append(errs, l.ring.release(), l.stage.release())
	if l.fd >= 0 {
		errs = append(errs, unix.Close(l.fd))
	}
	return errors.Join(errs...)
}

// take takes the connection away from Go's network poller, and has the system watch it.
func take(c net.Conn) (int, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return -1, fmt.Errorf("a connection of type %T", c)
	}
	if err := attach.KeepAlive(tcp); err != nil {
		return -1, err
	}
	return attach.TakeOver(c)
}
