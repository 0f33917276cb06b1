package transport

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// HelloMaxBytes bounds a message of the exchange that HelloDial and HelloAccept have.
const HelloMaxBytes = 1024

// Every message, little-endian:
//
//	0  magic "TUTH"   4  version (1)   5  message type (1)   6  length of what follows (2)
//
// hello and welcome:
//
//	 8  has a secret, 0 or 1 (1)   9  length of the proof, 0 or 32 (1)
//	10  length of the job (1)     11  length of the host's id (1)
//	12  rank (4)   16  size (4)   20  rank of the other end (4)   24  nonce (32)
//	56  job, host's id, proof
//
// proof: the proof, 0 or 32 bytes. ready: nothing. refusal, the same in all versions:
//
//	 8  reason (1)   9  spare (1)   10  length of the text (2)   12  rank of the refuser (4)
//	16  text
const (
	helloMagic    = "TUTH"
	prefixBytes   = 8
	fixedBytes    = 48 // of a hello or welcome, after the prefix
	refusalBytes  = 8  // of a refusal, after the prefix
	nonceBytes    = 32
	proofBytes    = 32
	maxName       = 255
	maxTextBytes  = 256
	maxHelloBytes = prefixBytes + fixedBytes + 2*maxName + proofBytes
)

// The longest message is under the limit.
const _ = uint(HelloMaxBytes - maxHelloBytes)

type messageType uint8

const (
	helloMessage messageType = iota + 1
	welcomeMessage
	proofMessage
	readyMessage
	refusalMessage
	messageTypes
)

// introduction is what an end says of itself in a hello or a welcome; a proof message fills in the
// proof alone.
type introduction struct {
	secret           bool
	rank, size, peer uint32
	nonce            [nonceBytes]byte
	job, host        string
	proof            []byte
}

func (i *introduction) identity() Identity {
	return Identity{Rank: int(i.rank), Size: int(i.size), Job: i.job, HostID: i.host}
}

func appendPrefix(b []byte, t messageType, length int) []byte {
	b = append(b, helloMagic...)
	b = append(b, Version, byte(t))
	return binary.LittleEndian.AppendUint16(b, uint16(length))
}

func (i *introduction) append(b []byte, t messageType) []byte {
	le := binary.LittleEndian
	b = appendPrefix(b, t, fixedBytes+len(i.job)+len(i.host)+len(i.proof))
	secret := byte(0)
	if i.secret {
		secret = 1
	}
	b = append(b, secret, byte(len(i.proof)), byte(len(i.job)), byte(len(i.host)))
	b = le.AppendUint32(b, i.rank)
	b = le.AppendUint32(b, i.size)
	b = le.AppendUint32(b, i.peer)
	b = append(b, i.nonce[:]...)
	b = append(b, i.job...)
	b = append(b, i.host...)
	return append(b, i.proof...)
}

func appendProof(b, proof []byte) []byte {
	return append(appendPrefix(b, proofMessage, len(proof)), proof...)
}

