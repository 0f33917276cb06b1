//go:build linux || darwin

package zmq_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// The benchmarks' receiving end is a process of its own: two goroutines of one process can share a
// thread, and wake each other at a price that no two ranks ever see.

// flowSpec is a way to move messages: over a bare connection when Name is "bare", else over a link.
type flowSpec struct {
	Name          string
	Spin, Peek    bool
	UnixSendBytes int
}

// peerSpec is what the peer process is told.
type peerSpec struct {
	Mode  zmq.Mode
	Dir   string
	Flows []flowSpec
}

const peerVariable = "TUTTI_ZMQ_TEST_PEER"

// flow is an end of one way: the sending one in the benchmark, the receiving one in the peer.
type flow struct {
	spec    flowSpec
	index   int
	conn    net.Conn // when bare
	station *station
	peer    *peerProcess
}

// peerProcess is the benchmark's handle of the peer.
type peerProcess struct {
	in  io.Writer
	out *bufio.Scanner
}

// order is a line for the peer.
type order struct {
	Flow, Count, Size int
	Acks              bool
}

func openStation(m zmq.Mode, rank int, f flowSpec) (*station, error) {
	options := []zmq.Option{}
	if f.UnixSendBytes > 0 || f.Name == "0KiB" {
		options = append(options, zmq.UnixSendBytes(f.UnixSendBytes))
	}
	e, err := zmq.New(m, options...).Open(context.Background(),
		transport.Config{Rank: rank, Size: 2, Job: "benchmark"})
	return &station{endpoint: e, spin: f.Spin}, err
}

// startPeer starts the other process and connects to it in all the ways.
func startPeer(b *testing.B, m zmq.Mode, specs ...flowSpec) []*flow {
	b.Helper()
	text, err := json.Marshal(peerSpec{Mode: m, Dir: b.TempDir(), Flows: specs})
	if err != nil {
		b.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), peerVariable+"="+string(text))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	p := &peerProcess{in: in, out: bufio.NewScanner(out)}
	var flows []*flow
	b.Cleanup(func() {
		if err := in.Close(); err != nil {
			b.Error(err)
		}
		if err := c.Wait(); err != nil {
			b.Error(err)
		}
		for _, f := range flows {
			if err := f.close(); err != nil {
				b.Error(err)
			}
		}
	})
	for i, spec := range specs {
		f := &flow{spec: spec, index: i, peer: p}
		if err := f.dial(m); err != nil {
			b.Fatal(spec.Name, err)
		}
		flows = append(flows, f)
	}
	return flows
}

func (f *flow) dial(m zmq.Mode) error {
	if !f.peer.out.Scan() {
		return fmt.Errorf("no address: %w", f.peer.out.Err())
	}
	var address []byte
	if err := json.Unmarshal(f.peer.out.Bytes(), &address); err != nil {
		return err
	}
	if f.spec.Name == "bare" {
		c, err := net.Dial(network(m), string(address))
		f.conn = c
		return err
	}
	var err error
	if f.station, err = openStation(m, 0, f.spec); err != nil {
		return err
	}
	f.station.link, err = f.station.endpoint.Dial(context.Background(), 1, address)
	return err
}

func (f *flow) close() error {
	if f.conn != nil {
		return f.conn.Close()
	}
	return f.station.endpoint.Close()
}

func network(m zmq.Mode) string {
	if m == zmq.IPC {
		return "unix"
	}
	return "tcp"
}

// runPeer is the peer process; false when this process is none.
func runPeer() bool {
	text := os.Getenv(peerVariable)
	if text == "" {
		return false
	}
	if err := serve([]byte(text)); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
	return true
}

func serve(text []byte) error {
	var p peerSpec
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	var flows []*flow
	for i, spec := range p.Flows {
		f := &flow{spec: spec}
		if err := f.listen(p, i, out); err != nil {
			return err
		}
		flows = append(flows, f)
	}
	in := json.NewDecoder(os.Stdin)
	dst := make([]byte, 16<<20)
	for {
		var o order
		if err := in.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		for range o.Count {
			if err := flows[o.Flow].take(dst[:o.Size], o.Acks); err != nil {
				return err
			}
		}
		if err := out.Encode("done"); err != nil {
			return err
		}
	}
}

func (f *flow) listen(p peerSpec, i int, out *json.Encoder) error {
	if f.spec.Name == "bare" {
		address := "127.0.0.1:0"
		if p.Mode == zmq.IPC {
			address = filepath.Join(p.Dir, fmt.Sprint(i))
		}
		l, err := net.Listen(network(p.Mode), address)
		if err != nil {
			return err
		}
		if err := out.Encode([]byte(l.Addr().String())); err != nil {
			return err
		}
		c, err := l.Accept()
		f.conn = c
		return err
	}
	var err error
	if f.station, err = openStation(p.Mode, 1, f.spec); err != nil {
		return err
	}
	if err := out.Encode(f.station.endpoint.Addresses()); err != nil {
		return err
	}
	for f.station.link == nil {
		if f.station.link = f.station.endpoint.Accept(); f.station.link == nil {
			f.station.endpoint.Wait(time.Time{})
		}
	}
	return nil
}

// run sends n messages and returns how long that took, until the peer has them all.
func (f *flow) run(n int, src []byte, acks bool) (time.Duration, error) {
	begin := time.Now()
	if err := json.NewEncoder(f.peer.in).Encode(order{f.index, n, len(src), acks}); err != nil {
		return 0, err
	}
	for range n {
		if err := f.put(src, acks); err != nil {
			return 0, err
		}
	}
	if !f.peer.out.Scan() {
		return 0, fmt.Errorf("the peer does not report: %w", f.peer.out.Err())
	}
	return time.Since(begin), nil
}

// put sends a message, and waits for the answer if there is to be one: as long as a header.
func (f *flow) put(src []byte, acks bool) error {
	if f.station != nil {
		err := f.station.put(&transport.Header{Kind: transport.Data}, src, true)
		if err == nil && acks {
			err = f.station.take(nil)
		}
		return err
	}
	var head [73]byte
	buffers := net.Buffers{head[:], src}
	_, err := buffers.WriteTo(f.conn)
	if err == nil && acks {
		_, err = io.ReadFull(f.conn, head[:])
	}
	return err
}

// take receives a message and answers it if it is to be.
func (f *flow) take(dst []byte, acks bool) error {
	if f.station != nil {
		var err error
		if f.spec.Peek {
			err = f.station.peek(func([]byte) {})
		} else {
			err = f.station.take(dst)
		}
		if err == nil && acks {
			err = f.station.put(&transport.Header{Kind: transport.Credit}, nil, true)
		}
		return err
	}
	var head [73]byte
	if _, err := io.ReadFull(f.conn, head[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(f.conn, dst)
	if err == nil && acks {
		_, err = f.conn.Write(head[:])
	}
	return err
}
