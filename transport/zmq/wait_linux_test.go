package zmq

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// parker waits for a descriptor to become readable.
type parker interface{ park(t testing.TB) }

// onThread parks the thread in poll(2), as Wait does.
type onThread struct{ fds []unix.PollFd }

func newOnThread(fd int) *onThread {
	return &onThread{fds: []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}}
}

func (o *onThread) park(t testing.TB) {
	if _, err := transport.Poll(o.fds, -1); err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
}

// inPoller parks the goroutine in Go's network poller, which watches an epoll descriptor that
// watches ours: the way to wait for a set of descriptors without holding a thread.
type inPoller struct {
	raw    syscall.RawConn
	events [1]unix.EpollEvent
}

func newInPoller(t testing.TB, fd int) *inPoller {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(ep, true); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(ep), "epoll")
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return &inPoller{raw: raw}
}

func (p *inPoller) park(t testing.TB) {
	err := p.raw.Read(func(ep uintptr) bool {
		n, err := unix.EpollWait(int(ep), p.events[:], 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
	if err != nil {
		t.Fatal(err)
	}
}

// descriptors returns a connected pair of the network.
func descriptors(t testing.TB, network string) [2]int {
	var fds [2]int
	if network == "unix" {
		var err error
		fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		a, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range []net.Conn{a, b} {
			if fds[i], err = attach.TakeOver(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	return fds
}

// echoes is the environment variable that makes the test binary the other end of BenchmarkParked.
const echoes = "TUTTI_ZMQ_TEST_ECHO"

// EchoProcess sends back what comes on descriptor 3, until that ends, and parks in between as the
// environment says. It returns false at once in a process that is no other end.
func EchoProcess() bool {
	how := os.Getenv(echoes)
	if how == "" {
		return false
	}
	if err := unix.SetNonblock(3, true); err != nil {
		panic(err)
	}
	t := &testing.B{}
	p := newParker(t, how, 3)
	for catch(t, 3, p) {
		throw(t, 3)
	}
	return true
}

func newParker(t testing.TB, how string, fd int) parker {
	if how == "thread" {
		return newOnThread(fd)
	}
	return newInPoller(t, fd)
}

// BenchmarkParked is half a round trip of 64 bytes between two processes that park between the
// messages, both in poll(2) on their threads or both in Go's network poller.
func BenchmarkParked(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		b.Run(network, func(b *testing.B) {
			const n = 200
			ways := []string{"thread", "poller"}
			var fds [2]int
			var parkers [2]parker
			for i, how := range ways {
				fds[i] = echo(b, network, how)
				parkers[i] = newParker(b, how, fds[i])
			}
			var took [2]time.Duration
			rounds := 0
			for b.Loop() {
				for i, fd := range fds {
					begin := time.Now()
					for range n {
						throw(b, fd)
						catch(b, fd, parkers[i])
					}
					took[i] += time.Since(begin)
				}
				rounds += n
			}
			b.ReportMetric(0, "ns/op")
			for i, how := range ways {
				b.ReportMetric(float64(took[i].Nanoseconds())/float64(2*rounds)/1000, how+"-µs")
			}
		})
	}
}

// echo starts the other end.
func echo(b *testing.B, network, how string) int {
	fds := descriptors(b, network)
	f := os.NewFile(uintptr(fds[1]), "echo")
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), echoes+"="+how)
	c.ExtraFiles = []*os.File{f}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := unix.Close(fds[0]); err != nil {
			b.Error(err)
		}
		if err := c.Wait(); err != nil {
			b.Error(err)
		}
	})
	return fds[0]
}

func throw(b *testing.B, fd int) {
	var ball [64]byte
	if _, err := unix.Write(fd, ball[:]); err != nil {
		b.Error(err)
	}
}

// catch reads one message, false at the end.
func catch(b *testing.B, fd int, p parker) bool {
	var ball [64]byte
	for {
		n, errno := recvSmall(fd, ball[:])
		if errno != unix.EAGAIN {
			return n == len(ball)
		}
		p.park(b)
	}
}

// BenchmarkIdle is what a call of Next costs while nothing arrives.
func BenchmarkIdle(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		b.Run(network, func(b *testing.B) {
			fds := descriptors(b, network)
			defer unix.Close(fds[1])
			l := testLink(fds[0])
			for b.Loop() {
				if h, err := l.Next(); h != nil || err != nil {
					b.Fatal(h, err)
				}
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
