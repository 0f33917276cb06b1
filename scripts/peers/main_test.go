package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain makes this binary serve as an engine, too: it notes its turn in a file and prints what
// it is told to.
func TestMain(m *testing.M) {
	if turns := os.Getenv("PEERS_TEST_TURNS"); turns != "" {
		f, err := os.OpenFile(turns, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = fmt.Fprintln(f, os.Args[1])
		}
		if err = errors.Join(err, f.Close()); err != nil {
			panic(err)
		}
		if os.Args[2] == "fail" {
			fmt.Fprintln(os.Stderr, "it broke")
			os.Exit(3)
		}
		fmt.Println(os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fake is an engine that prints a line.
func fake(t *testing.T, name, turns, line string) engine {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return engine{
		name: name, ours: strings.HasPrefix(name, "tutti"), program: self,
		env:      []string{"PEERS_TEST_TURNS=" + turns},
		commands: func(experiment) [][]string { return [][]string{{self, name, line}} },
	}
}

func TestCompareTakesTurns(t *testing.T) {
	turns := filepath.Join(t.TempDir(), "turns")
	const ok = `{"op":"reduce","np":2,"bytes":8,"inplace":false,"time_us":%d,"wrong":0}`
	engines := []engine{
		fake(t, "tutti", turns, fmt.Sprintf(ok, 5)), fake(t, "b", turns, fmt.Sprintf(ok, 10)),
		fake(t, "c", turns, "fail"),
	}
	o := &options{rounds: 4, limit: time.Minute}
	var errs bytes.Buffer
	l, failed := o.compare(context.Background(), engines, experiment{"reduce", 2, 8, "mean"}, &errs)
	order, err := os.ReadFile(turns)
	if err != nil {
		t.Fatal(err)
	}
	want := "tutti b c b c tutti c tutti b tutti b c"
	if got := strings.Join(strings.Fields(string(order)), " "); got != want {
		t.Errorf("turns %s, want %s", got, want)
	}
	if failed != 4 || strings.Count(errs.String(), "exit status 3: it broke") != 4 {
		t.Errorf("%d failed: %s", failed, errs.String())
	}
	if !cmp.Equal(l.times[:2], []samples{{5, 5, 5, 5}, {10, 10, 10, 10}}) ||
		!math.IsNaN(median(l.times[2])) {
		t.Errorf("times %v", l.times)
	}
	if l.best(engines) != 1 || ratio(l.times[0], l.times[1]) != 0.5 {
		t.Errorf("best %d, ratio %v", l.best(engines), ratio(l.times[0], l.times[1]))
	}
}

func TestPick(t *testing.T) {
	x := experiment{"gather", 3, 100, "mean"}
	const good = `{"op":"gather","np":3,"bytes":96,"inplace":false,"time_us":7.5,"wrong":0}`
	for _, c := range []struct{ out, refused string }{
		{good + "\n", ""},
		{`{"op":"gather","np":3,"inplace":true,"time_us":1,"wrong":0}` + "\n" + good + "\n", ""},
		{strings.Replace(good, `"wrong":0`, `"wrong":null`, 1), ""},
		{strings.Replace(good, `"wrong":0`, `"wrong":4`, 1), "4 elements were wrong"},
		{strings.Replace(good, `"np":3`, `"np":4`, 1), "4 ranks"},
		{strings.Replace(good, "7.5", "0", 1), "mean of 0"},
		{"mpirun: hello\n", "no JSON"},
		{"", "no result"},
	} {
		us, err := pick([]byte(c.out), x, false)
		if c.refused == "" && (err != nil || us != 7.5) {
			t.Errorf("%q: %v, %v", c.out, us, err)
		}
		if c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%q: error %v, want %q", c.out, err, c.refused)
		}
	}
	both := good + "\n" + strings.Replace(strings.Replace(good, "false", "true", 1), "7.5", "3", 1) + "\n"
	if us, err := pick([]byte(both), x, true); err != nil || us != 3 {
		t.Errorf("in place: %v, %v", us, err)
	}
	x.stat = "p99"
	line := strings.Replace(good, `"wrong"`, `"p50_us":6,"p99_us":9,"wrong"`, 1)
	if us, err := pick([]byte(line), x, false); err != nil || us != 9 {
		t.Errorf("p99 of %q: %v, %v", line, us, err)
	}
}

func TestMedian(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}, {[]float64{nan, 7, nan}, 7}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
	if !math.IsNaN(median([]float64{nan})) || !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is a number")
	}
	// Rounds are compared with themselves: one slow minute does not decide.
	if got := ratio(samples{1, 10, 1}, samples{2, 20, 1}); got != 0.5 {
		t.Errorf("ratio %v", got)
	}
	if got := ratio(samples{1, nan, 4}, samples{2, 20, nan}); got != 0.5 {
		t.Errorf("ratio %v", got)
	}
}

