package zmq

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoPacingOnOneSite: a connection of a short round trip does not stay with bbr.
func TestNoPacingOnOneSite(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	control := func(f func(fd int)) {
		if err := raw.Control(func(fd uintptr) { f(int(fd)) }); err != nil {
			t.Fatal(err)
		}
	}
	control(func(fd int) {
		err = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "bbr")
	})
	if err != nil {
		t.Skipf("SKIPPED: this system has no bbr: %v", err)
	}
	if err := tune(conn, driver{}); err != nil {
		t.Fatal(err)
	}
	control(func(fd int) {
		name, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		if err != nil || name != "cubic" && name != "reno" {
			t.Errorf("the congestion control is %q: %v", name, err)
		}
	})
}
