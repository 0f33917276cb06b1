//go:build linux

package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport/internal/alloc"
)

// createMemory makes the memory of a segment.
func createMemory(bytes int) (fd int, mem []byte, err error) {
	if fd, err = alloc.CreateFile("tutti", bytes); err != nil {
		return -1, nil, err
	}
	mem, err = mapMemory(fd, bytes, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return -1, nil, errors.Join(err, unix.Close(fd))
	}
	return fd, mem, nil
}

// openMemory maps the memory that another process has made, if it is what createMemory makes.
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
