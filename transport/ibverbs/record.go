package ibverbs

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// After the hello each end describes its queue pair, the dialler first, in a record of recordBytes:
//
//	 0  "TUTTIRDM"   8  version (1)   9  link layer: 1 InfiniBand, 2 Ethernet (1)   10  MTU code (1)
//	11  0 or, for a refusal, the length of the text that follows (1)
//	12  LID (4)   16  queue pair (4)   20  first packet number (4)   24  GID (16)
//	40  address of the ring (8)   48  its key (4)   52  its size (4)   56  messages it takes (4)
//	60  reads at a time (4)
//
// Numbers are little-endian. The acceptor answers when its queue pair is ready to receive, and the
// dialler says with one byte that its own is. An end that can't go on says why with a refusal,
// whose other fields are 0.
const (
	recordMagic   = "TUTTIRDM"
	recordVersion = 3
	recordBytes   = 64
	maxRefusal    = 255
	readyByte     = 'y'
)

// The link layers.
const (
	infiniBand = 1
	ethernet   = 2
)

// record is what an end of a link says of its queue pair.
type record struct {
	layer, mtu uint8
	lid        uint32
	qp, psn    uint32
	gid        [16]byte
	ring       uint64
	key        uint32
	size       uint32
	messages   uint32
	reads      uint32
}

func (r *record) encode() []byte {
	b := make([]byte, recordBytes)
	copy(b, recordMagic)
	b[8], b[9], b[10] = recordVersion, r.layer, r.mtu
	le := binary.LittleEndian
	le.PutUint32(b[12:], r.lid)
	le.PutUint32(b[16:], r.qp)
	le.PutUint32(b[20:], r.psn)
	copy(b[24:], r.gid[:])
	le.PutUint64(b[40:], r.ring)
	le.PutUint32(b[48:], r.key)
	le.PutUint32(b[52:], r.size)
	le.PutUint32(b[56:], r.messages)
	le.PutUint32(b[60:], r.reads)
	return b
}

// encodeRefusal tells the other end why there will be no link.
func encodeRefusal(why string) []byte {
	why = strings.ToValidUTF8(why[:min(len(why), maxRefusal)], "")
	b := make([]byte, recordBytes, recordBytes+len(why))
	copy(b, recordMagic)
	b[8], b[11] = recordVersion, byte(len(why))
	return append(b, why...)
}

// readRecord reads what the other end says. The error is a *PeerError when it has refused.
func readRecord(from io.Reader) (record, error) {
	var b [recordBytes + maxRefusal]byte
	if _, err := io.ReadFull(from, b[:recordBytes]); err != nil {
		return record{}, err
	}
	if string(b[:8]) != recordMagic || b[8] != recordVersion {
		return record{}, fmt.Errorf("%w: it begins with %q, want %q and version %d", errRecord, b[:9],
			recordMagic, recordVersion)
	}
	if n := int(b[11]); n > 0 {
		text := b[recordBytes : recordBytes+n]
		if _, err := io.ReadFull(from, text); err != nil {
			return record{}, err
		}
		if !utf8.Valid(text) {
			return record{}, fmt.Errorf("%w: a refusal of %d bytes that are no text", errRecord, n)
		}
		return record{}, &PeerError{Text: string(text)}
	}
	le := binary.LittleEndian
	r := record{
		layer: b[9], mtu: b[10], lid: le.Uint32(b[12:]), qp: le.Uint32(b[16:]),
		psn: le.Uint32(b[20:]), gid: [16]byte(b[24:40]), ring: le.Uint64(b[40:]),
		key: le.Uint32(b[48:]), size: le.Uint32(b[52:]), messages: le.Uint32(b[56:]),
		reads: le.Uint32(b[60:]),
	}
	return r, r.check()
}

// check looks at all that can be checked without a device.
func (r *record) check() error {
	const bits24 = 1 << 24
	bad := func(what string, got any) error {
		return fmt.Errorf("%w: %s is %v", errRecord, what, got)
	}
	switch {
	case r.layer != infiniBand && r.layer != ethernet:
		return bad("the link layer", r.layer)
	case r.mtu < 1 || r.mtu > 5:
		return bad("the MTU code", r.mtu)
	case r.lid >= 1<<16:
		return bad("the LID", r.lid)
	case r.qp >= bits24:
		return bad("the number of the queue pair", r.qp)
	case r.psn >= bits24:
		return bad("the first packet number", r.psn)
	case r.size < ringMin || r.size > ringMax || r.size&(r.size-1) != 0:
		return bad("the size of the ring", r.size)
	case r.ring%lineBytes != 0:
		return bad("the address of the ring", r.ring)
	case r.messages < depthMin || r.messages > depthMax:
		return bad("the number of messages", r.messages)
	case r.reads > 255:
		return bad("the number of reads", r.reads)
	}
	return nil
}
