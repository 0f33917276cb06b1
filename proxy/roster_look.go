package proxy

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
)

// Limits of one look.
const (
	maxRecords  = 1 << 16 // of all types together
	maxTypes    = 1 << 10
	maxSweeps   = 16 // ghosts removed
	maxRefusals = 8  // lines logged about records that cannot count
)

// survey is what one look found in the store.
type survey struct {
	found   []record
	values  map[place]string // of found
	holders map[string]holder
	own     []byte  // the value in self's field, nil when there is none
	lease   *holder // of self's name, nil when it has ended
}

// look reads the store, keeps self's record and lease there, and brings the view up to date. A
// *rendezvous.StoreError means that the store failed.
func (r *roster) look(ctx context.Context) error {
	return r.lookAfter(ctx, new(rendezvous.Batch), nil)
}

// lookAfter looks when the batch has been carried out, in the same round trip, and calls carried
// then.
func (r *roster) lookAfter(ctx context.Context, b *rendezvous.Batch, carried func() error) error {
	ctx, cancel := context.WithTimeout(ctx, r.patience())
	defer cancel()
	if !r.watch.lost.IsZero() {
		if err := r.resubscribe(ctx); err != nil {
			return err
		}
	}
	s, err := r.survey(ctx, b)
	if err == nil && carried != nil {
		err = carried()
	}
	if err != nil {
		return err
	}
	if err := r.keep(ctx, s); err != nil {
		return err
	}
	r.find()
	if err := r.recheck(ctx, s); err != nil {
		return err
	}
	how := r.watch.verdict()
	if err := r.apply(s, how); err != nil || how == withheld {
		return err
	}
	return r.sweep(ctx, s)
}

// survey reads all hashes, then all leases. Self's record and self's lease are read last: if they
// are there, nothing was read of a store that had been emptied.
//
// One round trip is enough where nobody is new but those of whom hints have told.
func (r *roster) survey(ctx context.Context, b *rendezvous.Batch) (*survey, error) {
	r.mu.Lock()
	types := slices.Clone(r.types)
	names := slices.AppendSeq(r.told, maps.Keys(r.view.live))
	r.told = nil
	r.mu.Unlock()
	for at, was := range r.watch.readings { // they may return
		if was.err == nil {
			names = append(names, at.name)
		}
	}
	s := &survey{values: map[place]string{}, holders: map[string]holder{}}
	hashes := make([]map[string][]byte, len(types))
	for i, kind := range types {
		b.HGetAll(r.hashKey(kind), &hashes[i])
	}
	b.HGet(r.hashKey(r.self.Type), r.self.Name, &s.own)
	slices.Sort(names)
	names = slices.Compact(names)
	note := r.readLeases(b, s, names)
	if err := r.store.Do(ctx, b); err != nil {
		return nil, err
	}
	note()
	r.sift(s, types, hashes)
	var news []string
	for _, found := range s.found {
		if _, asked := slices.BinarySearch(names, found.Name); !asked {
			news = append(news, found.Name)
		}
	}
	if news == nil {
		return s, nil
	}
	slices.Sort(news)
	var more rendezvous.Batch
	note = r.readLeases(&more, s, slices.Compact(news))
	if err := r.store.Do(ctx, &more); err != nil {
		return nil, err
	}
	note()
	return s, nil
}

// sift takes the records that can count from what stands in the hashes.
func (r *roster) sift(s *survey, types []string, hashes []map[string][]byte) {
	readings := make(map[place]reading, len(r.watch.readings))
	refusals := 0
	for i, kind := range types {
		for name, value := range hashes[i] {
			if kind == r.self.Type && name == r.self.Name || len(readings) >= maxRecords {
				continue
			}
			at := place{kind, name}
			now, news := r.read(at, value)
			readings[at] = now
			if now.err == nil {
				s.found = append(s.found, now.record)
				s.values[at] = now.value
			} else if news && refusals < maxRefusals {
				refusals++
				r.log.Warn("a record was ignored", "type", kind, "name", clip(name),
					"reason", now.err)
			}
		}
	}
	r.watch.readings = readings
}

// read decodes a value, unless it still is what it was at the last look.
func (r *roster) read(at place, value []byte) (now reading, news bool) {
	value = value[:min(len(value), maxRecordBytes+1)] // what is longer is refused in any case
	if was, before := r.watch.readings[at]; before && was.value == string(value) {
		return was, false
	}
	now.value = string(value)
	now.record, now.err = r.seal.decode(at.kind, at.name, value)
	return now, true
}

