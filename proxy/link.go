package proxy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/tutti-ml/tutti/transport"
)

// Times of a link. A heartbeat goes out when nothing else has; a link on which nothing comes in is
// taken for broken. Strangers are links of incarnations that the store does not tell of yet.
const (
	heartbeatTime = time.Second
	silenceTime   = 10 * time.Second
	strangerTime  = 15 * time.Second
)

// maxLinks bounds the links of one peer; there are two when both ends dial at once. maxStrangers
// bounds those that are nobody's yet.
const (
	maxLinks     = 4
	maxStrangers = 1 << 10
)

var errTooMany = errors.New("there are too many newer connections like it")

// link is a connection to one incarnation.
type link struct {
	transport.Link
	incarnation int
	peer        *peer // nil while the store has not told who it is
	introduced  bool  // the other end has told what it has
	introSent   bool
	opened      time.Time
	heard       time.Time
	spoke       time.Time
	taken, done uint64 // frames that the link took, and of them those that are gone
	quiet       int    // times in a row that nothing was there
	seen        bool   // the head frame's header was looked at
	in          assembly
	frame       []byte // of small messages; lent to the link until done
	batched     uint64 // the number of frames that were taken with it
	lent        []lent // pieces of large messages, until done
	closed      bool
}

// introduction is what each end of a new link says first, in CBOR. The acknowledgements in the
// header of its frame tell what the sender has of the stream towards it.
type introduction struct {
	Name   string `cbor:"1,keyasint"`
	Type   string `cbor:"2,keyasint"`
	Window int64  `cbor:"3,keyasint"`
	Max    int64  `cbor:"4,keyasint"` // bytes of a body
}

// The steps of status frames.
const (
	stepHeartbeat = iota
	stepIntroduction
)

var introDecoding = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 4, MaxMapPairs: 16, MaxArrayElements: 16,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}()

// attach takes a link into use that was accepted or dialled.
func (e *engine) attach(t transport.Link) {
	now := e.now()
	l := &link{Link: t, incarnation: t.Peer(), opened: now, heard: now, spoke: now}
	e.links = append(e.links, l)
	if e.bind(l) {
		return
	}
	e.wantRoster()
	var strangers []*link
	for _, x := range e.links {
		if x.peer == nil {
			strangers = append(strangers, x)
		}
	}
	if len(strangers) > maxStrangers {
		e.broken(strangers[0], errTooMany)
	}
}

// bind finds out whose link it is, and introduces this end.
func (e *engine) bind(l *link) bool {
	p := e.byIncarnation[l.incarnation]
	if p == nil {
		return false
	}
	l.peer = p
	p.links = append(p.links, l)
	e.introduce(l)
	if len(p.links) > maxLinks {
		i := slices.IndexFunc(p.links, func(x *link) bool { return x != p.out })
		e.broken(p.links[i], errTooMany)
	}
	return true
}

// introduce says who this is, and what it has of the peer's stream.
func (e *engine) introduce(l *link) {
	text, err := cbor.Marshal(introduction{e.self.Name, e.self.Type, e.window, e.maxMessage})
	if err == nil {
		err = e.control(l, transport.Status, stepIntroduction, text, &l.introSent)
	}
	if err != nil {
		e.broken(l, err)
	}
}

// control sends a frame that is no message, if the link takes it now.
func (e *engine) control(l *link, k transport.Kind, step uint32, payload []byte, sent *bool) error {
	h := transport.Header{Kind: k, Step: step, Length: uint32(len(payload))}
	if p := l.peer; p != nil {
		putAcks(h.Fingerprint[:], p.inflow.delivered, p.inflow.consumed)
	}
	taken, err := l.Send(&h, [2][]byte{payload})
	if taken {
		l.taken++
		l.spoke = e.now()
		if sent != nil {
			*sent = true
		}
		e.reap(l)
	}
	return err
}

// acknowledge sends an acknowledgement alone.
func (e *engine) acknowledge(p *peer) (moved bool) {
	l := p.out
	if l == nil || !p.inflow.ackDue {
		return false
	}
	var sent bool
	if err := e.control(l, transport.Credit, 0, nil, &sent); err != nil {
		e.broken(l, err) // unless control has found out: p.out may be another one, or none
		return true
	}
	if sent {
		p.inflow.acked()
	}
	return sent
}

func (f *inflow) acked() { f.ackDue, f.unacked, f.unackedB = false, 0, 0 }

// reap moves along what the link has not sent yet.
func (e *engine) reap(l *link) {
	if l.taken > l.done {
		done, err := l.Sent()
		l.done = done
		e.returned(l)
		if err != nil {
			e.broken(l, err)
		}
	}
}

// introducedBy is told what the other end of a new link says of itself.
func (e *engine) introducedBy(l *link, text []byte, delivered, consumed uint64) error {
	var i introduction
	if err := introDecoding.Unmarshal(text, &i); err != nil {
		return fmt.Errorf("introduction: %w", err)
	}
	if i.Window < 1 {
		return &WireError{"window", uint64(i.Window), "at least 1"}
	}
	if i.Max < 1 {
		return &WireError{"largest body", uint64(i.Max), "at least 1"}
	}
	p := l.peer
	if p == nil { // the store has not told of it yet, so its introduction has to wait
		l.in.intro = &pendingIntro{
			text: slices.Clone(text), kind: i.Type, delivered: delivered, consumed: consumed,
		}
		e.lookFor(l)
		return nil
	}
	if i.Name != p.rec.Name || i.Type != p.rec.Type {
		return fmt.Errorf("it says that it is %s of type %s, the store says %s of type %s", i.Name,
			i.Type, p.rec.Name, p.rec.Type)
	}
	if err := e.acknowledged(p, delivered, consumed); err != nil {
		return err
	}
	l.introduced = true
	p.outbox.window, p.outbox.maxBody = i.Window, i.Max
	e.failLarge(p)
	if p.out == nil {
		e.use(p, l)
	}
	return nil
}

// use sends to p over l from now on.
func (e *engine) use(p *peer, l *link) {
	p.out = l
	if p.refused && p.lost == nil { // not for good
		p.present, p.refused = true, false
		e.roomFor(p)
	}
	p.outbox.rewind()
	e.log.Debug("link in use", "peer", p.name(), "link", l.String())
	e.flushSoon(p)
	e.changed()
}

// broken ends a link. What was not acknowledged goes over another one, or a new one.
func (e *engine) broken(l *link, cause error) {
	if l.closed {
		return
	}
	l.closed = true
	l.in.memory.release()
	l.in.memory, l.in.body = nil, nil
	err := l.Close()
	e.ended(l)
	e.links = slices.DeleteFunc(e.links, func(x *link) bool { return x == l })
	p := l.peer
	if p == nil {
		e.log.Warn("connection ended before its peer was known", "link", l.String(), "error", cause)
		return
	}
	level := e.log.Info
	if p.left || errors.Is(cause, transport.ErrClosed) {
		level = e.log.Debug
	}
	level("link lost", "peer", p.name(), "link", l.String(), "error", errors.Join(cause, err))
	p.links = slices.DeleteFunc(p.links, func(x *link) bool { return x == l })
	if p.out == l {
		p.out = nil
		if i := slices.IndexFunc(p.links, func(x *link) bool { return x.introduced }); i >= 0 {
			e.use(p, p.links[i])
		}
	}
	if len(p.links) == 0 {
		p.dialer.again(l.opened, e.now())
	}
	e.changed()
}
