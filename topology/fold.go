package topology

import "math/bits"

// Fold maps Size ranks onto the greatest power of two that is not above it, the core, for
// algorithms that need one. The first Extra members of the core stand for two neighbouring ranks
// each, 2v and 2v+1, the others for one rank, so that the order of ranks is kept.
type Fold struct {
	Size  int // ranks
	Core  int // members of the core, a power of two
	Extra int // Size - Core: members that stand for two ranks
}

// FoldOf returns the fold of size ranks.
func FoldOf(size int) Fold {
	core := 1 << FloorLog2(size)
	return Fold{Size: size, Core: core, Extra: size - core}
}

// Member returns the member of the core that stands for a rank.
func (f Fold) Member(rank int) int {
	want("rank", rank, f.Size)
	if rank < 2*f.Extra {
		return rank / 2
	}
	return rank - f.Extra
}

// Ranks returns the ranks that a member stands for: n neighbours starting at first, n being 1 or 2.
func (f Fold) Ranks(member int) (first, n int) {
	want("member", member, f.Core)
	if member < f.Extra {
		return 2 * member, 2
	}
	return member + f.Extra, 1
}

// Reverse returns the member whose number has the bits of member in reverse order. Halving a range
// of Core blocks along the bits of a member, lowest bit first, ends at block Reverse(member).
func (f Fold) Reverse(member int) int {
	want("member", member, f.Core)
	if f.Core == 1 {
		return 0
	}
	return int(bits.Reverse64(uint64(member)) >> (64 - FloorLog2(f.Core)))
}
