package rendezvous_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
)

func ExampleFromEnvironment() {
	told := map[string]string{
		"RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "node1", "MASTER_PORT": "29500",
	}
	env, err := rendezvous.FromEnvironment(func(name string) string { return told[name] })
	fmt.Println(env, err)

	told["RANK"] = "8"
	_, err = rendezvous.FromEnvironment(func(name string) string { return told[name] })
	fmt.Println(err)
	// Output:
	// rank 3 of 8 (local -1 of -1), job "", store "embedded://node1:29500", secret none, launcher "torchrun" <nil>
	// rendezvous: RANK is "8"; expected a rank below WORLD_SIZE, which is 8; ranks count from 0; correct it where the job is launched
}

func ExampleServeEmbedded() {
	_, err := rendezvous.ServeEmbedded("0.0.0.0:0", "", nil)
	fmt.Println(err)

	server, err := rendezvous.ServeEmbedded("127.0.0.1:0", "a secret", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	fmt.Println(server.Connections())
	// Output:
	// rendezvous: store 0.0.0.0:0: listen failed: without a secret, anybody on the network could join the job; set TUTTI_SECRET or TUTTI_SECRET_FILE on every rank, or serve on 127.0.0.1
	// 0
}

func ExampleSigner() {
	sign := rendezvous.NewSigner([]byte("a secret"), "example of a place 1")
	signature := sign.Sign([]byte("red team"), []byte("alice"))
	fmt.Println(sign.Verify(signature, []byte("red team"), []byte("alice")))
	fmt.Println(sign.Verify(signature, []byte("blue team"), []byte("alice")))
	fmt.Println(rendezvous.Signer{}.Sign([]byte("red team")))
	// Output:
	// true
	// false
	// -
}

func ExampleNewWatcher() {
	hints := make(chan struct{}, 1)
	watcher := rendezvous.NewWatcher(hints, func() { fmt.Println("stopped") })
	hints <- struct{}{}
	<-watcher.C
	watcher.Stop()
	watcher.Stop()
	// Output: stopped
}

func ExampleBatch() {
	server, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	ctx := context.Background()
	store, err := rendezvous.Dial(ctx, server.URL(), rendezvous.DialOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	var batch rendezvous.Batch
	var first bool
	var workers map[string][]byte
	batch.SetNX("lease", []byte("alice"), time.Minute, &first)
	batch.HSet("workers", "alice", []byte("10.0.0.1:7000"))
	batch.HGetAll("workers", &workers)
	err = store.Do(ctx, &batch) // one round trip
	fmt.Println(first, len(workers), string(workers["alice"]), err)
	// Output: true 1 10.0.0.1:7000 <nil>
}

func ExampleDial() {
	server, err := rendezvous.ServeEmbedded("127.0.0.1:0", "a secret", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	ctx := context.Background()
	store, err := rendezvous.Dial(ctx, server.URL(), rendezvous.DialOptions{Secret: "a secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	err = store.Set(ctx, "answer", []byte("42"), 0)
	value, getErr := store.Get(ctx, "answer")
	fmt.Println(string(value), err, getErr)
	// Output: 42 <nil> <nil>
}

func ExampleRollCall() {
	server, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	ctx := context.Background()
	var ranks sync.WaitGroup
	for rank := range 3 {
		ranks.Go(func() {
			store, err := rendezvous.Dial(ctx, server.URL(), rendezvous.DialOptions{})
			if err != nil {
				fmt.Println(err)
				return
			}
			defer store.Close()
			members, err := rendezvous.RollCall(ctx, store, rendezvous.RollCallOptions{
				Job: "example", Size: 3,
				Self: rendezvous.Member{Rank: rank, Host: fmt.Sprint("host", rank)},
			})
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(members[0].Host, members[1].Host, members[2].Host)
		})
	}
	ranks.Wait()
	// Output:
	// host0 host1 host2
	// host0 host1 host2
	// host0 host1 host2
}

func ExampleJoin() {
	// No launcher, so a process alone: no store is needed.
	env, err := rendezvous.FromEnvironment(func(string) string { return "" })
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := rendezvous.Join(context.Background(), env,
		rendezvous.Member{Host: "here", Addresses: []byte("tcp://192.0.2.1:7000")},
		rendezvous.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	for _, member := range session.Members() {
		fmt.Println(member.Rank, member.Host, string(member.Addresses))
	}
	// Output: 0 here tcp://192.0.2.1:7000
}

func ExampleHostID() {
	here, err := rendezvous.HostID()
	again, _ := rendezvous.HostID()
	fmt.Println(here == again, err)
	// Output: true <nil>
}
