package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
)

// componentCommand is the first argument of the processes of a group.
const componentCommand = "component"

// group is one engine's master and workers, each a process.
type group struct {
	processes []*process // the master is the first
	joined    time.Duration
	cost      time.Duration // processor time of all processes until all were connected
	server    *rendezvous.Server
	dir       string // of the Unix sockets
}

// process is a component, which is spoken to in lines of JSON.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

// The first line from a component says where it is reached, where its engine has no store to say it
// in; the answer tells all of them.
type ready struct{ Address string }

type begin struct{ Addresses []string }

// joined is the second line: when the component was connected, by the clock that processes share.
type joined struct{ At int64 }

// measured is the answer to an experiment.
type measured struct {
	Rate  float64 // round trips a second
	Trips int     // all, those before the timed ones included
	Error string
}

// value is what was measured.
type value struct {
	rate float64       // round trips a second, of a join seconds
	cost time.Duration // processor time of all processes for one
}

// startGroup starts the processes, and returns when they are connected.
func startGroup(ctx context.Context, o *options, engine string, workers int) (_ *group, err error) {
	g := &group{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.stop())
		}
	}()
	if g.dir, err = os.MkdirTemp("", "rpc"); err != nil {
		return nil, err
	}
	store := o.store
	if store == "" {
		if g.server, err = rendezvous.ServeEmbedded("127.0.0.1:0", "", nil); err != nil {
			return nil, err
		}
		store = g.server.URL()
	}
	begun := begin{}
	for i := range workers + 1 {
		c := component{
			Engine: engine, Group: filepath.Base(g.dir), Store: store, Dir: g.dir,
			Workers: workers, Index: i,
		}
		p, err := start(ctx, c)
		if err != nil {
			return nil, err
		}
		g.processes = append(g.processes, p)
		var r ready
		if err := p.dec.Decode(&r); err != nil {
			return nil, fmt.Errorf("component %d did not start: %w", i, err)
		}
		if i > 0 {
			begun.Addresses = append(begun.Addresses, r.Address)
		}
	}
	return g, g.join(begun)
}

// join tells all to connect, and waits until they are.
func (g *group) join(begun begin) error {
	before, err := g.spent()
	if err != nil {
		return err
	}
	started := time.Now().UnixNano()
	for _, p := range g.processes {
		if err := p.enc.Encode(begun); err != nil {
			return err
		}
	}
	for i, p := range g.processes {
		var j joined
		if err := p.dec.Decode(&j); err != nil {
			return fmt.Errorf("component %d did not join: %w", i, err)
		}
		g.joined = max(g.joined, time.Duration(j.At-started))
	}
	after, err := g.spent()
	g.cost = after - before
	return err
}

// measure makes the master do an experiment.
func (g *group) measure(x experiment) (value, error) {
	master := g.processes[0]
	before, err := g.spent()
	if err != nil {
		return value{}, err
	}
	if err := master.enc.Encode(x); err != nil {
		return value{}, err
	}
	var m measured
	if err := master.dec.Decode(&m); err != nil {
		return value{}, fmt.Errorf("the master has ended: %w", err)
	}
	if m.Error != "" {
		return value{}, errors.New(m.Error)
	}
	after, err := g.spent()
	return value{m.Rate, (after - before) / time.Duration(m.Trips)}, err
}

// stop ends the processes, the master first.
func (g *group) stop() error {
	var errs []error
	for _, p := range g.processes {
		errs = append(errs, p.in.Close(), p.cmd.Wait())
	}
	if g.server != nil {
		errs = append(errs, g.server.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(g.dir))...)
}

func start(ctx context.Context, c component) (*process, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, componentCommand, string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd, in, json.NewEncoder(in), json.NewDecoder(bufio.NewReader(out))}, nil
}
