package collective

import (
	"testing"
)

// TestPollLeavesFrames: a rank takes as much as it takes to have something to send, and no more at once.
func TestPollLeavesFrames(t *testing.T) {
	ctx := testContext(t)
	comms := ranks(t, setting{size: 2})
	withoutPump(comms...)
	const frames = 3
	var works [2 * frames]*Work
	for i := range frames {
		works[i] = RecvAsync(ctx, comms[0], make([]uint8, pollBytes), 1)
	}
	for i := range frames {
		works[frames+i] = SendAsync(ctx, comms[1], make([]uint8, pollBytes), 0)
	}
	e := comms[0].e
	e.enter()
	e.welcome()
	for i := range frames {
		for _, l := range e.peers[1].links {
			e.pollLink(e.peers[1], l)
		}
		whole := 0
		for _, c := range e.active {
			if c.remaining == 0 {
				whole++
			}
		}
		if whole != i+1 {
			t.Errorf("%d messages are there after %d polls", whole, i+1)
		}
	}
	e.mu.Unlock()
	for _, w := range works {
		if err := w.Wait(); err != nil {
			t.Error(err)
		}
	}
}
