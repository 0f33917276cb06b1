//go:build linux

package shm_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/shm"
)

// The other ends in these tests are processes of their own, rank 1, which say in a line their
// address, in hexadecimal digits, and where they have a buffer.
const peerVariable = "TUTTI_SHM_TEST_PEER"

// runPeer is the other process; false when this process is none.
func runPeer() bool {
	how := os.Getenv(peerVariable)
	if how == "" {
		return false
	}
	if err := peer(how); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
	return true
}

func open(rank int) (transport.Endpoint, error) {
	return shm.New().Open(context.Background(), transport.Config{
		Rank: rank, Size: 2, Job: "processes",
	})
}

func peer(how string) error {
	e, err := open(1)
	if err != nil {
		return err
	}
	if how == "no descriptors" {
		// The next one is for the connection: there is none for the segment that comes over it.
		next, err := unix.Dup(0)
		if err != nil {
			return err
		}
		limit := unix.Rlimit{Cur: uint64(next) + 1, Max: uint64(next) + 1}
		if err := errors.Join(unix.Close(next), unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)); err != nil {
			return err
		}
	}
	buffer := make([]byte, 16<<20)
	if lends, ok := strings.CutPrefix(how, "lending "); ok {
		how = lends
		if buffer, err = e.(transport.Allocator).Alloc(len(buffer)); err != nil {
			return err
		}
	}
	for i := range buffer {
		buffer[i] = byte(i)
	}
	fmt.Println(hex.EncodeToString(e.Addresses()), uintptr(unsafe.Pointer(unsafe.SliceData(buffer))))
	s := &station{endpoint: e, spin: strings.HasSuffix(how, "spinning")}
	for s.link == nil {
		if s.link = e.Accept(); s.link == nil {
			e.Wait(time.Time{})
		}
	}
	if what, size, _ := strings.Cut(how, " "); what == "flood" {
		n, bad := strconv.Atoi(size)
		for err = bad; err == nil; {
			err = s.put(&transport.Header{Kind: transport.Data}, buffer[:n], true)
		}
	}
	for err == nil {
		var n int
		if n, err = s.take(buffer); err == nil {
			err = s.put(&transport.Header{Kind: transport.Data}, buffer[:n], false)
		}
	}
	if errors.Is(err, transport.ErrClosed) {
		err = nil
	}
	return errors.Join(err, e.Close())
}

// process is the other end as the test sees it.
type process struct {
	*exec.Cmd
	address []byte
	buffer  uintptr // where it has 16 MiB
}

