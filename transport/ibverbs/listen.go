//go:build ibverbs && cgo && linux

package ibverbs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// listen opens the socket at which peers ask for links.
func (e *endpoint) listen(ctx context.Context) error {
	host, ips, err := e.whereToListen()
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	if e.listener, err = lc.Listen(ctx, "tcp", host); err != nil {
		return err
	}
	d := e.device
	e.at = addresses{
		layer: d.layer, gid: d.gid.raw, ips: ips[:min(len(ips), maxAddresses)],
		port: e.listener.Addr().(*net.TCPAddr).AddrPort().Port(),
	}
	e.encoded = e.at.encode()
	secret := "with a secret"
	if len(e.c.Secret) == 0 {
		secret = "on loopback only: without a secret nobody else may connect"
	}
	e.log.Info("ibverbs: listening", "rank", e.c.Rank, "device", d.device, "port", d.number,
		"gid", d.gid.String(), "tcp port", e.at.port, "offered", e.at.ips, "security", secret)
	return nil
}

// whereToListen returns the address to bind and those to offer to peers: that of the port's GID
// first.
func (e *endpoint) whereToListen() (string, []netip.Addr, error) {
	ip, port, replaced, err := e.c.ListenAddress()
	if err != nil {
		return "", nil, err
	}
	if replaced {
		e.log.Warn("ibverbs: no secret: listening on loopback in place of what was asked for",
			"rank", e.c.Rank, "asked", e.c.Listen)
	}
	bound := net.JoinHostPort(ip.String(), port)
	if ip.IsValid() && !ip.IsUnspecified() {
		return bound, []netip.Addr{ip}, nil
	}
	if !ip.IsValid() {
		bound = net.JoinHostPort("", port)
	}
	all, err := e.locals()
	return bound, all, err
}

// locals lists the addresses of this host that others could reach, that of the GID first; loopback
// when there is nothing else.
func (e *endpoint) locals() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this host: %w", err)
	}
	var all, loopback []netip.Addr
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue // of a kind that TCP does not use
		}
		switch ip := p.Addr().Unmap().WithZone(""); {
		case ip.IsLoopback():
			loopback = append(loopback, ip)
		case !(ip.Is6() && ip.IsLinkLocalUnicast()):
			all = append(all, ip)
		}
	}
	own := e.device.gid.address()
	if i := slices.Index(all, own); i > 0 {
		all[0], all[i] = all[i], all[0]
	}
	if len(all) == 0 || slices.Contains(loopback, own) {
		all = append(loopback, all...)
	}
	if len(all) == 0 {
		return nil, errors.New("this host has no IP address")
	}
	return all, nil
}

// welcome does the accepting end of hello and agreement. It owns c, whatever it returns.
func (e *endpoint) welcome(c net.Conn) (_ *link, err error) {
	defer func() {
		if err != nil {
			_ = attach.CloseQuietly(c) // the error that counts is there already
		}
	}()
	end, err := attach.Limit(e.links.Context(), c)
	if err != nil {
		return nil, err
	}
	peer, err := transport.HelloAccept(attach.Identity(&e.c), e.c.Secret, transport.StreamExchange(c))
	if err != nil {
		return nil, errors.Join(err, end())
	}
	l, err := e.agree(c, peer.Rank, false)
	if cause := end(); cause != nil && err == nil {
		return nil, errors.Join(cause, l.drop())
	}
	return l, err
}
