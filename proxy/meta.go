package proxy

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// A message on the wire is its meta, then its body, cut into frames of the link's size; small ones,
// whose numbers follow each other, may share a frame. The meta, all numbers little-endian:
//
//	 0  version (1)       1  session type (1)    2  stage (1)         3  flags (1)
//	 4  kind of body (1)  5  compression (1)     6  bytes of tag (2)
//	 8  session id (16)  24  message id (16)    40  id of the message answered (16)
//	56  bytes of body (8)                       64  bytes of body before compression (8)
//	72  bytes of relay (4)                      76  tag, relay
const (
	metaVersion    = 1
	metaFixedBytes = 76
	maxRelayBytes  = 1 << 20
)

// The flags of a meta.
const (
	// flagReply: the message answers another one.
	flagReply = 1 << iota
	// flagFailure: the body is the text of an error that ended the other's handling.
	flagFailure
	// flagVoid: the sender has given the message up; its number on the stream stays.
	flagVoid
	// flagBroadcast: the destination is the receiver's type.
	flagBroadcast
	// flagRelay: the message comes from the source that the relay names, and goes on to others.
	flagRelay
	// flagAgain: the receiver may have the message from a relay already.
	flagAgain
	// flagReceipt: there is no message; one that a relay brought is here and, with flagReceived, the
	// application has it.
	flagReceipt
	flagReceived
)

// meta is what stands before a body.
type meta struct {
	sessionType SessionType
	stage       Stage
	flags       uint8
	kind        bodyKind
	compression compressionKind
	session     ID
	message     ID
	re          ID
	bodyBytes   uint64
	rawBytes    uint64
	tag         string
	relay       []byte
}

// append writes the meta behind b.
func (m *meta) append(b []byte) []byte {
	b = slices.Grow(b, metaFixedBytes+len(m.tag)+len(m.relay))
	b = append(b, metaVersion, byte(m.sessionType), byte(m.stage), m.flags, byte(m.kind),
		byte(m.compression))
	le := binary.LittleEndian
	b = le.AppendUint16(b, uint16(len(m.tag)))
	b = append(b, m.session[:]...)
	b = append(b, m.message[:]...)
	b = append(b, m.re[:]...)
	b = le.AppendUint64(b, m.bodyBytes)
	b = le.AppendUint64(b, m.rawBytes)
	b = le.AppendUint32(b, uint32(len(m.relay)))
	b = append(b, m.tag...)
	return append(b, m.relay...)
}

// metaBytes returns how long the meta is that begins with the fixed part b. All lengths are checked
// before anything is made for them.
func metaBytes(b []byte) (int, error) {
	tag := int(binary.LittleEndian.Uint16(b[6:]))
	relay := int64(binary.LittleEndian.Uint32(b[72:]))
	switch {
	case b[0] != metaVersion:
		return 0, &WireError{Field: "version of a message", Got: uint64(b[0]), Want: "1"}
	case tag > MaxTagBytes:
		return 0, &WireError{
			Field: "bytes of a tag", Got: uint64(tag), Want: fmt.Sprint("at most ", MaxTagBytes),
		}
	case relay > maxRelayBytes:
		return 0, &WireError{
			Field: "bytes of a relay", Got: uint64(relay), Want: fmt.Sprint("at most ", maxRelayBytes),
		}
	}
	return metaFixedBytes + tag + int(relay), nil
}

// parse reads a whole meta, of metaBytes bytes, and checks all that can be checked without knowing
// the session. The error is a *WireError.
func (m *meta) parse(b []byte, maxMessage int64) error {
	bad := func(field string, got uint64, want string) error {
		return &WireError{Field: field, Got: got, Want: want}
	}
	if len(b) < metaFixedBytes {
		return bad("bytes of a meta", uint64(len(b)), fmt.Sprint("at least ", metaFixedBytes))
	}
	n, err := metaBytes(b)
	switch {
	case err != nil:
		return err
	case n != len(b):
		return bad("bytes of a meta", uint64(len(b)), fmt.Sprint(n))
	}
	le := binary.LittleEndian
	m.sessionType, m.stage, m.flags = SessionType(b[1]), Stage(b[2]), b[3]
	m.kind, m.compression = bodyKind(b[4]), compressionKind(b[5])
	copy(m.session[:], b[8:])
	copy(m.message[:], b[24:])
	copy(m.re[:], b[40:])
	m.bodyBytes, m.rawBytes = le.Uint64(b[56:]), le.Uint64(b[64:])
	tag := metaFixedBytes + int(le.Uint16(b[6:]))
	m.relay = nil
	if m.tag != string(b[metaFixedBytes:tag]) { // often it is as that of the message before
		m.tag = string(b[metaFixedBytes:tag])
	}
	if m.flags&flagRelay != 0 {
		m.relay = slices.Clone(b[tag:])
	}
	switch {
	case m.sessionType >= sessionTypes:
		return bad("session type", uint64(m.sessionType), fmt.Sprint("at most ", sessionTypes-1))
	case !m.stage.of(m.sessionType):
		return bad("stage", uint64(m.stage), "one of a "+m.sessionType.String())
	case m.flags&flagReceived != 0 && m.flags&flagReceipt == 0:
		return bad("flags", uint64(m.flags), "received in a receipt")
	case (m.flags&flagRelay != 0) != (tag < len(b)),
		m.flags&flagRelay != 0 && m.flags&flagReply != 0:
		return bad("bytes of a relay", uint64(len(b)-tag), "some, with the flag, in a request")
	case m.flags&flagFailure != 0 && m.flags&flagReply == 0:
		return bad("flags", uint64(m.flags), "no failure in a request")
	case m.flags&flagReceipt != 0 && (m.flags&flagReply == 0 || m.bodyBytes != 0):
		return bad("bytes of a receipt", m.bodyBytes, "0, in a reply")
	case m.flags&flagVoid != 0 && m.bodyBytes != 0:
		return bad("bytes of a void body", m.bodyBytes, "0")
	case m.bodyBytes > uint64(maxMessage):
		return bad("bytes of a body", m.bodyBytes, fmt.Sprint("at most ", maxMessage))
	case m.rawBytes > uint64(maxMessage):
		return bad("bytes of a body before compression", m.rawBytes, fmt.Sprint("at most ", maxMessage))
	case m.flags&(flagReply|flagReceipt) == flagReply && m.sessionType == Task &&
		m.stage == TaskRequest:
		return bad("stage of a reply", uint64(m.stage), "a later one")
	case m.flags&flagReply == 0 && m.stage != m.sessionType.request():
		return bad("stage of a request", uint64(m.stage), m.sessionType.request().String())
	}
	return nil
}

// The acknowledgements that every frame carries in its header's fingerprint: how many messages of
// the other direction's stream have been delivered, and how many requests among them consumed.
func putAcks(fingerprint []byte, delivered, consumed uint64) {
	binary.LittleEndian.PutUint64(fingerprint, delivered)
	binary.LittleEndian.PutUint64(fingerprint[8:], consumed)
}

func acks(fingerprint []byte) (delivered, consumed uint64) {
	return binary.LittleEndian.Uint64(fingerprint), binary.LittleEndian.Uint64(fingerprint[8:])
}
