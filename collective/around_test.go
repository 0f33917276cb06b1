package collective

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/transport"
)

// fullEndpoint has links that take nothing, and dials others, on which it keeps what is sent.
type fullEndpoint struct {
	*fakeEndpoint
	woken   chan struct{}
	dialled chan *keptLink
}

type keptLink struct {
	*fakeLink
	frames []control
}

func (l *keptLink) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	l.frames = append(l.frames, control{*h, slices.Concat(pieces[0], pieces[1])})
	return l.fakeLink.Send(h, pieces)
}

func (e *fullEndpoint) Dial(_ context.Context, peer int, _ []byte) (transport.Link, error) {
	l := &keptLink{fakeLink: &fakeLink{endpoint: e.fakeEndpoint, peer: peer}}
	e.dialled <- l
	return l, nil
}

func (e *fullEndpoint) Wait(deadline time.Time) {
	var passed <-chan time.Time
	if !deadline.IsZero() {
		passed = time.After(time.Until(deadline))
	}
	select {
	case <-e.woken:
	case <-passed:
	}
}

func (e *fullEndpoint) Wake() {
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

// fakeWorld makes a rank of a job whose endpoint a test plays.
func fakeWorld(t *testing.T, rank, size int, ep transport.Endpoint) *Comm {
	t.Helper()
	cfg, err := newConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	members := make([]rendezvous.Member, size)
	return newWorld(world{rank: rank, members: members, ep: ep, driver: "inproc", config: cfg})
}

// A rank that closes tells who has not said that it knows why the communicator has ended, on a
// second link: what is behind the unread frames of the first never arrives.
func TestAbortGoesRoundAFullLink(t *testing.T) {
	reason := errors.New("the loss is no number")
	again := []transport.Kind{transport.Abort}
	theirs := (&record{cause: causeAborted, culprit: 0, witness: 0, text: "theirs"}).encode()
	for _, test := range []struct {
		name   string
		refuse int              // frames that the first link does not take
		abort  bool             // the communicator has ended
		said   *fakeFrame       // what the peer has said
		want   []transport.Kind // on the second link
	}{
		{name: "full", refuse: math.MaxInt, abort: true, want: again},
		{name: "not full", abort: true, want: again},
		{name: "full for a moment", refuse: 2, abort: true, want: again},
		{
			name: "the peer knows", refuse: math.MaxInt, said: &fakeFrame{
				header:  transport.Header{Kind: transport.Abort, Length: uint32(len(theirs))},
				payload: theirs, here: len(theirs),
			},
		},
		{name: "full, and closed in order", refuse: math.MaxInt},
		{
			name: "full, and the peer has left", refuse: math.MaxInt, abort: true,
			said: &fakeFrame{header: transport.Header{Kind: transport.Goodbye}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep := &fullEndpoint{
					fakeEndpoint: &fakeEndpoint{script: &script{}, size: 2},
					woken:        make(chan struct{}, 1), dialled: make(chan *keptLink, 10),
				}
				first := ep.link(0)
				first.refuse = test.refuse
				if test.said != nil {
					first.frames = []*fakeFrame{test.said}
				}
				ep.fresh = []*fakeLink{first}
				c := fakeWorld(t, 1, 2, ep)
				c.e.enter()
				c.e.sweep()
				c.e.mu.Unlock()
				if test.abort {
					c.Abort(reason)
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				if closed := errors.Is(first.broken, transport.ErrClosed); closed != (c.failed != nil) {
					t.Errorf("the first link is closed before the endpoint: %v", closed)
				}
				close(ep.dialled)
				var frames []control
				for l := range ep.dialled {
					frames = append(frames, l.frames...)
				}
				if len(frames) != len(test.want) {
					t.Fatalf("on further links: %v, want %v", frames, test.want)
				}
				for i, f := range frames {
					r, err := decodeRecord(f.payload, 2)
					if err != nil || f.header.Kind != test.want[i] || r.culprit != 1 ||
						r.text != reason.Error() {
						t.Errorf("frame %d is of kind %v, with %+v, %v", i, f.header.Kind, r, err)
					}
				}
			})
		})
	}
}

// A peer has said on a second link, which is yet to be accepted, why it goes, when the first is
// found to have ended.
func TestSecondLinkTellsWhy(t *testing.T) {
	ctx := testContext(t)
	ep := &fakeEndpoint{script: &script{}, size: 3, atEnd: func() {}}
	c := fakeWorld(t, 0, 3, ep)
	buf := make([]byte, 1)
	var r request
	recv(&r, buf, 1)
	first, second := ep.link(1), ep.link(1)
	first.frames = []*fakeFrame{{header: transport.Header{
		Kind: transport.Data, Flags: transport.PointToPoint, Length: 1,
		Fingerprint: *r.fingerprint(-1, c.planner.chunkBytes, 0),
	}, payload: []byte{7}, here: 1}}
	ep.fresh = []*fakeLink{first}
	if err := Recv(ctx, c, buf, 1); err != nil || buf[0] != 7 {
		t.Fatalf("got %v, %v", buf, err)
	}
	first.broken = errScript
	why := (&record{cause: causeAborted, culprit: 2, witness: 2, text: "a reason"}).encode()
	second.frames = []*fakeFrame{{header: transport.Header{
		Kind: transport.Abort, Length: uint32(len(why)),
	}, payload: why, here: len(why)}}
	ep.fresh = []*fakeLink{second}
	var aborted *AbortedError
	if err := Recv(ctx, c, buf, 1); !errors.As(err, &aborted) || aborted.Rank != 2 {
		t.Errorf("got %v, want the abort by rank 2", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
