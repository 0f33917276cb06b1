package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// grpcEngine is gRPC-go over a network.
type grpcEngine struct {
	network  string
	listener net.Listener
}

// maxBytes is the largest message that either side takes.
const maxBytes = 64 << 20

// codec leaves bytes as they are: what is sent is not copied by it, what is received is one stretch
// of memory.
type codec struct{}

func (codec) Name() string { return "bytes" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("a %T is no *[]byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a %T is no *[]byte", v)
	}
	*b = data.Materialize()
	return nil
}

const service = "tutti.bench.Worker"

// describe is the service, with the methods Ack and Echo.
func describe() *grpc.ServiceDesc {
	method := func(name string, answer func(*[]byte) *[]byte) grpc.MethodDesc {
		return grpc.MethodDesc{
			MethodName: name,
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
			) (any, error) {
				var body []byte
				if err := decode(&body); err != nil {
					return nil, err
				}
				return answer(&body), nil
			},
		}
	}
	return &grpc.ServiceDesc{
		ServiceName: service, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			method("Ack", func(*[]byte) *[]byte { return new([]byte) }),
			method("Echo", func(b *[]byte) *[]byte { return b }),
		},
	}
}

func (e *grpcEngine) listen(c component) (address string, err error) {
	if e.network == "unix" {
		address = filepath.Join(c.Dir, fmt.Sprint("worker.", c.Index))
		e.listener, err = net.Listen("unix", address)
		return "unix:" + address, err
	}
	if e.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return "", err
	}
	return e.listener.Addr().String(), nil
}

func (e *grpcEngine) serve(ctx context.Context, _ component, connected func() error) error {
	s := grpc.NewServer(grpc.ForceServerCodecV2(codec{}), grpc.MaxRecvMsgSize(maxBytes))
	s.RegisterService(describe(), nil)
	stop := context.AfterFunc(ctx, s.Stop)
	defer stop()
	if err := connected(); err != nil {
		return err
	}
	return s.Serve(e.listener)
}

func (e *grpcEngine) connect(ctx context.Context, _ component, workers []string) (caller, error) {
	m := &grpcMaster{}
	for _, w := range workers {
		if e.network == "tcp" {
			w = "passthrough:///" + w
		}
		conn, err := grpc.NewClient(w, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxBytes)))
		if err != nil {
			return nil, errors.Join(err, m.close(ctx))
		}
		m.workers = append(m.workers, conn)
		conn.Connect()
	}
	for _, conn := range m.workers {
		for s := conn.GetState(); s != connectivity.Ready; s = conn.GetState() {
			if !conn.WaitForStateChange(ctx, s) {
				return nil, errors.Join(ctx.Err(), m.close(ctx))
			}
		}
	}
	return m, nil
}

type grpcMaster struct{ workers []*grpc.ClientConn }

func (m *grpcMaster) close(context.Context) error {
	var errs []error
	for _, conn := range m.workers {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

func (m *grpcMaster) call(ctx context.Context, worker int, echo bool, body []byte) ([]byte, error) {
	method := "/" + service + "/Ack"
	if echo {
		method = "/" + service + "/Echo"
	}
	var got []byte
	if err := m.workers[worker].Invoke(ctx, method, &body, &got); err != nil {
		return nil, err
	}
	return got, checkSize(got, echo, body)
}

func (m *grpcMaster) send(ctx context.Context, echo bool, body []byte, look func([]byte) error) error {
	got, err := m.call(ctx, 0, echo, body)
	if err == nil && look != nil {
		err = look(got)
	}
	return err
}

// scatter calls all workers at once, one of them from this goroutine.
func (m *grpcMaster) scatter(ctx context.Context, echo bool, body []byte) error {
	errs := make([]error, len(m.workers))
	var group sync.WaitGroup
	for i := 1; i < len(m.workers); i++ {
		group.Go(func() { _, errs[i] = m.call(ctx, i, echo, body) })
	}
	_, errs[0] = m.call(ctx, 0, echo, body)
	group.Wait()
	return errors.Join(errs...)
}

func (m *grpcMaster) broadcast(ctx context.Context, echo bool, body []byte) error {
	return m.scatter(ctx, echo, body)
}

func (m *grpcMaster) stream(ctx context.Context, flight int, echo bool, body []byte,
	more func() bool,
) (int, error) {
	return goroutines(ctx, m, flight, echo, body, more)
}
