//go:build linux || darwin

package attach

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// connected returns the two ends of a Unix socket.
func connected(t *testing.T) (dialled, accepted *net.UnixConn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test may have closed them
		_ = a.Close()
		_ = b.Close()
	})
	return a.(*net.UnixConn), b.(*net.UnixConn)
}

// TestLimitEndsWithItsContext: who reads is not held by an end that is silent.
func TestLimitEndsWithItsContext(t *testing.T) {
	a, _ := connected(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	end, err := Limit(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("why")
	cancel(why)
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
	if err := end(); !errors.Is(err, why) {
		t.Errorf("the cause is %v", err)
	}
}

func TestLimitThatIsOver(t *testing.T) {
	a, b := connected(t)
	ctx, cancel := context.WithCancel(t.Context())
	end, err := Limit(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Errorf("the cause is %v", err)
	}
	cancel()
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); err != nil {
		t.Errorf("Read: %v", err)
	}
}

// TestTakeOver: the descriptor is the connection, which goes on without Go's.
func TestTakeOver(t *testing.T) {
	a, b := connected(t)
	fd, err := TakeOver(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write to what was taken: %v", err)
	}
	if err := CloseQuietly(a); err != nil {
		t.Errorf("to close it again: %v", err)
	}
	if _, err := unix.Write(fd, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTakeOverOfWhatIsNoSocket(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	if fd, err := TakeOver(a); err == nil {
		t.Errorf("a pipe in memory has descriptor %d", fd)
	}
}

func TestSameUser(t *testing.T) {
	a, b := connected(t)
	other := errors.New("another user's")
	for _, c := range []*net.UnixConn{a, b} {
		if err := SameUser(c, other); err != nil {
			t.Error(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := SameUser(a, other); err == nil || errors.Is(err, other) {
		t.Errorf("of a closed connection: %v", err)
	}
}

func TestNames(t *testing.T) {
	a, b := connected(t)
	if got := Name(a.RemoteAddr()); filepath.Base(got) != "s" {
		t.Errorf("who listens is %q", got)
	}
	if got := Name(b.RemoteAddr()); got != "an unnamed socket" {
		t.Errorf("who has dialled is %q", got)
	}
}
