package proxy

import (
	"bytes"
	"context"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

func FuzzMeta(f *testing.F) {
	m := notification(2)
	f.Add(m.append(nil), int64(100))
	f.Add([]byte{}, int64(1))
	reply := meta{
		sessionType: Task, stage: TaskComplete, flags: flagReply | flagFailure, re: newID(), kind: kindText,
		compression: compressedZstd, bodyBytes: 7, rawBytes: 99, tag: "tag",
	}
	f.Add(reply.append(nil), int64(100))
	f.Fuzz(func(t *testing.T, text []byte, limit int64) {
		if limit < 1 || limit > 1<<40 {
			return
		}
		if len(text) >= metaFixedBytes {
			if n, err := metaBytes(text); err == nil && n > metaFixedBytes+MaxTagBytes+1<<20 {
				t.Fatalf("a meta of %d bytes", n)
			}
		}
		var m meta
		if err := m.parse(text, limit); err != nil {
			return
		}
		if m.bodyBytes > uint64(limit) || m.rawBytes > uint64(limit) || !m.stage.of(m.sessionType) {
			t.Fatalf("%+v was taken", m)
		}
		again := m.append(nil)
		if !bytes.Equal(again, text) {
			t.Fatalf("% x\nis written as\n% x", text, again)
		}
	})
}

// frames makes frames of the fuzzer's bytes: each of an operation, and of numbers that are mostly
// those that come next.
type script struct {
	text []byte
	seq  uint64
	step uint32
	left uint64 // of the body under way
	re   []meta
}

func (s *script) byte() byte {
	if len(s.text) == 0 {
		return 0
	}
	b := s.text[0]
	s.text = s.text[1:]
	return b
}

func (s *script) bytes(n int) []byte {
	n = min(n, len(s.text))
	b := s.text[:n]
	s.text = s.text[n:]
	return b
}

// next is one frame of the script.
func (s *script) next(v *victim) frame {
	switch op := s.byte(); op % 8 {
	case 0, 1: // a first part, changed somewhere
		return s.first(op)
	case 2: // a further part
		payload := append(s.bytes(int(s.byte())), make([]byte, op)...)
		if op&64 == 0 {
			payload = payload[:min(uint64(len(payload)), s.left)]
		}
		s.left -= min(s.left, uint64(len(payload)))
		s.step++
		return data(s.seq, s.step-1, payload)
	case 3:
		p := v.e.peers["rogue"]
		return acking(frame{h: transport.Header{Kind: transport.Credit}},
			min(uint64(s.byte()), p.outbox.seq), min(uint64(s.byte()), p.outbox.ordinal))
	case 4:
		return acking(frame{h: transport.Header{Kind: transport.Status}}, uint64(s.byte()), 0)
	case 5:
		return intro("rogue", "worker", int64(s.byte())*100+1)
	case 6:
		text := s.bytes(int(s.byte()))
		return frame{transport.Header{
			Kind: transport.Kind(op >> 3), Seq: uint64(s.byte()), Step: uint32(s.byte() % 3),
			Length: uint32(len(text)),
		}, text}
	}
	return frame{h: transport.Header{Kind: transport.Goodbye}}
}

func (s *script) first(op byte) frame {
	m := meta{
		sessionType: SessionType(s.byte() % 3), session: newID(), message: newID(),
		kind: bodyKind(s.byte() % 18), compression: compressionKind(s.byte() % 4),
		rawBytes: uint64(s.byte()), tag: "t",
	}
	m.stage = m.sessionType.request()
	if k := int(s.byte()); k < len(s.re) { // an answer
		m.sessionType, m.flags, m.stage = s.re[k].sessionType, flagReply, TaskComplete
		m.session, m.re = s.re[k].session, s.re[k].message
	}
	m.bodyBytes = uint64(s.byte()) << (op >> 4)
	payload := m.append(nil)
	if at := int(s.byte()); at < len(payload) && op&8 != 0 {
		payload[at] ^= s.byte()
	}
	body := s.bytes(int(min(m.bodyBytes, 64)))
	s.seq++
	s.step, s.left = 1, m.bodyBytes-uint64(len(body))
	return data(s.seq, 0, append(payload, body...))
}

// FuzzFrames sends an engine anything, between what its application does.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 0, 9, 9, 9, 255, 5, 'h', 'e', 'l', 'l', 'o'})
	f.Add([]byte{1, 2, 1, 0, 0, 255, 200, 255, 2, 3, 1, 2, 3, 2, 255, 0, 1})
	f.Add(bytes.Repeat([]byte{0, 1, 2, 0, 0, 0, 5, 255}, 20))
	f.Add([]byte{3, 1, 1, 6, 3, 0, 0, 7, 7, 7, 4, 200, 5, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		v := newVictim(t, WithWindow(4096), WithMaxMessage(1<<20))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		s := &script{text: text}
		v.rogue.feed(intro("rogue", "worker", 500))
		v.rogue.part = int(s.byte() % 8)
		for range 200 {
			if len(s.text) == 0 || v.rogue.closed() {
				break
			}
			if s.byte()%4 == 0 {
				m := NewSessionMessage("t", "rogue", []byte("body"), SessionType(s.byte()%3))
				id, err := v.ISend(ended, m)
				if err == nil && s.byte()%3 == 0 && v.Session(id) != nil {
					v.Session(id).Cancel()
				}
				if sent := v.rogue.frames(); sent[len(sent)-1].h.Kind == transport.Data {
					var m meta
					p := sent[len(sent)-1].payload
					if n := metaFixedBytes + 1; len(p) >= n && m.parse(p[:n], 100) == nil {
						s.re = append(s.re, m)
					}
				}
			}
			v.e.enter()
			f := s.next(v)
			v.e.leave()
			v.rogue.feed(f)
			v.move()
			if s.byte()%4 == 0 {
				_, _ = v.ReceiveOnce(ended) // what it is does not matter here
			}
			v.look(func(e *engine) {
				held := 0
				for _, l := range e.links {
					held += cap(l.in.body) + cap(l.in.text) + cap(l.in.control)
				}
				if in := &e.peers["rogue"].inflow; held > 4<<20 || in.unconsumed > 4096+1<<20+2000 {
					t.Fatalf("%d bytes are held, %d not consumed", held, in.unconsumed)
				}
			})
		}
		v.end()
	})
}
