package proxy

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/tutti-ml/tutti/transport"
)

// What a hostile peer can do is to send any frames: these fakes do that to an engine, one pass
// after another, without a network, a store or a clock.

// frame is one on a fake link.
type frame struct {
	h       transport.Header
	payload []byte
}

// fakeLink gives what is in in, in the parts that it comes in, and takes everything. The engine's
// own goroutine may use it while a test does.
type fakeLink struct {
	rank int

	mu    sync.Mutex
	in    []frame
	part  int   // the most bytes that one Read gives; 0: all
	shown bool  // the head was
	taken int   // of the head's payload
	end   error // of what comes in
	over  bool

	gone      error // of what goes out
	sent      []frame
	deaf      bool // it takes nothing
	lends     bool // what it has taken is done when a test says so
	done      uint64
	reclaimed int
}

func (l *fakeLink) Peer() int      { return l.rank }
func (l *fakeLink) String() string { return "fake" }
func (l *fakeLink) Discard(int)    {}

func (l *fakeLink) Reclaim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reclaimed++
	l.done = uint64(len(l.sent))
}

func (l *fakeLink) Peek() ([]byte, error) { return nil, errFake }

func (l *fakeLink) feed(frames ...frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in = append(l.in, frames...)
}

// more lets further bytes of the last frame arrive.
func (l *fakeLink) more(text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &l.in[len(l.in)-1]
	f.payload = append(f.payload, text...)
}

// breaks ends what comes in with an error.
func (l *fakeLink) breaks() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = errFake
}

// breaksBehind makes the link tell of its end when it is asked what of the sent is done.
func (l *fakeLink) breaksBehind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = errFake
}

func (l *fakeLink) setDeaf(deaf bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = deaf
}

func (l *fakeLink) closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

func (l *fakeLink) frames() []frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sent)
}

func (l *fakeLink) Sent() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lends && l.gone == nil {
		return l.done, nil
	}
	return uint64(len(l.sent)), l.gone
}

// keep makes the link have all that it takes from now on until returns is called.
func (l *fakeLink) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lends, l.done = true, uint64(len(l.sent))
}

func (l *fakeLink) returns(frames int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done += uint64(frames)
}

func (l *fakeLink) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	return nil
}

func (l *fakeLink) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf {
		return false, nil
	}
	f := frame{h: *h}
	for _, p := range pieces {
		f.payload = append(f.payload, p...)
	}
	l.sent = append(l.sent, f)
	return true, nil
}

func (l *fakeLink) Next() (*transport.Header, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown && l.taken >= int(l.in[0].h.Length) {
		l.in, l.shown, l.taken = l.in[1:], false, 0
	}
	if len(l.in) == 0 {
		return nil, l.end
	}
	l.shown = true
	h := l.in[0].h
	return &h, nil
}

func (l *fakeLink) Read(dst []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.in[0].payload[min(l.taken, len(l.in[0].payload)):]
	if l.part > 0 {
		rest = rest[:min(len(rest), l.part)]
	}
	n := copy(dst, rest)
	l.taken += n
	return n, nil
}

// fakeEndpoint reaches nobody.
type fakeEndpoint struct {
	wake chan struct{}
}

var errFake = errors.New("nobody can be dialled")

func (e *fakeEndpoint) Addresses() []byte      { return []byte("fake") }
func (e *fakeEndpoint) Accept() transport.Link { return nil }
func (e *fakeEndpoint) Close() error           { return nil }

func (e *fakeEndpoint) Dial(context.Context, int, []byte) (transport.Link, error) {
	return nil, errFake
}

func (e *fakeEndpoint) Wait(deadline time.Time) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-e.wake:
	case <-timer.C:
	}
}

func (e *fakeEndpoint) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// journal keeps the errors with which links were lost.
type journal struct {
	slog.Handler
	mu   sync.Mutex
	lost []error
}

func newJournal() *journal { return &journal{Handler: slog.DiscardHandler} }

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && a.Key == "error" &&
			(r.Message == "link lost" || r.Message == "connection ended before its peer was known") {
			j.mu.Lock()
			j.lost = append(j.lost, err)
			j.mu.Unlock()
		}
		return true
	})
	return nil
}

func (j *journal) errors() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.lost...)
}

// isolated makes a proxy over an endpoint, without a store: the test says who is there.
func isolated(
	t testing.TB, ep transport.Endpoint, self record, expect map[string]int, options ...Option,
) *Proxy {
	t.Helper()
	options = append([]Option{WithStore("tutti://nowhere:1"), WithSecret(""), WithName(self.Name)},
		options...)
	c, err := newConfig("group", self.Type, expect, options)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{c: c, compressor: newCompressor()}
	for kind := range expect {
		self.Expects = append(self.Expects, kind)
	}
	p.e = newEngine(p, ep, self)
	return p
}

