package proxy

import "slices"

// item is what an application can receive: a message, or the error that came in its place.
type item struct {
	message *Message
	err     error
	session ID
	peer    string
	next    *item

	// What has to be decoded, outside the turn.
	kind        bodyKind
	compression compressionKind
	raw         []byte
	rawBytes    uint64
}

// arrival is an item with what belongs to it, in one allocation.
type arrival struct {
	item    item
	message Message
	inbound inbound
}

func newItem(e *engine, m *meta, body []byte, in *inbound) *item {
	p := in.peer
	a := &arrival{inbound: *in}
	a.message = Message{
		Tag: m.tag, Source: p.rec.Name, SourceType: p.rec.Type, Destination: e.self.Name,
		SessionID: m.session, MessageID: m.message, SessionType: m.sessionType, Stage: m.stage,
		inbound: &a.inbound,
	}
	if m.flags&flagBroadcast != 0 {
		a.message.Destination = e.self.Type
	}
	a.item = item{
		message: &a.message, session: m.session, peer: p.rec.Name,
		kind: m.kind, compression: m.compression, raw: body, rawBytes: m.rawBytes,
	}
	return &a.item
}

// open returns what the application gets: the message with its body, or an error. It may take long,
// and is called without the turn. Who has sent a task of which the body does not decode is told so,
// for the application can't.
func (it *item) open(p *Proxy) (*Message, error) {
	if it.err != nil {
		return nil, it.err
	}
	m := it.message
	if it.raw == nil && it.kind == 0 {
		return m, nil
	}
	if err := it.decode(p); err != nil {
		if m.inbound.kind == Task && m.inbound.re == (ID{}) {
			if failed := p.ReplyError(p.e.ctx, m, err); failed != nil {
				p.e.log.Debug("a task that does not decode was not answered", "peer", m.Source, "error", failed)
			}
		}
		return nil, err
	}
	if m.inbound.failed {
		text, _ := m.Body.(string)
		return nil, &RemoteError{Self: p.e.self.Name, Peer: m.Source, Tag: m.Tag, Text: text}
	}
	return m, nil
}

// decode makes the body of the message.
func (it *item) decode(p *Proxy) error {
	m := it.message
	data := it.raw
	if it.compression != 0 {
		var err error
		data, err = p.compressor.decompress(it.compression, data, int(it.rawBytes), int(p.e.maxMessage))
		if err != nil {
			return err
		}
		m.inbound.memory.release() // of the compressed body
		m.inbound.memory = nil
	}
	body, err := decodeBody(it.kind, data)
	if err != nil {
		return err
	}
	m.Body = body
	it.raw = nil
	return nil
}

// inbox is what has arrived and nobody has received. Receive and ReceiveByID take from the same
// place.
type inbox struct {
	head, tail *item
	length     int
	receivers  []*receiver
	slots      map[ID]*slot // that wait, by session, the oldest first
	receipts   receipts
}

// receiver waits for whatever comes next.
type receiver struct {
	waiter
	item     *item
	watching bool   // it returns when the membership's revision is another one
	revision uint64 // than this
}

// collector waits for one item for each of its slots.
type collector struct {
	waiter
	final   bool // acknowledgements of tasks are not what it waits for
	slots   []slot
	missing int
	one     [1]slot
}

// newCollector makes a collector of n slots.
func newCollector(n int) *collector {
	c := &collector{}
	if n == 1 {
		c.slots = c.one[:]
	} else {
		c.slots = make([]slot, n)
	}
	return c
}

// slot is for an item of a session, and of a peer where that is not "".
type slot struct {
	session ID
	peer    string
	posted  bool // a message to that peer waits for this
	item    *item
	of      *collector
	next    *slot // that listens for the same session
}

// arrived hands an item to who waits for it, or keeps it.
func (e *engine) arrived(it *item) {
	if e.collected(it) {
		return
	}
	if len(e.receivers) > 0 {
		r := e.receivers[0]
		e.receivers = slices.Delete(e.receivers, 0, 1)
		e.taken(it)
		r.item = it
		e.finish(&r.waiter, nil)
		return
	}
	if e.tail == nil {
		e.head = it
	} else {
		e.tail.next = it
	}
	e.tail = it
	e.length++
}

