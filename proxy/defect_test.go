package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// These tests show that defects of maro/communication 0.3.2a4 are not here. The numbers are those
// of a list of its defects that harm: security (S), loss or doubling of data (L), hangs (H),
// processes killed (K), wrong results (W).
//
//	 1 S    code in what is received, no        TestDefect01Secret,
//	        authentication                      TestDefect01StrangerWithoutSecret,
//	                                            TestHostileBodies, TestHostileCBOR, TestBombs,
//	                                            TestRecordHostile
//	 2 K    garbage ends the receive loop       TestDefect02Garbage, TestHostileFrames, FuzzFrames
//	 3 L H  the first broadcast is lost         TestDefect03FirstBroadcast
//	 4 L    broadcasts are dropped              TestDefect04NoBroadcastIsDropped
//	 5 P    bounds count messages, not bytes    TestDefect05WindowOfBytes, TestHostileWindow,
//	                                            TestGivenUpCountsInWindow
//	 6 H    a dead peer blocks for ever         TestPeerLossEndsTheWait,
//	                                            TestLossEndsWaitForPlainReply,
//	                                            TestStoppedWorkerIsLost, TestLostMasterEndsTheWait
//	 7 H    traffic starts a timeout again      TestDefect07OneDeadline
//	 8 W    short results, in any order         TestDefect08ResultsAtTheirTargets
//	 9 W    broadcasts' replies have no source  TestDefect09SourceOfBroadcastReplies
//	10 K W  reply changes its argument          TestDefect10AcknowledgeThenReply
//	11 W    stages are not kept                 TestDefect11Stages, TestHostileAnswers
//	12 K    unknown names end the process       TestDefect12UnknownDestination,
//	                                            TestDefect12ExtraWorker
//	13 L    waiting hides other messages        TestDefect13OneInbox, TestDefect13LateReplies
//	14 W    dist and rejoin are broken          dist.TestDecorator, TestMARORejoin
//	15 W    sources match by substring          regtable.TestSourceIsNoSubstring
//	16 W    amounts are capped silently         regtable.TestCountAbovePeers,
//	                                            regtable.TestPercentageThatRoundsToNothing
//	17 W    one sender counts as several        regtable.TestDistinctSenders
//	18 W    the table's peers are a snapshot    regtable.TestMembershipIsLive,
//	                                            dist.TestLossTriggers
//	19 W L  old messages count in new rounds    regtable.TestLateMessagesDoNotCount,
//	                                            regtable.TestQueuesAreBounded
//	20 L    an error loses others' messages     regtable.TestHandlerErrorsAreCollected
//	23 L H  who is killed stays in the group    TestRosterCrash, TestRosterGhosts,
//	                                            TestKilledWorkersLoseNoTask
//	24 L    messages for who returns are lost   TestDefect24KeptForNextStart,
//	                                            TestCacheDropsWhatWasSent,
//	                                            TestKilledWorkersLoseNoTask
//	25 H    sending waits for the store         TestDefect26StoreIsGone
//	26 K    the store is needed all the time    TestDefect26StoreIsGone, TestRestartedStore
//	27 W    members disagree on who is there    TestDefect12ExtraWorker, TestRosterConverges
//	29 W    two components of one name          TestDefect29DuplicateName, TestRosterDuplicate
//	30 H    closing hangs                       TestDefect30CloseIsBounded,
//	                                            TestDefect30TwoInOneProcess
//	31 W    broadcasts are not in order         TestMessagesKeepTheirOrder
//	38 L    two successors of one name          TestRosterTwoSuccessors, TestSupersededWorker

// gone is a context that has ended.
func gone() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func send(t *testing.T, p *proxy.Proxy, to string, body any) {
	t.Helper()
	r, err := p.Send(soon(t), proxy.NewSessionMessage("echo", to, body, proxy.Task))
	if err != nil || r.Body != body {
		t.Fatalf("%v, %v", r, err)
	}
}

