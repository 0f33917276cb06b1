package collective

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/drivers"
	"github.com/tutti-ml/tutti/transport/inproc"
	"github.com/tutti-ml/tutti/transport/shm"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// parallel is how many tests run at a time. What is parallel here waits most of the time.
var parallel = "8"

// The test binary is also the program of the tests with real processes.
func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		os.Exit(runProgram(name))
	}
	for name, value := range map[string]string{
		"rapid.seed": "20261123", "rapid.nofailfile": "true", "rapid.checks": "50",
		"test.parallel": parallel,
	} {
		if err := flag.Set(name, value); err != nil { // the command line still wins
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	goleak.VerifyTestMain(m)
}

// hang is when a call counts as hung. No test waits for it, and nothing is measured by it.
const hang = 2 * time.Minute

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	t.Cleanup(cancel)
	return ctx
}

// ground is what ranks inside this process meet on.
type ground struct {
	name   string
	driver func() transport.Driver
}

var grounds = slices.DeleteFunc([]ground{
	{"inproc", func() transport.Driver { return inproc.NewNetwork(inproc.Options{}).Driver() }},
	{"shm", shm.New},
	{"zmq:tcp", func() transport.Driver { return zmq.New(zmq.TCP) }},
	{"zmq:ipc", func() transport.Driver { return zmq.New(zmq.IPC) }},
	{"auto", func() transport.Driver { return twoHosts{lookup("auto")} }},
}, func(g ground) bool { return !hasDriver(g.name) })

// twoHosts is a driver whose even ranks think that they are on one host and whose odd ones on
// another.
type twoHosts struct{ transport.Driver }

func (d twoHosts) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	c.HostID, c.Secret = fmt.Sprint("host ", c.Rank%2), []byte("secret")
	return d.Driver.Open(ctx, c)
}

func lookup(name string) transport.Driver {
	d, err := drivers.Lookup(name)
	if err != nil {
		panic(err)
	}
	return d
}

// hasDriver tells whether the driver works on this system.
func hasDriver(name string) bool { return name != "shm" || runtime.GOOS == "linux" }

// setting is what a test's ranks inside this process are made with.
type setting struct {
	size   int
	driver transport.Driver // nil is inproc
	hosts  []int            // the host that each rank pretends to run on; nil: one host
	opts   []Option
	rank   func(rank int) []Option // options of one rank alone
}

// open makes the ranks. It does what Local does, and can also pretend hosts and differing options.
func (s setting) open(ctx context.Context) ([]*Comm, error) {
	if s.driver == nil {
		s.driver = grounds[0].driver()
	}
	eps := make([]transport.Endpoint, s.size)
	members := make([]rendezvous.Member, s.size)
	for r := range eps {
		ep, err := s.driver.Open(ctx, transport.Config{
			Rank: r, Size: s.size, Job: "test", HostID: "here",
		})
		if err != nil {
			return nil, errors.Join(err, closeEndpoints(eps[:r]))
		}
		eps[r] = ep
		host := 0
		if s.hosts != nil {
			host = s.hosts[r]
		}
		members[r] = rendezvous.Member{
			Host: fmt.Sprint("host ", host), HostID: fmt.Sprint(host), Addresses: ep.Addresses(),
		}
	}
	comms := make([]*Comm, s.size)
	for r := range comms {
		opts := s.opts
		if s.rank != nil {
			opts = append(slices.Clone(opts), s.rank(r)...)
		}
		cfg, err := newConfig(opts)
		if err != nil {
			return nil, errors.Join(err, closeEndpoints(eps))
		}
		comms[r] = newWorld(world{
			rank: r, members: members, ep: eps[r], driver: s.driver.Name(), config: cfg,
			goroutines: true,
		})
	}
	return comms, nil
}

func closeEndpoints(eps []transport.Endpoint) (err error) {
	for _, ep := range eps {
		err = errors.Join(err, ep.Close())
	}
	return err
}

// closeAll closes communicators, all at once as separate processes would.
func closeAll(comms []*Comm) error {
	return together(comms, func(c *Comm) error { return c.Close() })
}

// ranks makes the ranks of a setting, which are closed when the test ends.
func ranks(t testing.TB, s setting) []*Comm {
	t.Helper()
	comms, err := s.open(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closeAll(comms); err != nil {
			t.Error(err)
		}
	})
	return comms
}

// together runs f on every rank at once and joins what they return.
func together(comms []*Comm, f func(*Comm) error) error {
	return errors.Join(outcomes(comms, f)...)
}

// outcomes runs f on every rank at once and returns what each returns.
func outcomes(comms []*Comm, f func(*Comm) error) []error {
	errs := make([]error, len(comms))
	var wg sync.WaitGroup
	for i, c := range comms {
		wg.Go(func() {
			if errs[i] = f(c); errs[i] != nil {
				errs[i] = fmt.Errorf("%v: %w", c, errs[i])
			}
		})
	}
	wg.Wait()
	return errs
}
