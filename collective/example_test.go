package collective_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
	"github.com/tutti-ml/tutti/transport/inproc"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// Run it as four ranks with: tutti run -n 4 -- ./program
func Example() {
	ctx := context.Background()
	comm, err := collective.Connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer comm.Close()
	gradients := []float32{0.5, 1, -2}
	if err := collective.AllReduce(ctx, comm, gradients, tensor.Avg); err != nil {
		log.Fatal(err)
	}
	fmt.Println("rank", comm.Rank(), "of", comm.Size(), gradients)
	// Output: rank 0 of 1 [0.5 1 -2]
}

// onRanks runs f on every rank of a communicator inside this process, at the same time, and prints
// what each returns, in the order of ranks.
func onRanks(
	size int, f func(ctx context.Context, c *collective.Comm) (any, error), opts ...collective.Option,
) {
	ctx := context.Background()
	comms, err := collective.Local(ctx, size, opts...)
	if err != nil {
		fmt.Println(err)
		return
	}
	lines := make([]string, size)
	var ranks sync.WaitGroup
	for rank, c := range comms {
		ranks.Go(func() {
			result, err := f(ctx, c)
			if err != nil {
				result = err
			}
			lines[rank] = fmt.Sprintf("rank %d: %v", rank, result)
			if err := c.Close(); err != nil {
				lines[rank] += fmt.Sprint(", ", err)
			}
		})
	}
	ranks.Wait()
	fmt.Println(strings.Join(lines, "\n"))
}

// Without a launcher the job is this process alone.
func ExampleConnect() {
	comm, err := collective.Connect(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(comm)
	fmt.Println(comm.Close())
	// Output:
	// comm 0 rank 0 of 1
	// <nil>
}

func ExampleLocal() {
	comms, err := collective.Local(context.Background(), 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range comms { // each is for a goroutine of its own
		fmt.Println(c, c.Close())
	}
	// Output:
	// comm 0 rank 0 of 3 <nil>
	// comm 0 rank 1 of 3 <nil>
	// comm 0 rank 2 of 3 <nil>
}

func ExampleComm_Split() {
	onRanks(4, func(ctx context.Context, c *collective.Comm) (any, error) {
		parity, err := c.Split(ctx, c.Rank()%2, -c.Rank()) // by color, in the order of keys
		if err != nil {
			return nil, err
		}
		members := make([]int32, parity.Size())
		if err := collective.AllGather(ctx, parity, members, []int32{int32(c.Rank())}); err != nil {
			return nil, err
		}
		return members, parity.Close()
	})
	// Output:
	// rank 0: [2 0]
	// rank 1: [3 1]
	// rank 2: [2 0]
	// rank 3: [3 1]
}

func ExampleComm_Split_wire() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		// Gradients go as bf16; everything else, on c, stays exact.
		gradients, err := c.Split(ctx, 0, c.Rank(), collective.WithWire(tensor.BF16))
		if err != nil {
			return nil, err
		}
		g, loss := []float32{1.0 / 3}, []float32{1.0 / 3}
		if err := collective.AllReduce(ctx, gradients, g, tensor.Avg); err != nil {
			return nil, err
		}
		if err := collective.AllReduce(ctx, c, loss, tensor.Avg); err != nil {
			return nil, err
		}
		return []any{g, loss}, gradients.Close()
	})
	// Output:
	// rank 0: [[0.33398438] [0.33333334]]
	// rank 1: [[0.33398438] [0.33333334]]
}

func ExampleWithWire() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		x, err := c.Explain(schedule.AllReduce, tensor.F32, 1_000_000)
		if err != nil {
			return nil, err
		}
		return fmt.Sprint(x.Type, " sent as ", x.Wire), nil
	}, collective.WithWire(tensor.F16))
	// Output:
	// rank 0: f32 sent as f16
	// rank 1: f32 sent as f16
}

func ExampleWithPriority() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		urgent, err := c.Split(ctx, 0, c.Rank(), collective.WithPriority())
		if err != nil {
			return nil, err
		}
		defer urgent.Close()

		gradients := make([]float32, 1<<20)
		large := collective.AllReduceAsync(ctx, c, gradients, tensor.Sum)
		votes := []int32{1}
		err = collective.AllReduce(ctx, urgent, votes, tensor.Sum) // does not wait behind the gradients
		return votes[0], errors.Join(err, large.Wait())
	})
	// Output:
	// rank 0: 2
	// rank 1: 2
}

func ExampleComm_Rank() {
	onRanks(2, func(_ context.Context, c *collective.Comm) (any, error) {
		return c.Size() - c.Rank(), nil
	})
	// Output:
	// rank 0: 2
	// rank 1: 1
}

