package proxy_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
)

// These tests go on with the list in defect_test.go.

func TestDefect09SourceOfBroadcastReplies(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(3))
	echoes(t, all)
	ids, err := all["master"].IBroadcast(soon(t), "worker", "t", proxy.Task, nil)
	if err != nil {
		t.Fatal(err)
	}
	replies, err := all["master"].ReceiveByID(soon(t), ids...)
	if err != nil {
		t.Fatal(err)
	}
	var sources []string
	for _, r := range replies {
		sources = append(sources, r.Source)
		if r.SourceType != "worker" || r.Destination != "master" {
			t.Error(r)
		}
	}
	slices.Sort(sources)
	if !slices.Equal(sources, []string{"worker.1", "worker.2", "worker.3"}) {
		t.Error(sources)
	}
	// A source of somebody else's is refused where it is sent.
	m := proxy.NewMessage("t", "worker.1", nil)
	m.Source = "worker.2"
	var bad *proxy.ArgumentError
	if _, err := all["master"].ISend(soon(t), m); !errors.As(err, &bad) {
		t.Error(err)
	}
}

func TestDefect10AcknowledgeThenReply(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(1))
	master, worker := all["master"], all["worker.1"]
	id, err := master.ISend(soon(t), proxy.NewSessionMessage("ask", "worker.1", "body", proxy.Task))
	if err != nil {
		t.Fatal(err)
	}
	m, err := worker.ReceiveOnce(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	before := *m
	if err := worker.Acknowledge(soon(t), m, "wait", "1 of 2"); err != nil {
		t.Fatal(err)
	}
	if err := worker.Reply(soon(t), m, "", nil); err != nil {
		t.Fatal(err)
	}
	if *m != before {
		t.Errorf("the message was changed from %v to %v", before, *m)
	}
	got, err := master.ReceiveByID(soon(t), id, id)
	if err != nil {
		t.Fatal(err)
	}
	if a := got[0]; a.Stage != proxy.TaskReceive || a.Body != "1 of 2" || a.Tag != "wait" {
		t.Error(a, a.Body)
	}
	if r := got[1]; r.Stage != proxy.TaskComplete || r.Body != nil || r.Tag != "ask" ||
		r.MessageID == m.MessageID || r.SessionID != id {
		t.Error(r, r.Body)
	}
	// Send waits for the reply, not for the acknowledgement, which is there to be received.
	go func() {
		m, err := worker.ReceiveOnce(soon(t))
		if err == nil {
			err = errors.Join(worker.Acknowledge(soon(t), m, "", nil), worker.Reply(soon(t), m, "", "done"))
		}
		if err != nil {
			t.Error(err)
		}
	}()
	r, err := master.Send(soon(t), proxy.NewSessionMessage("ask", "worker.1", nil, proxy.Task))
	if err != nil || r.Stage != proxy.TaskComplete || r.Body != "done" {
		t.Error(r, err)
	}
	if a, err := master.ReceiveOnce(soon(t)); err != nil || a.Stage != proxy.TaskReceive {
		t.Error(a, err)
	}
}

