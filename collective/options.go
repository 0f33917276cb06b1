package collective

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/drivers"
)

// Option changes what Connect, or Local, would do by itself.
type Option func(*config) error

type config struct {
	env         rendezvous.Environment
	envRead     bool
	driver      transport.Driver
	driverName  string
	driverBy    string // who has chosen it, for people
	listen      string
	logger      *slog.Logger
	force       map[schedule.Collective]string
	invariant   bool
	checksum    bool
	chunkBytes  int         // 0: as is best
	wire        tensor.Type // zero: messages are as the memory is
	fabric      *topology.Fabric
	tuning      string // one of the settings of WithTuning; "": as is usual
	tuningCache string
	priority    bool
}

// WithEnvironment uses env instead of what the launcher has set.
func WithEnvironment(env rendezvous.Environment) Option {
	return func(c *config) error {
		c.env, c.envRead = env, true
		return nil
	}
}

// WithDriver moves frames by a driver of the caller's.
func WithDriver(d transport.Driver) Option {
	return func(c *config) error {
		c.driver, c.driverBy = d, "an option"
		return nil
	}
}

// WithDriverName chooses a built-in driver by name: "shm", "ibverbs", "zmq", "zmq:tcp", "zmq:ipc", or
// "auto", the default, which is shm inside a host, and between hosts ibverbs, in builds that have it
// where an RDMA network connects them, else zmq. It wins over the variable
// TUTTI_DRIVER, and must be the same on all ranks. An empty name changes nothing.
func WithDriverName(name string) Option {
	return func(c *config) error {
		if name != "" {
			c.driverName, c.driverBy = name, "an option"
		}
		return nil
	}
}

// WithListen sets the address and port to listen on; without it the driver chooses.
func WithListen(address string) Option {
	return func(c *config) error {
		c.listen = address
		return nil
	}
}

// WithLogger says what is chosen, and what goes wrong, to l.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		c.logger = l
		return nil
	}
}

// WithAlgorithms forces algorithms: "allreduce=ring,broadcast=chain". It must be the same on all
// ranks, and wins over the variable TUTTI_ALGO.
func WithAlgorithms(s string) Option {
	return func(c *config) (err error) {
		c.force, err = ParseAlgorithms(s)
		return err
	}
}

// WithInvariantBits makes the bits of every reduction independent of the message's size, the
// element's place in it and the algorithm: only canonical algorithms are used. It must be the same
// on all ranks. Without it the bits are the same on all ranks, and from run to run for the same
// call on the same number of ranks, by the same driver, on hosts of as many cores.
func WithInvariantBits() Option {
	return func(c *config) error {
		c.invariant = true
		return nil
	}
}

// WithChecksums adds a CRC-32C to every frame that this rank sends.
func WithChecksums() Option {
	return func(c *config) error {
		c.checksum = true
		return nil
	}
}

// WithChunkBytes bounds the payload of a frame; it must be the same on all ranks. Without it the bound
// is 512 KiB, or 1 MiB over sockets where ranks outnumber the cores of a host.
func WithChunkBytes(n int) Option {
	return func(c *config) error {
		if n < 4096 || n > transport.DefaultMaxPayload || n&(n-1) != 0 {
			return fmt.Errorf("collective: chunk of %d bytes: want a power of two from 4096 to %d",
				n, transport.DefaultMaxPayload)
		}
		c.chunkBytes = n
		return nil
	}
}

// WithWire halves what reductions of float32 send: AllReduce, Reduce and ReduceScatter with Sum, Avg,
// Min or Max then send BF16 or F16 and still add in float32. All else is sent as it is: other types,
// products and functions of the user's, and collectives that only move elements, such as the broadcast
// of parameters. F32 is the default, which sends everything as it is. It must be the same on all
// ranks; who means gradients alone gives them a communicator of their own, by Split. See the package
// documentation for what it costs in accuracy.
func WithWire(t tensor.Type) Option {
	return func(c *config) error {
		switch t {
		case tensor.BF16, tensor.F16:
			c.wire = t
		case tensor.F32:
			c.wire = 0
		default:
			return fmt.Errorf("collective: type %v on the wire: want bf16, f16 or f32", t)
		}
		return nil
	}
}

// Settings of WithTuning and of the variable TUTTI_TUNE.
const (
	// TuneOff predicts by what is assumed of the driver.
	TuneOff = "off"
	// TuneSteady predicts by the speeds of the links that were measured for the same ranks during the
	// last day, or are measured now; but which algorithm combines numbers whose result depends on the
	// order, floating-point sums above all, is left to what is assumed of the driver and of whether ranks
	// outnumber the cores of a host: else their bits would differ from run to run. Sums of two ranks have
	// one order only.
	TuneSteady = "steady"
	// TuneOn lets measured speeds choose for those too.
	TuneOn = "on"
	// TuneFresh is TuneOn, and measures in any case.
	TuneFresh = "fresh"
)

// WithTuning says whether Connect measures the links, so that the fastest algorithm can be told: by
// one of TuneOff, TuneSteady, TuneOn and TuneFresh, the same on all ranks. It takes part of a
// second, and nothing when the speeds are known. It wins over the variable TUTTI_TUNE. Without either it is
// TuneSteady, or TuneOff where WithDriver is given. Local never measures.
func WithTuning(setting string) Option {
	return func(c *config) error {
		switch setting {
		case TuneOff, TuneSteady, TuneOn, TuneFresh:
			c.tuning = setting
			return nil
		}
		return fmt.Errorf("collective: no tuning %q: there are %s, %s, %s and %s", setting,
			TuneOff, TuneSteady, TuneOn, TuneFresh)
	}
}

