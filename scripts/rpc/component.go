package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"
)

// component is what a process of a group is told: which one it is.
type component struct {
	Engine, Group, Store, Dir string
	Workers                   int
	Index                     int // 0 is the master, the workers follow
}

// engine opens the components of one kind.
type engine interface {
	// listen makes a worker reachable, where it has an address.
	listen(c component) (address string, err error)
	// serve connects a worker, calls connected, and answers until ctx ends.
	serve(ctx context.Context, c component, connected func() error) error
	// connect connects the master.
	connect(ctx context.Context, c component, workers []string) (caller, error)
}

// caller is a master's side of an engine. The methods return when the replies are there, and check
// their number and size.
type caller interface {
	// send calls look, unless it is nil, with the reply's body, which it may then use again.
	send(ctx context.Context, echo bool, body []byte, look func(got []byte) error) error
	scatter(ctx context.Context, echo bool, body []byte) error
	broadcast(ctx context.Context, echo bool, body []byte) error
	// stream keeps so many round trips with the first worker under way while more says so, and
	// returns how many there were.
	stream(ctx context.Context, flight int, echo bool, body []byte, more func() bool) (int, error)
	close(ctx context.Context) error
}

// openEngine returns the engine of a name.
func openEngine(name string) (engine, error) {
	switch name {
	case "auto", "shm", "zmq", "zmq:tcp", "zmq:ipc":
		return proxyEngine{name}, nil
	case "grpc:unix":
		return &grpcEngine{network: "unix"}, nil
	case "grpc:tcp":
		return &grpcEngine{network: "tcp"}, nil
	}
	return nil, fmt.Errorf("no engine %q: auto, zmq, zmq:tcp, grpc:unix or grpc:tcp", name)
}

// runComponent is the life of a process of a group: it ends when its input does.
func runComponent(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	var c component
	if len(args) != 1 {
		return errors.New("a component is started by this program itself")
	}
	if err := json.Unmarshal([]byte(args[0]), &c); err != nil {
		return err
	}
	e, err := openEngine(c.Engine)
	if err != nil {
		return err
	}
	stopProfile, err := profile(c)
	if err != nil {
		return err
	}
	defer stopProfile()
	enc, dec := json.NewEncoder(out), json.NewDecoder(in)
	var r ready
	if c.Index > 0 {
		if r.Address, err = e.listen(c); err != nil {
			return err
		}
	}
	if err := enc.Encode(r); err != nil {
		return err
	}
	var b begin
	if err := dec.Decode(&b); err != nil {
		return err
	}
	connected := func() error { return enc.Encode(joined{time.Now().UnixNano()}) }
	if c.Index == 0 {
		return runMaster(ctx, e, c, b.Addresses, connected, enc, dec)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the worker is told nothing more: what comes is the end
		defer cancel()
		_, _ = io.Copy(io.Discard, io.MultiReader(dec.Buffered(), in))
	}()
	return e.serve(ctx, c, connected)
}

// profile writes the processor time of a component to RPC_PROFILE.INDEX, where that is set.
func profile(c component) (stop func(), err error) {
	name := os.Getenv("RPC_PROFILE")
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(fmt.Sprintf("%s.%s.%d", name, c.Engine, c.Index))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "rpc:", err)
		}
	}, nil
}

// runMaster does the experiments that it is told.
func runMaster(ctx context.Context, e engine, c component, workers []string, connected func() error,
	enc *json.Encoder, dec *json.Decoder,
) (err error) {
	call, err := e.connect(ctx, c, workers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, call.close(ctx)) }()
	if err := connected(); err != nil {
		return err
	}
	for {
		var x experiment
		if err := dec.Decode(&x); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		m, err := x.do(ctx, call)
		if err != nil {
			m.Error = err.Error()
		}
		if err := enc.Encode(m); err != nil {
			return err
		}
	}
}
