package rendezvous

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestErrorTexts pins what users read.
func TestErrorTexts(t *testing.T) {
	joined := make([]int, 0, 32)
	for rank := range 32 {
		if rank != 17 {
			joined = append(joined, rank)
		}
	}
	tests := []struct {
		err  error
		want string
	}{
		{
			&RollCallError{
				Job: "train", Rank: 0, Size: 32, Joined: joined, Missing: []int{17},
				Waited: 20*time.Second + 3*time.Millisecond, Err: context.DeadlineExceeded,
				Notes: []string{"rank 17 (pid 7 on host c) joined, then fell silent"},
			},
			`rendezvous: roll call of job "train", rank 0: 31/32 joined after 20s, missing rank 17; ` +
				`rank 17 (pid 7 on host c) joined, then fell silent; check that the missing ranks were ` +
				`started and can reach the store, with the same job name: context deadline exceeded`,
		},
		{
			&DuplicateRankError{Job: "train", Rank: 3, Host: "a", PID: 1, Other: "b", OtherPID: 2},
			`rendezvous: job "train": two processes claim rank 3: pid 1 on host a (this one) and pid 2 ` +
				`on host b; give each process its own rank, and each job its own TUTTI_JOB`,
		},
		{
			&VersionError{
				Job: "train", Field: "config", RankA: 0, RankB: 5, HostA: "a", HostB: "b",
				A: "chunk=1\nring=on", B: "chunk=2\nring=on\nx=y",
			},
			`rendezvous: job "train": config differs between rank 0 on host a and rank 5 on host b: ` +
				`-"chunk=1" +"chunk=2" +"x=y"; give all ranks the same settings`,
		},
		{
			&StoreError{
				Address: "r:6379", Phase: "lookup", Attempts: 9, Waited: 1234 * time.Millisecond,
				Err: errors.New("no such host"), Remedy: "check the name",
			},
			`rendezvous: store r:6379: lookup failed (attempts: 9, waited 1.2s): no such host; ` +
				`check the name`,
		},
		{
			&StoreError{Address: "r:6379", Phase: "command", Command: "get", Err: ErrNotFound},
			`rendezvous: store r:6379: command get failed: key not found`,
		},
	}
	for _, test := range tests {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestRankList(t *testing.T) {
	tests := []struct {
		ranks []int
		want  string
	}{
		{[]int{17}, "rank 17"},
		{[]int{1, 2}, "ranks 1, 2"},
		{[]int{0, 1, 2, 5, 7, 8, 9}, "ranks 0-2, 5, 7-9"},
		{
			[]int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34},
			"ranks 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, and 2 more",
		},
	}
	for _, test := range tests {
		if got := rankList(test.ranks); got != test.want {
			t.Errorf("rankList(%v) = %q, want %q", test.ranks, got, test.want)
		}
	}
}

func TestDifference(t *testing.T) {
	tests := []struct{ a, b, want string }{
		{"v1", "v2", `"v1" against "v2"`},
		{"a\nb", "b\na", "the same lines in another order"},
		{"a\nb", "a", `-"b"`},
	}
	for _, test := range tests {
		if got := difference(test.a, test.b); got != test.want {
			t.Errorf("difference(%q, %q) = %s, want %s", test.a, test.b, got, test.want)
		}
	}
}
