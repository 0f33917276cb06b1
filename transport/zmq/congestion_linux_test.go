package zmq

import (
	"context"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// bbrFirst stands for a system whose choice is bbr, and then does what is done to every socket.
func bbrFirst(t *testing.T) func(network, address string, c syscall.RawConn) error {
	return func(network, address string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = setCongestion(int(fd), "bbr") }); e != nil {
			return e
		}
		if err != nil {
			t.Skipf("SKIPPED: this system has no bbr: %v", err)
		}
		return fillBothWays(network, address, c)
	}
}

// onSocket runs f on a connection's descriptor.
func onSocket(t *testing.T, conn net.Conn, f func(fd int)) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoPacingOnOneSite: connections of a short round trip never have bbr, at neither end.
func TestNoPacingOnOneSite(t *testing.T) {
	lc := net.ListenConfig{Control: bbrFirst(t)}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialer := net.Dialer{Control: bbrFirst(t)}
	dialled, err := dialer.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	for _, conn := range []net.Conn{dialled, accepted} {
		name := func() (name string) {
			onSocket(t, conn, func(fd int) { name = congestion(fd) })
			return name
		}
		if n := name(); n != "cubic" && n != "reno" {
			t.Errorf("the congestion control is %q before anything was sent", n)
		}
		if err := tune(conn, driver{}); err != nil {
			t.Fatal(err)
		}
		if n := name(); n != "cubic" && n != "reno" {
			t.Errorf("the congestion control is %q", n)
		}
	}
}

// TestSystemsChoiceOverLongDistances: there a connection gets back what the system chooses if that
// is bbr, and keeps what it has if not.
func TestSystemsChoiceOverLongDistances(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	system := congestion(fd)
	if err := setCongestion(fd, "reno"); err != nil {
		t.Fatal(err)
	}
	goFar(fd, nearby-1)
	if n := congestion(fd); n != "reno" {
		t.Errorf("the congestion control is %q on one site", n)
	}
	want := "reno"
	if isBBR(system) {
		want = system
	}
	goFar(fd, nearby)
	if n := congestion(fd); n != want {
		t.Errorf("the congestion control is %q over a long distance, want %q", n, want)
	}
}
