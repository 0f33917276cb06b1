//go:build linux || darwin

package zmq_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// Two ranks in one process: rank 0 dials rank 1 and sends it a frame.
func ExampleNew() {
	ctx := context.Background()
	driver := zmq.New(zmq.Auto)
	var ranks [2]transport.Endpoint
	for i := range ranks {
		e, err := driver.Open(ctx, transport.Config{Rank: i, Size: 2, Job: "example"})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer e.Close()
		ranks[i] = e
	}
	out, err := ranks[0].Dial(ctx, 1, ranks[1].Addresses())
	if err != nil {
		fmt.Println(err)
		return
	}
	payload := []byte("hello")
	header := transport.Header{Kind: transport.Data, Length: uint32(len(payload))}
	if _, err := out.Send(&header, [2][]byte{payload}); err != nil {
		fmt.Println(err)
		return
	}
	var in transport.Link
	for in == nil {
		if in = ranks[1].Accept(); in == nil {
			ranks[1].Wait(time.Time{}) // no deadline
		}
	}
	for {
		h, err := in.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		if h == nil {
			ranks[1].Wait(time.Time{})
			continue
		}
		b, err := in.Peek() // a small payload comes with its header
		fmt.Printf("%v from rank %d: %q %v\n", h.Kind, in.Peer(), b, err)
		return
	}
	// Output: data from rank 0: "hello" <nil>
}

func ExampleMode() {
	for _, m := range []zmq.Mode{zmq.Auto, zmq.TCP, zmq.IPC} {
		fmt.Println(zmq.New(m).Name())
	}
	// Output:
	// zmq
	// zmq:tcp
	// zmq:ipc
}

// A link between hosts breaks when the other host has not acknowledged anything for five seconds.
func ExampleUserTimeout() {
	driver := zmq.New(zmq.TCP, zmq.UserTimeout(5*time.Second))
	e, err := driver.Open(context.Background(), transport.Config{Rank: 0, Size: 1, Job: "example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(driver.Name(), e.Close())
	// Output: zmq:tcp <nil>
}

// A rank beyond the job's size can't be opened.
func ExampleNew_error() {
	_, err := zmq.New(zmq.IPC).Open(context.Background(), transport.Config{Rank: 2, Size: 2})
	fmt.Println(err)
	// Output: rank 2: listen with an unknown peer at zmq:ipc: rank 2 of 2 ranks
}

// What came of each address of a peer stands in the cause of Dial's error.
func ExampleDialError() {
	err := error(&transport.LinkError{
		Phase: "dial", Rank: 0, Peer: 3, Address: "tcp 10.0.0.7:4000, tcp 192.168.0.7:4000",
		Err: &zmq.DialError{Attempts: []zmq.Attempt{
			{Address: "tcp 10.0.0.7:4000", Err: syscall.EHOSTUNREACH, Remedy: "choose another interface"},
			{Address: "tcp 192.168.0.7:4000", Err: syscall.ECONNREFUSED},
		}},
	})
	var tried *zmq.DialError
	if errors.As(err, &tried) {
		for _, a := range tried.Attempts {
			fmt.Println(a.Address+":", a.Err)
		}
	}
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	// Output:
	// tcp 10.0.0.7:4000: no route to host
	// tcp 192.168.0.7:4000: connection refused
	// true
}

// What a stranger said is quoted.
func ExampleGreetingError() {
	fmt.Println(&zmq.GreetingError{What: "not ZeroMQ", Said: []byte("GET / HTTP/1.1\r\n")})
	// Output: not ZeroMQ: the other end said "GET / HTTP/1.1\r\n"
}
