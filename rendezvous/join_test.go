package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestJoinAlone needs no store, no network and no launcher.
func TestJoinAlone(t *testing.T) {
	for _, env := range []Environment{{}, {Size: 1}} {
		session, err := Join(testContext(t), env, Member{Config: "c"}, Options{})
		check(t, err)
		members := session.Members()
		if len(members) != 1 || members[0].PID == 0 || members[0].Host == "" ||
			members[0].HostID == "" || members[0].Config != "c" || session.Generation() != 1 {
			t.Errorf("%+v", members)
		}
		check(t, session.Close())
		check(t, session.Close())
	}
}

// TestJoinEmbedded has rank 0 serve the store, and close its session while the others still read:
// nobody may be cut off. The others keep what they have learnt.
func TestJoinEmbedded(t *testing.T) {
	for _, secret := range []string{"", "s3cret"} {
		for range 5 {
			testJoinEmbedded(t, "embedded://"+freeAddress(t), secret)
		}
	}
}

func testJoinEmbedded(t *testing.T, url, secret string) {
	const size = 5
	ctx := testContext(t)
	var wg sync.WaitGroup
	for rank := range size {
		wg.Go(func() {
			env := Environment{Rank: rank, Size: size, Store: url, Secret: secret, Job: "job"}
			session, err := Join(ctx, env, Member{Addresses: []byte{byte(rank)}}, Options{})
			if err != nil {
				t.Errorf("rank %d: %v", rank, err)
				return
			}
			for i, member := range session.Members() {
				if member.Rank != i || member.Addresses[0] != byte(i) {
					t.Errorf("rank %d has %+v at %d", rank, member, i)
				}
			}
			if err := session.Close(); err != nil {
				t.Errorf("rank %d: %v", rank, err)
			}
		})
	}
	wg.Wait()
}

// TestStoreIsNotNeededToRun closes rank 0's session: the others' store calls fail with a typed
// error, and they still close in peace.
func TestStoreIsNotNeededToRun(t *testing.T) {
	ctx := testContext(t)
	url := "embedded://" + freeAddress(t)
	sessions := make([]*Session, 2)
	var wg sync.WaitGroup
	for rank := range sessions {
		wg.Go(func() {
			var err error
			sessions[rank], err = Join(ctx, Environment{Rank: rank, Size: 2, Store: url}, Member{},
				Options{})
			if err != nil {
				t.Errorf("rank %d: %v", rank, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	check(t, sessions[1].Store().Set(ctx, "key", nil, 0))
	check(t, sessions[0].Close())
	var failure *StoreError
	if err := sessions[1].Store().Set(ctx, "key", nil, 0); !errors.As(err, &failure) {
		t.Errorf("%v, want a *StoreError", err)
	}
	if got := len(sessions[1].Members()); got != 2 {
		t.Errorf("%d members are left", got)
	}
	check(t, sessions[1].Close())
}

// TestJoinWithoutStore says how each launcher is told where to meet.
func TestJoinWithoutStore(t *testing.T) {
	for launcher, want := range map[string]string{
		"":         "tutti run -n N -- program",
		"slurm":    "set TUTTI_STORE on every rank",
		"openmpi":  "mpirun -x TUTTI_STORE=",
		"mpich":    "mpiexec -genv TUTTI_STORE",
		"torchrun": "MASTER_ADDR and MASTER_PORT",
	} {
		_, err := Join(t.Context(), Environment{Size: 2, Launcher: launcher}, Member{}, Options{})
		contains(t, err, "TUTTI_STORE is not set", "where the 2 ranks meet", want)
	}
}

func TestJoinErrors(t *testing.T) {
	tests := []struct {
		env  Environment
		want string
	}{
		{Environment{Rank: 2, Size: 2, Store: "redis://h"}, "rank 2 is not within 0 to 1"},
		{Environment{Size: 2, Store: "nonsense"}, "address failed"},
		{Environment{Size: 2, Store: "embedded://other-host:1"}, "without a secret"},
		{Environment{Size: 2, Store: "embedded://10.1.2.3:1", LocalSize: 1}, "without a secret"},
	}
	for _, test := range tests {
		_, err := Join(testContext(t), test.env, Member{}, Options{})
		contains(t, err, test.want)
	}
	_, err := Join(t.Context(), Environment{}, Member{Config: strings.Repeat("c", MaxConfigBytes+1)},
		Options{})
	contains(t, err, "config of")
}

// TestJoinSharedHost uses loopback, and needs no secret, when all ranks share this host, whatever
// name they were told.
func TestJoinSharedHost(t *testing.T) {
	_, port, _ := strings.Cut(freeAddress(t), ":")
	ctx := testContext(t)
	var wg sync.WaitGroup
	for rank := range 2 {
		wg.Go(func() {
			env := Environment{
				Rank: rank, Size: 2, LocalRank: rank, LocalSize: 2,
				Store: "embedded://name.invalid:" + port,
			}
			session, err := Join(ctx, env, Member{}, Options{})
			if err != nil {
				t.Errorf("rank %d: %v", rank, err)
				return
			}
			session.Close()
		})
	}
	wg.Wait()
}

// TestJoinOtherHosts serves on all interfaces for a name that is not loopback, with a secret.
func TestJoinOtherHosts(t *testing.T) {
	_, port, _ := strings.Cut(freeAddress(t), ":")
	ctx := testContext(t)
	done := make(chan error, 1)
	go func() {
		env := Environment{Size: 2, LocalSize: 1, Store: "embedded://name.invalid:" + port, Secret: "s"}
		session, err := Join(ctx, env, Member{}, Options{})
		if err == nil {
			err = session.Close()
		}
		done <- err
	}()
	env := Environment{Rank: 1, Size: 2, Store: "tutti://127.0.0.1:" + port, Secret: "s"}
	session, err := Join(ctx, env, Member{}, Options{})
	check(t, err)
	check(t, session.Close())
	check(t, <-done)
}

// TestJoinPortTaken waits for the port of a run that is just ending, and names it at last.
func TestJoinPortTaken(t *testing.T) {
	taken := serve(t, "")
	address := taken.Addr().String()
	ctx, cancel := context.WithCancel(testContext(t))
	log, lines := newTestLog(t)
	go func() {
		awaitLine(t, lines, "waiting for the store's port to become free", address)
		cancel()
	}()
	_, err := Join(ctx, Environment{Size: 2, Store: "embedded://" + address}, Member{},
		Options{Logger: log})
	contains(t, err, address, "address already in use")
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v does not wrap EADDRINUSE", err)
	}
}

// TestFailedJoinTellsAll has rank 0, which serves the store, give up: it stays up until the others
// have the same list.
func TestFailedJoinTellsAll(t *testing.T) {
	url := "embedded://" + freeAddress(t)
	ctx, cancel := context.WithCancel(testContext(t))
	log, lines := newTestLog(t)
	go func() {
		awaitLine(t, lines, "2/3 joined after", "missing rank 2")
		cancel()
	}()
	var wg sync.WaitGroup
	for rank := range 2 {
		wg.Go(func() {
			own, o := testContext(t), Options{}
			if rank == 0 {
				own, o = ctx, Options{Logger: log, Patience: time.Millisecond}
			}
			_, err := Join(own, Environment{Rank: rank, Size: 3, Store: url}, Member{}, o)
			contains(t, err, fmt.Sprintf("rank %d: 2/3 joined", rank), "missing rank 2")
		})
	}
	wg.Wait()
}