func ExampleComm_Driver() {
	onRanks(2, func(_ context.Context, c *collective.Comm) (any, error) {
		return c.Driver(), nil
	})
	// Output:
	// rank 0: inproc
	// rank 1: inproc
}

// One rank gives up; all others hear why.
func ExampleComm_Abort() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		err := collective.Barrier(ctx, c)
		if c.Rank() == 1 {
			c.Abort(errors.New("the loss is not a number"))
			return "gave up", err
		}
		for err == nil {
			err = collective.Barrier(ctx, c)
		}
		var aborted *collective.AbortedError
		if errors.As(err, &aborted) {
			return fmt.Sprintf("rank %d gave up: %s", aborted.Rank, aborted.Cause), nil
		}
		return nil, err
	})
	// Output:
	// rank 0: rank 1 gave up: the loss is not a number
	// rank 1: gave up
	// rank 2: rank 1 gave up: the loss is not a number
}

// A call after Close is refused.
func ExampleComm_Close() {
	comms, err := collective.Local(context.Background(), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := comms[0]
	fmt.Println(c.Close(), c.Close())
	fmt.Println(errors.Is(collective.Barrier(context.Background(), c), collective.ErrClosed))
	// Output:
	// <nil> <nil>
	// true
}

// A function that panics ends the communicator, and no more than that.
func ExamplePanicError() {
	ratio := tensor.Func("ratio", func(dst, a, b []int64) {
		for i := range dst {
			dst[i] = a[i] / b[i]
		}
	})
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		buf := []int64{0}
		err := collective.Reduce(ctx, c, buf, buf, ratio, 0)
		for err == nil {
			err = collective.Barrier(ctx, c)
		}
		var p *collective.PanicError
		if errors.As(err, &p) {
			return fmt.Sprintf("%s: %v", p.Op, p.Value), nil
		}
		var aborted *collective.AbortedError
		if errors.As(err, &aborted) {
			return fmt.Sprintf("rank %d: %s", aborted.Rank, aborted.Cause), nil
		}
		return nil, err
	})
	// Output:
	// rank 0: ratio: runtime error: integer divide by zero
	// rank 1: rank 0: the function "ratio" panicked: runtime error: integer divide by zero
}

// Ranks that make different calls hear of both.
func ExampleMismatchError() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		buf := make([]float32, 1000+c.Rank())
		err := collective.AllReduce(ctx, c, buf, tensor.Sum)
		var m *collective.MismatchError
		if errors.As(err, &m) {
			return fmt.Sprintf("rank %d has %d elements, rank %d has %d",
				m.RankA, m.CallA.Count, m.RankB, m.CallB.Count), nil
		}
		return nil, err
	})
	// Output:
	// rank 0: rank 0 has 1000 elements, rank 1 has 1001
	// rank 1: rank 0 has 1000 elements, rank 1 has 1001
}

func ExampleAlloc() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		buf := collective.Alloc[float64](c, 4)
		return buf, nil
	})
	// Output:
	// rank 0: [0 0 0 0]
	// rank 1: [0 0 0 0]
}

// A buffer that is of no more use is taken back, or left to the garbage collector.
func ExampleFree() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		buf := collective.Alloc[int32](c, 100_000)
		defer collective.Free(c, buf)
		buf[9] = int32(c.Rank() + 1)
		err := collective.AllReduce(ctx, c, buf, tensor.Sum)
		return buf[9], err
	})
	// Output:
	// rank 0: 3
	// rank 1: 3
}

func ExampleComm_Explain() {
	comms, err := collective.Local(context.Background(), 8)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range []int{10, 10_000_000} {
		x, err := comms[0].Explain(schedule.AllReduce, tensor.F32, n)
		if err != nil {
			fmt.Println(err)
			return
		}
		best := x.Choices[0]
		fmt.Printf("%d elements: %s, %.0f messages\n", n, x.Chosen, best.Cost.Messages)
	}
	for _, c := range comms {
		_ = c.Close() // nothing was sent
	}
	// Output:
	// 10 elements: recursive-doubling, 3 messages
	// 10000000 elements: butterfly, 6 messages
}

func ExampleExplanation_String() {
	comms, err := collective.Local(context.Background(), 4,
		collective.WithAlgorithms("barrier=dissemination"))
	if err != nil {
		fmt.Println(err)
		return
	}
	x, err := comms[0].Explain(schedule.Barrier, tensor.U8, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	title, _, _ := strings.Cut(x.String(), "\n") // a table follows
	fmt.Println(title)
	for _, c := range comms {
		_ = c.Close() // nothing was sent
	}
	// Output: barrier of 0 u8 on 4 ranks: dissemination (forced)
}

func ExampleWithAlgorithms() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		x, err := c.Explain(schedule.AllReduce, tensor.F32, 10)
		if err != nil {
			return nil, err
		}
		return x.Chosen, nil
	}, collective.WithAlgorithms("allreduce=ring,broadcast=chain"))
	// Output:
	// rank 0: ring
	// rank 1: ring
	// rank 2: ring
}

