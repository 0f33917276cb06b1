package collective

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
)

// known is a rank with the plan of a call that it has made before, and the turn.
func known(t *testing.T, m transport.Endpoint, r *request) (*Comm, *planned) {
	c := mirrored(t, m)
	if err := c.run(t.Context(), r); err != nil { // it opens the link
		t.Fatal(err)
	}
	c.e.enter()
	t.Cleanup(c.e.mu.Unlock)
	entry, err := c.find(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return c, entry
}

// TestBriefCall makes a call that finds its frames there.
func TestBriefCall(t *testing.T) {
	var r request
	buf := []float32{1}
	allReduce(&r, buf, buf, tensor.Avg)
	c, entry := known(t, &mirror{}, &r)
	buf[0] = 2
	seq := c.number(entry, &r)
	if !c.mayBeBrief(entry.brief) || !c.runBrief(entry, &r, seq) {
		t.Fatal("the call is not brief")
	}
	if buf[0] != 2 {
		t.Errorf("the average of 2 and 2 is %v", buf)
	}
}

// TestBriefRoot makes calls in which this rank only sends: that nothing ever comes from the others does not
// keep them from being brief.
func TestBriefRoot(t *testing.T) {
	var r request
	buf := []float32{1}
	broadcast(&r, &Comm{rank: 1}, buf, buf, 1)
	m := &mirror{silent: true}
	c, entry := known(t, m, &r)
	sent := m.sent
	if !c.mayBeBrief(entry.brief) || !c.runBrief(entry, &r, c.number(entry, &r)) {
		t.Fatal("the call is not brief")
	}
	if m.sent != sent+1 {
		t.Errorf("%d frames sent, want 1", m.sent-sent)
	}
}

// inliner is a mirror whose link is a transport.Inliner.
type inliner struct {
	mirror
	full, late                 bool // Post takes nothing, Pick finds nothing
	posts, sends, picks, nexts int
	gave                       bool     // a frame about credit, or about the end, was sent
	refused, deaf              bool     // it is refused, or fails
	hidden                     int      // times that Pick finds nothing
	debt                       *channel // before a frame comes, much has come on it
}

func (l *inliner) Dial(context.Context, int, []byte) (transport.Link, error) { return l, nil }
func (l *inliner) Inline() int                                               { return len(l.payload) }

func (l *inliner) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	if h.Kind != transport.Data { // which does not come back
		if l.refused {
			l.refused = false
			return false, nil
		}
		if l.deaf { // behind the frame that was picked there is another, of a later call
			l.header.Seq++
			l.header.Credit += 4 + transport.HeaderBytes
			l.here, l.data = true, l.payload[:4]
			return false, transport.ErrClosed
		}
		l.gave = true
		l.sent++
		return true, nil
	}
	l.sends++
	return l.mirror.Send(h, pieces)
}

func (l *inliner) Next() (*transport.Header, error) {
	l.nexts++
	return l.mirror.Next()
}

func (l *inliner) Post(h *transport.Header, payload []byte) bool {
	if l.full {
		return false
	}
	l.posts++
	ok, _ := l.mirror.Send(h, [2][]byte{payload}) // has no error
	return ok
}

func (l *inliner) Pick(want *transport.Header) ([]byte, uint32, bool) {
	if l.hidden > 0 {
		l.hidden--
		return nil, 0, false
	}
	h := *want
	h.Credit, h.Checksum = l.header.Credit, l.header.Checksum
	if l.late || !l.here || h != l.header {
		return nil, 0, false
	}
	l.picks++
	l.here = false
	if l.debt != nil {
		l.debt.taken += window / 2
	}
	return l.data, l.header.Credit, true
}

// TestBriefCallsOfInliners: frames are posted and picked; what can't be goes as by any other link.
func TestBriefCallsOfInliners(t *testing.T) {
	for _, test := range []struct {
		full, late           bool
		posts, sends, picks  int
		credit, silent, done bool
	}{
		{posts: 1, picks: 1, done: true},
		{full: true, sends: 1, picks: 1, done: true},
		{late: true, posts: 1, done: true},
		{full: true, late: true, sends: 1, done: true},
		{credit: true, posts: 1, picks: 1, done: true},
		{silent: true, posts: 1},
	} {
		var r request
		buf := []float32{3}
		allReduce(&r, buf, buf, tensor.Sum)
		l := &inliner{}
		c, entry := known(t, l, &r)
		l.full, l.late, l.silent = test.full, test.late, test.silent
		l.posts, l.sends, l.picks, l.nexts = 0, 0, 0, 0
		if test.credit {
			l.debt = entry.channels[0]
		}
		entry.brief.looks, entry.brief.turn = 1, false // the ranks of this machine may share cores
		done := c.mayBeBrief(entry.brief) && c.runBrief(entry, &r, c.number(entry, &r))
		if done != test.done || l.posts != test.posts || l.sends != test.sends || l.picks != test.picks ||
			l.gave != test.credit || (l.nexts == 0) != (test.picks > 0) {
			t.Errorf("%+v: done %v, %d posted, %d sent, %d picked, %d times asked for the next, credit given %v",
				test, done, l.posts, l.sends, l.picks, l.nexts, l.gave)
		}
		if sum := float32(12); done && buf[0] != sum { // twice doubled
			t.Errorf("%+v: the sum is %v, want %v", test, buf[0], sum)
		}
	}
}

