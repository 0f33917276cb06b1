package rendezvous

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// TestForgedEntry puts an entry into a slot without knowing the secret: it is refused and named,
// and the rank that the slot belongs to takes it.
func TestForgedEntry(t *testing.T) {
	p := place{url: serve(t, "").URL()} // a store that lets everybody in
	ctx := testContext(t)
	const secret = "s3cret"
	log, lines := newTestLog(t)
	var wg sync.WaitGroup
	zero, store := rollOptions("job", 0, 2, secret), dialPlace(t, p)
	zero.Logger, zero.Patience = log, time.Millisecond
	wg.Go(func() {
		members, err := RollCall(ctx, store, zero)
		if err != nil || members[1].Host != "host1" {
			t.Errorf("rank 0: %v, %v; want the true rank 1", members, err)
		}
	})
	forger := dialPlace(t, p)
	opened := awaitMembers(t, forger, "job", []byte(secret), 1)
	forged := rollOptions("job", 1, 2, "another secret")
	forged.Self.Host = "mallory"
	c, err := newCall(forger, forged)
	check(t, err)
	record, err := c.self(opened.ID, "")
	check(t, err)
	check(t, forger.HSet(ctx, c.membersKey(opened.ID), "1", record))
	check(t, c.renew(ctx, opened.ID))
	check(t, forger.HSet(ctx, c.membersKey(opened.ID), "no rank", record))
	awaitLine(t, lines, "missing rank 1", "entry for rank 1", "mallory", "was refused: the signature")
	if _, err := RollCall(ctx, dialPlace(t, p), rollOptions("job", 1, 2, secret)); err != nil {
		t.Errorf("rank 1: %v", err)
	}
	wg.Wait()
}

// TestReplay moves a genuine entry to another slot and another roll, and a genuine verdict to
// another roll: nothing of it counts.
func TestReplay(t *testing.T) {
	sign := newSigner([]byte("s3cret"), "job")
	record, err := encode(sign, labelMember, "roll 1", entry{Member: Member{Rank: 1}, Nonce: "n"})
	check(t, err)
	if _, err := decodeEntry(sign, "roll 1", 1, record); err != nil {
		t.Fatalf("the genuine entry: %v", err)
	}
	other := newSigner([]byte("s3cret"), "other job")
	tests := map[string]func() error{
		"slot": func() error { _, err := decodeEntry(sign, "roll 1", 2, record); return err },
		"roll": func() error { _, err := decodeEntry(sign, "roll 2", 1, record); return err },
		"job":  func() error { _, err := decodeEntry(other, "roll 1", 1, record); return err },
		"kind": func() error { return decode(sign, labelVerdict, "roll 1", record, new(verdict)) },
		"content": func() error {
			changed := append([]byte(nil), record...)
			changed[len(changed)-2] ^= 1
			_, err := decodeEntry(sign, "roll 1", 1, changed)
			return err
		},
		"no secret": func() error {
			_, err := decodeEntry(newSigner(nil, "job"), "roll 1", 1, record)
			return err
		},
		"unsigned": func() error {
			plain, err := encode(newSigner(nil, "job"), labelMember, "roll 1", entry{Nonce: "n"})
			check(t, err)
			_, err = decodeEntry(sign, "roll 1", 0, plain)
			return err
		},
		"nothing": func() error { _, err := decodeEntry(sign, "roll 1", 1, nil); return err },
	}
	for name, try := range tests {
		if try() == nil {
			t.Errorf("a record moved to another %s was accepted", name)
		}
	}
}

// TestSignerCoversTheParts signs parts, and checks the signature against all that is not quite the
// same.
func TestSignerCoversTheParts(t *testing.T) {
	parts := func(texts ...string) (all [][]byte) {
		for _, text := range texts {
			all = append(all, []byte(text))
		}
		return all
	}
	sign := NewSigner([]byte("s3cret"), "purpose")
	signed := parts("ab", "c", "")
	signature := sign.Sign(signed...)
	if !sign.Verify(signature, signed...) {
		t.Error("the genuine parts were refused")
	}
	for _, other := range [][][]byte{
		nil, parts("ab", "c"), parts("a", "bc", ""), parts("ab", "", "c"), parts("ab", "d", ""),
		parts("abc"), parts("ab", "c", "", ""),
	} {
		if sign.Verify(signature, other...) {
			t.Errorf("the signature of %q fits %q", signed, other)
		}
	}
	for name, other := range map[string]Signer{
		"secret": NewSigner([]byte("S3cret"), "purpose"), "no secret": {},
		"purpose": NewSigner([]byte("s3cret"), "another purpose"),
	} {
		if other.Verify(signature, signed...) || sign.Verify(other.Sign(signed...), signed...) {
			t.Errorf("%s: the signatures fit each other", name)
		}
	}
	if !(Signer{}).Verify(NewSigner(nil, "any").Sign(signed...), parts("anything")...) {
		t.Error("without a secret, what is unsigned was refused")
	}
}

// TestOtherSecret starts a rank with another secret: it stays outside, and both sides say so.
func TestOtherSecret(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	ctx, cancel := context.WithCancel(testContext(t))
	log, lines := newTestLog(t)
	zero, one := rollOptions("job", 0, 2, "one secret"), rollOptions("job", 1, 2, "another")
	zero.Logger, zero.Patience = log, time.Millisecond
	go func() {
		awaitLine(t, lines, "missing rank 1", "outside waits rank 1", "its TUTTI_SECRET differs")
		cancel()
	}()
	answers := callAll(ctx, t, p, []RollCallOptions{zero, one})
	contains(t, answers[0].err, "missing rank 1", "outside waits rank 1", "its TUTTI_SECRET differs")
	contains(t, answers[1].err, "opened with another TUTTI_SECRET")
	if !errors.Is(answers[1].err, context.Canceled) {
		t.Errorf("rank 1: %v, want context.Canceled in it", answers[1].err)
	}
}

// TestSecretChanges restarts a job under another secret on a store that persists.
func TestSecretChanges(t *testing.T) {
	p := place{url: serve(t, "").URL()}
	for _, secret := range []string{"old", "new", ""} {
		options := []RollCallOptions{rollOptions("job", 0, 2, secret), rollOptions("job", 1, 2, secret)}
		for rank, a := range callAll(testContext(t), t, p, options) {
			if a.err != nil {
				t.Errorf("secret %q, rank %d: %v", secret, rank, a.err)
			}
		}
	}
}