func start(t testing.TB, how string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0])}
	p.Env = append(os.Environ(), peerVariable+"="+how)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill() // as a rule it has ended
		_ = p.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var address string
	if _, err = fmt.Sscan(line, &address, &p.buffer); err == nil {
		p.address, err = hex.DecodeString(address)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dial connects rank 0 to the process.
func dial(t testing.TB, p *process) *station {
	t.Helper()
	e, err := open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &station{endpoint: e}
	if s.link, err = e.Dial(context.Background(), 1, p.address); err != nil {
		t.Fatal(err)
	}
	return s
}

// station is one end of a link.
type station struct {
	endpoint transport.Endpoint
	link     transport.Link
	spin     bool
	taken    uint64
}

func (s *station) idle() {
	if !s.spin {
		s.endpoint.Wait(time.Time{})
	}
}

// put sends a frame and, when flush is set, waits until its memory is free.
func (s *station) put(h *transport.Header, payload []byte, flush bool) error {
	h.Length = uint32(len(payload))
	for {
		ok, err := s.link.Send(h, [2][]byte{payload})
		if err != nil {
			return err
		}
		if ok {
			s.taken++
			break
		}
		s.idle()
	}
	for flush || len(payload) > 4096 {
		n, err := s.link.Sent()
		if n == s.taken || err != nil {
			return err
		}
		s.idle()
	}
	return nil
}

// take receives a frame into dst and returns its length.
func (s *station) take(dst []byte) (int, error) {
	for {
		h, err := s.link.Next()
		if err != nil {
			return 0, err
		}
		if h != nil {
			dst = dst[:h.Length]
			break
		}
		s.idle()
	}
	for n := 0; n < len(dst); {
		k, err := s.link.Read(dst[n:])
		if err != nil {
			return n, err
		}
		if n += k; k == 0 {
			s.idle()
		}
	}
	return len(dst), nil
}

func TestEchoOfAnotherProcess(t *testing.T) {
	for _, how := range []string{"echo", "echo spinning"} {
		t.Run(how, func(t *testing.T) {
			if strings.HasSuffix(how, "spinning") && testing.Short() {
				t.Skip("burns a core")
			}
			s := dial(t, start(t, how))
			want, got := make([]byte, 3<<20), make([]byte, 3<<20)
			for i := range want {
				want[i] = byte(i * i >> 3)
			}
			for i, n := range []int{0, 1, 32, 33, 4096, 4097, 100_000, len(want)} {
				for round := range 20 {
					h := &transport.Header{Kind: transport.Data, Seq: uint64(i), Comm: uint32(round / 10)}
					if err := s.put(h, want[:n], false); err != nil {
						t.Fatal(err)
					}
					k, err := s.take(got)
					if err != nil || !bytes.Equal(got[:k], want[:n]) {
						t.Fatalf("%d bytes came back as %d, or others; %v", n, k, err)
					}
				}
			}
		})
	}
}

// leftovers is what there is of segments: files in /dev/shm, and descriptors and mappings of this
// process.
func leftovers(t *testing.T) string {
	t.Helper()
	files, err := os.ReadDir("/dev/shm")
	if err != nil {
		t.Logf("/dev/shm: %v", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	memory := 0
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil &&
			strings.HasPrefix(to, "/memfd:tutti ") {
			memory++
		}
	}
	return fmt.Sprintf("%d files, %d mappings, %d descriptors of memory", len(files),
		strings.Count(string(maps), "/memfd:tutti "), memory)
}

// TestPeerKilledInTheMiddleOfATransfer: what had come can be read, then both directions break with
// an error that names the peer, and of the segment nothing is left.
func TestPeerKilledInTheMiddleOfATransfer(t *testing.T) {
	before := leftovers(t)
	p := start(t, "flood 1048576")
	s := dial(t, p)
	buffer := make([]byte, 1<<20)
	for range 5 {
		if _, err := s.take(buffer); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var err error
	for frames := 0; err == nil; frames++ {
		if _, err = s.take(buffer); frames > 1000 {
			t.Fatal("a killed process sends on")
		}
	}
	var e *transport.LinkError
	if !errors.As(err, &e) || e.Peer != 1 || e.Phase != "receive" || e.Remedy == "" ||
		errors.Is(err, transport.ErrClosed) {
		t.Errorf("the error of receiving is %T %v", err, err)
	}
	for err = nil; err == nil; {
		err = s.put(&transport.Header{Kind: transport.Data}, buffer, true)
	}
	if !errors.As(err, &e) || e.Peer != 1 || e.Phase != "send" || e.Remedy == "" {
		t.Errorf("the error of sending is %T %v", err, err)
	}
	if err := s.link.Close(); err != nil {
		t.Error(err)
	}
	if after := leftovers(t); after != before {
		t.Errorf("there was %s; there is %s", before, after)
	}
}

// TestPeerKilledWhileItsMemoryIsRead: what was lent stays readable to the last byte, and nothing of the
// memory is left after Close.
func TestPeerKilledWhileItsMemoryIsRead(t *testing.T) {
	const size = 1 << 20
	p := start(t, fmt.Sprint("lending flood ", size))
	s := dial(t, p)
	buffer := make([]byte, size)
	window := func() []byte {
		for {
			if h, err := s.link.Next(); err != nil {
				t.Fatal(err)
			} else if h != nil {
				break
			}
			s.idle()
		}
		b, err := s.link.Peek()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := window()
	for len(b) < size { // a copied frame shows less
		if _, err := s.take(buffer); err != nil {
			t.Fatal(err)
		}
		b = window()
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil {
		t.Fatal("the process has ended well")
	}
	for i, x := range b {
		if x != byte(i) {
			t.Fatalf("byte %d of a dead process's memory is %d", i, x)
		}
	}
	s.link.Discard(size)
	var err error
	for frames := 0; err == nil; frames++ {
		if _, err = s.take(buffer); frames > 1000 {
			t.Fatal("a killed process sends on")
		}
	}
	var e *transport.LinkError
	if !errors.As(err, &e) || e.Peer != 1 || errors.Is(err, transport.ErrClosed) {
		t.Errorf("the error of receiving is %T %v", err, err)
	}
	if err := s.link.Close(); err != nil {
		t.Error(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "/memfd:tutti-alloc") && strings.Contains(line, " r--s ") {
			t.Errorf("still mapped: %s", line)
		}
	}
}

// TestSpinningPeerHearsOfADeath: who never parks hears of it as well.
func TestSpinningPeerHearsOfADeath(t *testing.T) {
	p := start(t, "echo")
	s := dial(t, p)
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		_, err = s.link.Next()
	}
	var e *transport.LinkError
	if !errors.As(err, &e) || e.Peer != 1 {
		t.Errorf("the error is %T %v", err, err)
	}
}

// TestPeerClosesInOrder: a closed link is told from a lost one.
func TestPeerClosesInOrder(t *testing.T) {
	p := start(t, "echo")
	s := dial(t, p)
	if err := s.endpoint.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the other process saw another error than ErrClosed: %v", err)
	}
}

// TestNoDescriptorsLeft: a peer that can't take the segment refuses the link.
func TestNoDescriptorsLeft(t *testing.T) {
	before := leftovers(t)
	p := start(t, "no descriptors")
	e, err := open(0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Dial(t.Context(), 1, p.address)
	var failure *transport.LinkError
	if !errors.As(err, &failure) || failure.Peer != 1 ||
		!strings.Contains(err.Error(), "could not map") {
		t.Errorf("the error is %T %v", err, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if after := leftovers(t); after != before {
		t.Errorf("there was %s; there is %s", before, after)
	}
}