func Example_printTable() {
	engines := []engine{{name: "tutti zmq", ours: true}, {name: "mpi"}, {name: "gloo"}}
	lines := []line{
		{experiment{"reduce", 2, 4, "mean"}, []samples{{6, 7}, {12, 14}, {40, 30}}},
		{experiment{"reduce", 2, 1 << 20, "mean"}, []samples{{1500, 1500}, {math.NaN(), 9000}, {1000, 1000}}},
		{experiment{"reduce", 2, 3000, "mean"}, []samples{{15, 15}, {math.NaN()}, {math.NaN()}}},
	}
	if err := printTable(os.Stdout, engines, lines); err != nil {
		fmt.Println(err)
	}
	// Output:
	// | size | tutti zmq µs | mpi µs | gloo µs | best peer | tutti zmq / best |
	// | ---: | ---: | ---: | ---: | ---: | ---: |
	// | 4 B | 6.50 | 13.0 | 35.0 | mpi | 0.50 |
	// | 1 MiB | 1500 | 9000 | 1000 | gloo | 1.50 |
	// | 3000 B | 15.0 | - | - | - | - |
}

func TestParse(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"gloo", "mpi.openmpi"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-bench", self, "-bin", dir, "-np", "2,3", "-sizes", "4,1K,2m", "-drivers", "zmq"}
	o, err := parse(append(args, "-peers", "gloo-hd,ompi-tcp"), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(o.ranks, []int{2, 3}) || !cmp.Equal(o.sizes, []int{4, 1024, 2 << 20}) ||
		len(o.grounds) != 1 || len(o.grounds[0].engines) != 3 {
		t.Fatalf("options %+v", o)
	}
	for _, e := range o.grounds[0].engines {
		command := strings.Join(e.commands(experiment{"allreduce", 3, 1024, "mean"})[0], " ")
		if !strings.Contains(command, "allreduce") || !strings.Contains(command, "1024") ||
			!strings.Contains(command, "3") {
			t.Errorf("%s: %s", e.name, command)
		}
	}
	o, err = parse([]string{"-bench", self, "-bin", dir, "-over", "shm,tcp", "-peers", "ompi-shm"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range o.grounds {
		names = append(names, g.name)
		for _, e := range g.engines {
			names = append(names, e.name)
		}
	}
	want := []string{
		"shm", "tutti shm", "ompi-shm", "tcp", "tutti zmq:tcp", "tutti zmq:ipc", "ompi-shm",
	}
	if !cmp.Equal(names, want) {
		t.Errorf("compares %q, want %q", names, want)
	}
	for _, c := range [][2]string{
		{"-over=rdma", "no connections"},
		{"-peers=mpich-tcp", "run.sh -install"},
		{"-peers=nccl", "no peer"},
		{"-sizes=1Q", "no size"},
		{"-np=x", "-np"},
		{"-rounds=0", "above 0"},
	} {
		var errs bytes.Buffer
		_, err := parse(append(args, "-peers=gloo-ring", c[0]), &errs)
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v, want %q", c[0], err, c[1])
		}
	}
}

// TestForcedAlgorithms: of what an engine can be forced to do the quickest counts, and what fails does not.
func TestForcedAlgorithms(t *testing.T) {
	turns := filepath.Join(t.TempDir(), "turns")
	line := func(us int) string {
		return fmt.Sprintf(`{"op":"reduce","np":2,"bytes":8,"inplace":false,"time_us":%d,"wrong":0}`, us)
	}
	e := fake(t, "peer", turns, "fail")
	forced := func(lines ...string) func(experiment) [][]string {
		return func(experiment) (all [][]string) {
			for _, l := range lines {
				all = append(all, []string{e.program, "peer", l})
			}
			return all
		}
	}
	x := experiment{op: "reduce", ranks: 2, bytes: 8, stat: "mean"}
	e.commands = forced(line(7), "fail", line(3), line(5))
	if us, err := e.measure(t.Context(), x, time.Minute); err != nil || us != 3 {
		t.Errorf("%v µs, %v", us, err)
	}
	e.commands = forced("fail", "fail")
	if _, err := e.measure(t.Context(), x, time.Minute); err == nil || !strings.Contains(err.Error(), "it broke") {
		t.Errorf("nothing works, and the error is %v", err)
	}
	for _, e := range peerEngines("bin", time.Second) {
		if !strings.HasSuffix(e.name, "-forced") {
			continue
		}
		for op := range strings.SplitSeq(allOps, ",") {
			if len(e.commands(experiment{op: op, ranks: 3, bytes: 8})) == 0 {
				t.Errorf("%s: no algorithm of %s", e.name, op)
			}
		}
		commands := e.commands(experiment{op: "broadcast", ranks: 3, bytes: 8})
		last := strings.Join(commands[len(commands)-1], " ")
		if len(commands) != 9 || !strings.HasPrefix(last, "mpirun.openmpi --mca coll_tuned_use_dynamic_rules 1 "+
			"--mca coll_tuned_bcast_algorithm 9 -np 3 --oversubscribe") {
			t.Errorf("%s: %d commands, the last is %s", e.name, len(commands), last)
		}
	}
}

// TestLateEngine: who runs into the limit does so once.
func TestLateEngine(t *testing.T) {
	e := engine{name: "late", commands: func(experiment) [][]string { return [][]string{{"sleep", "1000"}} }}
	o := &options{rounds: 4, limit: 10 * time.Millisecond}
	x := experiment{op: "reduce", ranks: 2, bytes: 8, stat: "mean"}
	l, failed := o.compare(t.Context(), []engine{e}, x, io.Discard)
	if failed != 1 || len(l.times[0]) != 4 {
		t.Errorf("it failed %d times, and the rounds are %v", failed, l.times)
	}
	for _, us := range l.times[0] {
		if !math.IsNaN(us) {
			t.Errorf("a round has %v µs", us)
		}
	}
}

// TestForms: ours is compared in place where the peers have no other form.
func TestForms(t *testing.T) {
	turns := filepath.Join(t.TempDir(), "turns")
	lines := func(op string) string {
		const line = `{"op":%q,"np":2,"bytes":8,"inplace":%v,"time_us":%d,"wrong":0}`
		return fmt.Sprintf(line+"\n"+line, op, false, 5, op, true, 3)
	}
	for _, c := range []struct {
		name, op string
		want     float64
	}{{"tutti", "broadcast", 3}, {"tutti", "reduce", 5}, {"peer", "broadcast", 5}} {
		e := fake(t, c.name, turns, lines(c.op))
		us, err := e.measure(context.Background(), experiment{c.op, 2, 8, "mean"}, time.Minute)
		if err != nil || us != c.want {
			t.Errorf("%s of %s: %v, %v, want %v", c.op, c.name, us, err, c.want)
		}
	}
}
