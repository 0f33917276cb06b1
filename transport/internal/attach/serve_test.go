//go:build linux || darwin

package attach

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// door is a listener whose connections, and failures, come from a test.
type door struct {
	come   chan any // net.Conn or error
	closed chan struct{}
}

func newDoor() *door { return &door{come: make(chan any), closed: make(chan struct{})} }

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.come:
		if err, ok := c.(error); ok {
			return nil, err
		}
		return c.(net.Conn), nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	close(d.closed)
	return nil
}

func (d *door) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "door"} }

// connect returns the far end of a connection that comes through the door.
func (d *door) connect() net.Conn {
	far, near := net.Pipe()
	d.come <- near
	return far
}

// reception is an endpoint that takes connections: 'y' makes a link, 'n' none, and all else fails.
type reception struct {
	*endpoint
	door *door
}

var errOdd = errors.New("an odd byte")

func receive(t *testing.T, giveWay time.Duration) *reception {
	t.Helper()
	e := &endpoint{}
	c := transport.Config{Size: 10, Logger: e.log.logger()}
	if err := e.links.Open(Endpoint[*link]{
		Driver: "test", Config: c, Turn: &e.turn, Remedy: func(error) string { return "try again" },
		GiveWay: giveWay,
	}); err != nil {
		t.Fatal(err)
	}
	r := &reception{e, newDoor()}
	e.links.Serve(r.door, r.welcome)
	return r
}

func (r *reception) close(t *testing.T) {
	t.Helper()
	if err := r.links.Close(r.door.Close, func([]*link) error { return nil }); err != nil {
		t.Error(err)
	}
}

func (r *reception) welcome(conn net.Conn) (*link, error) {
	defer conn.Close()
	end, err := Limit(r.links.Context(), conn)
	if err != nil {
		return nil, err
	}
	var b [1]byte
	_, err = io.ReadFull(conn, b[:])
	if cause := end(); err == nil {
		err = cause
	}
	switch {
	case err != nil:
		return nil, err
	case b[0] == 'y':
		return &link{peer: 5}, nil
	case b[0] == 'n':
		return nil, nil
	}
	return nil, errOdd
}

func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(t, 0)
		defer r.close(t)
		for _, c := range []struct {
			says string
			link bool
			log  string
		}{
			{"y", true, ""},
			{"n", false, ""},
			{"x", false, `msg="test: refused a connection" rank=0 at=pipe from=pipe ` +
				`error="an odd byte" "claimed rank"=-1 remedy="try again"`},
		} {
			if _, err := r.door.connect().Write([]byte(c.says)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if l := r.links.Accept(); (l != nil) != c.link {
				t.Errorf("%q makes link %v", c.says, l)
			}
			if got := strings.Join(r.log.warnings(), "\n"); got != c.log {
				t.Errorf("%q is worth %q, want %q", c.says, got, c.log)
			}
		}
	})
}

// TestServeGoesOn after the system had no descriptor to give.
func TestServeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(t, 0)
		defer r.close(t)
		begin := time.Now()
		r.door.come <- syscall.EMFILE
		if _, err := r.door.connect().Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.links.Accept() == nil {
			t.Error("no link")
		}
		if took := time.Since(begin); took != acceptPause {
			t.Errorf("it paused for %v", took)
		}
		want := `msg="test: can't take a connection" rank=0 at=door error="too many open files" ` +
			`remedy="try again"`
		if got := r.log.warnings(); len(got) != 1 || got[0] != want {
			t.Errorf("the log says %q", got)
		}
	})
}

// TestSilentStrangersGiveWay as soon as somebody needs their places, and not before.
func TestSilentStrangersGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const giveWay = time.Second
		r := receive(t, giveWay)
		defer r.close(t)
		ends := make(chan error, MaxHandshakes)
		for range MaxHandshakes {
			c := r.door.connect()
			go func() {
				_, err := c.Read(make([]byte, 1)) // until it is hung up
				ends <- err
			}()
		}
		time.Sleep(giveWay / 2)
		if len(ends) > 0 {
			t.Error("a stranger is hung up on that is in nobody's way")
		}
		begin := time.Now()
		if _, err := r.door.connect().Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.links.Accept() == nil {
			t.Error("no link")
		}
		if took := time.Since(begin); took != giveWay/2 {
			t.Errorf("it has a place after %v", took)
		}
		if len(ends) != 1 {
			t.Errorf("%d strangers are hung up on", len(ends))
		}
		time.Sleep(HandshakeTime)
		synctest.Wait()
		if len(ends) != MaxHandshakes {
			t.Errorf("%d strangers are hung up on in the end", len(ends))
		}
	})
}

// TestPlacesAreUsedAgain: who is through with its handshake makes room.
func TestPlacesAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(t, 0)
		defer r.close(t)
		var all []net.Conn
		for range MaxHandshakes {
			all = append(all, r.door.connect())
		}
		last := r.door.connect() // waits
		begin := time.Now()
		if _, err := all[7].Write([]byte("n")); err != nil {
			t.Fatal(err)
		}
		if _, err := last.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.links.Accept() == nil || !time.Now().Equal(begin) {
			t.Errorf("no link, or after %v", time.Since(begin))
		}
	})
}

// TestCloseEndsHandshakes at once, those too that wait for a place, and says nothing of them.
func TestCloseEndsHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := receive(t, 0)
		for range MaxHandshakes + 1 {
			r.door.connect()
		}
		begin := time.Now()
		r.close(t)
		if !time.Now().Equal(begin) {
			t.Errorf("Close takes %v", time.Since(begin))
		}
		if got := r.log.warnings(); len(got) > 0 {
			t.Errorf("the log says %q", got)
		}
	})
}

// TestRefusalsAreCounted: strangers can't fill the log, and what is left out is counted.
func TestRefusalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		r := refusals{log: log.logger()}
		for range burst + 50 {
			r.report("refused")
		}
		if n := len(log.warnings()); n != burst {
			t.Errorf("%d lines at once", n)
		}
		time.Sleep(2 * time.Second)
		for range 5 {
			r.report("refused")
		}
		got := log.warnings()
		if len(got) != 2 || got[0] != `msg=refused "lines left out before"=50` || got[1] != "msg=refused" {
			t.Errorf("two seconds later: %q", got)
		}
	})
}

// TestTries pauses for twice as long each time, until its patience or the context ends.
func TestTries(t *testing.T) {
	bounded := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, d)
		}
	}
	for name, c := range map[string]struct {
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		tries int
		took  time.Duration
	}{
		"no deadline": {context.WithCancel, 5, (1 + 2 + 4 + 5 + 5) * time.Second},
		"a later one": {bounded(time.Minute), 13, time.Minute},
		"one before":  {bounded(3500 * time.Millisecond), 2, 3500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := c.ctx(t.Context())
				defer cancel()
				begin, n := time.Now(), 0
				for tries := NewTries(ctx, time.Second, 5*time.Second, 12*time.Second); tries.Again(ctx); {
					n++
				}
				if took := time.Since(begin); n != c.tries || took != c.took {
					t.Errorf("%d more tries in %v, want %d in %v", n, took, c.tries, c.took)
				}
				if NewTries(ctx, time.Second, time.Second, time.Second).Again(ctx) && ctx.Err() != nil {
					t.Error("once more after the end")
				}
			})
		})
	}
}
