//go:build linux

package shm

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// seals keep the other end from changing the size of a segment: whoever touched memory that has
// gone would be killed by the system.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// createMemory makes the memory of a segment: a file without a name, which goes with the last
// process that has it, whatever ends that. All of it is there from the start, so that none can be
// found missing later, and no page has to be made on the way of a frame.
func createMemory(bytes int) (fd int, mem []byte, err error) {
	if fd, err = createFile("tutti", bytes); err != nil {
		return -1, nil, err
	}
	mem, err = mapMemory(fd, bytes, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return -1, nil, errors.Join(err, unix.Close(fd))
	}
	return fd, mem, nil
}

// createFile is createMemory without a mapping.
func createFile(name string, bytes int) (fd int, err error) {
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

// openMemory maps the memory that another process has made, if it is what createFile makes.
func openMemory(fd, bytes, prot int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != int64(bytes) {
		return nil, fmt.Errorf("%w: a file of mode %#o and %d bytes, want memory of %d",
			errSegment, st.Mode, st.Size, bytes)
	}
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: a file that can't be sealed: %w", errSegment,
			os.NewSyscallError("fcntl F_GET_SEALS", err))
	}
	if want := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW; got&want != want {
		return nil, fmt.Errorf("%w: its size is not sealed (%#x)", errSegment, got)
	}
	if st.Blocks < int64(bytes)/512 { // to map it would make what is missing, of any size
		return nil, fmt.Errorf("%w: %d bytes of which %d blocks are there", errSegment, bytes, st.Blocks)
	}
	return mapMemory(fd, bytes, prot)
}

// errSegment is what the other end has passed as memory to share, and is none.
var errSegment = errors.New("not memory to share")

func mapMemory(fd, bytes, prot int) ([]byte, error) {
	mem, err := unix.Mmap(fd, 0, bytes, prot, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("%d bytes of memory to share: %w", bytes, os.NewSyscallError("mmap", err))
	}
	return mem, nil
}

// release unmaps. It fails only for what is not mapped.
func release(mem []byte) { _ = unix.Munmap(mem) }

// mapOver puts a file, from at on, in the place of b, whole pages. It makes the call itself: the one of
// package unix turns the address that comes back into a pointer, which the race detector's checks of
// pointers take for one made of nothing.
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
