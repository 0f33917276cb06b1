package transport

import (
	"encoding/binary"
	"fmt"
)

// HeaderBytes is the size of every frame's header.
const HeaderBytes = 64

// Version is the version of the frames. Peers of different versions refuse each other.
const Version = 1

// FingerprintBytes is the size of the part of a header that transports carry unseen.
const FingerprintBytes = 24

// Fingerprint is that part: what the two ends of a link have to agree on, as the layer above encodes it.
type Fingerprint [FingerprintBytes]byte

// Equal reports whether two fingerprints are the same, without the call that == makes for so many bytes.
func (f *Fingerprint) Equal(g *Fingerprint) bool {
	ne := binary.NativeEndian
	return ne.Uint64(f[0:]) == ne.Uint64(g[0:]) && ne.Uint64(f[8:]) == ne.Uint64(g[8:]) &&
		ne.Uint64(f[16:]) == ne.Uint64(g[16:])
}

// Kind tells what a frame is for.
type Kind uint8

// The kinds of frames. All but Data are control frames: they have at most MaxControl bytes of
// payload and are looked at as soon as they are read.
const (
	// Data carries elements of a call.
	Data Kind = iota + 1
	// Credit returns credit; its payload is empty.
	Credit
	// Abort carries the record of why a communicator has ended.
	Abort
	// Status says which call its sender is waiting in.
	Status
	// Goodbye says that its sender has closed the communicator.
	Goodbye
	kinds
)

// MaxControl bounds the payload of a control frame, in bytes.
const MaxControl = 4096

var kindNames = [kinds]string{
	Data: "data", Credit: "credit", Abort: "abort", Status: "status", Goodbye: "goodbye",
}

func (k Kind) String() string {
	if k < kinds && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Flags modify a frame.
type Flags uint16

const (
	// Checksummed says that Checksum is the CRC-32C of the payload.
	Checksummed Flags = 1 << iota
	// PointToPoint marks the frames of Send and Recv, which are ordered apart from collectives.
	PointToPoint
)

// Header stands before every payload. On the wire it has 64 bytes, little-endian:
//
//	 0  magic "TUTI"      4  version (1)      5  kind (1)       6  flags (2)
//	 8  epoch (4)        12  communicator (4)
//	16  sequence number of the call on its communicator (8)
//	24  step: the index of the frame among those of its call on this link (4)
//	28  length of the payload in bytes (4)
//	32  credit: bytes taken so far of this communicator's frames in the other direction, modulo 2^32 (4)
//	36  CRC-32C of the payload, when the flag Checksummed is set (4)
//	40  fingerprint of the call (24)
type Header struct {
	Kind        Kind
	Flags       Flags
	Epoch       uint32
	Comm        uint32
	Seq         uint64
	Step        uint32
	Length      uint32
	Credit      uint32
	Checksum    uint32
	Fingerprint Fingerprint
}

const magic = "TUTI"

// Encode writes the header into b, which has at least HeaderBytes.
func (h *Header) Encode(b []byte) {
	_ = b[HeaderBytes-1]
	copy(b, magic)
	b[4], b[5] = Version, byte(h.Kind)
	le := binary.LittleEndian
	le.PutUint16(b[6:], uint16(h.Flags))
	le.PutUint32(b[8:], h.Epoch)
	le.PutUint32(b[12:], h.Comm)
	le.PutUint64(b[16:], h.Seq)
	le.PutUint32(b[24:], h.Step)
	le.PutUint32(b[28:], h.Length)
	le.PutUint32(b[32:], h.Credit)
	le.PutUint32(b[36:], h.Checksum)
	copy(b[40:HeaderBytes], h.Fingerprint[:])
}

// Decode reads a header from the first HeaderBytes of b and checks all that can be checked
// without knowing the call: the magic, the version, the kind, and the length against maxPayload.
// The error is a *FrameError.
func (h *Header) Decode(b []byte, maxPayload int) error {
	switch {
	case len(b) < HeaderBytes:
		return &FrameError{Field: "header", Got: uint64(len(b)), Want: fmt.Sprint(HeaderBytes, " bytes")}
	case string(b[:4]) != magic:
		got := uint64(binary.LittleEndian.Uint32(b))
		return &FrameError{Field: "magic", Got: got, Want: fmt.Sprintf("%q", magic)}
	case b[4] != Version:
		return &FrameError{Field: "version", Got: uint64(b[4]), Want: fmt.Sprint(Version)}
	}
	le := binary.LittleEndian
	h.Kind = Kind(b[5])
	h.Flags = Flags(le.Uint16(b[6:]))
	h.Epoch = le.Uint32(b[8:])
	h.Comm = le.Uint32(b[12:])
	h.Seq = le.Uint64(b[16:])
	h.Step = le.Uint32(b[24:])
	h.Length = le.Uint32(b[28:])
	h.Credit = le.Uint32(b[32:])
	h.Checksum = le.Uint32(b[36:])
	copy(h.Fingerprint[:], b[40:HeaderBytes])
	return h.Check(maxPayload)
}

// Check checks the kind, and the length against maxPayload, for drivers that encode headers in a
// way of their own. The error is a *FrameError.
func (h *Header) Check(maxPayload int) error {
	if h.Kind == 0 || h.Kind >= kinds {
		return &FrameError{Field: "kind", Got: uint64(h.Kind), Want: fmt.Sprintf("1 to %d", kinds-1)}
	}
	limit := max(0, maxPayload)
	if h.Kind != Data {
		limit = min(limit, MaxControl)
	}
	if uint64(h.Length) > uint64(limit) {
		return &FrameError{Field: "length", Got: uint64(h.Length), Want: fmt.Sprint("at most ", limit)}
	}
	return nil
}
