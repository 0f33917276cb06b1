//go:build linux

package shm

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/tutti-ml/tutti/transport"
)

// remedy says what a person can do about an error of a link, "" when nothing is known.
func remedy(err error) string {
	var hello *transport.HelloError
	var frame *transport.FrameError
	switch {
	case errors.As(err, &hello):
		return hello.Remedy()
	case errors.As(err, &frame):
		return "run the same version of Tutti, with the same limit of a payload, in all processes"
	case errors.Is(err, errUser):
		return "run all ranks as one user, or use the driver zmq"
	case errors.Is(err, ErrElsewhere):
		return "use the driver auto or zmq for ranks on several hosts or in several containers"
	case errors.Is(err, errSegment):
		return "run the same version of Tutti in all processes"
	case errors.Is(err, errEnded), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the process at the other end has ended: look at its log"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there: the rank has ended"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "raise the limit of open files (ulimit -n)"
	case errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ENOSPC):
		return "raise the memory limit of the container (or ulimit -v), run fewer ranks on this host, " +
			"or use the driver zmq"
	case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return "a policy of this host, such as seccomp or vm.memfd_noexec, forbids memfd_create: allow " +
			"it, or use the driver zmq"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "the rank does not answer: look whether it is stopped, or the host overloaded"
	}
	return ""
}
