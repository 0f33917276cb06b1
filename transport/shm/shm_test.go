//go:build linux

package shm_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/shm"
	"github.com/tutti-ml/tutti/transport/transporttest"
)

func TestMain(m *testing.M) {
	if runPeer() {
		return
	}
	goleak.VerifyTestMain(m)
}

// opener opens all ranks of a job in this process.
func opener(secret string, maxPayload int) transporttest.Open {
	return func(t *testing.T, ranks int) []transport.Endpoint {
		t.Helper()
		eps := make([]transport.Endpoint, ranks)
		for i := range eps {
			e, err := shm.New().Open(context.Background(), transport.Config{
				Rank: i, Size: ranks, Job: t.Name(), Secret: []byte(secret), HostID: "here",
				MaxPayload: maxPayload,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
			eps[i] = e
		}
		return eps
	}
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

// raw connects to the endpoint as a stranger does.
func raw(t *testing.T, e transport.Endpoint) net.Conn {
	t.Helper()
	if p, ok := e.(plain); ok {
		e = p.Endpoint
	}
	c, err := net.Dial("unix", shm.ListensAt(e))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name, secret string
		maxPayload   int
		hidden       bool
	}{
		{"memory of Alloc", "", 0, false},
		{"other memory", "", 0, true},
		{"with a secret and a small limit", "a secret of the job", 1 << 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := opener(c.secret, c.maxPayload)
			if c.hidden {
				open = hidden(open)
			}
			transporttest.Run(t, open, transporttest.Options{
				MaxPayload: c.maxPayload, Raw: raw, Greeting: hello(t),
			})
		})
	}
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
