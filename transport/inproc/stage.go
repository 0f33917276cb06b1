package inproc

// stageBytes is how much of a payload is copied at a time where it can't be shown in place: it
// stays in the cache until it is used.
const stageBytes = 64 << 10

// stage holds a copy of a part of the head frame's payload.
type stage struct {
	memory []byte // made at first use
	start  int    // which byte of the payload the copy starts with, a multiple of 8
	length int    // of the copy; 0 when there is none
}

func (s *stage) reset() { s.length = 0 }

// from returns what the copy has from byte at on, nil unless that has 8 bytes or all that remain of
// total: then no element is cut.
func (s *stage) from(at, total int) []byte {
	if s.length == 0 || at < s.start || s.start+s.length-at < min(8, total-at) {
		return nil
	}
	return s.memory[at-s.start : s.length : s.length]
}

// fill copies the part of the payload that byte at is in.
func (s *stage) fill(pieces [2][]byte, at int) []byte {
	if s.memory == nil {
		s.memory = make([]byte, stageBytes)
	}
	s.start = at &^ 7
	s.length = copyFrom(s.memory, pieces, s.start)
	return s.memory[at-s.start : s.length : s.length]
}
