package ibverbs

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

// TestEveryFailureHasARemedy: all that a user may see says what can be done.
func TestEveryFailureHasARemedy(t *testing.T) {
	device := func(op string, err error) error { return &DeviceError{Device: "mlx5_0", Op: op, Err: err} }
	for _, c := range []struct {
		err  error
		says string
	}{
		{ErrNoDevice, "/dev/infiniband"},
		{ErrNoPort, "rdma link"},
		{fmt.Errorf("%w: %w", ErrNoPort, ErrGID), "an IP address"},
		{ErrLinkLayer, "interface filter"},
		{device("ibv_reg_mr of 5 bytes", syscall.ENOMEM), "ulimit -l"},
		{device("ibv_post_send", syscall.ENOMEM), "report it"},
		{device("ibv_open_device", syscall.EACCES), "/dev/infiniband"},
		{device("ibv_create_qp for 5 sends", syscall.EOPNOTSUPP), "driver zmq"},
		{device("ibv_create_qp for 5 sends", syscall.EINVAL), "reliable connections"},
		{device("ibv_resize_cq to 5 entries", syscall.ENOSYS), "fewer ranks"},
		{device("ibv_create_cq", syscall.EMFILE), "ulimit -n"},
		{device("ibv_resize_cq", syscall.ENOSPC), "fewer ranks"},
		{device("ibv_modify_qp towards x", syscall.ETIMEDOUT), "on one network"},
		{device("ibv_poll_cq", syscall.EIO), "dmesg"},
		{&WorkError{Status: RetryExceeded, PortState: "active"}, "4791"},
		{&WorkError{Status: RetryExceeded, PortState: "down"}, "cable"},
		{&WorkError{Status: 99}, "dmesg"},
		{&PeerError{"no memory"}, "that rank"},
		{&transport.FrameError{}, "same version"},
		{&transport.HelloError{Reason: transport.HelloWrongSecret}, "same secret"},
		{errRecord, "same version"},
		{errEnded, "that rank"},
		{io.ErrUnexpectedEOF, "has ended"},
		{syscall.ECONNREFUSED, "nobody listens"},
		{syscall.EHOSTUNREACH, "no route"},
		{syscall.EMFILE, "ulimit -n"},
		{syscall.EADDRINUSE, "another port"},
		{syscall.EADDRNOTAVAIL, "its own"},
		{syscall.ETIMEDOUT, "firewall"},
	} {
		if got := remedy(fmt.Errorf("wrapped: %w", c.err)); !strings.Contains(got, c.says) {
			t.Errorf("%v: %q does not say %q", c.err, got, c.says)
		}
	}
	if got := remedy(errors.New("something")); got != "" {
		t.Errorf("an error that nobody knows has the remedy %q", got)
	}
	for s := LocalLength; s < statuses; s++ {
		e := &WorkError{Device: "mlx5_0", Port: 1, QP: 7, Status: s, PortState: "active"}
		if e.Remedy() == "" || s.String() == "" || !strings.Contains(e.Error(), s.String()) {
			t.Errorf("status %d: %v; %q", s, e, e.Remedy())
		}
	}
}
