package transport

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestLinkError(t *testing.T) {
	for _, c := range []struct {
		err  *LinkError
		want string
	}{
		{
			&LinkError{
				Phase: "dial", Rank: 1, Peer: 2, Address: "10.0.0.2:99", Err: io.EOF, Remedy: "try again",
			},
			"rank 1: dial with rank 2 at 10.0.0.2:99: EOF; try again",
		},
		{
			&LinkError{Phase: "greeting", Rank: 0, Peer: -1, Address: "10.0.0.2:99", Err: ErrClosed},
			"rank 0: greeting with an unknown peer at 10.0.0.2:99: closed",
		},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if !errors.Is(c.err, c.err.Err) {
			t.Errorf("%v does not wrap its cause", c.err)
		}
	}
}

// Every reason has a sentence and a remedy, and what a stranger is told is bounded and has nothing
// of this end but its rank and what the stranger said.
func TestHelloErrorsSayWhatToDo(t *testing.T) {
	const mine = "mine-alone"
	seen := map[string]HelloReason{}
	for r := HelloGarbage; r < helloReasons; r++ {
		e := &HelloError{Reason: r, Peer: 3, Here: mine, There: "theirs"}
		s := e.Error()
		if s == "" || strings.Contains(s, "reason ") || seen[s] != 0 {
			t.Errorf("reason %d says %q, as reason %d", r, s, seen[s])
		}
		seen[s] = r
		if e.Remedy() == "" {
			t.Errorf("reason %d has no remedy", r)
		}
		stranger := e.toStranger(7)
		ranks := r == HelloTarget || r == HelloVersion // Here is this end's rank or version
		if strings.Contains(stranger, mine) && !ranks {
			t.Errorf("reason %d tells a stranger %q", r, stranger)
		}
		if len(stranger) > maxTextBytes {
			t.Errorf("reason %d tells a stranger %d bytes", r, len(stranger))
		}
		link := HelloLinkError(7, "10.0.0.2:99", e)
		if link.Phase != "hello" || link.Peer != 3 || link.Rank != 7 || link.Remedy != e.Remedy() {
			t.Errorf("reason %d: the link error is %+v", r, link)
		}
		var back *HelloError
		if !errors.As(link, &back) || back != e {
			t.Errorf("reason %d: the link error does not wrap it", r)
		}
	}
	unknown := &HelloError{Reason: 200}
	if !strings.Contains(unknown.Error(), "200") || unknown.Remedy() == "" {
		t.Errorf("an unknown reason says %q, %q", unknown, unknown.Remedy())
	}
	broken := &HelloError{Reason: HelloBroken, Err: io.ErrUnexpectedEOF}
	if !errors.Is(broken, io.ErrUnexpectedEOF) || !strings.Contains(broken.Error(), "unexpected EOF") {
		t.Errorf("%v hides its cause", broken)
	}
	if l := HelloLinkError(1, "x", io.EOF); l.Peer != -1 || !errors.Is(l, io.EOF) {
		t.Errorf("%+v", l)
	}
}
