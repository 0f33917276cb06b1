package transport_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/tutti-ml/tutti/transport"
)

func ExampleHeader() {
	h := transport.Header{Kind: transport.Data, Epoch: 1, Comm: 2, Seq: 3, Length: 4096}
	wire := make([]byte, transport.HeaderBytes)
	h.Encode(wire)

	var back transport.Header
	err := back.Decode(wire, transport.DefaultMaxPayload)
	fmt.Println(back.Kind, back.Seq, back.Length, err)
	// Output: data 3 4096 <nil>
}

func ExampleHeader_Decode() {
	var h transport.Header
	stranger := []byte("GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: a scanner of ports\r\n")
	err := h.Decode(stranger, transport.DefaultMaxPayload)
	var frame *transport.FrameError
	fmt.Println(errors.As(err, &frame), frame.Field)
	fmt.Println(err)
	// Output:
	// true magic
	// bad frame: magic is 542393671 (0x20544547), want "TUTI"
}

func ExampleFingerprint_Equal() {
	a, b := transport.Fingerprint{1, 2}, transport.Fingerprint{1, 2}
	fmt.Println(a.Equal(&b))
	b[transport.FingerprintBytes-1]++
	fmt.Println(a.Equal(&b))
	// Output:
	// true
	// false
}

func ExampleKind_String() {
	fmt.Println(transport.Abort)
	// Output: abort
}

func ExampleLinkError() {
	err := error(&transport.LinkError{
		Phase: "receive", Rank: 0, Peer: 3, Address: "10.1.0.7:4711", Err: transport.ErrClosed,
	})
	var link *transport.LinkError
	if errors.As(err, &link) {
		fmt.Println("lost rank", link.Peer)
	}
	fmt.Println(errors.Is(err, transport.ErrClosed))
	fmt.Println(err)
	// Output:
	// lost rank 3
	// true
	// rank 0: receive with rank 3 at 10.1.0.7:4711: closed
}

// Two ranks of one job meet on a fresh connection.
func ExampleHelloDial() {
	secret := []byte("sixteen random bytes or more")
	dialing, accepting := net.Pipe()
	met := make(chan transport.Identity)
	go func() {
		self := transport.Identity{Rank: 1, Size: 2, Job: "train", HostID: "b"}
		who, err := transport.HelloAccept(self, secret, transport.StreamExchange(accepting))
		if err != nil {
			fmt.Println(err)
		}
		met <- who
	}()
	self := transport.Identity{Rank: 0, Size: 2, Job: "train", HostID: "a"}
	who, err := transport.HelloDial(self, 1, secret, transport.StreamExchange(dialing))
	fmt.Println("rank 0 met rank", who.Rank, "of host", who.HostID, err)
	fmt.Println("rank 1 met rank", (<-met).Rank)
	// Output:
	// rank 0 met rank 1 of host b <nil>
	// rank 1 met rank 0
}

// A process of another run has dialled: both ends say so.
func ExampleHelloAccept() {
	dialing, accepting := net.Pipe()
	refused := make(chan error)
	go func() {
		self := transport.Identity{Rank: 0, Size: 2, Job: "yesterday"}
		_, err := transport.HelloDial(self, 1, nil, transport.StreamExchange(dialing))
		refused <- err
	}()
	self := transport.Identity{Rank: 1, Size: 2, Job: "today"}
	_, err := transport.HelloAccept(self, nil, transport.StreamExchange(accepting))
	fmt.Println(<-refused)
	link := transport.HelloLinkError(1, "10.0.0.1:4711", err)
	fmt.Println(link.Phase, "of rank", link.Rank, "with rank", link.Peer)
	fmt.Println(link.Err)
	fmt.Println(link.Remedy)
	// Output:
	// the other end refused: "rank 1 belongs to another job"
	// hello of rank 1 with rank 0
	// the other end belongs to job "yesterday", this end to "today"
	// give all ranks the same job name, and each job addresses and ports of its own
}

func ExampleHelloError_Remedy() {
	err := &transport.HelloError{Reason: transport.HelloWrongSecret}
	fmt.Println(err)
	fmt.Println(err.Remedy())
	// Output:
	// the other end has another secret
	// give all ranks of the job the same secret
}

func ExampleStreamExchange() {
	a, b := net.Pipe()
	written := make(chan error)
	go func() {
		_, err := a.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		written <- err
	}()
	_, err := transport.HelloAccept(transport.Identity{Size: 2}, nil, transport.StreamExchange(b))
	fmt.Println(err)
	fmt.Println(b.Close())
	fmt.Println(<-written)
	// Output:
	// the other end does not speak Tutti: it said "GET / HT"
	// <nil>
	// io: read/write on closed pipe
}

func ExampleParseFilter() {
	f, err := transport.ParseFilter("eth1, 10.0.0.0/8")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Allows(netip.MustParseAddr("192.168.7.5"), "eth1"))
	fmt.Println(f.Allows(netip.MustParseAddr("10.1.2.3"), "eth0"))
	fmt.Println(f.Allows(netip.MustParseAddr("172.17.0.1"), "docker0"))
	_, err = transport.ParseFilter("eth0,^eth1")
	fmt.Println(err)
	// Output:
	// true
	// true
	// false
	// interface filter "eth0,^eth1": "^eth1" is no name, network or address (a ^ stands once, before all of them)
}

func ExampleConfig_ListenAddress() {
	c := transport.Config{Listen: "10.0.0.5:7000"}
	fmt.Println(c.ListenAddress())
	c.Secret = []byte("secret")
	fmt.Println(c.ListenAddress())
	// Output:
	// 127.0.0.1 7000 true <nil>
	// 10.0.0.5 7000 false <nil>
}

// A rank waits for a flag: it spins, then offers its core, and parks when that has taken long.
func ExampleNewPatience() {
	var flag atomic.Bool
	arrived := make(chan struct{})
	go func() {
		flag.Store(true)
		close(arrived)
	}()
	p := transport.NewPatience(2, true) // two ranks here, both goroutines
	for !flag.Load() {
		switch p.Next() {
		case transport.Spin:
		case transport.Yield:
			p.Yield()
		case transport.Park:
			<-arrived
		}
	}
	p.Moved()
	fmt.Println("it came")
	// Output: it came
}

// A component waits for whoever comes: it never spins.
func ExampleNewPatienceOfMany() {
	p := transport.NewPatienceOfMany(false)
	fmt.Println(p.Next() == transport.Spin)
	// Output: false
}
