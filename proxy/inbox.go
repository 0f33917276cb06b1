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

func newItem(e *engine, m *meta, body []byte, in inbound) *item {
	p := in.peer
	destination := e.self.Name
	if m.flags&flagBroadcast != 0 {
		destination = e.self.Type
	}
	return &item{
		message: &Message{
			Tag: m.tag, Source: p.rec.Name, SourceType: p.rec.Type, Destination: destination,
			SessionID: m.session, MessageID: m.message, SessionType: m.sessionType, Stage: m.stage,
			inbound: &in,
		},
		session: m.session, peer: p.rec.Name,
		kind: m.kind, compression: m.compression, raw: body, rawBytes: m.rawBytes,
	}
}

// open decodes the body. It may take long, and is called without the turn.
func (it *item) open(p *Proxy) (*Message, error) {
	if it.err != nil {
		return nil, it.err
	}
	m := it.message
	if it.raw == nil && it.kind == 0 {
		return m, nil
	}
	data := it.raw
	if it.compression != 0 {
		var err error
		data, err = p.compressor.decompress(it.compression, data, int(it.rawBytes), int(p.e.maxMessage))
		if err != nil {
			return nil, err
		}
	}
	body, err := decodeBody(it.kind, data)
	if err != nil {
		return nil, err
	}
	m.Body = body
	it.raw = nil
	if m.inbound != nil && m.inbound.failed {
		text, _ := body.(string)
		return nil, &RemoteError{Self: p.e.self.Name, Peer: m.Source, Tag: m.Tag, Text: text}
	}
	return m, nil
}

// inbox is what has arrived and nobody has received. Receive and ReceiveByID take from the same
// place.
type inbox struct {
	head, tail *item
	length     int
	receivers  []*receiver
	collectors map[ID][]*collector
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
}

// slot is for an item of a session, and of a peer where that is not "".
type slot struct {
	session ID
	peer    string
	posted  bool // a message to that peer waits for this
	item    *item
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
		r.finish(nil)
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

// collected hands an item to a collector, if one waits for it.
func (e *engine) collected(it *item) bool {
	for _, c := range e.collectors[it.session] {
		if c.take(it) {
			e.taken(it)
			if c.missing == 0 {
				e.forget(c)
				c.finish(nil)
			}
			return true
		}
	}
	return false
}

func (c *collector) take(it *item) bool {
	if c.final && it.message != nil && it.message.Stage == TaskReceive {
		return false
	}
	for i := range c.slots {
		s := &c.slots[i]
		if s.item == nil && s.session == it.session && (s.peer == "" || s.peer == it.peer) {
			s.item = it
			c.missing--
			return true
		}
	}
	return false
}

// fill puts an item into a slot of a collector, unless something else was quicker.
func (e *engine) fill(c *collector, i int, it *item) {
	if c.slots[i].item != nil {
		return
	}
	c.slots[i].item = it
	c.missing--
	if c.missing == 0 {
		e.forget(c)
		c.finish(nil)
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
	c.missing = len(c.slots)
	for i := range c.slots {
		id := c.slots[i].session
		if !slices.Contains(e.collectors[id], c) {
			e.collectors[id] = append(e.collectors[id], c)
		}
	}
}

// await makes c get what has come already for its slots, and then what comes.
func (e *engine) await(c *collector) {
	e.listen(c)
	var last *item
	for it := e.head; it != nil && c.missing > 0; {
		next := it.next
		if len(e.collectors[it.session]) > 0 && c.take(it) {
			e.unlink(last, it)
			e.taken(it)
		} else {
			last = it
		}
		it = next
	}
	for i := range c.slots {
		s := &c.slots[i]
		if s.item == nil {
			if s.item = e.receipts.take(s.session, s.peer); s.item != nil {
				c.missing--
			}
		}
	}
	if c.missing == 0 {
		e.forget(c)
		c.finish(nil)
	}
}

// forget ends that c gets anything.
func (e *engine) forget(c *collector) {
	for i := range c.slots {
		id := c.slots[i].session
		list := slices.DeleteFunc(e.collectors[id], func(x *collector) bool { return x == c })
		if len(list) == 0 {
			delete(e.collectors, id)
		} else {
			e.collectors[id] = list
		}
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
