package stack

// frameBytes with the least that a stack is larger make one of 32 KiB, the first size that the
// runtime takes in one piece: of smaller ones it cuts several from a span, and touches each.
const frameBytes = 20 << 10

// Deepen makes the stack of the goroutine that calls it large enough for deep calls, in one step.
// It is for the first line of a goroutine that will make them.
func Deepen() { deepen(false) }

// deepen has a frame of which nothing is used, or touched: that the stack has room for it is
// checked when it is called.
//
//go:noinline
func deepen(fill bool) (sum byte) {
	if !fill {
		return 0
	}
	var frame [frameBytes]byte
	for i := range frame {
		frame[i] = sum
		sum += frame[i/2] + 1
	}
	return sum
}
