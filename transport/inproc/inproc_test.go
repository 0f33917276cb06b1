package inproc

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openOn opens endpoints of all ranks on a network.
func openOn(t testing.TB, n *Network, ranks int) []transport.Endpoint {
	t.Helper()
	eps := make([]transport.Endpoint, ranks)
	for i := range eps {
		e, err := n.Driver().Open(t.Context(), transport.Config{Rank: i, Size: ranks, Job: "test"})
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

func TestConformance(t *testing.T) {
	open := func(t *testing.T, ranks int) []transport.Endpoint {
		return openOn(t, NewNetwork(Options{}), ranks)
	}
	transporttest.Run(t, open, transporttest.Options{})
}
