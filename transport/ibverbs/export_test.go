//go:build ibverbs && cgo && linux

package ibverbs

import "github.com/tutti-ml/tutti/transport"

// ListensAt is where the endpoint takes connections.
func ListensAt(e transport.Endpoint) string { return e.(*endpoint).listener.Addr().String() }

// Impatient has devices give up at once when the other end has no receive posted.
func Impatient() Option { return func(v *driver) { v.patience = 1 } }

// SpoilKey has a link write to memory of the other end by a wrong key.
func SpoilKey(l transport.Link) { l.(*link).out.key ^= 0x5a }

// ForgetCredit has a link send more messages than the other end has posted receives.
func ForgetCredit(l transport.Link) { l.(*link).out.depth = 1 << 30 }

// ForgetQueue has a link send more messages than its own device has room for.
func ForgetQueue(l transport.Link) { l.(*link).out.marks = make([]mark, 1<<16) }

// SayNothing has a link send a message that says nothing, as no end does.
func SayNothing(l transport.Link) {
	s := &l.(*link).out
	w := s.next()
	w.opcode, w.immediate = 2, 0 // IBV_WR_SEND
	s.post(w, true)
	s.flush()
}

// CloseFile has memory of Alloc lose its file, without which it can't be mapped anew.
func CloseFile(e transport.Endpoint, b []byte) { e.(*endpoint).regions.find(b).file.Close() }

// StartLink is the beginning of a dial or a welcome: there is a link that is not made yet.
func StartLink(e transport.Endpoint) error {
	_, err := e.(*endpoint).number()
	return err
}

// FailDevice has an endpoint hear that its device has failed.
func FailDevice(e transport.Endpoint) {
	at := e.(*endpoint)
	at.turn.Lock()
	defer at.turn.Unlock()
	at.happened(event{kind: eventDevice, text: "local catastrophic error"})
}

// SpoilGID has an endpoint tell its peers an address that nobody has.
func SpoilGID(e transport.Endpoint) {
	e.(*endpoint).device.gid.raw = [16]byte{10: 0xff, 11: 0xff, 12: 203, 13: 0, 14: 113, 15: 77}
}

// LimitMessages pretends that the device of an endpoint takes no longer messages than that.
func LimitMessages(e transport.Endpoint, bytes uint32) { e.(*endpoint).device.maxMsg = bytes }

// Messages is how many messages with bytes a link has sent.
func Messages(l transport.Link) uint64 { return l.(*link).out.messages }

// Posted is how many work requests a link has given to the device, but for receives.
func Posted(l transport.Link) uint64 { return l.(*link).out.posted }

// Lent is how many frames a link has sent from where they lay.
func Lent(l transport.Link) uint64 { return l.(*link).out.loaned }

// PathMTU is how many bytes a packet carries.
func PathMTU(e transport.Endpoint) int { return 128 << e.(*endpoint).device.mtu }

// Doorbells is how often a link has told the device of work.
func Doorbells(l transport.Link) uint64 { return l.(*link).out.doorbells }

// Direct is how many frames a link has had written to destinations of the other end.
func Direct(l transport.Link) uint64 { return l.(*link).out.direct }

// Knows tells whether a link knows where the other end wants the payload of a frame.
func Knows(l transport.Link, h *transport.Header) bool { return l.(*link).out.offers.find(h) >= 0 }

// Found is how many bytes a link's Read has found where they were to go.
func Found(l transport.Link) uint64 { return l.(*link).in.placed }

// Places is how many destinations a link can tell the other end of, and how many of these it has.
func Places(l transport.Link) (all, taken int) {
	d := &l.(*link).in.destinations
	return len(d.places), d.taken
}

// SpoilOffers has a link write to destinations of the other end by wrong keys.
func SpoilOffers(l transport.Link) {
	for i := range l.(*link).out.offers.places {
		l.(*link).out.offers.places[i].key ^= 0x5a
	}
}