// WithTuningCache keeps measured speeds in a directory, instead of one of the user's
// (os.UserCacheDir): that of rank 0 counts. It wins over the variable TUTTI_TUNE_CACHE.
func WithTuningCache(directory string) Option {
	return func(c *config) error {
		c.tuningCache = directory
		return nil
	}
}

// WithPriority is for a communicator, made by Split, whose small calls should not wait behind large
// ones of others: a vote, a clipped norm, a barrier beside the gradients. Its frames go on links
// of their own and its calls are served first. The links, one to each peer that its calls need, are
// opened by the first call that does; where one can't be, its frames go with all others'.
func WithPriority() Option {
	return func(c *config) error {
		c.priority = true
		return nil
	}
}

// WithFabric predicts by the given speeds, and measures nothing. It must be the same on all ranks.
func WithFabric(f topology.Fabric) Option {
	return func(c *config) error {
		if err := f.Check(); err != nil {
			return fmt.Errorf("collective: %w", err)
		}
		c.fabric = &f
		return nil
	}
}

// tunes returns how Connect tunes.
func (c *config) tunes() string {
	switch {
	case c.fabric != nil:
		return TuneOff
	case c.tuning != "":
		return c.tuning
	case c.driver != nil:
		return TuneOff
	}
	return TuneSteady
}

// defaultChunkBytes is the largest payload of a frame unless WithChunkBytes says otherwise: small
// enough that a chunk is reduced while it is in cache, large enough that a stream's system calls
// are few. Over loopback 512 KiB beats 128 KiB and 256 KiB at most sizes on two ranks, and 1 MiB in all-reduces
// and broadcasts, by a fifth. Ranks that take turns on cores lose time at each turn, and the longer frames of
// crowdedChunkBytes have fewer: on two cores, 8 ranks take 0.7 to 1.0 of the time they take with 256 KiB, and
// 4 ranks 0.7 to 1.1. Over shared memory it makes little difference.
const (
	defaultChunkBytes = 512 << 10
	crowdedChunkBytes = 1 << 20
)

// chunk is the largest payload of a frame, the same on all ranks.
func (c *config) chunk(driver string, crowded bool) int {
	switch {
	case c.chunkBytes > 0:
		return c.chunkBytes
	case crowded && strings.HasPrefix(driver, "zmq"):
		return crowdedChunkBytes
	}
	return defaultChunkBytes
}

func newConfig(opts []Option) (*config, error) {
	c := &config{logger: slog.New(slog.DiscardHandler)}
	if s := os.Getenv("TUTTI_ALGO"); s != "" {
		if err := WithAlgorithms(s)(c); err != nil {
			return nil, fmt.Errorf("TUTTI_ALGO: %w", err)
		}
	}
	c.driverName, c.driverBy = drivers.Default, "default"
	if s := os.Getenv("TUTTI_DRIVER"); s != "" {
		c.driverName, c.driverBy = s, "TUTTI_DRIVER"
	}
	if s := os.Getenv("TUTTI_TUNE"); s != "" {
		if err := WithTuning(s)(c); err != nil {
			return nil, fmt.Errorf("TUTTI_TUNE: %w", err)
		}
	}
	c.tuningCache = os.Getenv("TUTTI_TUNE_CACHE")
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// ParseAlgorithms reads "collective=algorithm" pairs separated by commas. An empty string forces
// nothing.
func ParseAlgorithms(s string) (map[schedule.Collective]string, error) {
	force := map[schedule.Collective]string{}
	for pair := range strings.SplitSeq(s, ",") {
		if pair == "" {
			continue
		}
		name, alg, _ := strings.Cut(pair, "=")
		coll, err := parseCollective(name)
		if err != nil {
			return nil, err
		}
		if _, err := schedule.Lookup(coll, alg); err != nil {
			return nil, err
		}
		force[coll] = alg
	}
	return force, nil
}

func parseCollective(name string) (schedule.Collective, error) {
	var names []string
	for c := schedule.AllReduce; c <= schedule.Barrier; c++ {
		if c.String() == name {
			return c, nil
		}
		names = append(names, c.String())
	}
	return 0, fmt.Errorf("collective: no collective %q: there are %s", name, strings.Join(names, ", "))
}

// agreed lists, a line each, the settings that must be the same on all ranks.
func (c *config) agreed() string {
	lines := []string{fmt.Sprintf("chunk=%d", c.chunkBytes), fmt.Sprintf("invariant=%t", c.invariant)}
	if c.wire != 0 {
		lines = append(lines, fmt.Sprintf("wire=%v", c.wire))
	}
	if c.fabric != nil {
		lines = append(lines, fmt.Sprintf("fabric=%+v", *c.fabric))
	}
	lines = append(lines, "tuning="+c.tunes())
	for coll := schedule.AllReduce; coll <= schedule.Barrier; coll++ {
		if a := c.force[coll]; a != "" {
			lines = append(lines, fmt.Sprintf("algorithm.%s=%s", coll, a))
		}
	}
	return strings.Join(lines, "\n")
}
