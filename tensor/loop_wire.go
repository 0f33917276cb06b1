package tensor

// The plain Go path between float32 and the 16-bit types.

func wireLoops() (k [typeCount]wireKernels) {
	k[F16] = wireLoopsOf[Float16](canonicalF16)
	k[BF16] = wireLoopsOf[BFloat16](canonicalBF16)
	return k
}

type half interface {
	Float16 | BFloat16
	Float32() float32
}

func wireLoopsOf[H half](narrow func(float32) H) (k wireKernels) {
	k.narrow.loop = func(dst, src []byte) {
		d, s := view[H](dst), view[float32](src)
		for i := range d {
			d[i] = narrow(s[i])
		}
	}
	k.round.loop = func(dst, src []byte) {
		d, s := view[float32](dst), view[float32](src)
		for i := range d {
			d[i] = narrow(s[i]).Float32()
		}
	}
	k.widen.loop = func(dst, src []byte) {
		d, s := view[float32](dst), view[H](src)
		for i := range d {
			d[i] = canonicalF32(s[i].Float32())
		}
	}
	k.reduce[codeSum].loop = func(dst, a, b []byte) {
		d, p, q := view[float32](dst), view[float32](a), view[H](b)
		for i := range d {
			d[i] = canonicalF32(p[i] + q[i].Float32())
		}
	}
	k.reduce[codeMin].loop = func(dst, a, b []byte) {
		d, p, q := view[float32](dst), view[float32](a), view[H](b)
		for i := range d {
			d[i] = canonicalF32(min(p[i], q[i].Float32()))
		}
	}
	k.reduce[codeMax].loop = func(dst, a, b []byte) {
		d, p, q := view[float32](dst), view[float32](a), view[H](b)
		for i := range d {
			d[i] = canonicalF32(max(p[i], q[i].Float32()))
		}
	}
	return k
}

func canonicalF32(r float32) float32 {
	if r != r {
		return canonicalNaN[float32]()
	}
	return r
}