func TestDefect11Stages(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(1))
	master, worker := all["master"], all["worker.1"]
	id, err := master.ISend(soon(t), proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task))
	if err != nil {
		t.Fatal(err)
	}
	session := master.Session(id)
	if got := session.Stages()["worker.1"]; got != proxy.TaskRequest {
		t.Error(got)
	}
	m, err := worker.ReceiveOnce(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	// The proxies say so by themselves, at the latest with the next message.
	if _, err := worker.ISend(soon(t), proxy.NewMessage("next", "master", nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := master.ReceiveOnce(soon(t)); err != nil {
		t.Fatal(err)
	}
	if got := session.Stages()["worker.1"]; got != proxy.TaskReceive {
		t.Error(got)
	}
	if err := worker.Reply(soon(t), m, "", nil); err != nil {
		t.Fatal(err)
	}
	<-session.Done()
	if len(session.Stages()) != 0 || master.Session(id) != nil {
		t.Error(session.Stages())
	}
	var stage *proxy.StageError
	for _, step := range []func() error{
		func() error { return worker.Reply(soon(t), m, "", nil) },
		func() error { return worker.ReplyError(soon(t), m, errors.New("late")) },
		func() error { return worker.Acknowledge(soon(t), m, "", nil) },
	} {
		if err := step(); !errors.As(err, &stage) || stage.Stage != proxy.TaskComplete {
			t.Error(err)
		}
	}
	var bad *proxy.ArgumentError
	for _, m := range []*proxy.Message{
		{Destination: "worker.1", SessionType: 9},
		{Destination: "worker.1", SessionType: proxy.Task, Stage: proxy.NotificationRequest},
		{Destination: "worker.1", SessionType: proxy.Task, Stage: proxy.TaskComplete},
	} {
		if _, err := master.ISend(soon(t), m); !errors.As(err, &bad) {
			t.Error(m, err)
		}
	}
	if err := master.Reply(soon(t), m, "", nil); !errors.As(err, &bad) { // the worker's
		t.Error(err)
	}
	if err := worker.ReplyError(soon(t), m, nil); !errors.As(err, &bad) {
		t.Error(err)
	}
}

func TestDefect12UnknownDestination(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(1))
	echoes(t, all)
	master := all["master"]
	var unknown *proxy.UnknownPeerError
	_, err := master.Send(soon(t), proxy.NewSessionMessage("t", "wroker.1", nil, proxy.Task))
	if !errors.As(err, &unknown) || unknown.Destination != "wroker.1" || len(unknown.Known["worker"]) != 1 {
		t.Error(err)
	}
	if _, err := master.Broadcast(soon(t), "actor", "t", proxy.Task, nil); !errors.As(err, &unknown) {
		t.Error(err)
	}
	if _, err := master.IScatter(soon(t), "t", proxy.Task, []proxy.Parcel{
		{Destination: "worker.1"}, {Destination: "nobody"},
	}); !errors.As(err, &unknown) {
		t.Error(err)
	}
	if n := master.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions are open", n)
	}
	send(t, master, "worker.1", "well")
}

// A worker beyond the expected number is a peer like the others, of everybody who expects workers.
func TestDefect12ExtraWorker(t *testing.T) {
	store := embeddedStore(t)
	all := join(t, store, []part{
		{"master", "master.1", map[string]int{"worker": 2}},
		{"master", "master.2", map[string]int{"worker": 2}},
		{"worker", "worker.1", map[string]int{"master": 2}},
		{"worker", "worker.2", map[string]int{"master": 2}},
	})
	more := join(t, store, []part{{"worker", "worker.3", map[string]int{"master": 2}}})
	for _, name := range []string{"master.1", "master.2"} {
		done := make(chan error, 1)
		go func() {
			r, err := more["worker.3"].Send(soon(t), proxy.NewSessionMessage("t", name, "hi", proxy.Task))
			if err == nil && r.Body != "hi" {
				err = fmt.Errorf("got %v", r.Body)
			}
			done <- err
		}()
		m, err := all[name].ReceiveOnce(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := all[name].Reply(soon(t), m, "", m.Body); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := all[name].Peers()["worker"]; !slices.Equal(got, []string{"worker.1", "worker.2", "worker.3"}) {
			t.Error(got)
		}
	}
}

// What comes while somebody waits for something else is there for who receives.
func TestDefect13OneInbox(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(2))
	master := all["master"]
	answer := make(chan error, 1)
	go func() {
		_, err := master.Send(soon(t), proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task))
		answer <- err
	}()
	m, err := all["worker.1"].ReceiveOnce(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"worker.1", "worker.2"} {
		note := proxy.NewSessionMessage("note", "master", name, proxy.Notification)
		if _, err := all[name].ISend(soon(t), note); err != nil {
			t.Fatal(err)
		}
	}
	if err := all["worker.1"].Reply(soon(t), m, "", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 2 {
		m, err := master.ReceiveOnce(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Body.(string))
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"worker.1", "worker.2"}) {
		t.Error(got)
	}
}

// A reply that nobody waits for any more is counted and dropped.
func TestDefect13LateReplies(t *testing.T) {
	all := join(t, embeddedStore(t), masterAndWorkers(1))
	master, worker := all["master"], all["worker.1"]
	id, err := master.ISend(soon(t), proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task))
	if err != nil {
		t.Fatal(err)
	}
	m, err := worker.ReceiveOnce(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	session := master.Session(id)
	session.Cancel()
	<-session.Done()
	if err := worker.Reply(soon(t), m, "", "late"); err != nil {
		t.Fatal(err)
	}
	if _, err := worker.ISend(soon(t), proxy.NewMessage("next", "master", nil)); err != nil {
		t.Fatal(err)
	}
	next, err := master.ReceiveOnce(soon(t))
	if err != nil || next.Tag != "next" {
		t.Error(next, err)
	}
	if s := master.Stats(); s.Late != 1 || s.Inbox != 0 || s.Sessions != 0 {
		t.Errorf("%+v", s)
	}
}
