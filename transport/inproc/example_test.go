package inproc_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/inproc"
)

// open attaches all ranks of a job to a network.
func open(n *inproc.Network, ranks int) []transport.Endpoint {
	eps := make([]transport.Endpoint, ranks)
	for i := range eps {
		e, err := n.Driver().Open(context.Background(), transport.Config{Rank: i, Size: ranks, Job: "a"})
		if err != nil {
			panic(err)
		}
		eps[i] = e
	}
	return eps
}

// dial links rank 0 with rank 1 and returns both ends.
func dial(eps []transport.Endpoint) (zero, one transport.Link) {
	zero, err := eps[0].Dial(context.Background(), 1, eps[1].Addresses())
	if err != nil {
		panic(err)
	}
	return zero, eps[1].Accept()
}

func say(l transport.Link, text string) {
	h := &transport.Header{Kind: transport.Data, Length: uint32(len(text))}
	ok, err := l.Send(h, [2][]byte{[]byte(text)})
	if !ok {
		fmt.Println("not sent:", err)
	}
}

func hear(e transport.Endpoint, l transport.Link) string {
	for {
		h, err := l.Next()
		if err != nil {
			return "error: " + err.Error()
		}
		if h != nil {
			b := make([]byte, h.Length)
			n, err := l.Read(b)
			return fmt.Sprint(string(b[:n]), " ", err)
		}
		e.Wait(time.Time{})
	}
}

func Example() {
	eps := open(inproc.NewNetwork(inproc.Options{}), 2)
	zero, one := dial(eps)
	say(zero, "tutti")
	fmt.Println(hear(eps[1], one))
	fmt.Println(one)
	for _, e := range eps {
		if err := e.Close(); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(hear(eps[1], one))
	// Output:
	// tutti <nil>
	// inproc a: rank 1 to rank 0
	// error: rank 1: receive with rank 0 at inproc:a/0: closed
}

func ExampleNetwork_Driver() {
	network := inproc.NewNetwork(inproc.Options{})
	driver := network.Driver()
	e, err := driver.Open(context.Background(), transport.Config{Rank: 0, Size: 1})
	fmt.Println(driver.Name(), err, e.Close())
	// Output: inproc <nil> <nil>
}

func ExampleNewNetwork() {
	network := inproc.NewNetwork(inproc.Options{
		Seed: 1,
		Delivered: func(d inproc.Delivery) {
			fmt.Printf("frame %d from %d to %d: %d bytes\n", d.Frame, d.From, d.To, d.Bytes)
		},
	})
	network.SetLink(0, 1, inproc.LinkConditions{Jitter: time.Millisecond})
	eps := open(network, 2)
	zero, one := dial(eps)
	say(zero, "tutti")
	fmt.Println(hear(eps[1], one))
	// Output:
	// frame 0 from 0 to 1: 5 bytes
	// tutti <nil>
}

func ExampleNetwork_SetLink() {
	network := inproc.NewNetwork(inproc.Options{})
	eps := open(network, 2)
	zero, one := dial(eps)
	network.SetLink(0, 1, inproc.LinkConditions{Delay: time.Millisecond, Bandwidth: 1 << 30})
	say(zero, "late")
	fmt.Println(hear(eps[1], one))
	// Output: late <nil>
}

func ExampleNetwork_Cut() {
	network := inproc.NewNetwork(inproc.Options{})
	eps := open(network, 2)
	zero, _ := dial(eps)
	network.Cut(0, 1)
	_, err := zero.Next()
	fmt.Println(errors.Unwrap(err))
	_, err = eps[0].Dial(context.Background(), 1, eps[1].Addresses())
	fmt.Println(errors.Is(err, inproc.ErrCut))
	// Output:
	// the connection was lost
	// true
}

func ExampleNetwork_Heal() {
	network := inproc.NewNetwork(inproc.Options{})
	eps := open(network, 2)
	network.Cut(0, 1)
	network.Heal(0, 1)
	zero, one := dial(eps)
	say(zero, "again")
	fmt.Println(hear(eps[1], one))
	// Output: again <nil>
}

func ExampleNetwork_Silence() {
	network := inproc.NewNetwork(inproc.Options{})
	eps := open(network, 2)
	zero, one := dial(eps)
	network.Silence(0, 1)
	say(zero, "held back")
	h, err := one.Next()
	fmt.Println(h, err)
	network.Heal(0, 1)
	fmt.Println(hear(eps[1], one))
	// Output:
	// <nil> <nil>
	// held back <nil>
}

func ExampleNetwork_Partition() {
	network := inproc.NewNetwork(inproc.Options{})
	eps := open(network, 4)
	network.Partition([]int{0, 2}, []int{1, 3})
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := eps[0].Dial(ctx, 1, eps[1].Addresses())
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	_, err = eps[0].Dial(context.Background(), 2, eps[2].Addresses())
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

func ExampleNetwork_HealAll() {
	network := inproc.NewNetwork(inproc.Options{})
	network.Partition([]int{0}, []int{1})
	network.HealAll()
	eps := open(network, 2)
	zero, one := dial(eps)
	say(zero, "together")
	fmt.Println(hear(eps[1], one))
	// Output: together <nil>
}

func ExampleNetwork_SlowReceiver() {
	network := inproc.NewNetwork(inproc.Options{})
	network.SlowReceiver(1, time.Millisecond)
	eps := open(network, 2)
	zero, one := dial(eps)
	say(zero, "one")
	say(zero, "two")
	fmt.Println(hear(eps[1], one))
	fmt.Println(hear(eps[1], one)) // a millisecond after that
	// Output:
	// one <nil>
	// two <nil>
}
