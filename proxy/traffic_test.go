package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/transport"
	builtin "github.com/tutti-ml/tutti/transport/drivers"
	"github.com/tutti-ml/tutti/transport/inproc"
	"github.com/tutti-ml/tutti/transport/shm"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// drivers are what the tests of traffic run over.
var drivers = map[string]func() transport.Driver{
	"inproc": func() transport.Driver { return inproc.NewNetwork(inproc.Options{}).Driver() },
	"ipc":    func() transport.Driver { return zmq.New(zmq.IPC) },
	"tcp":    func() transport.Driver { return zmq.New(zmq.TCP) },
	"shm":    func() transport.Driver { return shm.New() },
	"auto":   openAuto,
}

func openAuto() transport.Driver {
	d, err := builtin.Lookup("auto")
	if err != nil {
		panic(err)
	}
	return d
}

// overDrivers runs a test over each driver, on a store of its own.
func overDrivers(t *testing.T, test func(t *testing.T, store string, option proxy.Option)) {
	for name, open := range drivers {
		if name == "shm" && runtime.GOOS != "linux" {
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, embeddedStore(t), proxy.WithDriver(open())) })
	}
}

// serve answers every message with its own body until the context ends.
func serve(ctx context.Context, t testing.TB, p *proxy.Proxy) {
	for m, err := range p.Receive(ctx) {
		if err == nil {
			err = p.Reply(ctx, m, "", m.Body)
		}
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			return
		}
	}
}

// echoes makes all workers serve until the test ends.
func echoes(t testing.TB, all map[string]*proxy.Proxy) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, p := range all {
		if p.Type() == "worker" {
			group.Go(func() { serve(ctx, t, p) })
		}
	}
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
}

func TestManySendersAtOnce(t *testing.T) {
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, masterAndWorkers(3), driver)
		echoes(t, all)
		ctx := soon(t)
		var group sync.WaitGroup
		for g := range 64 {
			group.Go(func() {
				for i := range 20 {
					body := []int32{int32(g), int32(i)}
					to := fmt.Sprint("worker.", 1+(g+i)%3)
					r, err := all["master"].Send(ctx, proxy.NewSessionMessage("echo", to, body, proxy.Task))
					if err != nil {
						t.Error(err)
						return
					}
					if got := r.Body.([]int32); !slices.Equal(got, body) || r.Source != to {
						t.Errorf("sent %v to %s, got %v of %s", body, to, got, r.Source)
					}
				}
			})
		}
		group.Wait()
		if s := all["master"].Stats(); s.Sessions != 0 || s.Inbox != 0 || s.Late != 0 || s.Duplicates != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, masterAndWorkers(2), driver)
		echoes(t, all)
		body := make([]float32, 9<<20/4+3) // several frames, and a rest
		for i := range body {
			body[i] = float32(i)
		}
		replies, err := all["master"].Broadcast(soon(t), "worker", "echo", proxy.Task, body)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range replies {
			if !slices.Equal(r.Body.([]float32), body) || r.Source != fmt.Sprint("worker.", i+1) {
				t.Errorf("reply %d of %s differs", i, r.Source)
			}
		}
	})
}

func TestMessagesKeepTheirOrder(t *testing.T) {
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, masterAndWorkers(1), driver, proxy.WithWindow(4096))
		const n = 2000
		var group sync.WaitGroup
		group.Go(func() {
			for i := range n {
				var err error
				if i%7 == 0 { // a broadcast among the others
					_, err = all["master"].IBroadcast(soon(t), "worker", "n", proxy.Notification, []int64{int64(i)})
				} else {
					_, err = all["master"].ISend(soon(t), proxy.NewMessage("n", "worker.1", []int64{int64(i)}))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		for i := range n {
			m, err := all["worker.1"].ReceiveOnce(soon(t))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Body.([]int64)[0]; got != int64(i) {
				t.Fatalf("message %d came at place %d", got, i)
			}
		}
		group.Wait()
	})
}
