package stack

import (
	"runtime/debug"
	"testing"
	"unsafe"
)

// descend uses so much of a stack, and more.
//
//go:noinline
func descend(bytes int) byte {
	var frame [256]byte
	frame[bytes%256] = 1
	if bytes > 0 {
		return frame[(bytes+1)%256] + descend(bytes-len(frame))
	}
	return frame[0]
}

// moves says whether a goroutine's stack is moved, which a variable's address tells, when deep
// calls follow first.
func moves(first func()) bool {
	moved := make(chan bool)
	go func() {
		first()
		var here byte
		before := uintptr(unsafe.Pointer(&here))
		here = descend(16 << 10)
		moved <- uintptr(unsafe.Pointer(&here)) != before
	}()
	return <-moved
}

func TestDeepen(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it makes stacks smaller
	if moves(Deepen) {
		t.Error("the stack of a goroutine that was made deep has grown")
	}
	if !moves(func() {}) {
		t.Error("no stack grows: Deepen is of no use")
	}
	if deepen(true) == 0 {
		t.Error("the frame is not used even where it is asked for")
	}
	if n := testing.AllocsPerRun(100, Deepen); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
