package zmq

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/tutti-ml/tutti/transport"
)

// errUser is a Unix socket between the processes of two users.
var errUser = errors.New("the process at the other end is another user's, and there is no secret")

// remedy says what a person can do about an error of a connection, "" when nothing is known.
func remedy(err error) string {
	var hello *transport.HelloError
	var frame *transport.FrameError
	var greeting *GreetingError
	switch {
	case errors.As(err, &hello):
		return hello.Remedy()
	case errors.As(err, &frame):
		return "run the same version of Tutti, with the same limit of a payload, on all hosts"
	case errors.As(err, &greeting):
		return "another program uses this address: choose another port, or end it"
	case errors.Is(err, errUser):
		return "run all ranks as one user, or give the job a secret"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there: the rank has ended or not begun, or a firewall refuses"
	case errors.Is(err, syscall.ENOENT):
		return "the rank has ended"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route: choose an interface that reaches the other host"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "a firewall or a policy of this host forbids it"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "raise the limit of open files (ulimit -n)"
	case errors.Is(err, syscall.EADDRINUSE):
		return "choose another port, or port 0, or end the process that has it"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this host does not have the address: choose one of its own"
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, context.DeadlineExceeded):
		return "the other host is down, or a firewall drops what it gets, or the interface is wrong"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.ErrUnexpectedEOF):
		return "the process at the other end has ended: look at its log"
	}
	return ""
}
