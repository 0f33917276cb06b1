package rendezvous

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// census is one look at a roll's members.
type census struct {
	present  map[int]present // valid entries of living or departed processes
	mismatch *VersionError
	gone     string // who has given up and why; "" when nobody has
	notes    []string
}

// present is a rank that was found in the roll.
type present struct {
	entry  entry
	record []byte
}

// takeCensus reads the members of a roll and their leases. Entries that are forged, and those of
// processes whose lease has run out, do not count; notes say which.
func (c *call) takeCensus(ctx context.Context, id string) (*census, error) {
	records, err := c.store.HGetAll(ctx, c.membersKey(id))
	if err != nil {
		return nil, err
	}
	found := &census{present: make(map[int]present, len(records))}
	ranks := make([]int, 0, len(records))
	keys := make([]string, 0, len(records))
	for field, record := range records {
		rank, err := strconv.Atoi(field)
		if err != nil || rank < 0 || rank >= MaxSize {
			found.notes = append(found.notes, fmt.Sprintf("slot %q is no rank", clip(field, 20)))
			continue
		}
		e, err := decodeEntry(c.sign, id, rank, record)
		if err != nil {
			found.notes = append(found.notes, fmt.Sprintf("an entry for rank %d (it claims %s) was "+
				"refused: %v", rank, claimedHost(record), err))
			continue
		}
		found.present[rank] = present{e, record}
		ranks = append(ranks, rank)
		keys = append(keys, c.leaseKey(id, rank, e.Nonce))
	}
	leases, err := c.store.GetMany(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i, rank := range ranks {
		c.judge(found, rank, leases[i] != nil)
	}
	slices.Sort(found.notes)
	return found, nil
}

// judge decides whether the entry of a rank counts.
func (c *call) judge(found *census, rank int, living bool) {
	e := found.present[rank].entry
	switch {
	case e.Gone != "" && e.Nonce == c.nonce: // this rank itself, reporting its own departure
	case e.Gone != "":
		found.gone = fmt.Sprintf("rank %d on host %s gave up: %s", rank, e.Host, clip(e.Gone, 200))
		found.notes = append(found.notes, found.gone)
	case !living:
		found.notes = append(found.notes, fmt.Sprintf("rank %d (pid %d on host %s) joined, then "+
			"fell silent", rank, e.PID, e.Host))
		delete(found.present, rank)
	case found.mismatch == nil:
		found.mismatch = c.compare(e)
	}
}

// compare holds a living member against this process.
func (c *call) compare(e entry) *VersionError {
	differs := &VersionError{
		Job: c.Job, RankA: c.Self.Rank, RankB: e.Rank,
		HostA: c.Self.Host, HostB: e.Host,
	}
	switch {
	case e.Size != c.Size:
		differs.Field, differs.A, differs.B = "size", strconv.Itoa(c.Size), strconv.Itoa(e.Size)
	case e.Version != c.Self.Version:
		differs.Field, differs.A, differs.B = "version", c.Self.Version, e.Version
	case e.Config != c.Self.Config:
		differs.Field, differs.A, differs.B = "config", c.Self.Config, e.Config
	default:
		return nil
	}
	return differs
}

// tally counts who is there.
func (f *census) tally(size int) tally {
	t := tally{Joined: []int{}, Missing: []int{}, Notes: f.notes}
	for rank := range size {
		if _, here := f.present[rank]; here {
			t.Joined = append(t.Joined, rank)
		} else {
			t.Missing = append(t.Missing, rank)
		}
	}
	return t
}

// members returns all entries as records for the verdict, ordered by rank; the census is complete.
func (f *census) members(size int) []json.RawMessage {
	bodies := make([]json.RawMessage, size)
	for rank := range size {
		record := f.present[rank].record
		bodies[rank] = json.RawMessage(record[len(record)-bodyLength(record):])
	}
	return bodies
}

// bodyLength is the length of what follows a record's signature.
func bodyLength(record []byte) int {
	return len(record) - 1 - slices.Index(record, '\n')
}

// outsiders reads the notes of those who could not join.
func (c *call) outsiders(ctx context.Context) []string {
	fields, err := c.store.HGetAll(ctx, c.outsideKey())
	if err != nil {
		return nil // they only garnish a report
	}
	notes := make([]string, 0, len(fields))
	for _, note := range fields {
		notes = append(notes, fmt.Sprintf("outside waits %s", clip(string(note), 500)))
	}
	slices.Sort(notes)
	const most = 8
	return notes[:min(len(notes), most)]
}

// report makes the error for a roll call that ended without all.
func (c *call) report(t tally, err error) *RollCallError {
	return &RollCallError{
		Job: c.Job, Rank: c.Self.Rank, Size: c.Size, Joined: t.Joined,
		Missing: t.Missing, Notes: t.Notes, Waited: time.Since(c.start), Err: err,
	}
}