// readLeases adds to b what tells who holds names, and last self's; note takes the answer.
func (r *roster) readLeases(b *rendezvous.Batch, s *survey, names []string) (note func()) {
	keys := make([]string, 0, len(names)+1)
	for _, name := range names {
		keys = append(keys, r.leaseKey(name))
	}
	var leases [][]byte
	b.GetMany(append(keys, r.leaseKey(r.self.Name)), &leases)
	return func() {
		for i, name := range names {
			if leases[i] != nil {
				s.holders[name] = decodeHolder(leases[i])
			}
		}
		s.lease = nil
		if own := leases[len(names)]; own != nil {
			held := decodeHolder(own)
			s.lease = &held
		}
	}
}

// keep renews self's lease, and puts self back into a store that has lost it. It fails with
// *SupersededError when another has taken the name.
func (r *roster) keep(ctx context.Context, s *survey) error {
	back := false
	switch {
	case s.lease == nil:
		// The lease ended because this process was stopped, or the store was emptied.
		won, err := r.store.SetNX(ctx, r.leaseKey(r.self.Name), r.self.holder().encode(), r.lease)
		if err != nil {
			return err
		}
		r.rest()
		if !won { // by another, just now: the next look tells by whom
			poke(r.nudge)
			return nil
		}
		r.watch.renewed, back = time.Now(), true
	case *s.lease != r.self.holder():
		return r.yield(ctx, *s.lease)
	case time.Since(r.watch.renewed) >= r.beat()/2:
		if err := r.store.Expire(ctx, r.leaseKey(r.self.Name), r.lease); err != nil {
			return err
		}
		r.watch.renewed = time.Now()
	}
	if bytes.Equal(s.own, r.own) && !back {
		return nil
	}
	r.log.Info("published again what the store had lost", "record", s.own == nil, "lease", back)
	var b rendezvous.Batch
	r.announce(&b)
	return r.store.Do(ctx, &b)
}

// yield ends this component's membership: who has the name?
func (r *roster) yield(ctx context.Context, who holder) error {
	successor, err := r.published(ctx, who)
	if err != nil {
		return err
	}
	fate := &SupersededError{
		Group: r.group, Name: r.self.Name, Self: r.self.claimant(),
		Successor: successor.claimant(), Lease: r.lease,
	}
	r.log.Error("the name was taken over", "successor", fate.Successor)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fate = fate
	r.enqueue(change{kind: superseded, record: successor, previous: r.self})
	return fate
}

// recheck looks again at the records of members whose lease was found missing: who withdraws in
// order removes the record first, so that it may have been read just before.
func (r *roster) recheck(ctx context.Context, s *survey) error {
	gone := map[string]bool{}
	for _, found := range s.found {
		if _, held := s.holders[found.Name]; held {
			continue
		}
		if member, alive := r.byName(found.Name); !alive || !member.same(found) {
			continue
		}
		_, err := r.store.HGet(ctx, r.hashKey(found.Type), found.Name)
		if errors.Is(err, rendezvous.ErrNotFound) {
			gone[found.Name] = true
		} else if err != nil {
			return err
		}
	}
	s.found = slices.DeleteFunc(s.found, func(found record) bool { return gone[found.Name] })
	return nil
}

// apply brings the view up to date and puts the changes in line for deliver.
func (r *roster) apply(s *survey, how verdict) error {
	r.mu.Lock()
	changes, clashes := r.view.update(s.found, s.holders, how)
	r.enqueue(changes...)
	r.mu.Unlock()
	for _, clash := range clashes {
		r.log.Error("a member was ignored: its incarnation's number is another's",
			"name", clash.Name, "incarnation", clash.Incarnation)
		if clash.Incarnation == r.self.Incarnation && r.cancel == nil { // still entering
			return errIncarnationTaken
		}
	}
	return nil
}

// sweep removes records whose lease has been missing for as long as a lease lasts. A process that
// comes back between the last check and the removal publishes itself again at its next look.
func (r *roster) sweep(ctx context.Context, s *survey) error {
	ghosts := make(map[ghost]time.Time)
	sweeps := 0
	for _, found := range s.found {
		if _, held := s.holders[found.Name]; held {
			continue
		}
		at := place{found.Type, found.Name}
		g := ghost{at, s.values[at]}
		since, before := r.watch.ghosts[g]
		if !before {
			since = time.Now()
		}
		ghosts[g] = since
		if time.Since(since) < r.lease || sweeps >= maxSweeps {
			continue
		}
		sweeps++
		_, err := r.store.Get(ctx, r.leaseKey(found.Name))
		if err == nil {
			continue
		}
		if !errors.Is(err, rendezvous.ErrNotFound) {
			return err
		}
		if err := r.eraseRecord(ctx, found.Type, found.Name, []byte(g.value)); err != nil {
			return err
		}
	}
	r.watch.ghosts = ghosts
	return nil
}

// clip shortens what is logged of others.
func clip(text string) string { return text[:min(len(text), maxNameBytes)] }
