//go:build linux

package drivers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/shm"
	"github.com/tutti-ml/tutti/transport/transporttest"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// opener opens the ranks of a job, by turns on so many hosts, as they think.
func opener(hosts int) transporttest.Open {
	return func(t *testing.T, ranks int) []transport.Endpoint {
		t.Helper()
		eps := make([]transport.Endpoint, ranks)
		for i := range eps {
			eps[i] = start(t, newAuto(), transport.Config{
				Rank: i, Size: ranks, Job: t.Name(), Secret: []byte("a secret of the job"),
				HostID: fmt.Sprint("host ", i%hosts),
			})
		}
		return eps
	}
}

func start(t *testing.T, d transport.Driver, c transport.Config) transport.Endpoint {
	t.Helper()
	e, err := d.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestConformance(t *testing.T) {
	for _, hosts := range []int{1, 2} {
		t.Run(fmt.Sprint(hosts, " hosts"), func(t *testing.T) {
			if hosts > 1 {
				needNetwork(t)
			}
			transporttest.Run(t, opener(hosts), transporttest.Options{})
		})
	}
}

// needNetwork skips a test on a machine without an address that other hosts could reach.
func needNetwork(t *testing.T) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && !n.IP.IsLoopback()
	}) {
		t.Skip("SKIPPED: no network interface but the loopback one, so no host reaches another")
	}
}

// without is a driver that opens no endpoint.
type without struct{}

func (without) Name() string { return "shm" }
func (without) Open(context.Context, transport.Config) (transport.Endpoint, error) {
	return nil, errors.New("no memory to be had")
}

// unwired is auto on hosts without RDMA.
func unwired() transport.Driver {
	return auto{near: shm.New(), wire: unbuilt{}, far: zmq.New(zmq.Auto)}
}

// unbuilt is a driver that this build does not have.
type unbuilt struct{}

func (unbuilt) Name() string { return "ibverbs" }
func (unbuilt) Open(context.Context, transport.Config) (transport.Endpoint, error) {
	return nil, errors.ErrUnsupported
}

// TestWhatIsChosenAndWhy: each kind of link is one line.
func TestWhatIsChosenAndWhy(t *testing.T) {
	poor := auto{near: without{}, wire: unbuilt{}, far: zmq.New(zmq.Auto)}
	for _, c := range []struct {
		name        string
		here, there transport.Driver
		host        string // of the other end
		begins      string
		says        []string
	}{
		{"one host", unwired(), unwired(), "here", "shm", []string{
			`msg="auto: connected" rank=0 peer=1 driver=shm why="same host: shared memory"`,
		}},
		{"two hosts", unwired(), unwired(), "there", "zmq tcp", []string{
			`msg="auto: connected" rank=0 peer=1 driver=zmq why="it is on another host`,
		}},
		{"none here", poor, unwired(), "here", "zmq unix", []string{
			`level=WARN msg="auto: no shared memory: all links go by zmq" rank=0 ` +
				`error="no memory to be had"`,
			`driver=zmq why="this rank has no shared memory"`,
		}},
		{"none there", unwired(), poor, "here", "zmq unix", []string{
			`driver=zmq why="the peer has no shared memory"`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			config := transport.Config{
				Size: 2, Job: t.Name(), Secret: []byte("secret"), HostID: "here",
				Logger: slog.New(slog.NewTextHandler(&log, verbose)),
			}
			a := start(t, c.here, config)
			config.Rank, config.HostID, config.Logger = 1, c.host, nil
			b := start(t, c.there, config)
			driver, why := a.(transport.Chooser).Choose(b.Addresses())
			if says := fmt.Sprintf("driver=%s why=%q", driver, why); !strings.Contains(
				c.says[len(c.says)-1], says[:30]) {
				t.Errorf("it chooses %s", says)
			}
			if c.host != "here" {
				needNetwork(t)
			}
			l, err := a.Dial(t.Context(), 1, b.Addresses())
			if err != nil {
				t.Fatal(err)
			}
			for b.Accept() == nil {
				b.Wait(time.Time{})
			}
			if !strings.HasPrefix(l.String(), c.begins) {
				t.Errorf("the link is %v, want %s", l, c.begins)
			}
			for _, text := range c.says {
				if n := strings.Count(log.String(), text); n != 1 {
					t.Errorf("%d lines say %q in\n%s", n, text, log.String())
				}
			}
		})
	}
}

