package proxy

import "testing"

// TestRestsAmidAMessage: an engine that waits for the rest of a message has nothing to do, and parks
// instead of taking the core from who sends it.
func TestRestsAmidAMessage(t *testing.T) {
	const body = "hello"
	v := newVictim(t)
	defer v.end()
	v.rogue.feed(intro("rogue", "worker", 1<<20))
	whole := message(1, notification(uint64(len(body))), body)[0]
	text := whole.payload
	for _, at := range []int{0, 1, metaFixedBytes, len(text) - len(body), len(text) - 1} {
		if at == 0 {
			whole.payload = nil
			v.rogue.feed(whole)
		} else {
			v.rogue.more(text[len(whole.payload):at])
			whole.payload = text[:at]
		}
		v.move() // which fails where there is no rest
		if n := v.delivered("rogue"); n != 0 {
			t.Fatalf("%d messages are there after %d of %d bytes", n, at, len(text))
		}
	}
	v.rogue.more(text[len(text)-1:])
	v.move()
	if m, err := v.ReceiveOnce(t.Context()); err != nil || m.Body != body {
		t.Errorf("got %v, %v", m, err)
	}
}
