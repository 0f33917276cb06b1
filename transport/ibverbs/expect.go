//go:build ibverbs && cgo && linux

package ibverbs

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

var _ transport.Expecter = (*link)(nil)

// Expect tells the other end where to write the payload of a frame, if dst is memory of Alloc and
// there is room for one destination more.
func (l *link) Expect(h *transport.Header, dst []byte) bool {
	if len(dst) < lendMin || int(h.Length) != len(dst) {
		return false
	}
	l.at.turn.Lock()
	defer l.at.turn.Unlock()
	if l.closed || l.ended || l.out.closed || l.inErr != nil || !l.out.mayNotice() {
		return false
	}
	if l.in.has && l.in.left > 0 && same(&l.in.head, h) {
		return false // it is there already
	}
	r, at := l.at.regions.memory.Find(dst)
	place := l.in.destinations.next(l.out.heard)
	first := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(dst))))
	if r == nil || place < 0 || first%8 != 0 { // Peek shows it there
		return false
	}
	r.use()
	s := &l.grounds[place]
	*s = stay{regions: &l.at.regions, of: r, at: at}
	o := offer{head: *h, address: first, key: r.known.key()}
	o.head.Flags &^= transport.Checksummed
	if !l.out.describe(place, &o) {
		l.tellNews()
		l.out.describe(place, &o)
	}
	l.in.destinations.put(&o.head, dst, s)
	return true
}

// tellNews tells the other end of all destinations that it has not heard of. Several are one
// message.
func (l *link) tellNews() {
	if place, n := l.out.first, l.out.news; n > 0 && !l.closed && l.out.err == nil {
		l.out.tellNews()
		l.in.destinations.tell(place, n, l.out.messages)
	}
}

// withdraw gives the caller all destinations back. The other end may not know in time: what it
// still writes is in the pages that the device knows, which are not the caller's any more.
func (l *link) withdraw() {
	d := &l.in.destinations
	if d.taken == 0 {
		return
	}
	l.tellNews()
	for i := range d.places {
		p := &d.places[i]
		if p.state == placeFree || p.state == placeWithdrawn {
			continue
		}
		err := l.at.regions.takeBack(p.dst)
		if err == nil && l.in.direct == i {
			var b []byte
			if b, err = p.of.written(p.dst); err == nil {
				l.in.body = b[len(b)-l.in.left:]
			}
		}
		if err != nil { // no end of what is written there but this
			err = fmt.Errorf("memory that the other end writes to can't be taken back: %w", err)
			l.fail(err)
			l.out.stop(err)
			if err := l.queue.destroy(); err != nil {
				l.at.log.Warn("ibverbs: closing", "link", l, "error", err, "remedy", remedy(err))
			}
			return
		}
		d.withdraw(p)
	}
	l.tellWithdrawn()
}

// tellWithdrawn tells the other end of destinations that are no more, as far as there is room: only
// then are their places good for others.
func (l *link) tellWithdrawn() {
	d := &l.in.destinations
	if d.unsaid == 0 || l.closed || l.ended || l.out.closed {
		return
	}
	for i := range d.places {
		if p := &d.places[i]; p.unsaid && l.out.mayNotice() {
			l.out.tellEnd(i)
			d.said(p, l.out.messages)
		}
	}
}

// stay is where a destination lies.
type stay struct {
	regions *regions
	of      *region
	at      uint64 // in the file
	mapped  []byte // of the file, when the pages at the destination are others
}

// written returns what the device has written of b.
func (s *stay) written(b []byte) ([]byte, error) {
	if s.mapped == nil && s.regions.find(b) == s.of {
		return b, nil
	}
	lead := int(s.at) & (os.Getpagesize() - 1)
	if s.mapped == nil {
		err := s.of.file.Pass(func(fd int) (err error) {
			s.mapped, err = unix.Mmap(fd, int64(s.at)-int64(lead), lead+len(b), unix.PROT_READ,
				unix.MAP_SHARED)
			return err
		})
		if err != nil {
			return nil, os.NewSyscallError("mmap", err)
		}
	}
	return s.mapped[lead : lead+len(b) : lead+len(b)], nil
}

// release ends the use of b.
func (s *stay) release([]byte) {
	if s.mapped != nil {
		_ = unix.Munmap(s.mapped) // a mapping of its own: it does not fail
	}
	s.of.unuse()
	*s = stay{}
}

// takeBack is detach for memory that the device writes: the pages have to be others at once, not
// only when this process writes to them.
func (g *regions) takeBack(b []byte) error {
	if err := g.detach(b); err != nil {
		return err
	}
	page := uintptr(os.Getpagesize())
	first := unsafe.Pointer(unsafe.SliceData(b))
	for at := uintptr(0); at < uintptr(len(b)); {
		atomic.AddUint32((*uint32)(unsafe.Add(first, at)), 0) // others may use the rest of the page
		at = (uintptr(first)+at+page)&^(page-1) - uintptr(first)
	}
	return nil
}