func TestDefect01Secret(t *testing.T) {
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "right", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var refused *rendezvous.StoreError
	for _, secret := range []string{"", "wrong"} {
		_, err := proxy.Join(soon(t), "group", "worker", map[string]int{"master": 1},
			proxy.WithStore(store.URL()), proxy.WithSecret(secret))
		if !errors.As(err, &refused) {
			t.Errorf("joined with secret %q: %v", secret, err)
		}
	}
	// Who can write to the store, and does not know the secret, is nobody's peer.
	open := embeddedStore(t)
	ctx, cancel := context.WithCancel(soon(t))
	done := make(chan error, 1)
	go func() {
		p, err := proxy.Join(ctx, "group", "worker", map[string]int{"master": 1},
			proxy.WithStore(open), proxy.WithSecret("wrong"))
		if err == nil {
			err = errors.Join(errors.New("joined"), p.Close(context.Background()))
		}
		done <- err
	}()
	all := joinWith(t, open, masterAndWorkers(1),
		func(part) []proxy.Option { return []proxy.Option{proxy.WithSecret("right")} })
	if peers := all["master"].Peers()["worker"]; len(peers) != 1 {
		t.Error(peers)
	}
	cancel()
	if err := <-done; err == nil || strings.Contains(err.Error(), "joined") {
		t.Error(err)
	}
}

// freePort is a port of this host that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestDefect02Garbage(t *testing.T) {
	address := freePort(t)
	all := joinWith(t, embeddedStore(t), masterAndWorkers(1), func(p part) []proxy.Option {
		options := []proxy.Option{proxy.WithDriver(zmq.New(zmq.TCP))}
		if p.kind == "master" {
			options = append(options, proxy.WithListen(address))
		}
		return options
	})
	echoes(t, all)
	for i, text := range []string{
		"garbage", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("\x00", 10_000), "TUTI\x01\x01",
		"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL", strings.Repeat("\xff", 70_000), "",
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(text)); err != nil {
			t.Log(err) // it was ended by the other end
		}
		send(t, all["master"], "worker.1", fmt.Sprint(i))
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		send(t, all["master"], "worker.1", fmt.Sprint(i))
	}
}

