//go:build linux || darwin

package transport_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// An endpoint's Wait polls the descriptor of a Wakeup beside its own.
func ExampleWakeup() {
	u, err := transport.NewWakeup()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer u.Close()
	fds, quiet := u.Prepare(nil)
	go u.Ring()
	_, err = transport.Poll(fds, time.Minute)
	u.Resume(fds[0])
	fmt.Println(quiet, err, u.Rung())
	// Output: true <nil> false
}

// readable reports whether a poll of the descriptor would return at once.
func readable(t *testing.T, fds []unix.PollFd) bool {
	t.Helper()
	n, err := transport.Poll(fds, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func TestWakeup(t *testing.T) {
	u, err := transport.NewWakeup()
	if err != nil {
		t.Fatal(err)
	}
	u.Ring() // nobody is parked: the next Wait is not to begin
	fds, quiet := u.Prepare(nil)
	if quiet || readable(t, fds) {
		t.Error("a ring before the wait is forgotten, or costs a write")
	}
	u.Resume(unix.PollFd{})
	if fds, quiet = u.Prepare(fds[:0]); !quiet || u.Rung() {
		t.Error("a ring ends two waits")
	}
	u.Ring()
	u.Ring()
	if !readable(t, fds) {
		t.Error("a ring does not end the wait under way")
	}
	u.Resume(fds[0])
	if fds, quiet = u.Prepare(fds[:0]); !quiet || readable(t, fds) {
		t.Error("the descriptor stays readable")
	}
	u.Resume(unix.PollFd{})
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	u.Prepare(nil)
	u.Ring() // of a goroutine that has not heard of the end
}
