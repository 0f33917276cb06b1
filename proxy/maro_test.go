package proxy_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/proxy"
)

// The cases of MARO's tests/communication/test_proxy.py: one master, five workers.

func TestMAROSend(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(5))
	master := all["master"]
	for i := range 5 {
		worker := all[fmt.Sprint("worker.", i+1)]
		m := proxy.NewSessionMessage("unit_test", worker.Name(), "hello_world!", proxy.Task)
		if _, err := master.ISend(soon(t), m); err != nil {
			t.Fatal(err)
		}
		got, err := worker.ReceiveOnce(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if got.Body != "hello_world!" || got.Source != "master" || got.Stage != proxy.TaskRequest {
			t.Errorf("got %v, body %v", got, got.Body)
		}
	}
}

func TestMAROScatter(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(5))
	var parcels []proxy.Parcel
	for i := range 5 {
		name := fmt.Sprint("worker.", i+1)
		parcels = append(parcels, proxy.Parcel{Destination: name, Body: fmt.Sprint("worker_", i+1)})
	}
	if _, err := all["master"].IScatter(soon(t), "unit_test", proxy.Notification, parcels); err != nil {
		t.Fatal(err)
	}
	for _, p := range parcels {
		got, err := all[p.Destination].ReceiveOnce(soon(t))
		if err != nil || got.Body != p.Body {
			t.Errorf("%s got %v, %v", p.Destination, got, err)
		}
	}
}

func TestMAROBroadcast(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(5))
	want := []string{"broadcast_unit_test"}
	ids, err := all["master"].IBroadcast(soon(t), "worker", "unit_test", proxy.Notification, want)
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) != 5 || ids[0] != ids[4] {
		t.Errorf("session ids %v, want the same five times", ids)
	}
	var group sync.WaitGroup
	for i := range 5 {
		group.Go(func() {
			m, err := all[fmt.Sprint("worker.", i+1)].ReceiveOnce(soon(t))
			if err != nil {
				t.Error(err)
				return
			}
			got, err := proxy.Decode[[]string](m)
			if err != nil || !cmp.Equal(got, want) || m.Destination != "worker" {
				t.Errorf("got %v of %v, %v", got, m, err)
			}
		})
	}
	group.Wait()
	// The proxies have said that it was received.
	receipts, err := all["master"].ReceiveByID(soon(t), ids...)
	if err != nil || len(receipts) != 5 {
		t.Fatal(receipts, err)
	}
	for _, r := range receipts {
		if r.Stage != proxy.NotificationReceive {
			t.Error(r)
		}
	}
}

func TestMAROReply(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(5))
	for i := range 5 {
		worker := all[fmt.Sprint("worker.", i+1)]
		m := proxy.NewSessionMessage("unit_test", worker.Name(), "hello ", proxy.Task)
		id, err := all["master"].ISend(soon(t), m)
		if err != nil {
			t.Fatal(err)
		}
		request, err := worker.ReceiveOnce(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := worker.Reply(soon(t), request, "unit_test", "world!"); err != nil {
			t.Fatal(err)
		}
		replies, err := all["master"].ReceiveByID(soon(t), id)
		if err != nil {
			t.Fatal(err)
		}
		if got := request.Body.(string) + replies[0].Body.(string); got != "hello world!" {
			t.Errorf("got %q", got)
		}
		if replies[0].Source != worker.Name() || replies[0].Stage != proxy.TaskComplete {
			t.Error(replies[0])
		}
	}
}

// The cases of MARO's tests/communication/test_zmq_driver.py, over each driver: one sender, three
// receivers.
func senderAndReceivers() []part {
	parts := []part{{"sender", "sender", map[string]int{"receiver": 3}}}
	for i := range 3 {
		parts = append(parts, part{"receiver", fmt.Sprint("receiver_", i+1), map[string]int{"sender": 1}})
	}
	return parts
}

func TestMARODriverSend(t *testing.T) {
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, senderAndReceivers(), driver)
		for i := range 3 {
			name := fmt.Sprint("receiver_", i+1)
			if _, err := all["sender"].ISend(soon(t), proxy.NewMessage("unit_test", name, "hello_world")); err != nil {
				t.Fatal(err)
			}
			got, err := all[name].ReceiveOnce(soon(t))
			if err != nil || got.Body != "hello_world" || got.Tag != "unit_test" {
				t.Errorf("%s got %v, %v", name, got, err)
			}
		}
	})
}

func TestMARODriverBroadcast(t *testing.T) {
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, senderAndReceivers(), driver)
		var group sync.WaitGroup
		for i := range 3 {
			group.Go(func() {
				name := fmt.Sprint("receiver_", i+1)
				got, err := all[name].ReceiveOnce(soon(t))
				if err != nil || got.Body != "hello_world" || got.Source != "sender" {
					t.Errorf("%s got %v, %v", name, got, err)
				}
			})
		}
		_, err := all["sender"].IBroadcast(soon(t), "receiver", "unit_test", proxy.Plain, "hello_world")
		if err != nil {
			t.Error(err)
		}
		group.Wait()
	})
}
