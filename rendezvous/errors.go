package rendezvous

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RollCallError reports a roll call that ended before all ranks had joined. Where rank 0 could tell
// the others that it gave up, all ranks return the same lists.
type RollCallError struct {
	Job     string
	Rank    int // the rank that reports
	Size    int
	Joined  []int // sorted
	Missing []int // sorted
	Waited  time.Duration
	Notes   []string // what is known about those who are missing, and who was refused
	Err     error    // what ended the wait
}

// Error says how many joined, who is missing, what is known about them and what to do.
func (e *RollCallError) Error() string {
	text := fmt.Sprintf("rendezvous: roll call of job %q, rank %d: %s", e.Job, e.Rank,
		tallyText(len(e.Joined), e.Size, e.Missing, e.Waited))
	for _, note := range e.Notes {
		text += "; " + note
	}
	if len(e.Missing) > 0 {
		text += "; check that the missing ranks were started and can reach the store, " +
			"with the same job name"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns what ended the wait, such as context.DeadlineExceeded.
func (e *RollCallError) Unwrap() error { return e.Err }

// DuplicateRankError reports two living processes that claim one rank.
type DuplicateRankError struct {
	Job         string
	Rank        int
	Host, Other string // hosts of the process that reports and of the other one
	PID         int
	OtherPID    int
}

// Error names both processes.
func (e *DuplicateRankError) Error() string {
	return fmt.Sprintf("rendezvous: job %q: two processes claim rank %d: pid %d on host %s "+
		"(this one) and pid %d on host %s; give each process its own rank, and each job its own "+
		"TUTTI_JOB",
		e.Job, e.Rank, e.PID, e.Host, e.OtherPID, e.Other)
}

// VersionError reports two ranks that run different versions or were given different settings.
type VersionError struct {
	Job          string
	Field        string // "version", "config" or "size"
	RankA, RankB int    // RankA is always 0, who compares
	HostA, HostB string
	A, B         string // what each has
}

// Error names both ranks and the difference.
func (e *VersionError) Error() string {
	remedy := "give all ranks the same settings"
	switch e.Field {
	case "version":
		remedy = "install the same version on all hosts"
	case "size":
		remedy = "give all ranks the same size, and each job its own TUTTI_JOB"
	}
	return fmt.Sprintf("rendezvous: job %q: %s differs between rank %d on host %s and rank %d on "+
		"host %s: %s; %s", e.Job, e.Field, e.RankA, e.HostA, e.RankB, e.HostB,
		difference(e.A, e.B), remedy)
}

// difference shows two short values as they are, and of longer texts the lines that differ.
func difference(a, b string) string {
	if !strings.Contains(a, "\n") && !strings.Contains(b, "\n") {
		return fmt.Sprintf("%q against %q", clip(a, 200), clip(b, 200))
	}
	linesA, linesB := strings.Split(a, "\n"), strings.Split(b, "\n")
	var parts []string
	for _, line := range linesA {
		if !slices.Contains(linesB, line) {
			parts = append(parts, "-"+strconv.Quote(clip(line, 100)))
		}
	}
	for _, line := range linesB {
		if !slices.Contains(linesA, line) {
			parts = append(parts, "+"+strconv.Quote(clip(line, 100)))
		}
	}
	const most = 12
	switch {
	case len(parts) == 0:
		return "the same lines in another order"
	case len(parts) > most:
		parts = append(parts[:most], fmt.Sprintf("and %d lines more", len(parts)-most))
	}
	return strings.Join(parts, " ")
}

// tallyText is the progress line: "31/32 joined after 20s, missing rank 17".
func tallyText(joined, size int, missing []int, waited time.Duration) string {
	text := fmt.Sprintf("%d/%d joined after %s", joined, size, readable(waited))
	if len(missing) > 0 {
		text += ", missing " + rankList(missing)
	}
	return text
}

// rankList writes sorted ranks as "rank 17" or "ranks 3, 5-9"; a long list is cut.
func rankList(ranks []int) string {
	if len(ranks) == 1 {
		return "rank " + strconv.Itoa(ranks[0])
	}
	const most = 16
	var spans []string
	for i := 0; i < len(ranks); {
		j := i
		for j+1 < len(ranks) && ranks[j+1] == ranks[j]+1 {
			j++
		}
		if len(spans) == most {
			spans = append(spans, fmt.Sprintf("and %d more", len(ranks)-i))
			break
		}
		span := strconv.Itoa(ranks[i])
		switch {
		case j == i+1:
			span += ", " + strconv.Itoa(ranks[j])
		case j > i:
			span += "-" + strconv.Itoa(ranks[j])
		}
		spans = append(spans, span)
		i = j + 1
	}
	return "ranks " + strings.Join(spans, ", ")
}