// All components start at once, in an order of the scheduler's, and the first thing that happens is
// the broadcast.
func TestDefect03FirstBroadcast(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		for range rounds {
			var group sync.WaitGroup
			for i := range 4 {
				group.Go(func() {
					p, err := proxy.Join(soon(t), "first", "worker", map[string]int{"master": 1},
						proxy.WithStore(store), proxy.WithSecret(""), driver, proxy.WithName(fmt.Sprint("w", i)))
					if err != nil {
						t.Error(err)
						return
					}
					m, err := p.ReceiveOnce(soon(t))
					if err == nil {
						err = p.Reply(soon(t), m, "", p.Name())
					}
					if err := errors.Join(err, p.Close(soon(t))); err != nil {
						t.Error(err)
					}
				})
			}
			p, err := proxy.Join(soon(t), "first", "master", map[string]int{"worker": 4},
				proxy.WithStore(store), proxy.WithSecret(""), driver)
			if err != nil {
				t.Fatal(err)
			}
			replies, err := p.Broadcast(soon(t), "worker", "first", proxy.Task, "hello")
			if err != nil || len(replies) != 4 {
				t.Errorf("%d replies, %v", len(replies), err)
			}
			group.Wait()
			if err := p.Close(soon(t)); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDefect04NoBroadcastIsDropped(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 2000
	}
	all := join(t, embeddedStore(t), masterAndWorkers(2), proxy.WithWindow(64<<10))
	body := make([]byte, 1024)
	for i := range n { // the workers are busy meanwhile
		if _, err := all["master"].IBroadcast(soon(t), "worker", "t", proxy.Plain, body); err != nil {
			t.Fatal(i, err)
		}
	}
	for _, name := range []string{"worker.1", "worker.2"} {
		for i := range n {
			m, err := all[name].ReceiveOnce(soon(t))
			if err != nil || len(m.Body.([]byte)) != len(body) {
				t.Fatal(i, m, err)
			}
		}
	}
}

func TestDefect05WindowOfBytes(t *testing.T) {
	const window, size, n = 256 << 10, 64 << 10, 50
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, masterAndWorkers(1), driver, proxy.WithWindow(window))
		worker := all["worker.1"]
		for range n {
			m := proxy.NewMessage("t", "worker.1", make([]byte, size))
			if _, err := all["master"].ISend(soon(t), m); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			if waits := worker.Stats().ReceivedBytes - uint64(i*size); waits > window+uint64(i*100) {
				t.Errorf("%d bytes wait, the window is %d", waits, window)
			}
			if _, err := worker.ReceiveOnce(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Messages that come without end do not put a deadline off.
func TestDefect07OneDeadline(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(2))
	noise, stop := context.WithCancel(soon(t))
	var group sync.WaitGroup
	group.Go(func() {
		for noise.Err() == nil {
			_, err := all["worker.2"].ISend(noise, proxy.NewMessage("noise", "master", nil))
			if err != nil && noise.Err() == nil {
				t.Error(err)
			}
		}
	})
	group.Go(func() { // somebody takes the noise
		for range all["master"].Receive(noise) {
		}
	})
	id, err := all["master"].ISend(soon(t), proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task))
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []func(context.Context) error{
		func(ctx context.Context) error {
			_, err := all["master"].ReceiveByID(ctx, id)
			return err
		},
		func(ctx context.Context) error {
			_, err := all["master"].Send(ctx, proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task))
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(soon(t), 50_000_000)
		err := call(ctx)
		cancel()
		var wait *proxy.WaitError
		if !errors.As(err, &wait) || !errors.Is(err, context.DeadlineExceeded) || len(wait.Waiting) != 1 {
			t.Error(err)
		}
	}
	// None at all, and one that is over, have no second meaning.
	if _, err := all["master"].ReceiveByID(gone(), id); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	stop()
	group.Wait()
}

func TestDefect08ResultsAtTheirTargets(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(3))
	ctx, stop := context.WithCancel(soon(t))
	var group sync.WaitGroup
	group.Go(func() { serve(ctx, t, all["worker.1"]) })
	group.Go(func() { serve(ctx, t, all["worker.3"]) })
	group.Go(func() {
		m, err := all["worker.2"].ReceiveOnce(ctx)
		if err == nil {
			err = all["worker.2"].ReplyError(ctx, m, errors.New("out of paper"))
		}
		if err != nil {
			t.Error(err)
		}
	})
	replies, err := all["master"].Scatter(ctx, "t", proxy.Task, []proxy.Parcel{
		{Destination: "worker.3", Body: "c"},
		{Destination: "worker.2", Body: "b"},
		{Destination: "worker.4", Body: "d"},
		{Destination: "worker.1", Body: "a"},
	})
	stop()
	group.Wait()
	var partial *proxy.PartialError
	if !errors.As(err, &partial) || partial.Of != 4 || len(partial.Failures) != 2 {
		t.Fatal(err)
	}
	if replies[0].Body != "c" || replies[1] != nil || replies[2] != nil || replies[3].Body != "a" {
		t.Error(replies)
	}
	var remote *proxy.RemoteError
	var unknown *proxy.UnknownPeerError
	first, second := partial.Failures[0], partial.Failures[1]
	if !errors.As(first.Err, &remote) || first.Index != 1 || remote.Text != "out of paper" ||
		!errors.As(second.Err, &unknown) || second.Index != 2 || second.Peer != "worker.4" {
		t.Error(err)
	}
}

func TestDefect01StrangerWithoutSecret(t *testing.T) {
	address := freePort(t)
	all := joinWith(t, embeddedStore(t), masterAndWorkers(1), func(p part) []proxy.Option {
		options := []proxy.Option{proxy.WithDriver(zmq.New(zmq.TCP)), proxy.WithSecret("secret")}
		if p.kind == "master" {
			options = append(options, proxy.WithListen(address))
		}
		return options
	})
	echoes(t, all)
	for secret, reason := range map[string]transport.HelloReason{
		"": transport.HelloSecretThere, "wrong": transport.HelloWrongSecret,
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		self := transport.Identity{Rank: 77, Size: 1<<31 - 1, Job: "proxy/group"}
		_, err = transport.HelloDial(self, 1, []byte(secret), transport.StreamExchange(c))
		var hello *transport.HelloError
		if !errors.As(err, &hello) {
			t.Errorf("secret %q: %v, want reason %v", secret, err, reason)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	send(t, all["master"], "worker.1", "well")
}
