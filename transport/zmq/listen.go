//go:build linux || darwin

package zmq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/go-zeromq/zmq4"
	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// giveWay is what a connection that has not said hello may take when others wait for its place.
const giveWay = time.Second

// chosen is the message by which a dialler says that it uses this connection, of those it has
// opened to several addresses.
const chosen = "TUTTI USE"

func (e *endpoint) listen(ctx context.Context) error {
	if e.driver.mode != TCP {
		l, cleanup, err := listenUnix(strings.ToLower(rand.Text()))
		if err != nil {
			return fmt.Errorf("listen on a Unix socket: %w", err)
		}
		e.listeners, e.cleanup = append(e.listeners, l), cleanup
		e.at.unix = l.Addr().String()
	}
	if e.driver.mode == IPC {
		return nil
	}
	return e.listenTCP(ctx)
}

func (e *endpoint) listenTCP(ctx context.Context) (err error) {
	if e.filter, err = transport.ParseFilter(e.c.Interface); err != nil {
		return err
	}
	host, offered, err := e.whereToListen()
	if err != nil {
		return err
	}
	lc := net.ListenConfig{Control: fillBothWays} // connections have what the listener has
	lc.SetMultipathTCP(false)                     // not all systems pass that on by a listener for it
	l, err := lc.Listen(ctx, "tcp", host)
	if err != nil {
		return err
	}
	e.listeners = append(e.listeners, l)
	e.at.port = l.Addr().(*net.TCPAddr).AddrPort().Port()
	var names []string
	for _, o := range offered[:min(len(offered), maxAddresses)] {
		e.at.tcp = append(e.at.tcp, o.net)
		names = append(names, o.String())
	}
	secret := "with a secret"
	if len(e.c.Secret) == 0 {
		secret = "on loopback only: without a secret nobody else may connect"
	}
	e.log.Info("zmq: listening", "rank", e.c.Rank, "port", e.at.port, "offered", names,
		"unix", e.at.unix, "security", secret)
	return nil
}

// whereToListen returns the address to bind and those to offer to peers.
func (e *endpoint) whereToListen() (string, []local, error) {
	ip, port, replaced, err := e.c.ListenAddress()
	if err != nil {
		return "", nil, err
	}
	if replaced {
		e.log.Warn("zmq: no secret: listening on loopback in place of what was asked for",
			"rank", e.c.Rank, "asked", e.c.Listen)
	}
	bound := net.JoinHostPort(ip.String(), port)
	if len(e.c.Secret) == 0 {
		return bound, []local{{name: "loopback", net: netip.PrefixFrom(ip, ip.BitLen())}}, nil
	}
	all, err := e.locals()
	if err != nil {
		return "", nil, err
	}
	if ip.IsValid() && !ip.IsUnspecified() {
		return bound, []local{ownNetwork(ip, all)}, nil
	}
	offered, err := choose(e.filter, all)
	if err != nil {
		return "", nil, err
	}
	if !ip.IsValid() {
		bound = net.JoinHostPort("", port)
	}
	if !e.filter.Empty() {
		if e.allowed = allowed(e.filter, all); len(e.allowed) == 1 {
			bound = net.JoinHostPort(e.allowed[0].net.Addr().String(), port)
		}
	}
	return bound, offered, nil
}

// ownNetwork finds the interface that has the address.
func ownNetwork(ip netip.Addr, all []local) local {
	for _, l := range all {
		if l.net.Addr() == ip {
			return l
		}
	}
	return local{name: "unknown", net: netip.PrefixFrom(ip, ip.BitLen())}
}

var errNotChosen = errors.New("the other end uses another connection")

// welcome does the accepting end of greeting and hello. It owns conn, whatever it returns: no link
// and no error when the other end does not use it.
func (e *endpoint) welcome(conn net.Conn) (_ *link, err error) {
	defer func() {
		if err != nil {
			_ = attach.CloseQuietly(conn) // the error that counts is there already
		}
	}()
	if err := e.allow(conn); err != nil {
		return nil, err
	}
	if err := tune(conn, e.driver); err != nil {
		return nil, err
	}
	end, err := attach.Limit(e.links.Context(), conn)
	if err != nil {
		return nil, err
	}
	peer, err := e.meet(conn)
	if cause := end(); err == nil {
		err = cause
	}
	switch {
	case err == errNotChosen:
		e.log.Debug("zmq: the other end uses another connection", "rank", e.c.Rank, "from",
			attach.Name(conn.RemoteAddr()))
		return nil, attach.CloseQuietly(conn)
	case err != nil:
		return nil, err
	}
	return e.link(conn, peer)
}

// meet returns the rank that has dialled.
func (e *endpoint) meet(conn net.Conn) (int, error) {
	if err := greet(conn, zmq4.Pair, true); err != nil {
		return 0, err
	}
	m := newMessages(conn, transport.HelloMaxBytes)
	peer, err := transport.HelloAccept(e.self, e.c.Secret, m.exchange())
	if err != nil {
		return 0, err
	}
	if body, _, err := m.read(); err != nil || string(body) != chosen {
		return 0, errNotChosen
	}
	return peer.Rank, nil
}

// allow refuses connections from another user without a secret, and to an address that the
// interface filter leaves out.
func (e *endpoint) allow(conn net.Conn) error {
	switch c := conn.(type) {
	case *net.UnixConn:
		if len(e.c.Secret) > 0 {
			return nil // the hello tells more
		}
		return attach.SameUser(c, errUser)
	case *net.TCPConn:
		ip := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
		if e.allowed != nil && ownNetwork(ip, e.allowed).name == "unknown" {
			return fmt.Errorf("address %s of this host is left out by the interface filter %q", ip,
				e.c.Interface)
		}
	}
	return nil
}

// tune sets the options of a connection. Go has set TCP_NODELAY.
func tune(conn net.Conn, d driver) error {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return fmt.Errorf("a connection of type %T has no descriptor", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		if d.unixSendBytes == 0 {
			return nil
		}
		e := raw.Control(func(fd uintptr) {
			err = os.NewSyscallError("setsockopt SO_SNDBUF",
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, d.unixSendBytes))
		})
		return errors.Join(e, err)
	}
	if err := attach.KeepAlive(tcp); err != nil {
		return err
	}
	if err := raw.Control(func(fd uintptr) { goFar(int(fd), roundTrip(int(fd))) }); err != nil {
		return err
	}
	if d.userTimeout <= 0 {
		return nil
	}
	e := raw.Control(func(fd uintptr) { err = setUserTimeout(fd, d.userTimeout) })
	return errors.Join(e, err)
}