var verbose = &slog.HandlerOptions{Level: slog.LevelDebug}

// short is shared memory that has run out: it listens, and no link can be made.
type short struct{}

func (short) Name() string { return "shm" }

func (short) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	e, err := shm.New().Open(ctx, c)
	return shortEndpoint{e, e.(transport.Parker)}, err
}

type shortEndpoint struct {
	transport.Endpoint
	transport.Parker
}

func (shortEndpoint) Dial(_ context.Context, peer int, _ []byte) (transport.Link, error) {
	return nil, &transport.LinkError{
		Phase: "dial", Peer: peer, Err: syscall.ENOSPC, Remedy: "raise the memory limit",
	}
}

// TestMemoryIsShort: links go by the other driver, and one line warns, with what can be done.
func TestMemoryIsShort(t *testing.T) {
	var log bytes.Buffer
	config := transport.Config{
		Size: 4, HostID: "here", Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	a := start(t, auto{near: short{}, wire: unbuilt{}, far: zmq.New(zmq.Auto)}, config)
	config.Logger = nil
	for config.Rank = 1; config.Rank < config.Size; config.Rank++ {
		b := start(t, newAuto(), config)
		l, err := a.Dial(t.Context(), config.Rank, b.Addresses())
		if err != nil || !strings.HasPrefix(l.String(), "zmq unix") {
			t.Fatalf("the link is %v: %v", l, err)
		}
	}
	const says = `msg="auto: no shared memory with a rank of this host: it goes by zmq"`
	text := log.String()
	if n := strings.Count(text, "level=WARN"); n != 1 || !strings.Contains(text, says) ||
		!strings.Contains(text, "raise the memory limit") {
		t.Errorf("%d warnings in\n%s", n, text)
	}
}

// The driver auto tells how it would reach a peer before it does.
func ExampleLookup_auto() {
	ctx := context.Background()
	driver, err := Lookup("auto")
	if err != nil {
		fmt.Println(err)
		return
	}
	const loopback = "127.0.0.0/8" // no RDMA network is allowed, so it is the same wherever this runs
	here, err := driver.Open(ctx, transport.Config{
		Rank: 0, Size: 3, HostID: "a host", Interface: loopback,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer here.Close()
	for rank, host := range []string{1: "a host", 2: "another one"} {
		if rank == 0 {
			continue
		}
		peer, err := driver.Open(ctx, transport.Config{
			Rank: rank, Size: 3, HostID: host, Interface: loopback,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		by, why := here.(transport.Chooser).Choose(peer.Addresses())
		why, _, _ = strings.Cut(why, ";") // with RDMA devices: no network of theirs connects the hosts
		fmt.Printf("rank %d by %s: %s\n", rank, by, why)
		if err := peer.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// rank 1 by shm: same host: shared memory
	// rank 2 by zmq: it is on another host, or in another network namespace
}

// TestDialOfAnEndedRank: the error tells of both ways.
func TestDialOfAnEndedRank(t *testing.T) {
	config := transport.Config{Size: 2, HostID: "here"}
	a := start(t, newAuto(), config)
	config.Rank = 1
	b := start(t, newAuto(), config)
	at := b.Addresses()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := a.Dial(t.Context(), 1, at)
	var failure *transport.LinkError
	if !errors.As(err, &failure) || failure.Peer != 1 ||
		!strings.Contains(err.Error(), "through shared memory") {
		t.Errorf("the error is %v", err)
	}
}
