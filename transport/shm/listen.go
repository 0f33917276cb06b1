//go:build linux

package shm

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// welcome does the accepting end of hello and offer. It owns conn, whatever it returns.
func (e *endpoint) welcome(conn net.Conn) (_ *link, err error) {
	c := conn.(*net.UnixConn) // of a Unix socket, as the listener is
	defer func() {
		if err != nil {
			_ = attach.CloseQuietly(c) // the error that counts is there already
		}
	}()
	if err := attach.SameUser(c, errUser); err != nil {
		return nil, err
	}
	end, err := attach.Limit(e.links.Context(), c)
	if err != nil {
		return nil, err
	}
	peer, err := transport.HelloAccept(attach.Identity(&e.c), e.c.Secret, transport.StreamExchange(c))
	if err != nil {
		return nil, errors.Join(err, end())
	}
	seg, err := accept(c)
	if err = errors.Join(err, end()); err != nil {
		release(seg.mem)
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("rank %d gave up after its hello: %w", peer.Rank, err)
		}
		return nil, err
	}
	return e.link(c, seg, peer.Rank, "the socket that it dialled, "+e.at.name)
}