// collected hands an item to the first slot that waits for it, if one does.
func (e *engine) collected(it *item) bool {
	var last *slot
	for s := e.slots[it.session]; s != nil; last, s = s, s.next {
		if s.peer != "" && s.peer != it.peer ||
			s.of.final && it.message != nil && it.message.Stage == TaskReceive {
			continue
		}
		e.unlisten(last, s)
		e.taken(it)
		s.item = it
		if s.of.missing--; s.of.missing == 0 {
			e.finish(&s.of.waiter, nil)
		}
		return true
	}
	return false
}

// unlisten takes a slot, which follows last, from those that listen.
func (e *engine) unlisten(last, s *slot) {
	switch {
	case last != nil:
		last.next = s.next
	case s.next == nil:
		delete(e.slots, s.session)
	default:
		e.slots[s.session] = s.next
	}
	s.next = nil
}

// drop ends that a slot waits.
func (e *engine) drop(s *slot) {
	var last *slot
	for x := e.slots[s.session]; x != nil; last, x = x, x.next {
		if x == s {
			e.unlisten(last, x)
			return
		}
	}
}

// fill puts an item into a slot, unless something else was quicker.
func (e *engine) fill(s *slot, it *item) {
	if s.item != nil {
		return
	}
	e.drop(s)
	s.item = it
	if s.of.missing--; s.of.missing == 0 {
		e.finish(&s.of.waiter, nil)
	}
}

// taken notes that the application gets an item.
func (e *engine) taken(it *item) {
	if it.message == nil || it.message.inbound == nil {
		return
	}
	e.consumed(it.message.inbound)
}

// consumed tells the peer that a request was received, unless it has died since.
func (e *engine) consumed(in *inbound) {
	if in.relayed {
		in.relayed = false
		e.confirm(in, true)
	}
	p := in.stream
	if in.ordinal == 0 || p.rec.Incarnation != in.streamInc {
		return
	}
	p.inflow.consume(in.ordinal, in.size)
	if p.inflow.overdue() {
		e.flushSoon(p)
	}
}

// listen makes c get what comes for its slots from now on.
func (e *engine) listen(c *collector) {
	for i := range c.slots {
		s := &c.slots[i]
		if s.item != nil {
			continue
		}
		s.of = c
		c.missing++
		first := e.slots[s.session]
		if first == nil {
			e.slots[s.session] = s
			continue
		}
		for first.next != nil {
			first = first.next
		}
		first.next = s
	}
}

// listenAlso makes c get what has come already for its slots, and then what comes.
func (e *engine) listenAlso(c *collector) {
	for i := range c.slots {
		c.slots[i].item = e.kept(c.slots[i].session)
	}
	e.listen(c)
	if c.missing == 0 {
		e.finish(&c.waiter, nil)
	}
}

// kept takes the oldest item of a session that nobody has received, nil when there is none.
func (e *engine) kept(session ID) *item {
	var last *item
	for it := e.head; it != nil; last, it = it, it.next {
		if it.session == session {
			e.unlink(last, it)
			e.taken(it)
			return it
		}
	}
	return e.receipts.take(session, "")
}

// forget ends that c gets anything.
func (e *engine) forget(c *collector) {
	for i := range c.slots {
		e.drop(&c.slots[i])
	}
}

// first takes the oldest item, nil when there is none.
func (e *engine) first() *item {
	it := e.head
	if it != nil {
		e.unlink(nil, it)
		e.taken(it)
	}
	return it
}

// unlink takes it, which follows last, from the list.
func (b *inbox) unlink(last, it *item) {
	if last == nil {
		b.head = it.next
	} else {
		last.next = it.next
	}
	if b.tail == it {
		b.tail = last
	}
	it.next = nil
	b.length--
}

// maxReceipts bounds how many notifications are remembered as received until somebody asks.
const maxReceipts = 4096

// receipts are of notifications that were received before anybody waited for that.
type receipts struct {
	ring  []*item
	start int
}

func (r *receipts) push(it *item) {
	if len(r.ring) < maxReceipts {
		r.ring = append(r.ring, it)
		return
	}
	r.ring[r.start] = it
	r.start = (r.start + 1) % maxReceipts
}

func (r *receipts) take(id ID, peer string) *item {
	for i, it := range r.ring {
		if it != nil && it.session == id && (peer == "" || peer == it.peer) {
			r.ring[i] = nil
			return it
		}
	}
	return nil
}
