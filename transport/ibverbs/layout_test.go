package ibverbs

import (
	"testing"
	"time"
)

func TestTimeoutExponent(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want int
	}{
		{0, 1}, {time.Microsecond, 1}, {DefaultRetry, 18}, {time.Minute, 21}, {1 << 62, 31},
	} {
		got := timeoutExponent(c.d)
		if got != c.want {
			t.Errorf("%v: %d, want %d", c.d, got, c.want)
		}
	}
}

// TestWhatAJobTakes: what the documentation says of the sizes.
func TestWhatAJobTakes(t *testing.T) {
	for _, c := range []struct{ ranks, ring, depth int }{
		{2, ringMax, depthMax},
		{17, ringMax, depthMax},
		{18, ringMax / 2, depthMax},
		{32, ringMax / 2, depthMax},
		{33, ringMax / 2, 64},
		{34, ringMax / 4, 64},
		{65, ringMax / 4, 64},
		{66, ringMin, 64},
		{128, ringMin, 64},
		{129, ringMin, depthMin},
		{4097, ringMin, depthMin},
	} {
		if ring, n := ringBytes(c.ranks), depth(c.ranks); ring != c.ring || n != c.depth {
			t.Errorf("%d ranks: a ring of %d bytes for %d messages, want %d, %d", c.ranks, ring, n, c.ring,
				c.depth)
		}
	}
	const entries = 32767 // a completion queue of soft RoCE
	if n := sendDepth(depth(201)) + receiveDepth(depth(201)); 200*n > entries {
		t.Errorf("200 links have %d completions each", n)
	}
	// What is said about room is at most 9 messages, the goodbye is one, and some receives are posted
	// again only later.
	if spare := receiveDepth(depthMin) - depthMin; spare < 9+1+owedMax {
		t.Errorf("%d receives beside those for frames", spare)
	}
}