func appendRefusal(b []byte, why *HelloError, rank int) []byte {
	text := why.toStranger(rank)
	text = text[:min(len(text), maxTextBytes)]
	b = appendPrefix(b, refusalMessage, refusalBytes+len(text))
	b = append(b, byte(why.Reason), 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	b = binary.LittleEndian.AppendUint32(b, uint32(rank))
	return append(b, text...)
}

// checkPrefix looks at the first prefixBytes of a message and returns its type and the length of
// the rest.
func checkPrefix(b []byte) (messageType, int, *HelloError) {
	if n := min(len(b), len(helloMagic)); n == 0 || string(b[:n]) != helloMagic[:n] {
		shown := fmt.Sprintf("%q", b[:min(len(b), 16)])
		return 0, 0, &HelloError{Reason: HelloGarbage, There: shown}
	}
	if len(b) < prefixBytes {
		return 0, 0, malformed("a prefix of %d bytes", len(b))
	}
	t, length := messageType(b[5]), int(binary.LittleEndian.Uint16(b[6:]))
	if b[4] != Version && t != refusalMessage {
		return 0, 0, &HelloError{
			Reason: HelloVersion, Here: fmt.Sprint(Version), There: fmt.Sprint(b[4]),
		}
	}
	if length > HelloMaxBytes-prefixBytes {
		return 0, 0, malformed("a message of %d bytes", length+prefixBytes)
	}
	return t, length, nil
}

// decodeMessage checks all of a message and fills into with it, which is nil for a ready. A
// refusal of the other end is the error that it made of it.
func decodeMessage(b []byte, want messageType, into *introduction) *HelloError {
	t, length, err := checkPrefix(b)
	if err != nil {
		return err
	}
	body := b[prefixBytes:]
	if len(body) != length {
		return malformed("a message of %d bytes that says it has %d", len(b), length+prefixBytes)
	}
	switch {
	case t == refusalMessage:
		return decodeRefusal(body)
	case t != want:
		return malformed("message type %d, not %d,", t, want)
	case t == readyMessage && length != 0:
		return malformed("a ready with %d bytes", length)
	case t == proofMessage:
		if length != 0 && length != proofBytes {
			return malformed("a proof of %d bytes", length)
		}
		into.proof = append([]byte(nil), body...)
	case t == helloMessage || t == welcomeMessage:
		return into.decode(body, t)
	}
	return nil
}

func (i *introduction) decode(b []byte, t messageType) *HelloError {
	if len(b) < fixedBytes {
		return malformed("an introduction of %d bytes", len(b))
	}
	secret, proof, job, host := b[0], int(b[1]), int(b[2]), int(b[3])
	wantProof := 0
	if t == welcomeMessage && secret == 1 {
		wantProof = proofBytes
	}
	switch {
	case secret > 1:
		return malformed("a mark %d for a secret", secret)
	case proof != wantProof:
		return malformed("a proof of %d bytes", proof)
	case len(b) != fixedBytes+job+host+proof:
		return malformed("an introduction of %d bytes with parts of %d", len(b),
			fixedBytes+job+host+proof)
	}
	le := binary.LittleEndian
	i.secret = secret == 1
	i.rank, i.size, i.peer = le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	copy(i.nonce[:], b[16:fixedBytes])
	b = b[fixedBytes:]
	i.job, i.host = string(b[:job]), string(b[job:job+host])
	i.proof = append([]byte(nil), b[job+host:]...)
	return nil
}

func decodeRefusal(b []byte) *HelloError {
	if len(b) < refusalBytes || len(b) != refusalBytes+int(binary.LittleEndian.Uint16(b[2:])) ||
		len(b) > refusalBytes+maxTextBytes {
		return malformed("a refusal of %d bytes", len(b))
	}
	text := string(b[refusalBytes:])
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "?")
	}
	return &HelloError{Reason: HelloReason(b[0]), Refused: true, There: text}
}

func malformed(format string, args ...any) *HelloError {
	return &HelloError{Reason: HelloMalformed, There: fmt.Sprintf(format, args...)}
}

// StreamExchange is the Exchange over a stream: the messages say how long they are. It reads not a
// byte beyond the message, so the stream can be used for frames afterwards.
func StreamExchange(rw io.ReadWriter) Exchange {
	buffer := make([]byte, HelloMaxBytes)
	return Exchange{
		Send: func(message []byte) error {
			_, err := rw.Write(message)
			return err
		},
		Recv: func() ([]byte, error) {
			if n, err := io.ReadFull(rw, buffer[:prefixBytes]); err != nil {
				if n > 0 && err == io.ErrUnexpectedEOF {
					return buffer[:n], nil // the exchange says what it looks like
				}
				return nil, err
			}
			_, length, bad := checkPrefix(buffer)
			if bad != nil {
				return buffer[:prefixBytes], nil
			}
			n, err := io.ReadFull(rw, buffer[prefixBytes:prefixBytes+length])
			if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
				return nil, err
			}
			return buffer[:prefixBytes+n], nil
		},
	}
}
