package proxy

import "strings"

// BodyError says why the body of a message cannot be sent, or why one that has come cannot be
// read. It wraps its cause, where there is one of another package.
type BodyError struct {
	Op     string // "encode", "decode", "compress" or "decompress"
	Kind   string // how the body travels: "f32", "CBOR", "zstd"; "" when that is not known
	Type   string // the Go type to be sent, or to be decoded into; "" when there is none
	Err    error  // the cause
	Remedy string // what a person can do, "" when nothing is known
}

func (e *BodyError) Error() string {
	var s strings.Builder
	s.WriteString("proxy: " + e.Op)
	if e.Kind != "" {
		s.WriteString(" " + e.Kind)
	}
	s.WriteString(" body")
	if e.Type != "" {
		joint := " of "
		if e.Op == "decode" {
			joint = " into "
		}
		s.WriteString(joint + e.Type)
	}
	s.WriteString(": " + e.Err.Error())
	if e.Remedy != "" {
		s.WriteString("; " + e.Remedy)
	}
	return s.String()
}

// Unwrap returns the cause.
func (e *BodyError) Unwrap() error { return e.Err }
