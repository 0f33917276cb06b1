package proxy

import (
	"errors"
	"testing"
)

// TestUndecodableTaskIsAnswered: the sender of a task is told that its body does not decode.
func TestUndecodableTaskIsAnswered(t *testing.T) {
	v := newVictim(t)
	defer v.end()
	m := meta{
		sessionType: Task, stage: TaskRequest, session: newID(), message: newID(), kind: kindF64,
		bodyBytes: 3, tag: "t",
	}
	v.friend.feed(message(1, m, "abc")...)
	v.move()
	at := len(v.friend.frames())
	got, err := v.ReceiveOnce(t.Context())
	var malformed *BodyError
	if got != nil || !errors.As(err, &malformed) {
		t.Fatalf("got %v, %v", got, err)
	}
	v.move()
	var answer meta
	for _, f := range v.friend.frames()[at:] {
		if f.h.Seq == 0 {
			continue
		}
		size, err := metaBytes(f.payload)
		if err == nil {
			err = answer.parse(f.payload[:size], 1<<20)
		}
		if err != nil {
			t.Fatal(err)
		}
		if text := string(f.payload[size:]); text != malformed.Error() {
			t.Errorf("the answer is %q", text)
		}
	}
	if answer.session != m.session || answer.re != m.message || answer.stage != TaskComplete ||
		answer.flags&flagFailure == 0 {
		t.Errorf("the answer is %+v", answer)
	}
}
