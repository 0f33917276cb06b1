//go:build ibverbs && cgo && linux

package ibverbs_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// The other ends in these tests are processes of their own, which are told by this variable what to
// do.
const peerVariable = "TUTTI_IBVERBS_TEST_PEER"

// runPeer is the other process; false when this process is none.
func runPeer() bool {
	how := os.Getenv(peerVariable)
	if how == "" {
		return false
	}
	err := map[string]func() error{"echo": echo, "little memory": littleMemory}[how]()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
	return true
}

// echo sends back what comes, rank 1, after it has said its addresses in a line.
func echo() error {
	e, err := ibverbs.New().Open(context.Background(), transport.Config{
		Rank: 1, Size: 2, Job: "processes", Interface: deviceOf(1),
	})
	if err != nil {
		return err
	}
	fmt.Println(hex.EncodeToString(e.Addresses()))
	l := e.Accept()
	for ; l == nil; l = e.Accept() {
		e.Wait(time.Time{})
	}
	for {
		h, err := l.Next()
		if errors.Is(err, transport.ErrClosed) {
			return e.Close()
		}
		if err != nil {
			return err
		}
		if h == nil {
			e.Wait(time.Time{})
			continue
		}
		payload, back := make([]byte, h.Length), *h
		for n := 0; n < len(payload); {
			k, err := l.Read(payload[n:])
			if err != nil {
				return err
			}
			if n += k; k == 0 {
				e.Wait(time.Time{})
			}
		}
		for ok := false; !ok; {
			if ok, err = l.Send(&back, [2][]byte{payload}); err != nil {
				return err
			}
			if !ok {
				e.Wait(time.Time{})
			}
		}
	}
}

// littleMemory opens an endpoint as a user who may lock only so much memory, and prints what comes
// of Alloc and of a link.
func littleMemory() error {
	limit := unix.Rlimit{Cur: 256 << 10, Max: 256 << 10}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return err
	}
	var eps [2]transport.Endpoint
	for i := range eps {
		var err error
		if eps[i], err = ibverbs.New().Open(context.Background(), transport.Config{
			Rank: i, Size: 2, Job: "little memory", Interface: deviceOf(i),
		}); err != nil {
			return err
		}
	}
	_, err := eps[0].(transport.Allocator).Alloc(1 << 20)
	fmt.Println("alloc:", err)
	_, err = eps[0].Dial(context.Background(), 1, eps[1].Addresses())
	fmt.Println("dial:", err)
	return errors.Join(eps[0].Close(), eps[1].Close())
}

// run starts the other process. What it writes can be read from out.
func run(t *testing.T, how string, as *syscall.SysProcAttr) (p *exec.Cmd, out io.Reader) {
	t.Helper()
	p = exec.Command(os.Args[0])
	p.Env = append(os.Environ(), peerVariable+"="+how)
	p.Stderr = os.Stderr
	p.SysProcAttr = as
	out, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill() // as a rule it has ended
		_ = p.Wait()
	})
	return p, out
}

// dialProcess connects rank 0 to an echo.
func dialProcess(t *testing.T) (*exec.Cmd, transport.Endpoint, transport.Link) {
	t.Helper()
	p, out := run(t, "echo", nil)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	at, err := hex.DecodeString(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	e := start(t, transport.Config{Rank: 0, Size: 2, Job: "processes", Interface: deviceOf(0)})
	l, err := e.Dial(t.Context(), 1, at)
	if err != nil {
		t.Fatal(err)
	}
	return p, e, l
}

func TestTwoProcesses(t *testing.T) {
	p, e, l := dialProcess(t)
	for i := range 50 {
		payload := make([]byte, i*i*20)
		for k := range payload {
			payload[k] = byte(k * i)
		}
		h := transport.Header{Kind: transport.Data, Seq: uint64(i), Length: uint32(len(payload))}
		for ok := false; !ok; {
			var err error
			if ok, err = l.Send(&h, [2][]byte{payload}); err != nil {
				t.Fatal(err)
			}
		}
		for n := uint64(0); n <= uint64(i); {
			var err error
			if n, err = l.Sent(); err != nil {
				t.Fatal(err)
			}
			if n <= uint64(i) {
				e.Wait(time.Time{})
			}
		}
		if got := receiveFrame(t, e, l); string(got) != string(payload) {
			t.Fatalf("frame %d comes back as another", i)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the other process: %v", err)
	}
}

// TestPeerIsKilled: the end of the other process is noticed at once, not when the device gives up.
func TestPeerIsKilled(t *testing.T) {
	p, e, l := dialProcess(t)
	h := transport.Header{Kind: transport.Data, Length: 5}
	if ok, err := l.Send(&h, [2][]byte{[]byte("hello")}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for {
		h, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h != nil {
			break // and its payload is still to be read when the other process has gone
		}
		e.Wait(time.Time{})
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait() // it was killed
	got := make([]byte, 5)
	if n, err := l.Read(got); n != 5 || err != nil || string(got) != "hello" {
		t.Fatalf("what came before: %q, %v", got[:n], err)
	}
	var err error
	for err == nil {
		if _, err = l.Next(); err == nil {
			e.Wait(time.Time{})
		}
	}
	t.Logf("the user sees: %v", err)
	var link *transport.LinkError
	if !errors.As(err, &link) || link.Peer != 1 || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("the error is %v", err)
	}
	if _, err := l.Send(&transport.Header{Kind: transport.Data}, [2][]byte{}); err == nil {
		t.Error("the link takes frames for a process that has gone")
	}
}

// TestLockedMemoryIsShort runs as a user: root may lock what it likes.
func TestLockedMemoryIsShort(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	p, out := run(t, "little memory", &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
	})
	text, err := io.ReadAll(out)
	if err == nil {
		err = p.Wait()
	}
	t.Logf("the user sees:\n%s", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		what, _, _ := strings.Cut(line, ":")
		says := []string{"ibv_reg_mr of", "cannot allocate memory"}
		if what == "dial" {
			says = append(says, "ulimit -l", "LimitMEMLOCK", "256 KiB", "rank 1")
		}
		for _, s := range says {
			if !strings.Contains(line, s) {
				t.Errorf("%q does not say %q", line, s)
			}
		}
	}
}
