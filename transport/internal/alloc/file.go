//go:build linux

package alloc

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// seals keep other processes from changing the size of a file: whoever touched memory that has gone
// would be killed by the system.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// CreateFile makes a file without a name, which goes with the last process that has it, whatever
// ends that. All of it is there from the start, so that none can be found missing later, and no
// page has to be made on the way of a frame. The name is for who looks at /proc.
func CreateFile(name string, bytes int) (fd int, err error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err = unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // a system before Linux 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"fchmod", func() error { return unix.Fchmod(fd, 0o600) }},
		{"fallocate", func() error { return fallocate(fd, int64(bytes)) }},
		{"fcntl F_ADD_SEALS", func() error {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
			return err
		}},
	} {
		if err := step.do(); err != nil {
			return -1, errors.Join(
				fmt.Errorf("%d bytes of memory to share: %w", bytes, os.NewSyscallError(step.name, err)),
				unix.Close(fd),
			)
		}
	}
	return fd, nil
}

// fallocate makes the pages of a file. A signal makes it begin anew: the runtime sends some.
func fallocate(fd int, bytes int64) error {
	for {
		if err := unix.Fallocate(fd, 0, 0, bytes); err != unix.EINTR {
			return err
		}
	}
}

// mapOver puts a file, from at on, in the place of b, whole pages. It makes the call itself: the
// one of package unix turns the address that comes back into a pointer, which the race detector's
// checks of pointers take for one made of nothing.
func mapOver(fd int, at int64, b []byte, flags int) error {
	if flags&unix.MAP_SHARED != 0 {
		flags |= unix.MAP_POPULATE
	}
	_, _, errno := unix.Syscall6(unix.SYS_MMAP, uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(len(b)), unix.PROT_READ|unix.PROT_WRITE, uintptr(flags|unix.MAP_FIXED), uintptr(fd),
		uintptr(at))
	if errno != 0 {
		return os.NewSyscallError("mmap", errno)
	}
	return nil
}

// restore puts ordinary memory in the place of b, which is in the heap object at base. A file must
// not stay there when the object goes: a heap that such pages had come back to was found broken by
// the runtime after some collections.
func restore(base unsafe.Pointer, b []byte) {
	if mapOver(-1, 0, b, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS) == nil {
		return
	}
	// The system has no room for one mapping more: the object never goes.
	stuck.mu.Lock()
	defer stuck.mu.Unlock()
	stuck.all = append(stuck.all, (*byte)(base))
}

// stuck are heap objects over which a file stays.
var stuck struct {
	mu  sync.Mutex
	all []*byte
}
