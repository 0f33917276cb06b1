package schedule

import (
	"math"

	"github.com/tutti-ml/tutti/topology"
)

// bytesOf returns the bytes of the whole vector of a call.
func bytesOf(c Collective, a Args, elemBytes int) float64 {
	return float64(a.Elements(c)) * float64(elemBytes)
}

// rounds returns ceil(log2 size).
func rounds(size int) float64 { return float64(topology.CeilLog2(size)) }

// foreign returns the share of a vector that is not a rank's own: (size-1)/size.
func foreign(size int) float64 { return float64(size-1) / float64(size) }

// segments returns into how many chunks n bytes are cut.
func segments(n float64, chunkBytes int) float64 {
	return max(1, math.Ceil(n/float64(chunkBytes)))
}

// pipeline returns what moving n bytes in k segments costs a pipeline of the given depth, in which
// each segment takes the same number of turns of every rank.
func pipeline(n, k float64, depth, turns int) topology.Cost {
	steps := float64(turns) * (k - 1 + float64(depth))
	c := topology.Cost{Messages: steps, Bytes: steps * n / k}
	if depth > 1 {
		c.Streamed = c.Bytes
	}
	return c
}

// plus adds costs that are spent one after the other.
func plus(costs ...topology.Cost) topology.Cost {
	var c topology.Cost
	for _, d := range costs {
		c.Messages += d.Messages
		c.Bytes += d.Bytes
		c.Reduced += d.Reduced
		c.Cached += d.Cached
		c.Vectors = max(c.Vectors, d.Vectors)
		c.Forwarded += d.Forwarded
		c.Streamed += d.Streamed
	}
	return c
}

// circulantCost is the cost of one circulant phase over n bytes: a reduce-scatter or an all-gather.
func circulantCost(n float64, size int, reduces bool) topology.Cost {
	c := topology.Cost{Messages: rounds(size), Bytes: foreign(size) * n}
	if reduces {
		c.Reduced = c.Bytes
	}
	return c
}

// partial is the share of a vector that is moved beside the first of p-1 messages: (p-2)/p.
func partial(size int) float64 { return float64(max(0, size-2)) / float64(size) }

// ringCost is the cost of one ring phase over n bytes: a reduce-scatter or an all-gather.
func ringCost(n float64, size int, reduces bool) topology.Cost {
	c := topology.Cost{
		Messages: float64(size - 1), Bytes: foreign(size) * n,
		Forwarded: partial(size) * n, // all but the first message
	}
	if reduces {
		c.Reduced = c.Bytes
	}
	return c
}

// treeCost is the cost of one binomial tree that moves all n bytes along every edge.
func treeCost(n float64, size int, reduces bool) topology.Cost {
	c := topology.Cost{Messages: rounds(size), Bytes: rounds(size) * n}
	if reduces {
		c.Reduced = c.Bytes
	}
	return c
}
