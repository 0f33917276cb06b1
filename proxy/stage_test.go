package proxy

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// allocating is an endpoint that has memory which peers see.
type allocating struct {
	fakeEndpoint
	made, freed int
	fails       bool
}

func (e *allocating) Alloc(n int) ([]byte, error) {
	if e.fails {
		return nil, errFake
	}
	e.made++
	return make([]byte, n), nil
}

func (e *allocating) Free([]byte) { e.freed++ }

// newStager is a master whose workers see its memory, and keep what they are sent.
func newStager(t testing.TB) (*victim, *allocating) {
	t.Helper()
	ep := &allocating{fakeEndpoint: fakeEndpoint{wake: make(chan struct{}, 1)}}
	v := newVictimOn(t, ep)
	v.friend.feed(largeIntro("friend"))
	v.rogue.feed(largeIntro("rogue"))
	v.move()
	v.friend.keep()
	v.rogue.keep()
	return v, ep
}

func largeIntro(name string) frame {
	return raw(transport.Status, stepIntroduction, introduction{name, "worker", 1 << 30, 1 << 30})
}

// onStage counts the pieces that are held, those that are not, and arenas.
func (v *victim) onStage() (held, free, arenas int) {
	v.e.enter()
	defer v.e.leave()
	s := &v.e.stage
	return s.out, len(s.free), len(s.arenas)
}

func (v *victim) held() int {
	n, _, _ := v.onStage()
	return n
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>9)
	}
	return b
}

// bodyOn puts together what has come of messages on a fake link since the n-th frame.
func bodyOn(l *fakeLink, n int) []byte {
	var all []byte
	for _, f := range l.frames()[n:] {
		if f.h.Seq == 0 {
			continue
		}
		if f.h.Step == 0 {
			size, err := metaBytes(f.payload)
			if err != nil {
				panic(err)
			}
			f.payload = f.payload[size:]
		}
		all = append(all, f.payload...)
	}
	return all
}

// TestBroadcastIsStagedOnce: all receivers of a body read the same pieces.
func TestBroadcastIsStagedOnce(t *testing.T) {
	v, ep := newStager(t)
	defer v.end()
	body := pattern(pieceBytes + 1000)
	friend, rogue := len(v.friend.frames()), len(v.rogue.frames())
	if _, err := v.IBroadcast(t.Context(), "worker", "t", Task, body); err != nil {
		t.Fatal(err)
	}
	v.move()
	for _, c := range []struct {
		l  *fakeLink
		at int
	}{{v.friend, friend}, {v.rogue, rogue}} {
		if got := bodyOn(c.l, c.at); !bytes.Equal(got, body) {
			t.Errorf("a body of %d bytes went out as another, of %d", len(body), len(got))
		}
	}
	if n := v.held(); n != 2 || ep.made != 1 {
		t.Errorf("%d pieces of %d arenas are in use for two of a body", n, ep.made)
	}
	v.friend.returns(3)
	v.move()
	if v.held() != 2 {
		t.Error("a piece went back that a link has")
	}
	v.rogue.returns(2) // the meta and a piece
	v.move()
	if v.held() != 1 {
		t.Errorf("%d pieces are in use, want the last one", v.held())
	}
	v.rogue.returns(1)
	v.move()
	if n, free, _ := v.onStage(); n != 0 || free != arenaBytes/pieceBytes {
		t.Errorf("%d pieces are in use, %d free", n, free)
	}
}

// TestStagedBodyIsTheSenders: what a link has of a staged body is no business of its sender's.
func TestStagedBodyIsTheSenders(t *testing.T) {
	v, _ := newStager(t)
	defer v.end()
	body := pattern(3 * pieceBytes)
	at := len(v.friend.frames())
	id, err := v.ISend(t.Context(), NewSessionMessage("t", "friend", body, Task))
	if err != nil {
		t.Fatal(err)
	}
	v.move()
	want := bytes.Clone(body)
	v.Session(id).Cancel()
	clear(body)
	v.look(func(e *engine) {
		for _, f := range e.peers["friend"].out.lent {
			if n := min(len(want), pieceBytes); !bytes.Equal(f.piece.bytes[:n], want[:n]) {
				t.Error("a piece has changed with the body")
			}
			want = want[pieceBytes:]
		}
	})
	if v.friend.reclaimed > 0 {
		t.Error("a link was asked for memory that it does not have")
	}
	if len(bodyOn(v.friend, at)) != 3*pieceBytes || v.held() != 3 {
		t.Errorf("%d pieces are in use", v.held())
	}
	v.friend.returns(4)
	v.move()
	if v.held() != 0 {
		t.Errorf("%d pieces are in use at the end", v.held())
	}
}

// TestLentBodyIsReclaimed: a small one is still the sender's memory, in the same link.
func TestLentBodyIsReclaimed(t *testing.T) {
	v, _ := newStager(t)
	defer v.end()
	if _, err := v.ISend(t.Context(), NewMessage("t", "friend", pattern(stageMin))); err != nil {
		t.Fatal(err)
	}
	id, err := v.ISend(t.Context(), NewSessionMessage("t", "friend", pattern(stageMin-1), Task))
	if err != nil {
		t.Fatal(err)
	}
	v.move()
	v.Session(id).Cancel()
	if v.friend.reclaimed != 1 {
		t.Errorf("the link gave its memory back %d times", v.friend.reclaimed)
	}
	v.move()
	if n, free, _ := v.onStage(); n != 0 || free != arenaBytes/pieceBytes-1 {
		t.Errorf("%d pieces are in use, %d free; want all but what peers do not see any more", n, free)
	}
}

