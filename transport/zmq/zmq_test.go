//go:build linux || darwin

package zmq_test

import (
	"context"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/transporttest"
	"github.com/tutti-ml/tutti/transport/zmq"
)

func TestMain(m *testing.M) {
	if zmq.EchoProcess() || runPeer() {
		return
	}
	goleak.VerifyTestMain(m)
}

// opener opens all ranks of a job in this process.
func opener(m zmq.Mode, secret string) transporttest.Open {
	return func(t *testing.T, ranks int) []transport.Endpoint {
		t.Helper()
		eps := make([]transport.Endpoint, ranks)
		for i := range eps {
			e, err := zmq.New(m).Open(context.Background(), transport.Config{
				Rank: i, Size: ranks, Job: t.Name(), Secret: []byte(secret), HostID: "here",
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

// raw connects to the endpoint as a stranger does.
func raw(t *testing.T, e transport.Endpoint) net.Conn {
	t.Helper()
	network, address := zmq.ListensAt(e)
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		mode   zmq.Mode
		secret string
	}{{zmq.TCP, ""}, {zmq.IPC, ""}, {zmq.Auto, ""}, {zmq.TCP, "a secret of the job"}} {
		name := c.mode.String()
		if c.secret != "" {
			name += " with a secret"
		}
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, opener(c.mode, c.secret), transporttest.Options{
				Raw: raw, Greeting: zmq.Greeting(),
			})
		})
	}
}
