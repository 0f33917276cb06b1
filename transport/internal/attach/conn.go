//go:build linux || darwin

package attach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// HandshakeTime is what a handshake may take.
const HandshakeTime = 20 * time.Second

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Limit bounds the time of a handshake, which ends with ctx, too. The function that it returns
// ends the bounds, and says whether ctx has ended.
func Limit(ctx context.Context, conn net.Conn) (end func() error, err error) {
	if err := conn.SetDeadline(time.Now().Add(HandshakeTime)); err != nil {
		return nil, err
	}
	unhook := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })
	return func() error {
		if !unhook() {
			return context.Cause(ctx)
		}
		return nil
	}, nil
}

// TakeOver duplicates the descriptor of conn, which it closes, and so takes the connection away
// from Go's network poller.
func TakeOver(conn net.Conn) (fd int, err error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("a connection of type %T has no descriptor", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	e := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(e, os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)); err != nil {
		return -1, err
	}
	if err := conn.Close(); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// CloseQuietly closes what may be closed already.
func CloseQuietly(conn net.Conn) error {
	if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// KeepAlive has the system look whether the other host is there, so that a silent one is found out
// in 20 seconds.
func KeepAlive(conn *net.TCPConn) error {
	return conn.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 2 * time.Second, Count: 5,
	})
}

// Name is an address for people: the end of a Unix socket that has dialled has none.
func Name(a net.Addr) string {
	if s := a.String(); s != "" && s != "@" {
		return s
	}
	return "an unnamed socket"
}

// SameUser returns an error that wraps other when the process at the other end of a Unix socket is
// not this user's.
func SameUser(c syscall.Conn, other error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	uid, err := peerUser(raw)
	if err != nil {
		return err
	}
	if own := os.Geteuid(); int64(uid) != int64(own) {
		return fmt.Errorf("%w: user %d, and this one is %d", other, uid, own)
	}
	return nil
}
