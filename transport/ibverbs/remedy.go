package ibverbs

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/tutti-ml/tutti/transport"
)

// remedy says what a person can do about an error of a link or a device, "" when nothing is known.
func remedy(err error) string {
	var hello *transport.HelloError
	var frame *transport.FrameError
	var work *WorkError
	var device *DeviceError
	var peer *PeerError
	switch {
	case errors.As(err, &hello):
		return hello.Remedy()
	case errors.As(err, &frame):
		return "run the same version of Tutti, with the same limit of a payload, on all hosts"
	case errors.As(err, &work):
		return work.Remedy()
	case errors.As(err, &peer):
		return "look at the log of that rank"
	case errors.Is(err, ErrNoDevice):
		return "load the driver of the device (lspci, rdma link), in a container give it /dev/infiniband, " +
			"or use the driver zmq"
	case errors.Is(err, ErrLinkLayer):
		return "choose ports of one network by the interface filter"
	case errors.Is(err, ErrGID):
		return "give the network interface of the port an IP address, or choose another port by the " +
			"interface filter"
	case errors.Is(err, ErrNoPort):
		return "look at the cable and the switch (rdma link), or change the interface filter"
	case errors.As(err, &device):
		return device.Remedy()
	case errors.Is(err, errRecord):
		return "run the same version of Tutti in all processes"
	}
	return socketRemedy(err)
}

// Remedy says what a person can do, "" when nothing is known.
func (e *DeviceError) Remedy() string {
	switch {
	case strings.HasPrefix(e.Op, "ibv_post"): // into a queue whose room is counted
		return ourFault
	case errors.Is(e.Err, syscall.ENOMEM), errors.Is(e.Err, syscall.EAGAIN):
		return memlock()
	case errors.Is(e.Err, syscall.EACCES), errors.Is(e.Err, syscall.EPERM):
		return "give the process access to /dev/infiniband, and to locked memory: " + memlock()
	case errors.Is(e.Err, syscall.EMFILE), errors.Is(e.Err, syscall.ENFILE):
		return "raise the limit of open files (ulimit -n)"
	case errors.Is(e.Err, syscall.ENOSPC):
		return "run fewer ranks on this device, or give them several devices"
	case strings.HasPrefix(e.Op, "ibv_create_qp") &&
		(errors.Is(e.Err, errors.ErrUnsupported) || errors.Is(e.Err, syscall.EINVAL)):
		return "the device may have no reliable connections, as Amazon's EFA has none: use the driver zmq"
	case errors.Is(e.Err, errors.ErrUnsupported):
		return "update the device's driver and firmware, run fewer ranks on it, or use the driver zmq"
	case strings.HasPrefix(e.Op, "ibv_modify_qp"):
		return "look whether the GIDs of both ends are on one network (rdma link, ip addr), and choose " +
			"a port by the interface filter"
	}
	return deviceFailed
}

// memlock says how to let a process lock memory.
func memlock() string {
	return "let the process lock memory: ulimit -l unlimited, LimitMEMLOCK=infinity in the systemd " +
		"unit, --ulimit memlock=-1 for a container" + lockLimit()
}

func socketRemedy(err error) string {
	switch {
	case errors.Is(err, errEnded):
		return "look at the log of that rank"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF):
		return "the process at the other end has ended: look at its log"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there: the rank has ended, or a firewall refuses"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route: choose an interface that reaches the other host"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "raise the limit of open files (ulimit -n)"
	case errors.Is(err, syscall.EADDRINUSE):
		return "choose another port, or port 0, or end the process that has it"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this host does not have the address: choose one of its own"
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, context.DeadlineExceeded):
		return "the other host is down, or a firewall drops what it gets, or the interface is wrong"
	}
	return ""
}
