//go:build linux || darwin

package zmq

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// rank opens the endpoint of a rank of a job of three.
func rank(t testing.TB, m Mode, i int, change func(*transport.Config)) *endpoint {
	t.Helper()
	c := transport.Config{Rank: i, Size: 3, Job: "job", HostID: "host"}
	if change != nil {
		change(&c)
	}
	e, err := New(m).Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e.(*endpoint)
}

func logging(l *lines) func(*transport.Config) {
	return func(c *transport.Config) { c.Logger = l.logger() }
}

// at encodes the addresses of e, changed.
func at(t testing.TB, e *endpoint, change func(*addresses)) []byte {
	t.Helper()
	a := e.at
	a.tcp = append([]netip.Prefix(nil), a.tcp...)
	change(&a)
	b, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func loopback(last byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, last}), 32)
}

func acceptFrom(t testing.TB, e *endpoint, peer int) transport.Link {
	t.Helper()
	for {
		if l := e.Accept(); l != nil {
			if l.Peer() != peer {
				t.Fatalf("accepted %v, want rank %d", l, peer)
			}
			return l
		}
		e.Wait(time.Time{})
	}
}

func TestAutoFallsBackToTCP(t *testing.T) {
	log := newLines()
	a, b := rank(t, Auto, 0, logging(log)), rank(t, Auto, 1, nil)
	l, err := a.Dial(t.Context(), 1, b.Addresses())
	if err != nil || !strings.HasPrefix(l.String(), "zmq unix, rank 0 at ") {
		t.Fatal(l, err)
	}
	acceptFrom(t, b, 0)
	lost := at(t, b, func(a *addresses) { a.unix += "-gone" })
	l, err = a.Dial(t.Context(), 1, lost)
	if err != nil || !strings.HasPrefix(l.String(), "zmq tcp, rank 0 at ") {
		t.Fatal(l, err)
	}
	acceptFrom(t, b, 0)
	if n := len(log.with("falling back to TCP")); n != 1 {
		t.Errorf("%d lines say so", n)
	}
	connected := log.with("zmq: connected")
	if len(connected) != 2 || !strings.Contains(connected[1], "address=tcp 127.0.0.1:") ||
		!strings.Contains(connected[1], "why=same host") {
		t.Errorf("%q", connected)
	}
}

func TestAnotherHostIsNotReachedByLocalMeans(t *testing.T) {
	for _, m := range []Mode{Auto, TCP, IPC} {
		a, b := rank(t, m, 0, nil), rank(t, m, 1, func(c *transport.Config) { c.HostID = "another" })
		_, err := a.Dial(t.Context(), 1, b.Addresses())
		var link *transport.LinkError
		if !errors.As(err, &link) || !errors.Is(err, errElsewhere) || link.Remedy == "" {
			t.Errorf("%v: %v", m, err)
		}
	}
}

// TestRaceOfAddresses offers addresses of which one refuses, one is silent, one belongs to another
// rank, and the last is right.
func TestRaceOfAddresses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs the addresses 127.0.0.2 to 127.0.0.4")
	}
	log := newLines()
	a, b := rank(t, TCP, 0, logging(log)), rank(t, TCP, 1, nil)
	port := strconv.Itoa(int(b.at.port))
	silent, err := net.Listen("tcp", "127.0.0.3:"+port)
	if err != nil {
		t.Skip(err) // somebody has the port there
	}
	defer silent.Close()
	other := rank(t, TCP, 2, func(c *transport.Config) { c.Listen = "127.0.0.4:" + port })
	l, err := a.Dial(t.Context(), 1, at(t, b, func(a *addresses) {
		a.tcp = []netip.Prefix{loopback(2), loopback(3), loopback(4), loopback(1)}
	}))
	if err != nil || l.Peer() != 1 {
		t.Fatal(l, err)
	}
	acceptFrom(t, b, 0)
	if l := other.Accept(); l != nil {
		t.Errorf("the wrong rank has %v", l)
	}
	connected := log.with("zmq: connected")
	if len(connected) != 1 || !strings.Contains(connected[0], "address=tcp 127.0.0.1:") ||
		!strings.Contains(connected[0], "127.0.0.3:") {
		t.Errorf("%q", connected)
	}
}

func TestDialErrorTellsEveryAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs the address 127.0.0.2")
	}
	a, b := rank(t, TCP, 0, nil), rank(t, TCP, 1, nil)
	address := at(t, b, func(a *addresses) { a.tcp = []netip.Prefix{loopback(2), loopback(1)} })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(50*time.Millisecond))
	defer cancel()
	_, err := a.Dial(ctx, 1, address)
	var link *transport.LinkError
	if !errors.As(err, &link) || link.Phase != "dial" || link.Peer != 1 {
		t.Fatalf("%#v", err)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not say that the time is over", err)
	}
	var tries *DialError
	if !errors.As(err, &tries) || len(tries.Attempts) != 2 {
		t.Fatalf("%v", err)
	}
	for i, ip := range []string{"127.0.0.2", "127.0.0.1"} {
		try := tries.Attempts[i]
		known := errors.Is(try.Err, syscall.ECONNREFUSED) || errors.Is(try.Err, context.Canceled) ||
			errors.Is(try.Err, context.DeadlineExceeded)
		if !strings.HasPrefix(try.Address, "tcp "+ip) || !known || !strings.Contains(link.Address, ip) {
			t.Errorf("attempt %d: %+v", i, try)
		}
	}
}

// TestDialWaitsForAListener dials an address where nobody listens yet.
func TestDialWaitsForAListener(t *testing.T) {
	a := rank(t, TCP, 0, nil)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	place := free.Addr().(*net.TCPAddr).AddrPort()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	end := make(chan error, 1)
	address := at(t, a, func(a *addresses) { a.port = place.Port() })
	go func() {
		_, err := a.Dial(ctx, 1, address)
		end <- err
	}()
	b := rank(t, TCP, 1, func(c *transport.Config) { c.Listen = place.String() })
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	acceptFrom(t, b, 0)
}

func TestSecretsDiffer(t *testing.T) {
	secret := func(s string) func(*transport.Config) {
		return func(c *transport.Config) { c.Secret, c.Interface = []byte(s), "127.0.0.1" }
	}
	a, b := rank(t, TCP, 0, secret("one")), rank(t, TCP, 1, secret("another"))
	_, err := a.Dial(t.Context(), 1, b.Addresses())
	var link *transport.LinkError
	var hello *transport.HelloError
	if !errors.As(err, &hello) || !errors.As(err, &link) || link.Phase != "hello" ||
		link.Remedy == "" {
		t.Errorf("%v", err)
	}
}

