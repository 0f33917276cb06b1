//go:build linux

package shm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// sockets returns a connected pair.
func sockets(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// file makes a memory file of a size, sealed or not.
func file(t *testing.T, bytes int64, seals int) int {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, bytes); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return fd
}

// offerOf is what a dialler sends with its memory.
func offerOf(magic string, version byte, stream uint32) []byte {
	b := append([]byte(magic), version, 0, 0, 0)
	return append(b, byte(stream), byte(stream>>8), byte(stream>>16), byte(stream>>24))
}

func TestHostileOffers(t *testing.T) {
	const resize = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	size := int64(segmentBytes(streamMin))
	good := offerOf(offerMagic, layoutVersion, streamMin)
	type files = func(t *testing.T) []int
	one := func(size int64, seals int) files {
		return func(t *testing.T) []int { return []int{file(t, size, seals)} }
	}
	whole := one(size, resize)
	two := func(t *testing.T) []int { return append(whole(t), whole(t)...) }
	none := func(*testing.T) []int { return nil }
	for name, c := range map[string]struct {
		says  []byte
		files files
		want  string
	}{
		"no memory":      {good, none, "0 descriptors"},
		"two files":      {good, two, "2 descriptors"},
		"not sealed":     {good, one(size, 0), "not sealed"},
		"may shrink":     {good, one(size, unix.F_SEAL_GROW), "not sealed"},
		"too short":      {good, one(size-1, resize), "bytes, want memory of"},
		"empty":          {good, one(0, resize), "bytes, want memory of"},
		"sparse":         {good, whole, "blocks are there"},
		"a pipe":         {good, pipe, "a file of mode"},
		"another magic":  {offerOf("TUTTISHN", layoutVersion, streamMin), whole, "the offer begins with"},
		"next version":   {offerOf(offerMagic, layoutVersion+1, streamMin), whole, "the offer begins with"},
		"no stream":      {offerOf(offerMagic, layoutVersion, 0), whole, "a stream ring of 0 bytes"},
		"huge stream":    {offerOf(offerMagic, layoutVersion, 1<<31), whole, "a stream ring of 2147483648 bytes"},
		"crooked stream": {offerOf(offerMagic, layoutVersion, streamMin+1), whole, "a stream ring of"},
		"cut":            {good[:9], whole, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			dialler, acceptor := sockets(t)
			fds := c.files(t)
			var rights []byte
			if len(fds) > 0 {
				rights = unix.UnixRights(fds...)
			}
			if _, _, err := dialler.WriteMsgUnix(c.says, rights, nil); err != nil {
				t.Fatal(err)
			}
			for _, fd := range fds {
				if err := unix.Close(fd); err != nil {
					t.Fatal(err)
				}
			}
			if err := dialler.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			before := descriptors(t)
			seg, err := accept(acceptor)
			if err == nil || seg.mem != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one that says %q", err, c.want)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors, and before %d", after, before)
			}
		})
	}
}

func pipe(t *testing.T) []int {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fds[1]); err != nil {
		t.Fatal(err)
	}
	return fds[:1]
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestOfferAndAccept: both ends see one memory, and no descriptor of it stays.
func TestOfferAndAccept(t *testing.T) {
	dialler, acceptor := sockets(t)
	before := descriptors(t)
	var segs [2]segment
	var errs [2]error
	var both sync.WaitGroup
	both.Go(func() { segs[0], errs[0] = offer(dialler, streamMin) })
	both.Go(func() { segs[1], errs[1] = accept(acceptor) })
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	defer release(segs[0].mem)
	defer release(segs[1].mem)
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, and before %d", after, before)
	}
	segs[0].mine.frames.Store(7)
	segs[1].out.stream[streamMin-1] = 9
	if segs[1].theirs.frames.Load() != 7 || segs[0].in.stream[streamMin-1] != 9 {
		t.Error("the two ends see different memory")
	}
}

func TestMemoryIsSealedAndPrivate(t *testing.T) {
	size := segmentBytes(streamMin)
	fd, mem, err := createMemory(size)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	defer release(mem)
	for _, n := range []int64{0, int64(size) / 2, int64(size) + 4096} {
		if err := unix.Ftruncate(fd, n); !errors.Is(err, unix.EPERM) {
			t.Errorf("ftruncate to %d bytes: %v", n, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode&0o777 != 0o600 || st.Nlink != 0 || st.Blocks*512 < int64(size) {
		t.Errorf("mode %#o, %d names, %d blocks", st.Mode, st.Nlink, st.Blocks)
	}
}

// TestAcceptorRefuses: the dialler is told in a sentence.
func TestAcceptorRefuses(t *testing.T) {
	for name, answer := range map[string]func(*net.UnixConn) error{
		"closes": func(c *net.UnixConn) error { return c.Close() },
		"says no": func(c *net.UnixConn) error {
			_, err := c.Write([]byte{'n'})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dialler, acceptor := sockets(t)
			end := make(chan error, 1)
			go func() {
				_, fd, err := receiveOffer(acceptor)
				if err == nil {
					err = unix.Close(fd)
				}
				end <- errors.Join(err, answer(acceptor))
			}()
			seg, err := offer(dialler, streamMin)
			if err == nil || seg.mem != nil {
				t.Errorf("a link with who refuses it: %v", err)
			}
			if err := <-end; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	a := address{host: "host", space: "net:[1]", name: namePrefix + "abc"}
	b, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeAddress(b); err != nil || got != a {
		t.Errorf("%+v became %+v, %v", a, got, err)
	}
	for n := range b {
		if _, err := decodeAddress(b[:n]); !errors.Is(err, errAddress) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	for _, bad := range [][]byte{append(b, 0), {1, 0, 0, 3, 'a', 'b', 'c'}, {2, 0, 0, 0}} {
		if _, err := decodeAddress(bad); !errors.Is(err, errAddress) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	a.host = strings.Repeat("h", 256)
	if _, err := a.encode(); err == nil {
		t.Error("a name of 256 bytes is encoded")
	}
}

// TestDialElsewhere: another host, or another network namespace, is an error that says so.
func TestDialElsewhere(t *testing.T) {
	open := func(host string) *endpoint {
		e, err := open(transport.Config{Rank: len(host) - 1, Size: 2, HostID: host})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		return e
	}
	a, b := open("a"), open("bb")
	_, err := a.Dial(t.Context(), 1, b.Addresses())
	var failure *transport.LinkError
	if !errors.Is(err, ErrElsewhere) || !errors.As(err, &failure) || failure.Remedy == "" {
		t.Errorf("the error is %v", err)
	}
}

func TestRemedies(t *testing.T) {
	for _, err := range []error{
		syscall.ENOMEM, syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.EPERM, syscall.ENOSYS,
		syscall.ECONNREFUSED, syscall.ECONNRESET, io.EOF, os.ErrDeadlineExceeded, errUser, errSegment,
		errEnded, ErrElsewhere, &transport.FrameError{}, &transport.HelloError{},
	} {
		if remedy(fmt.Errorf("in some call: %w", err)) == "" {
			t.Errorf("nothing is known about %v", err)
		}
	}
	if got := remedy(errors.New("new")); got != "" {
		t.Errorf("about an unknown error it says %q", got)
	}
}