// TestStageIsShared: one peer that takes nothing gets a part of the stage.
func TestStageIsShared(t *testing.T) {
	v, ep := newStager(t)
	defer v.end()
	body := pattern(pieceBytes)
	for range 2 * maxLent {
		if _, err := v.ISend(t.Context(), NewMessage("t", "friend", body)); err != nil {
			t.Fatal(err)
		}
	}
	v.move()
	if n := v.held(); n != maxLent {
		t.Errorf("%d pieces are with one peer, want %d", n, maxLent)
	}
	at := len(v.rogue.frames())
	if _, err := v.ISend(t.Context(), NewMessage("t", "rogue", body)); err != nil {
		t.Fatal(err)
	}
	v.move()
	if !bytes.Equal(bodyOn(v.rogue, at), body) || v.held() != maxLent+1 {
		t.Errorf("%d pieces are in use with another peer", v.held())
	}
	at = len(v.friend.frames())
	v.friend.returns(2 * maxLent)
	v.move()
	if n := len(v.friend.frames()) - at; n != 2*maxLent {
		t.Errorf("%d frames followed, want a meta and a piece for each of %d", n, maxLent)
	}
	if ep.made > maxArenas {
		t.Errorf("%d arenas were made", ep.made)
	}
}

// TestFullStage: where others have all pieces, bodies are lent.
func TestFullStage(t *testing.T) {
	v, ep := newStager(t)
	defer v.end()
	v.e.enter()
	var held []*piece
	for q := v.e.stage.take(); q != nil; q = v.e.stage.take() {
		held = append(held, q)
	}
	v.e.leave()
	if ep.made != maxArenas || len(held) != maxArenas*arenaBytes/pieceBytes {
		t.Errorf("%d arenas have %d pieces", ep.made, len(held))
	}
	body := pattern(2 * pieceBytes)
	at := len(v.friend.frames())
	if _, err := v.ISend(t.Context(), NewMessage("t", "friend", body)); err != nil {
		t.Fatal(err)
	}
	v.move()
	if !bytes.Equal(bodyOn(v.friend, at), body) || len(v.friend.frames()) != at+1 {
		t.Errorf("%d frames went out", len(v.friend.frames())-at)
	}
	v.e.enter()
	defer v.e.leave()
	for _, q := range held {
		v.e.stage.release(q)
	}
}

// TestNoStage: without memory that peers see, bodies are lent, and it is not asked for again.
func TestNoStage(t *testing.T) {
	v, ep := newStager(t)
	defer v.end()
	ep.fails = true
	body := pattern(2 * pieceBytes)
	for range 2 {
		at := len(v.friend.frames())
		if _, err := v.ISend(t.Context(), NewMessage("t", "friend", body)); err != nil {
			t.Fatal(err)
		}
		v.move()
		if !bytes.Equal(bodyOn(v.friend, at), body) {
			t.Error("a body went out as another")
		}
		ep.fails = false
	}
	if ep.made != 0 {
		t.Error("memory was asked for again")
	}
}

// TestBrokenLinkSpoilsItsPieces: the other end may read on what a link had when it broke.
func TestBrokenLinkSpoilsItsPieces(t *testing.T) {
	v, ep := newStager(t)
	defer v.end()
	body := pattern(arenaBytes)
	if _, err := v.ISend(t.Context(), NewMessage("t", "rogue", body)); err != nil {
		t.Fatal(err)
	}
	v.move()
	if v.held() != arenaBytes/pieceBytes {
		t.Fatalf("%d pieces are in use", v.held())
	}
	v.rogue.breaks()
	v.move()
	if n, free, arenas := v.onStage(); n != 0 || free != 0 || arenas != 0 || ep.freed != 1 {
		t.Errorf("%d pieces in use, %d free, %d arenas, %d freed", n, free, arenas, ep.freed)
	}
	again := &fakeLink{rank: 7}
	v.attach(again)
	again.feed(largeIntro("rogue"))
	v.move()
	if got := bodyOn(again, 0); !bytes.Equal(got, body) {
		t.Errorf("%d bytes came on the new link", len(got))
	}
}

// TestStageIsLeft: messages that are not sent do not keep pieces.
func TestStageIsLeft(t *testing.T) {
	v, ep := newStager(t)
	defer v.end()
	body := pattern(2 * pieceBytes)
	v.friend.setDeaf(true)
	ids, err := v.IBroadcast(t.Context(), "worker", "t", Task, body)
	if err != nil {
		t.Fatal(err)
	}
	v.move()
	if v.held() == 0 {
		t.Fatal("nothing is in use")
	}
	v.Session(ids[0]).Cancel()
	v.friend.setDeaf(false)
	v.rogue.returns(3)
	v.move()
	if v.held() != 0 {
		t.Errorf("%d pieces are in use after a broadcast was given up", v.held())
	}
	parcels := []Parcel{{"friend", body}, {"nobody", body}, {"rogue", body}}
	var unknown *UnknownPeerError
	if _, err := v.IScatter(t.Context(), "t", Task, parcels); !errors.As(err, &unknown) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var partial *PartialError
	if _, err := v.Scatter(ctx, "t", Task, parcels); !errors.As(err, &partial) {
		t.Error(err)
	}
	v.move()
	v.friend.returns(20)
	v.rogue.returns(20)
	v.move()
	if v.held() != 0 {
		t.Errorf("%d pieces are in use after a scatter was given up", v.held())
	}
	v.e.enter()
	defer v.e.leave()
	v.e.stage.trim(time.Now())
	if ep.freed > 0 {
		t.Error("memory went that was used just now")
	}
	v.e.stage.trim(time.Now().Add(2 * stageTime))
	if len(v.e.stage.arenas) != 0 || ep.freed != ep.made {
		t.Errorf("%d of %d arenas were freed", ep.freed, ep.made)
	}
}
