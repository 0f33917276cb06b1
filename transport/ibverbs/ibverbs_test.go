//go:build ibverbs && cgo && linux

package ibverbs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
	"github.com/tutti-ml/tutti/transport/transporttest"
)

func TestMain(m *testing.M) {
	if runPeer() {
		return
	}
	goleak.VerifyTestMain(m)
}

// start opens a rank. Where there is no device that is a failure: these tests are for machines that
// have one.
func start(t testing.TB, c transport.Config, options ...ibverbs.Option) transport.Endpoint {
	t.Helper()
	e, err := ibverbs.New(options...).Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			tellTroubles(t)
		}
	})
	return e
}

// deviceOf is the device of a rank: where the machine has two, on the two ends of a wire, ranks
// take them in turn.
func deviceOf(rank int) string {
	if os.Getenv("TUTTI_RDMA_WIRE") == "veth" {
		return fmt.Sprint("rxe", rank%2)
	}
	return ""
}

// opener opens all ranks of a job in this process.
func opener(secret string, maxPayload int) transporttest.Open {
	return func(t *testing.T, ranks int) []transport.Endpoint {
		t.Helper()
		eps := make([]transport.Endpoint, ranks)
		for i := range eps {
			eps[i] = start(t, transport.Config{
				Rank: i, Size: ranks, Job: t.Name(), Secret: []byte(secret), HostID: "here",
				MaxPayload: maxPayload, Interface: deviceOf(i),
			})
		}
		return eps
	}
}

// raw connects to the endpoint as a stranger does.
func raw(t *testing.T, e transport.Endpoint) net.Conn {
	t.Helper()
	if p, ok := e.(plain); ok {
		e = p.Endpoint
	}
	c, err := net.Dial("tcp", ibverbs.ListensAt(e))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// plain is an endpoint without memory of its own.
type plain struct{ transport.Endpoint }

// hidden hides the memory of endpoints.
func hidden(open transporttest.Open) transporttest.Open {
	return func(t *testing.T, ranks int) []transport.Endpoint {
		t.Helper()
		eps := open(t, ranks)
		for i, e := range eps {
			eps[i] = plain{e}
		}
		return eps
	}
}

func TestConformance(t *testing.T) {
	limit, lossy := 0, os.Getenv("TUTTI_RDMA_LOSS") != ""
	if lossy {
		limit = 1 << 20
	}
	transporttest.Run(t, opener("", limit), transporttest.Options{
		MaxPayload: limit, Slow: lossy, Raw: raw, Greeting: hello(t),
	})
}

// TestConformanceOfOtherMemory: with a secret, a small limit, and memory that the device does not
// know.
func TestConformanceOfOtherMemory(t *testing.T) {
	const limit = 1 << 20
	transporttest.Run(t, hidden(opener("a secret of the job", limit)), transporttest.Options{
		MaxPayload: limit, Raw: raw, Greeting: hello(t),
	})
}

// hello is what a dialler says first.
func hello(t *testing.T) (said []byte) {
	self := transport.Identity{Rank: 0, Size: 3, Job: "another", HostID: "here"}
	_, err := transport.HelloDial(self, 1, nil, transport.Exchange{
		Send: func(message []byte) error {
			said = bytes.Clone(message)
			return nil
		},
		Recv: func() ([]byte, error) { return nil, io.EOF },
	})
	if err == nil || len(said) == 0 {
		t.Fatalf("a hello without an answer: %q, %v", said, err)
	}
	return said
}