// Where ranks share cores a brief call that waits for all gives the core away once, not while another goroutine
// waits for the turn.
func TestBriefCallsTakeTurns(t *testing.T) {
	for _, test := range []struct {
		coll   schedule.Collective
		shared bool
		hidden int
		wanted bool
		found  bool
	}{
		{schedule.AllReduce, true, turnLooks, false, true},
		{schedule.AllReduce, true, turnLooks + 1, false, true},
		{schedule.AllReduce, true, 2*turnLooks + 1, false, true},
		{schedule.AllReduce, true, 2*turnLooks + 2, false, false},
		{schedule.AllReduce, true, turnLooks, true, true},
		{schedule.AllReduce, true, turnLooks + 1, true, false},
		{schedule.Reduce, true, 0, false, true},
		{schedule.Reduce, true, 1, false, false},
		{schedule.SendRecv, true, 1, false, false},
		{schedule.Barrier, false, briefLooks, false, true},
		{schedule.Barrier, false, briefLooks + 1, false, false},
	} {
		var r request
		buf := []float32{3}
		allReduce(&r, buf, buf, tensor.Sum)
		l := &inliner{}
		c, entry := known(t, l, &r)
		entry.brief.looks, entry.brief.turn = looksOf(test.coll, test.shared)
		l.hidden, l.nexts = test.hidden, 0
		if test.wanted {
			c.e.wanted.Add(1)
		}
		done := c.mayBeBrief(entry.brief) && c.runBrief(entry, &r, c.number(entry, &r))
		if !done || (l.nexts == 0) != test.found {
			t.Errorf("%+v: done %v, the link was asked %d times for the next frame", test, done, l.nexts)
		}
	}
}

// A brief call that owes credit leaves it neither behind nor in the way of its own frame's.
func TestBriefCallsGiveCredit(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		var r request
		buf := []float32{1}
		allReduce(&r, buf, buf, tensor.Sum)
		l := &inliner{}
		c, entry := known(t, l, &r)
		ch := entry.channels[0]
		l.debt, l.deaf, l.refused = ch, deaf, !deaf
		if !c.mayBeBrief(entry.brief) || !c.runBrief(entry, &r, c.number(entry, &r)) {
			t.Errorf("deaf %v: the call is not brief, or not done: %v", deaf, c.usable())
		}
		if deaf {
			if err := c.usable(); err != nil || !ch.from.stalled && ch.held.len() == 0 {
				t.Errorf("the communicator: %v; the next frame is not read", err)
			}
			continue
		}
		if !l.givesLater(c) {
			t.Error("credit that the link does not take at once is not given")
		}
	}
}

// givesLater gives up the turn until a control frame is sent, and reports whether one is.
func (l *inliner) givesLater(c *Comm) bool {
	for until := time.Now().Add(time.Minute); !l.gave && time.Now().Before(until); {
		c.e.mu.Unlock()
		time.Sleep(time.Millisecond)
		c.e.enter()
	}
	return l.gave
}

// TestBriefCallsCheckCredit: a frame that is picked is not believed more than others.
func TestBriefCallsCheckCredit(t *testing.T) {
	var r request
	buf := []float32{1}
	allReduce(&r, buf, buf, tensor.Sum)
	l := &inliner{}
	c, entry := known(t, l, &r)
	l.edit = func(h *transport.Header) { h.Credit += window }
	if !c.mayBeBrief(entry.brief) || c.runBrief(entry, &r, c.number(entry, &r)) || l.picks == 0 {
		t.Error("the call is done, or not brief")
	}
	if err := c.usable(); err == nil || !strings.Contains(err.Error(), "credit") {
		t.Errorf("the communicator: %v", err)
	}
}

