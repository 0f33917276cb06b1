package topology_test

import (
	"fmt"

	"github.com/tutti-ml/tutti/topology"
)

func ExampleRing() {
	fmt.Println(topology.Ring(0, 4))
	// Output: 3 1
}

func ExampleCeilLog2() {
	fmt.Println(topology.CeilLog2(5), topology.CeilLog2(8))
	// Output: 3 3
}

func ExampleFloorLog2() {
	fmt.Println(topology.FloorLog2(5), topology.FloorLog2(8))
	// Output: 2 3
}

func ExamplePowerOfTwo() {
	fmt.Println(topology.PowerOfTwo(5), topology.PowerOfTwo(8))
	// Output: false true
}

func ExampleSkips() {
	fmt.Println(topology.Skips(11))
	// Output: [1 2 3 6 11]
}

func ExampleBinomial() {
	for rank := range 6 {
		fmt.Println(rank, topology.Binomial(rank, 6, 0))
	}
	// Output:
	// 0 {-1 [4 2 1]}
	// 1 {0 []}
	// 2 {0 [3]}
	// 3 {2 []}
	// 4 {0 [5]}
	// 5 {4 []}
}

func ExampleBinomialSpan() {
	fmt.Println(topology.BinomialSpan(0, 6), topology.BinomialSpan(2, 6), topology.BinomialSpan(4, 6))
	// Output: 6 2 2
}

func ExampleDoubleTree() {
	for rank := range 4 {
		fmt.Println(rank, topology.DoubleTree(rank, 4))
	}
	// Output:
	// 0 [{-1 [2]} {1 []}]
	// 1 [{2 []} {3 [2 0]}]
	// 2 [{0 [1 3]} {1 []}]
	// 3 [{2 []} {-1 [1]}]
}

func ExampleDoubleTreeRoots() {
	fmt.Println(topology.DoubleTreeRoots(4))
	fmt.Println(topology.DoubleTreeRoots(5))
	// Output:
	// 0 3
	// 0 1
}

func ExampleFoldOf() {
	f := topology.FoldOf(6)
	fmt.Println(f.Core, f.Extra)
	// Output: 4 2
}

func ExampleFold_Member() {
	f := topology.FoldOf(6)
	for rank := range 6 {
		fmt.Print(f.Member(rank), " ")
	}
	// Output: 0 0 1 1 2 3
}

func ExampleFold_Ranks() {
	f := topology.FoldOf(6)
	fmt.Println(f.Ranks(1))
	fmt.Println(f.Ranks(2))
	// Output:
	// 2 2
	// 4 1
}

func ExampleFold_Reverse() {
	f := topology.FoldOf(8)
	fmt.Println(f.Reverse(1), f.Reverse(3))
	// Output: 4 6
}

func ExampleHostsOf() {
	h := topology.HostsOf([]string{"a", "a", "b", "a", "b"})
	fmt.Println(h.Index, h.Members)
	// Output: [0 0 1 0 1] [[0 1 3] [2 4]]
}

func ExampleHosts_Count() {
	fmt.Println(topology.HostsOf([]string{"a", "b", "a"}).Count())
	// Output: 2
}

func ExampleHosts_Leader() {
	fmt.Println(topology.HostsOf([]string{"a", "b", "a"}).Leader(1))
	// Output: 1
}

func ExampleHosts_LocalRank() {
	fmt.Println(topology.HostsOf([]string{"a", "b", "a"}).LocalRank(2))
	// Output: 1
}

func ExampleHosts_Peers() {
	h := topology.HostsOf([]string{"a", "b", "a", "b", "b"})
	fmt.Println(h.Peers(1), h.Peers(2))
	// Output: [2 3] [4]
}

func ExampleHosts_Largest() {
	fmt.Println(topology.HostsOf([]string{"a", "b", "a"}).Largest())
	// Output: 2
}

func ExampleHosts_Uniform() {
	fmt.Println(topology.HostsOf([]string{"a", "b", "a"}).Uniform())
	fmt.Println(topology.HostsOf([]string{"a", "b", "a", "b"}).Uniform())
	// Output:
	// false
	// true
}

func ExampleModel_Seconds() {
	tcp := topology.Model{Alpha: 8e-6, Beta: 1 / 3e9}
	cost := topology.Cost{Messages: 4, Bytes: 3e6}
	fmt.Printf("%.0f µs\n", 1e6*tcp.Seconds(cost))
	// Output: 1032 µs
}

func ExampleCurve() {
	// As measured: fast while the message fits into the socket's buffer.
	c := topology.Curve{
		{Bytes: 0, Seconds: 12e-6}, {Bytes: 256 << 10, Seconds: 80e-6}, {Bytes: 1 << 20, Seconds: 600e-6},
	}
	fmt.Printf("%.0f us, %.0f us\n", 1e6*c.Seconds(64<<10), 1e6*c.Seconds(512<<10))
	// Output: 29 us, 253 us
}

func ExampleAssumed() {
	memory := topology.Model{Alpha: 0.5e-6, Beta: 1 / 6e9}
	tcp := topology.Model{Alpha: 12e-6, Beta: 1 / 2e9}
	f := topology.Assumed(memory, tcp)
	message := topology.Load{Messages: 1, Bytes: 1 << 20}
	fmt.Printf("inside a host %.0f us, between hosts %.0f us\n",
		1e6*f.Inner.Stream(message, 0), 1e6*f.Outer.Stream(message, 0))
	// Output: inside a host 175 us, between hosts 536 us
}

func ExampleCurve_Rising() {
	noisy := topology.Curve{{Bytes: 0, Seconds: 2}, {Bytes: 8, Seconds: 6}, {Bytes: 16, Seconds: 4}}
	fmt.Println(noisy.Rising())
	// Output: [{0 2} {8 5} {16 5}]
}
