package transporttest_test

import (
	"testing"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/transporttest"
)

// inlineFaults are ways to break what Inliners promise.
var inlineFaults = []fault{
	{
		name: "Inline promises too much", noticed: "Inline/InlinePayloadsAreDoneAtOnce",
		link: func(l transport.Link) transport.Link { return &boastful{inliner{Link: l}} },
	},
	{
		name: "Post keeps the payload", noticed: "Inline/PostAndPick",
		link: func(l transport.Link) transport.Link { return &lender{inliner: inliner{Link: l}} },
	},
	{
		name: "Pick takes another communicator's frame", noticed: "Inline/PickLeavesWhatIsNotWanted",
		link: func(l transport.Link) transport.Link { return &careless{inliner{Link: l}} },
	},
	{
		name: "Post counts what is unfinished", noticed: "Inline/PostWaitsForUnfinishedFrames",
		link: func(l transport.Link) transport.Link { return &pushing{inliner{Link: l}} },
	},
	{
		name: "Post takes what there is no room for", noticed: "Inline/PostTellsWhenThereIsNoRoom",
		link: func(l transport.Link) transport.Link { return &eager{inliner{Link: l}} },
	},
	{
		name: "Post takes frames of a closed link", noticed: "Inline/PostAndPickAfterClose",
		link: func(l transport.Link) transport.Link { return &undead{inliner: inliner{Link: l}} },
	},
}

// inliner makes an Inliner of a link of inproc, which copies what is small.
type inliner struct {
	transport.Link
	head   transport.Header // has been looked at, and stays: there may be no payload that would keep it
	has    bool             // there is one
	sent   uint64
	picked [64]byte
}

func (*inliner) Inline() int { return 64 }

func (l *inliner) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	ok, err := l.Link.Send(h, pieces)
	if ok {
		l.sent++
	}
	return ok, err
}

// finished reports whether Sent counts all frames.
func (l *inliner) finished() bool {
	n, err := l.Sent()
	return n == l.sent && err == nil
}

func (l *inliner) Post(h *transport.Header, payload []byte) bool {
	if len(payload) > l.Inline() || !l.finished() {
		return false
	}
	ok, err := l.Send(h, [2][]byte{payload})
	return ok && err == nil
}

func (l *inliner) Next() (*transport.Header, error) {
	if l.has {
		l.has = false
		return &l.head, nil
	}
	return l.Link.Next()
}

func (l *inliner) Pick(want *transport.Header) (payload []byte, credit uint32, ok bool) {
	h, err := l.Next()
	if h == nil || err != nil {
		return nil, 0, false // an error stays
	}
	asked := *want
	l.head, l.has = *h, true
	asked.Credit, asked.Checksum = l.head.Credit, l.head.Checksum
	if asked != l.head || int(asked.Length) > l.Inline() {
		return nil, 0, false
	}
	payload = l.picked[:asked.Length]
	for n := 0; n < len(payload); {
		k, err := l.Read(payload[n:])
		if err != nil {
			return nil, 0, false
		}
		n += k
	}
	l.has = false
	return payload, asked.Credit, true
}

// boastful says that it copies what it is lent.
type boastful struct{ inliner }

func (*boastful) Inline() int { return 1 << 20 }

// lender sends what was posted only when it is asked what it has sent.
type lender struct {
	inliner
	posted  *transport.Header
	payload []byte
}

func (l *lender) Post(h *transport.Header, payload []byte) bool {
	l.posted, l.payload = h, payload
	return true
}

func (l *lender) Sent() (uint64, error) {
	if h := l.posted; h != nil {
		l.posted = nil
		l.inliner.Post(h, l.payload)
	}
	return l.inliner.Sent()
}

type careless struct{ inliner }

func (l *careless) Pick(want *transport.Header) (payload []byte, credit uint32, ok bool) {
	asked := *want
	if h, err := l.Next(); h != nil && err == nil {
		l.head, l.has = *h, true
		asked.Comm = l.head.Comm
	}
	return l.inliner.Pick(&asked)
}

type pushing struct{ inliner }

func (l *pushing) Post(h *transport.Header, payload []byte) bool {
	l.Reclaim()
	return l.inliner.Post(h, payload)
}

type eager struct{ inliner }

func (l *eager) Post(h *transport.Header, payload []byte) bool {
	l.inliner.Post(h, payload)
	return len(payload) <= l.Inline()
}

type undead struct {
	inliner
	closed bool
}

func (l *undead) Post(h *transport.Header, payload []byte) bool {
	return l.inliner.Post(h, payload) || l.closed
}

func (l *undead) Close() error {
	l.closed = true
	return l.inliner.Close()
}

// What the faults are put into does as it should.
func TestSoundInliner(t *testing.T) {
	sound := &fault{link: func(l transport.Link) transport.Link { return &inliner{Link: l} }}
	transporttest.Run(t, sound.open, transporttest.Options{})
}