// TestBriefCallsGiveWay is about what an ordinary call has to see to.
func TestBriefCallsGiveWay(t *testing.T) {
	for name, begin := range map[string]func(c *Comm, ch *channel){
		"a leader":            func(c *Comm, _ *channel) { c.e.leading = true },
		"another call":        func(c *Comm, _ *channel) { c.e.active = append(c.e.active, &call{}) },
		"checksums":           func(c *Comm, _ *channel) { c.e.checksum = true },
		"a failure":           func(c *Comm, _ *channel) { c.failed = &record{} },
		"a rank that left":    func(c *Comm, _ *channel) { c.left[0] = true },
		"a held frame":        func(_ *Comm, ch *channel) { ch.held.push(&heldFrame{}) },
		"a frame that waits":  func(_ *Comm, ch *channel) { ch.from.kept = true },
		"a frame half held":   func(_ *Comm, ch *channel) { ch.from.filling = &heldFrame{} },
		"no frame yet":        func(_ *Comm, ch *channel) { ch.from = nil },
		"nothing sent yet":    func(_ *Comm, ch *channel) { ch.lane = nil },
		"a lent frame":        func(_ *Comm, ch *channel) { ch.lane.inflight.push(lent{}) },
		"a control frame":     func(_ *Comm, ch *channel) { ch.lane.control.push(control{}) },
		"a peer that is deaf": func(_ *Comm, ch *channel) { ch.peer.deaf = transport.ErrClosed },
		"a full window":       func(_ *Comm, ch *channel) { ch.sent += window },
	} {
		r := request{coll: schedule.Barrier, typ: tensor.U8}
		c, entry := known(t, &mirror{}, &r)
		begin(c, entry.channels[0])
		if c.mayBeBrief(entry.brief) && c.runBrief(entry, &r, c.number(entry, &r)) {
			t.Errorf("%s does not keep a call from being brief", name)
		}
	}
}

// TestBriefCallsLeaveFrames is about frames that are not those that a brief call looks for. They stay, even
// without payload.
func TestBriefCallsLeaveFrames(t *testing.T) {
	for name, edit := range map[string]func(h *transport.Header){
		"kind":         func(h *transport.Header) { h.Kind = transport.Credit },
		"flags":        func(h *transport.Header) { h.Flags = transport.PointToPoint },
		"checksum":     func(h *transport.Header) { h.Flags = transport.Checksummed },
		"communicator": func(h *transport.Header) { h.Comm++ },
		"epoch":        func(h *transport.Header) { h.Epoch++ },
		"call":         func(h *transport.Header) { h.Seq++ },
		"step":         func(h *transport.Header) { h.Step++ },
		"length":       func(h *transport.Header) { h.Length++ },
		"credit":       func(h *transport.Header) { h.Credit += window },
		"fingerprint":  func(h *transport.Header) { h.Fingerprint[0]++ },
	} {
		plain, l := &mirror{}, &inliner{}
		for m, ep := range map[*mirror]transport.Endpoint{plain: plain, &l.mirror: l} {
			if ep == l && name == "credit" {
				continue // see TestBriefCallsCheckCredit
			}
			var r request
			allReduce(&r, []float32{}, []float32{}, tensor.Sum)
			c, entry := known(t, ep, &r)
			m.edit = edit
			if !c.mayBeBrief(entry.brief) || c.runBrief(entry, &r, c.number(entry, &r)) {
				t.Errorf("%s: the call takes a frame with another one, or is not brief", name)
			}
			if l := entry.channels[0].from; name != "length" && (!l.kept || l.head != m.header) {
				t.Errorf("%s: the frame is lost", name)
			}
		}
	}
}

// TestNoBriefForm is about plans that are no brief ones.
func TestNoBriefForm(t *testing.T) {
	long := schedule.Region{Pieces: [2]schedule.Piece{{Len: briefBytes + 1}}}
	for _, c := range []struct {
		name string
		p    planned
	}{
		{"long", planned{plan: &schedule.Plan{Ops: []schedule.Op{{Kind: schedule.Copy, Dst: long, A: long}}}}},
		{"many operations", planned{plan: &schedule.Plan{Ops: make([]schedule.Op, briefOps+1)}}},
		{"much scratch", planned{plan: &schedule.Plan{ScratchBytes: briefScratch + 1}}},
		{"narrow on the wire", planned{wire: tensor.BF16, plan: &schedule.Plan{}}},
	} {
		if (&Comm{e: &engine{}}).newBrief(&c.p) != nil {
			t.Errorf("%s: has a brief form", c.name)
		}
	}
}

// TestMade is about which calls a rank remembers.
func TestMade(t *testing.T) {
	var r request
	buf := []float32{1}
	allReduce(&r, buf, buf, tensor.Sum)
	c, entry := known(t, &mirror{}, &r)
	if _, ok := c.made(1); ok {
		t.Error("a call that is still to come is remembered")
	}
	if fp, ok := c.made(0); !ok || fp != *entry.fingerprint {
		t.Errorf("the first call: %x, %v", fp, ok)
	}
	for range historyLen {
		c.number(entry, &r)
	}
	if _, ok := c.made(0); ok {
		t.Error("a call is remembered whose place another one has")
	}
	if _, ok := c.made(historyLen); !ok {
		t.Error("the latest call is forgotten")
	}
}