func ExampleParseAlgorithms() {
	force, err := collective.ParseAlgorithms("allreduce=ring,barrier=dissemination")
	fmt.Println(force[schedule.AllReduce], force[schedule.Barrier], err)
	_, err = collective.ParseAlgorithms("allreduce=square")
	fmt.Println(err != nil)
	// Output:
	// ring dissemination <nil>
	// true
}

// The sum of an element has the same bits in a vector of one and in a vector of thousands.
func ExampleWithInvariantBits() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		x := 1 / float64(c.Rank()+3)
		long := make([]float64, 5000)
		for i := range long {
			long[i] = x
		}
		short := []float64{x}
		if err := collective.AllReduce(ctx, c, short, tensor.Sum); err != nil {
			return nil, err
		}
		if err := collective.AllReduce(ctx, c, long, tensor.Sum); err != nil {
			return nil, err
		}
		return long[0] == short[0] && long[4999] == short[0], nil
	}, collective.WithInvariantBits())
	// Output:
	// rank 0: true
	// rank 1: true
	// rank 2: true
}

// Every rank gets one number; the options that have to do with the wire don't change it.
func ExampleWithDriver() {
	onRanks(2, one, collective.WithDriver(zmq.New(zmq.IPC)))
	onRanks(2, one, collective.WithDriver(inproc.NewNetwork(inproc.Options{}).Driver()))
	// Output:
	// rank 0: [1]
	// rank 1: [1]
	// rank 0: [1]
	// rank 1: [1]
}

func one(ctx context.Context, c *collective.Comm) (any, error) {
	buf := []int64{int64(c.Rank())}
	err := collective.AllReduce(ctx, c, buf, tensor.Sum)
	return buf, err
}

func ExampleWithChecksums() {
	onRanks(2, one, collective.WithChecksums())
	// Output:
	// rank 0: [1]
	// rank 1: [1]
}

func ExampleWithChunkBytes() {
	onRanks(2, one, collective.WithChunkBytes(64<<10))
	_, err := collective.Local(context.Background(), 1, collective.WithChunkBytes(1000))
	fmt.Println(err)
	// Output:
	// rank 0: [1]
	// rank 1: [1]
	// collective: chunk of 1000 bytes: want a power of two from 4096 to 16777216
}

// What a launcher would have put into the environment can be given, too.
func ExampleWithEnvironment() {
	env := rendezvous.Environment{Rank: 0, Size: 1, Job: "mine"}
	errorsOnly := &slog.HandlerOptions{Level: slog.LevelError}
	comm, err := collective.Connect(context.Background(), collective.WithEnvironment(env),
		collective.WithDriverName("zmq:tcp"), collective.WithListen("127.0.0.1:0"),
		collective.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, errorsOnly))))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(comm, comm.Close())
	// Output: comm 0 rank 0 of 1 <nil>
}

// Predictions by the speeds of a network that is not here.
func ExampleWithFabric() {
	memory := topology.Model{Alpha: 0.5e-6, Beta: 1 / 6e9}
	comms, err := collective.Local(context.Background(), 6,
		collective.WithFabric(topology.Assumed(memory, memory)))
	if err != nil {
		fmt.Println(err)
		return
	}
	x, err := comms[0].Explain(schedule.AllReduce, tensor.F32, 1000)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(x.Chosen, "by speeds that are", x.Speeds)
	fmt.Println(x.Reason)
	for _, c := range comms {
		_ = c.Close() // nothing was sent
	}
	// Output:
	// circulant by speeds that are given
	// recursive-doubling should take 1.14 times as long: the busiest rank moves and reduces for 4.1µs, not 4.7µs
}

func ExampleWithTuning() {
	_, err := collective.Local(context.Background(), 1, collective.WithTuning("perhaps"))
	fmt.Println(err)
	// Output: collective: no tuning "perhaps": there are off, steady, on and fresh
}

// Speeds are kept beside a job's other files.
func ExampleWithTuningCache() {
	comm, err := collective.Connect(context.Background(),
		collective.WithTuning(collective.TuneOn), collective.WithTuningCache("/var/tmp/my-job"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(comm.Size(), "rank has nothing to measure")
	_ = comm.Close() // nothing was sent
	// Output: 1 rank has nothing to measure
}