// component is the record of one on this host.
func component(kind, name string, incarnation int, expects ...string) record {
	return record{
		Name: name, Type: kind, Incarnation: incarnation, Instance: newID().String(), Driver: "fake",
		Addresses: []byte("fake"), HostID: "h", Host: "h", PID: 1, Expects: expects, Started: time.Now(),
	}
}

// victim is a proxy that expects workers, of which friend, 8, is one and well, and rogue, 7, is
// not.
type victim struct {
	*Proxy
	t             testing.TB
	log           *journal
	friend, rogue *fakeLink
}

func newVictim(t testing.TB, options ...Option) *victim {
	t.Helper()
	return newVictimOn(t, &fakeEndpoint{wake: make(chan struct{}, 1)}, options...)
}

func newVictimOn(t testing.TB, ep transport.Endpoint, options ...Option) *victim {
	t.Helper()
	v := &victim{t: t, log: newJournal(), friend: &fakeLink{rank: 8}, rogue: &fakeLink{rank: 7}}
	options = append([]Option{WithLogger(slog.New(v.log))}, options...)
	v.Proxy = isolated(t, ep, component("master", "master", 1), map[string]int{"worker": 2}, options...)
	v.e.apply([]change{
		{kind: joined, record: component("worker", "friend", 8, "master")},
		{kind: joined, record: component("worker", "rogue", 7, "master")},
	})
	v.attach(v.friend)
	v.friend.feed(intro("friend", "worker", 1<<20))
	v.move()
	v.attach(v.rogue)
	return v
}

func (v *victim) attach(l *fakeLink) {
	v.e.enter()
	defer v.e.leave()
	v.e.attach(l)
}

// look is where a test looks at the engine: its pump may take the turn at any time.
func (v *victim) look(at func(e *engine)) {
	v.e.enter()
	defer v.e.leave()
	at(v.e)
}

// move lets the engine do all that it can, and fails where it does not come to an end.
func (v *victim) move() {
	v.e.enter()
	defer v.e.leave()
	for range 1 << 16 {
		if !v.e.quiesce() {
			return
		}
	}
	v.t.Fatal("the engine does not come to rest")
}

// delivered is how many messages of a peer have come.
func (v *victim) delivered(name string) (n uint64) {
	v.look(func(e *engine) { n = e.peers[name].inflow.delivered })
	return n
}

// end closes the proxy, after it has been shown to serve its friend.
func (v *victim) end() {
	v.t.Helper()
	if v.friend.closed() {
		v.t.Errorf("the friend's link was closed: %v", v.log.errors())
	}
	seq := v.delivered("friend") + 1
	v.friend.feed(message(seq, meta{
		sessionType: Notification, stage: NotificationRequest,
		session: newID(), message: newID(), kind: kindText, bodyBytes: 2, tag: "friend",
	}, "hi")...)
	v.move()
	for {
		m, err := v.ReceiveOnce(v.t.Context())
		if err == nil && m.Source == "friend" && m.Body == "hi" {
			break
		}
		if err == nil && m.Source == "friend" {
			v.t.Errorf("got %v of the friend", m)
		}
	}
	ctx, cancel := context.WithCancel(v.t.Context())
	cancel()
	var undelivered *UndeliveredError
	if err := v.Close(ctx); err != nil && !errors.As(err, &undelivered) {
		v.t.Error(err)
	}
}

// intro is what a peer says first.
func intro(name, kind string, window int64) frame {
	return raw(transport.Status, stepIntroduction, introduction{name, kind, window, 1 << 20})
}

func raw(k transport.Kind, step uint32, content any) frame {
	text, err := cbor.Marshal(content)
	if err != nil {
		panic(err)
	}
	return frame{transport.Header{Kind: k, Step: step, Length: uint32(len(text))}, text}
}

// data is a part of a message.
func data(seq uint64, step uint32, payload []byte) frame {
	h := transport.Header{Kind: transport.Data, Seq: seq, Step: step, Length: uint32(len(payload))}
	return frame{h, payload}
}

// message is a whole one, in one part.
func message(seq uint64, m meta, body string) []frame {
	return []frame{data(seq, 0, append(m.append(nil), body...))}
}

// acking is a frame that acknowledges.
func acking(f frame, delivered, consumed uint64) frame {
	putAcks(f.h.Fingerprint[:], delivered, consumed)
	return f
}

// notification is the meta of one with so many bytes of text.
func notification(bodyBytes uint64) meta {
	return meta{
		sessionType: Notification, stage: NotificationRequest, session: newID(), message: newID(),
		kind: kindText, bodyBytes: bodyBytes, tag: "t",
	}
}
