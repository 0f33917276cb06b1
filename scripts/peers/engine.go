package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// experiment is what all engines do in turn.
type experiment struct {
	op    string
	ranks int
	bytes int // as asked for; whole blocks may be fewer or more
	stat  string
}

// stats are the figures of an engine's line that can be compared.
var stats = map[string]func(r *result) float64{
	"mean": func(r *result) float64 { return r.TimeUS },
	"p50":  func(r *result) float64 { return r.P50US },
	"p99":  func(r *result) float64 { return r.P99US },
}

// ground is a kind of connection, and the engines that are compared on it.
type ground struct {
	name    string
	engines []engine
}

// grounds names what the engines are by default.
var grounds = map[string]struct{ drivers, peers string }{
	"tcp": {"zmq:tcp,zmq:ipc", "ompi-tcp,mpich-tcp,gloo-ring,gloo-hd"},
	"shm": {"shm", "ompi-shm,mpich-shm"},
}

// engine is one column of the table.
type engine struct {
	name    string
	ours    bool
	program string // what must exist for it to run
	only    string // the one operation it has; "" when it has all
	env     []string
	// commands are one, or as many as there are algorithms to force: the quickest counts.
	commands func(x experiment) [][]string
}

// result is the part of an engine's JSON line that matters here.
type result struct {
	Op      string  `json:"op"`
	NP      int     `json:"np"`
	Bytes   int     `json:"bytes"`
	InPlace bool    `json:"inplace"`
	TimeUS  float64 `json:"time_us"`
	P50US   float64 `json:"p50_us"`
	P99US   float64 `json:"p99_us"`
	Wrong   *int    `json:"wrong"`
}

// ourEngine runs cmd/bench with a driver.
func ourEngine(bench, driver string, loop time.Duration) engine {
	return engine{
		name: "tutti " + driver, ours: true, program: bench,
		commands: func(x experiment) [][]string {
			return [][]string{{
				bench, "-json", "-driver=" + driver, "-op=" + x.op, "-np=" + strconv.Itoa(x.ranks),
				"-b=" + strconv.Itoa(x.bytes), "-time=" + loop.String(),
			}}
		},
	}
}

// peerEngines are the other libraries, their benchmarks in dir.
func peerEngines(dir string, loop time.Duration) []engine {
	measure := func(name string, x experiment) []string {
		return []string{name, x.op, strconv.Itoa(x.bytes), fmt.Sprint(loop.Seconds())}
	}
	mpi := func(name, launcher, program string, env []string, options ...string) engine {
		program = filepath.Join(dir, program)
		return engine{
			name: name, program: program, env: env,
			commands: func(x experiment) [][]string {
				args := append([]string{launcher, "-np", strconv.Itoa(x.ranks)}, options...)
				return [][]string{append(append(args, program), measure(name, x)...)}
			},
		}
	}
	gloo := func(name, algorithm, only string) engine {
		program := filepath.Join(dir, "gloo")
		return engine{
			name: name, program: program, only: only,
			commands: func(x experiment) [][]string {
				return [][]string{append([]string{program, strconv.Itoa(x.ranks), algorithm}, measure(name, x)...)}
			},
		}
	}
	// forced is Open MPI with each of its algorithms, by number, in place of the one that it chooses.
	forced := func(e engine) engine {
		plain := e.commands
		e.name += "-forced"
		e.commands = func(x experiment) (all [][]string) {
			a := algorithms[x.op]
			for n := 1; n <= a.count; n++ {
				command := plain(x)[0]
				all = append(all, append([]string{
					command[0], "--mca", "coll_tuned_use_dynamic_rules", "1",
					"--mca", "coll_tuned_" + a.name + "_algorithm", strconv.Itoa(n),
				}, command[1:]...))
			}
			return all
		}
		return e
	}
	root := []string{"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"}
	tcp := mpi("ompi-tcp", "mpirun.openmpi", "mpi.openmpi", root,
		"--oversubscribe", "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "lo")
	shm := mpi("ompi-shm", "mpirun.openmpi", "mpi.openmpi", root, "--oversubscribe")
	return []engine{
		tcp, shm, forced(tcp), forced(shm),
		mpi("mpich-tcp", "mpirun.mpich", "mpi.mpich",
			[]string{"MPIR_CVAR_NOLOCAL=1", "UCX_TLS=tcp,self", "UCX_NET_DEVICES=lo"}),
		mpi("mpich-shm", "mpirun.mpich", "mpi.mpich", nil),
		gloo("gloo-ring", "ring", ""),
		gloo("gloo-hd", "halving-doubling", "allreduce"),
	}
}

// algorithms are Open MPI 4.1's for an operation: what its parameter is called, and how many there are.
var algorithms = map[string]struct {
	name  string
	count int
}{
	"allreduce": {"allreduce", 6}, "allgather": {"allgather", 6}, "reducescatter": {"reduce_scatter_block", 4},
	"alltoall": {"alltoall", 5}, "broadcast": {"bcast", 9}, "reduce": {"reduce", 7}, "gather": {"gather", 3},
	"scatter": {"scatter", 3}, "barrier": {"barrier", 6},
}

// onlyInPlace is the operation that the peers have in one form only, in place: MPI's and Gloo's root broadcasts
// the buffer that the others receive into, and copies nothing of its own.
const onlyInPlace = "broadcast"

// measure runs an engine once and returns the time of the compared form in microseconds.
func (e *engine) measure(ctx context.Context, x experiment, limit time.Duration) (float64, error) {
	least, errs := math.Inf(1), []error(nil)
	for _, command := range e.commands(x) {
		us, err := e.run(ctx, command, x, limit)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		least = min(least, us)
	}
	if math.IsInf(least, 1) {
		return 0, errors.Join(errs...)
	}
	return least, nil
}

// run runs a command and returns the time that it measured.
func (e *engine) run(ctx context.Context, args []string, x experiment, limit time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), e.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// The ranks are the command's children: they end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return 0, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, lastLine(errs.String()))
	}
	return pick(out.Bytes(), x, e.ours && x.op == onlyInPlace)
}

// pick finds the line of the form and refuses it when results were wrong.
func pick(out []byte, x experiment, inPlace bool) (float64, error) {
	for line := range bytes.Lines(out) {
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			return 0, fmt.Errorf("no JSON: %q: %w", line, err)
		}
		switch {
		case r.InPlace != inPlace:
			continue
		case r.Op != x.op || r.NP != x.ranks:
			return 0, fmt.Errorf("%s on %d ranks was measured, not %s on %d", r.Op, r.NP, x.op, x.ranks)
		case r.Wrong != nil && *r.Wrong != 0:
			return 0, fmt.Errorf("%d elements were wrong", *r.Wrong)
		}
		us := stats[x.stat](&r)
		if us <= 0 {
			return 0, fmt.Errorf("%s of %v µs", x.stat, us)
		}
		return us, nil
	}
	return 0, errors.New("no result")
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
