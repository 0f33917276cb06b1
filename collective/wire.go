package collective

import (
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
	"github.com/tutti-ml/tutti/transport"
)

// Messages whose elements are narrower than those in memory, see WithWire. Memory is float32
// throughout. What is sent is rounded on its way into memory of the engine's, which the link has
// instead of the caller's; what arrives is widened on its way into the caller's, or added to it.
//
// All ranks end with the same bits, because whatever one rank adds from its memory and another from a
// message is rounded in both places: results are rounded when they are complete, and a Mirrored
// reduction rounds its own operand too. The prover executes all programs by these rules.

// wireOf returns the type of the elements of a call's messages, zero when it is that of its memory.
func (p *planner) wireOf(r *request) tensor.Type {
	if p.wire == 0 || p.size == 1 || r.typ != tensor.F32 || !r.coll.Reduces() || !r.op.Widens() {
		return 0
	}
	return p.wire
}

// width is the bytes of an element, in memory and in a message.
type width struct{ memory, wire int }

func widthOf(typ, wire tensor.Type) width {
	w := width{typ.Size(), typ.Size()}
	if wire != 0 {
		w.wire = wire.Size()
	}
	return w
}

// cost is what an algorithm spends. Where messages are narrow, every byte sent has been rounded, every
// byte received is widened, in the pass that reduces it or in one of its own, and most that is reduced
// is rounded as an operand or as a result. Each costs about what a reduction does.
func (w width) cost(alg *schedule.Algorithm, a schedule.Args, chunkBytes int) topology.Cost {
	c := alg.Cost(a, w.memory, chunkBytes)
	if w.wire != w.memory {
		c.Reduced += c.Bytes + max(c.Bytes, c.Reduced)
		c.Bytes *= float64(w.wire) / float64(w.memory)
	}
	return c
}

// carried returns how many bytes of a message stand for n bytes of memory.
func (c *call) carried(n int) int {
	if c.entry.wire == 0 {
		return n
	}
	return n / c.typ.Size() * c.entry.wire.Size()
}

// payload returns what operation o, the next that the call sends on the link, sends: the call's memory
// or, once e.header has its length, what is made of it.
func (e *engine) payload(cl *callLink, o *schedule.Op) [2][]byte {
	c := cl.call
	pieces := c.pieces(&o.A)
	if c.entry.wire == 0 {
		return pieces
	}
	if cl.staged == nil { // the link has not refused it before
		cl.staged = e.spare.get(&e.header)
		dst := cl.staged.data
		for _, p := range pieces {
			n := c.carried(len(p))
			tensor.Narrow(c.entry.wire, dst[:n], p)
			dst = dst[n:]
		}
	}
	return [2][]byte{cl.staged.data}
}

// rounds reports whether a reduction rounds what it takes from memory, too.
func (c *call) rounds(o *schedule.Op) bool {
	return c.entry.wire != 0 && (o.Mirrored || c.comm.planner.canonical)
}

// widen applies bytes of a message, whole elements at offset off, to the operation that receives it.
func (c *call) widen(o *schedule.Op, off int, src []byte) {
	wire := c.entry.wire
	scale := c.typ.Size() / wire.Size()
	for off *= scale; len(src) > 0; {
		dst := c.part(&o.Dst, off, scale*len(src))
		if o.Kind == schedule.Recv {
			tensor.Widen(wire, dst, src[:len(dst)/scale])
		} else {
			a := c.part(&o.A, off, len(dst))
			dst = dst[:len(a)]
			if c.rounds(o) {
				tensor.Round(wire, dst, a)
				a = dst
			}
			c.op.ReduceWide(wire, dst, a, src[:len(dst)/scale])
		}
		off, src = off+len(dst), src[len(dst)/scale:]
	}
}

// combineRounded sets dst to a op b, both rounded. b is rounded first, into memory of the engine's:
// dst may be b.
func (c *call) combineRounded(dst, a, b []byte) {
	wire, spare := c.entry.wire, &c.comm.e.spare
	f := spare.get(&transport.Header{Length: uint32(c.carried(len(b)))})
	tensor.Narrow(wire, f.data, b)
	tensor.Round(wire, dst, a)
	c.op.ReduceWide(wire, dst, dst, f.data)
	spare.put(f)
}
