package collective

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/drivers"
	"github.com/tutti-ml/tutti/transport/inproc"
)

// Connect joins the job that the launcher's environment describes (tutti run, torchrun, Open MPI,
// MPICH, Slurm, Kubernetes; see package rendezvous) and returns the communicator of all its
// ranks. Without a launcher the job is this process alone. It returns when all ranks are there,
// or when ctx ends, with an error that names the missing ones.
func Connect(ctx context.Context, opts ...Option) (*Comm, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	env := cfg.env
	if !cfg.envRead {
		if env, err = rendezvous.FromEnvironment(nil); err != nil {
			return nil, fmt.Errorf("collective: connect: %w", err)
		}
	}
	if env.Size == 0 {
		env.Rank, env.Size = 0, 1
	}
	hostID, err := rendezvous.HostID()
	if err != nil {
		return nil, fmt.Errorf("collective: connect: %w", err)
	}
	ep, name, err := open(ctx, cfg, &env, hostID)
	if err != nil {
		return nil, fmt.Errorf("collective: connect: %w", err)
	}
	session, err := rendezvous.Join(ctx, env, rendezvous.Member{
		HostID: hostID, Cores: runtime.NumCPU(), Addresses: ep.Addresses(), Version: buildVersion(),
		Config: fmt.Sprintf("driver=%s\n%s", name, cfg.agreed()),
	}, rendezvous.Options{Logger: cfg.logger})
	if err != nil {
		return nil, fmt.Errorf("collective: connect: %w", errors.Join(err, ep.Close()))
	}
	members := session.Members()
	tellDriver(cfg, name, env.Rank, ep, members)
	c := newWorld(world{
		rank: env.Rank, members: members, ep: ep, driver: name, config: cfg, release: session.Close,
	})
	if env.Size > 1 && cfg.tunes() != TuneOff {
		if err := c.tune(ctx, name, members, cfg); err != nil {
			return nil, fmt.Errorf("collective: connect: %w", errors.Join(err, c.Close()))
		}
	}
	return c, nil
}

// tellDriver logs, in one line, which driver was chosen by whom and, where it is one that chooses
// itself, what it takes for how many of the peers and why.
func tellDriver(
	cfg *config, name string, rank int, ep transport.Endpoint, members []rendezvous.Member,
) {
	args := []any{"rank", rank, "size", len(members), "driver", name, "chosen by", cfg.driverBy}
	if c, ok := ep.(transport.Chooser); ok {
		var ways []string
		count := map[string]int{}
		for i, m := range members {
			if i == rank {
				continue
			}
			driver, why := c.Choose(m.Addresses)
			way := fmt.Sprintf("by %s (%s)", driver, why)
			if count[way]++; count[way] == 1 {
				ways = append(ways, way)
			}
		}
		for _, way := range ways {
			args = append(args, "peers "+way, count[way])
		}
	}
	cfg.logger.Info("collective: connected", args...)
}

// open attaches this rank to the driver that is asked for. A rank alone needs no network.
func open(ctx context.Context, cfg *config, env *rendezvous.Environment, hostID string) (
	ep transport.Endpoint, name string, err error,
) {
	d := cfg.driver
	switch {
	case d == nil && env.Size == 1:
		d = inproc.NewNetwork(inproc.Options{}).Driver()
		cfg.driverBy = "being alone"
	case d == nil:
		if d, err = drivers.Lookup(cfg.driverName); err != nil {
			return nil, "", err
		}
	}
	ep, err = d.Open(ctx, transport.Config{
		Linger: lingerHealthy,
		Rank:   env.Rank, Size: env.Size, Job: env.Job, Secret: []byte(env.Secret), HostID: hostID,
		Listen: cfg.listen, Interface: env.Interface, Logger: cfg.logger,
	})
	return ep, d.Name(), err
}

// buildVersion is what ranks must share: the version of the frames, and that of the module where
// it is known, since the order of the algorithms stands in fingerprints.
func buildVersion() string {
	v := fmt.Sprint("frames ", transport.Version)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == "github.com/tutti-ml/tutti" && m.Version != "" {
				v += " " + m.Version
			}
		}
	}
	return v
}