// TestCloseEndsDial dials a peer that never answers, and closes the endpoint.
func TestCloseEndsDial(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a := rank(t, TCP, 0, nil)
	address := at(t, a, func(a *addresses) {
		a.port = silent.Addr().(*net.TCPAddr).AddrPort().Port()
	})
	end := make(chan error, 1)
	go func() {
		_, err := a.Dial(context.Background(), 1, address)
		end <- err
	}()
	c, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, greetingBytes)); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-end; !errors.Is(err, transport.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// TestOnlyTheChosenConnectionIsALink says hello and goes away, as the loser of a race does.
func TestOnlyTheChosenConnectionIsALink(t *testing.T) {
	log := newLines()
	b := rank(t, TCP, 1, logging(log))
	c, err := connectTo(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := greet(c, zmq4.Pair, false); err != nil {
		t.Fatal(err)
	}
	self := transport.Identity{Rank: 0, Size: 3, Job: "job"}
	x := newMessages(c, transport.HelloMaxBytes).exchange()
	if _, err := transport.HelloDial(self, 1, nil, x); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	log.await(t, 1, "the other end uses another connection")
	if l := b.Accept(); l != nil {
		t.Errorf("it became %v", l)
	}
	if w := log.with("WARN"); len(w) != 0 {
		t.Errorf("%q", w)
	}
}

func TestWhereToListen(t *testing.T) {
	for _, c := range []struct {
		listen, filter, secret string
		bound, offered         string // "" is an error
	}{
		{"", "", "", "127.0.0.1:0", "127.0.0.1"},
		{":7", "", "", "127.0.0.1:7", "127.0.0.1"},
		{"10.0.0.5:7", "", "", "127.0.0.1:7", "127.0.0.1"},
		{"127.0.0.9:7", "", "", "127.0.0.9:7", "127.0.0.9"},
		{"[::1]:7", "", "", "[::1]:7", "::1"},
		{"", "", "s", ":0", "10.0.0.5 192.168.7.5 2001:db8::5"},
		{"0.0.0.0:7", "", "s", "0.0.0.0:7", "10.0.0.5 192.168.7.5 2001:db8::5"},
		{"10.0.0.5:7", "", "s", "10.0.0.5:7", "10.0.0.5"},
		{":7", "eth0", "s", "10.0.0.5:7", "10.0.0.5"},
		{":7", "eth1", "s", ":7", "192.168.7.5 2001:db8::5"},
		{":7", "eth9", "s", "", ""},
		{"7", "", "s", "", ""},
		{"example.org:7", "", "s", "", ""},
		{":port", "", "s", "", ""},
	} {
		e := &endpoint{c: transport.Config{Listen: c.listen, Secret: []byte(c.secret)}}
		e.log = attach.Logger(nil)
		var err error
		if e.filter, err = transport.ParseFilter(c.filter); err != nil {
			t.Fatal(err)
		}
		listed := false
		e.locals = func() ([]local, error) {
			listed = true
			return sampleLocals(), nil
		}
		bound, offered, err := e.whereToListen()
		if listed && c.secret == "" {
			t.Errorf("%+v: the interfaces were listed, for loopback", c)
		}
		var names []string
		for _, o := range offered {
			names = append(names, o.net.Addr().String())
		}
		got := strings.Join(names, " ")
		if bound != c.bound || got != c.offered || (err == nil) != (c.bound != "") {
			t.Errorf("%+v: bound %q, offered %q, %v", c, bound, names, err)
		}
	}
}

func TestListeningIsSaidOnce(t *testing.T) {
	log := newLines()
	rank(t, Auto, 0, logging(log))
	if l := log.with("on loopback only"); len(l) != 1 || len(log.with("")) != 1 {
		t.Errorf("%q", log.with(""))
	}
}

func TestOpenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]transport.Config{
		"a port in use":       {Rank: 0, Size: 1, Listen: taken.Addr().String()},
		"a rank out of range": {Rank: 3, Size: 3},
		"no interface":        {Rank: 0, Size: 1, Secret: []byte("s"), Interface: "nosuch0"},
		"no port":             {Rank: 0, Size: 1, Listen: "127.0.0.1"},
		"a negative limit":    {Rank: 0, Size: 1, MaxPayload: -1},
		"a long host id":      {Rank: 0, Size: 1, HostID: strings.Repeat("x", 256)},
	} {
		_, err := New(Auto).Open(context.Background(), c)
		var link *transport.LinkError
		if !errors.As(err, &link) || link.Phase != "listen" {
			t.Errorf("%s: %v", name, err)
		}
		if name == "a port in use" && (!errors.Is(err, syscall.EADDRINUSE) || link.Remedy == "" ||
			!strings.Contains(err.Error(), taken.Addr().String())) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInterfaceFilterAtAccept(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e := &endpoint{allowed: sampleLocals()[1:3], c: transport.Config{Interface: "eth0,eth1"}}
	err = e.allow(c)
	want := `127.0.0.1 of this host is left out by the interface filter "eth0,eth1"`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
	e.allowed = sampleLocals()[:1]
	if err := e.allow(c); err != nil {
		t.Error(err)
	}
}

func TestCandidatesOrder(t *testing.T) {
	listed := func() ([]local, error) { return sampleLocals(), nil }
	e := &endpoint{locals: listed, at: addresses{host: "h", space: "n"}}
	there := &addresses{host: "other", space: "n", unix: "@x", port: 5}
	for _, s := range []string{"172.30.0.1/16", "192.168.9.9/16", "127.0.0.1/32", "10.0.0.9/24"} {
		there.tcp = append(there.tcp, netip.MustParsePrefix(s))
	}
	stages, left := e.candidates(there)
	var b bytes.Buffer
	for _, s := range stages {
		for _, c := range s {
			b.WriteString(c.String() + " (" + c.why + "), ")
		}
	}
	want := "tcp 192.168.9.9:5 (same network as eth1), tcp 10.0.0.9:5 (same network as eth0), " +
		"tcp 172.30.0.1:5 (through a router), "
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	if len(left) != 2 || left[0].Address != "unix @x" || left[1].Address != "tcp 127.0.0.1:5" {
		t.Errorf("left out: %+v", left)
	}
}
