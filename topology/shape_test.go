package topology_test

import (
	"fmt"
	"testing"

	"github.com/tutti-ml/tutti/topology"
	"pgregory.net/rapid"
)

func TestRing(t *testing.T) {
	for size := 1; size <= sizes; size++ {
		at := 0
		for i := range size {
			prev, next := topology.Ring(at, size)
			if back, _ := topology.Ring(next, size); back != at {
				t.Fatalf("size %d: before %d comes %d, not %d", size, next, back, at)
			}
			if _, forth := topology.Ring(prev, size); forth != at {
				t.Fatalf("size %d: after %d comes %d, not %d", size, prev, forth, at)
			}
			if at = next; at == 0 && i != size-1 {
				t.Fatalf("size %d: round after %d ranks", size, i+1)
			}
		}
		if at != 0 {
			t.Fatalf("size %d: not round after %d ranks", size, size)
		}
	}
}

func TestLogs(t *testing.T) {
	for n := 1; n <= 1<<16; n++ {
		lo, hi := topology.FloorLog2(n), topology.CeilLog2(n)
		if 1<<lo > n || n>>lo > 1 || 1<<hi < n || (hi > 0 && 1<<(hi-1) >= n) {
			t.Fatalf("logarithms of %d are %d and %d", n, lo, hi)
		}
		if (lo == hi) != topology.PowerOfTwo(n) {
			t.Fatalf("PowerOfTwo(%d) = %v", n, topology.PowerOfTwo(n))
		}
	}
}

// TestSkips checks that the distances are made of each other: all ranks have been reached after
// the last round, and no round sends more than it has.
func TestSkips(t *testing.T) {
	for size := 1; size <= sizes; size++ {
		s := topology.Skips(size)
		if len(s) != topology.CeilLog2(size)+1 || s[0] != 1 || s[len(s)-1] != size {
			t.Fatalf("Skips(%d) = %v", size, s)
		}
		for k := range len(s) - 1 {
			if n := s[k+1] - s[k]; n < 1 || n > s[k] || n < s[k]-1 {
				t.Fatalf("Skips(%d) = %v: round %d sends %d blocks of %d", size, s, k, n, s[k])
			}
		}
	}
}

func TestFold(t *testing.T) {
	for size := 1; size <= sizes; size++ {
		f := topology.FoldOf(size)
		if !topology.PowerOfTwo(f.Core) || f.Core > size || 2*f.Core <= size || f.Extra != size-f.Core {
			t.Fatalf("FoldOf(%d) = %+v", size, f)
		}
		next := 0
		seen := make([]bool, f.Core)
		for m := range f.Core {
			first, n := f.Ranks(m)
			if first != next || n < 1 || n > 2 {
				t.Fatalf("size %d: member %d stands for %d ranks from %d", size, m, n, first)
			}
			for r := first; r < first+n; r++ {
				if f.Member(r) != m {
					t.Fatalf("size %d: rank %d belongs to %d, not to %d", size, r, f.Member(r), m)
				}
			}
			next = first + n
			back := f.Reverse(m)
			if f.Reverse(back) != m || seen[back] {
				t.Fatalf("size %d: member %d reversed is %d", size, m, back)
			}
			seen[back] = true
		}
		if next != size {
			t.Fatalf("size %d: the core stands for %d ranks", size, next)
		}
	}
}

// TestFoldReverse checks what Reverse is for: halving a range by the bits of a member, lowest
// first, ends at the reversed number.
func TestFoldReverse(t *testing.T) {
	f := topology.FoldOf(1024)
	for m := range f.Core {
		lo := 0
		for half, bit := f.Core/2, 1; half > 0; half, bit = half/2, bit*2 {
			if m&bit != 0 {
				lo += half
			}
		}
		if lo != f.Reverse(m) {
			t.Fatalf("halving by %d ends at %d, not at %d", m, lo, f.Reverse(m))
		}
	}
}

func TestHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.IntRange(0, 9), 0, 64).Draw(t, "ids")
		names := make([]string, len(ids))
		for i, id := range ids {
			names[i] = fmt.Sprint("host ", id)
		}
		h := topology.HostsOf(names)
		ranks, known := 0, 0
		for r, host := range h.Index {
			if host > known {
				t.Fatalf("rank %d is on host %d before host %d", r, host, known)
			}
			known = max(known, host+1)
			if h.Members[host][h.LocalRank(r)] != r {
				t.Fatalf("rank %d is not at its local rank", r)
			}
			for q := range r {
				if (ids[q] == ids[r]) != (h.Index[q] == host) {
					t.Fatalf("ranks %d and %d: %v", q, r, h.Index)
				}
			}
		}
		if known != h.Count() {
			t.Fatalf("%d hosts, %d in use", h.Count(), known)
		}
		for host, members := range h.Members {
			ranks += len(members)
			if h.Leader(host) != members[0] {
				t.Fatalf("leader of host %d", host)
			}
		}
		if ranks != len(ids) {
			t.Fatalf("%d ranks on hosts, of %d", ranks, len(ids))
		}
		total := 0
		for local := range h.Largest() {
			peers := h.Peers(local)
			total += len(peers)
			for _, r := range peers {
				if h.LocalRank(r) != local {
					t.Fatalf("rank %d has not the local rank %d", r, local)
				}
			}
			if h.Uniform() && len(peers) != h.Count() {
				t.Fatalf("hosts are uniform, but only %d have a local rank %d", len(peers), local)
			}
		}
		if total != len(ids) || len(h.Peers(h.Largest())) != 0 {
			t.Fatalf("local ranks cover %d ranks of %d", total, len(ids))
		}
	})
}

func TestPanicsOnRanksThatDoNotExist(t *testing.T) {
	for name, call := range map[string]func(){
		"ring":     func() { topology.Ring(4, 4) },
		"negative": func() { topology.Ring(-1, 4) },
		"log":      func() { topology.CeilLog2(0) },
		"root":     func() { topology.Binomial(0, 4, 4) },
		"tree":     func() { topology.DoubleTree(0, 0) },
		"member":   func() { topology.FoldOf(6).Ranks(4) },
		"host":     func() { topology.HostsOf([]int{1}).Leader(1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

func TestModel(t *testing.T) {
	m := topology.Model{Alpha: 1e-6, Beta: 1e-9, Gamma: 1e-10}
	got := m.Seconds(topology.Cost{Messages: 2, Bytes: 3000, Reduced: 5000})
	if want := 2e-6 + 3e-6 + 0.5e-6; got < 0.999*want || got > 1.001*want {
		t.Errorf("%g seconds, want %g", got, want)
	}
}
