package collective

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"strings"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
)

// Call describes a call as its fingerprint does: everything in which ranks must agree.
type Call struct {
	Seq        uint64
	Collective schedule.Collective
	Type       tensor.Type
	Wire       tensor.Type // of the elements of messages, where it is another one
	Op         uint8       // tensor.Op.Code, 0 without an operation
	Algorithm  string
	Root       int    // -1 without a root
	Count      int    // elements of the vector, of a rank's block, or of all where they are uneven
	ChunkBytes int    // how the algorithm's steps are cut
	Detail     uint32 // hash of uneven counts and of a user function's name, 0 without
}

// Layout of a fingerprint, little-endian: collective 1, type 1 (its upper half the type on the wire),
// op 1, algorithm 1 (its place in the registry + 1), root 4, count 8, chunk 4, detail 4.
func (r *request) fingerprint(algorithm, chunk int, wire tensor.Type) *transport.Fingerprint {
	f := new(transport.Fingerprint)
	le := binary.LittleEndian
	f[0], f[1], f[2], f[3] = byte(r.coll), byte(r.typ|wire<<4), r.op.Code(), byte(algorithm+1)
	root := -1
	if r.coll.Rooted() {
		root = r.root
	}
	le.PutUint32(f[4:], uint32(int32(root)))
	le.PutUint64(f[8:], uint64(r.count))
	le.PutUint32(f[16:], uint32(chunk))
	detail := r.op.ID()
	if r.counts != nil {
		detail ^= hashCounts(r.counts)
	}
	le.PutUint32(f[20:], detail)
	return f
}

func hashCounts(counts []int) uint32 {
	h := fnv.New32a()
	var b [8]byte
	for _, c := range counts {
		binary.LittleEndian.PutUint64(b[:], uint64(c))
		h.Write(b[:])
	}
	return h.Sum32() | 1 // never the 0 of a call without counts
}

// describe reads a fingerprint. It comes from the wire: nothing in it may be trusted.
func describe(seq uint64, f transport.Fingerprint) Call {
	le := binary.LittleEndian
	c := Call{
		Seq: seq, Collective: schedule.Collective(f[0]), Type: tensor.Type(f[1] & 15),
		Wire: tensor.Type(f[1] >> 4), Op: f[2],
		Root:   int(int32(le.Uint32(f[4:]))),
		Count:  int(min(le.Uint64(f[8:]), math.MaxInt64)),
		Detail: le.Uint32(f[20:]), ChunkBytes: int(le.Uint32(f[16:])),
	}
	if a := schedule.Algorithms(c.Collective); f[3] > 0 && int(f[3]) <= len(a) {
		c.Algorithm = a[f[3]-1].Name
	}
	return c
}

func (c Call) opName() string {
	for _, o := range tensor.Ops() {
		if o.Code() == c.Op {
			return o.String()
		}
	}
	return "user function"
}

// String describes the call: "allreduce #17 of 1000 f32 sum (ring)".
func (c Call) String() string {
	if c.Collective == 0 {
		return "no call"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s #%d", c.Collective, c.Seq)
	if c.Collective != schedule.Barrier {
		fmt.Fprintf(&b, " of %d %s", c.Count, c.Type)
	}
	if c.Wire != 0 {
		fmt.Fprintf(&b, " sent as %s", c.Wire)
	}
	if c.Op != 0 {
		fmt.Fprintf(&b, " %s", c.opName())
	}
	if c.Root >= 0 {
		fmt.Fprintf(&b, " root %d", c.Root)
	}
	if c.Algorithm != "" {
		fmt.Fprintf(&b, " (%s)", c.Algorithm)
	}
	return b.String()
}

// difference names what differs between two calls.
func (c Call) difference(o Call) string {
	var d []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"sequence numbers", c.Seq == o.Seq},
		{"collectives", c.Collective == o.Collective},
		{"types", c.Type == o.Type},
		{"types on the wire", c.Wire == o.Wire},
		{"operations", c.Op == o.Op},
		{"roots", c.Root == o.Root},
		{"counts", c.Count == o.Count},
		{"algorithms", c.Algorithm == o.Algorithm},
		{"chunk sizes", c.ChunkBytes == o.ChunkBytes},
		{"uneven counts or user functions", c.Detail == o.Detail},
	} {
		if !f.same {
			d = append(d, f.name)
		}
	}
	return strings.Join(d, ", ")
}
