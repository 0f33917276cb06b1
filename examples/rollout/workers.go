package main

import (
	"context"
	"fmt"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/proxy/dist"
	"github.com/tutti-ml/tutti/regtable"
)

// The components of a job: one learner, and workers, each with an actor.
const (
	learnerType = "learner"
	workerType  = "worker"
)

func workerName(number int) string { return fmt.Sprint(workerType, ".", number) }

// The tags of the tasks that workers get, by how their replies are waited for.
const (
	tagRollout = "rollout" // all workers'
	tagUpdate  = "update"  // those of asyncShare percent
)

// workers is a crew of actors in processes of their own. A snapshot goes to them as a task, whose reply
// is a trajectory; an event of the table says when there are enough of those.
type workers struct {
	p      *proxy.Proxy
	table  *regtable.Table[*proxy.Message]
	tag    string
	idle   map[string]bool // the workers that have no task
	newest float32         // version of the snapshot that was sent last
	played []*trajectory
}

// newWorkers makes a crew of the workers that p has for peers. With async its percentage is of those
// who live. Without, it is of all, there or not: who is away comes back and repeats what was lost, so
// that the curve is the same.
func newWorkers(p *proxy.Proxy, actors int, async bool) (*workers, error) {
	c := &workers{p: p, idle: map[string]bool{}}
	var names []string
	for number := range actors {
		names = append(names, workerName(number))
		c.idle[workerName(number)] = true
	}
	options := regtable.Options[*proxy.Message]{Late: c.late}
	share := 100
	if async {
		c.tag, share = tagUpdate, asyncShare
		c.table = proxy.NewTable(p, options)
	} else {
		c.tag = tagRollout
		c.table = regtable.New(proxy.FactOf, regtable.Fixed{workerType: names}, options)
	}
	event := fmt.Sprintf("%s:%s:%d%%", workerType, c.tag, share)
	_, err := c.table.Register(regtable.MustParse(event), c.take)
	return c, err
}

// late drops what was played with an older policy, where all workers play with the same one.
func (c *workers) late(m *proxy.Message) bool {
	wire, ok := m.Body.([]float32)
	return c.tag == tagRollout && ok && len(wire) > headVersion && wire[headVersion] != c.newest
}

// take is the handler of the event.
func (c *workers) take(_ context.Context, messages []*proxy.Message) error {
	for _, m := range messages {
		wire, err := proxy.Decode[[]float32](m)
		if err != nil {
			return err
		}
		t, err := decodeTrajectory(wire)
		if err != nil {
			return fmt.Errorf("from %s: %w", m.Source, err)
		}
		if workerName(t.actor()) != m.Source {
			return fmt.Errorf("%s has sent a trajectory of actor %d", m.Source, t.actor())
		}
		c.played = append(c.played, t)
	}
	return nil
}

func (c *workers) play(ctx context.Context, snapshot []float32) ([]*trajectory, error) {
	c.newest = snapshot[1]
	var err error
	if c.tag == tagRollout {
		_, err = c.p.IBroadcast(ctx, workerType, c.tag, proxy.Task, snapshot)
	} else {
		err = c.occupy(ctx, snapshot)
	}
	if err != nil {
		return nil, err
	}
	c.played = nil
	revision := c.p.Revision()
	for err := c.table.Trigger(ctx); ; {
		if err != nil || c.played != nil {
			return c.played, err
		}
		var m *proxy.Message
		m, err = c.p.ReceiveUntilChange(ctx, revision)
		switch {
		case err != nil:
		case m == nil: // a worker has gone or come: the percentage may be of those who live
			revision = c.p.Revision()
			err = c.table.Trigger(ctx)
		default:
			c.idle[m.Source] = true
			err = c.table.Dispatch(ctx, m)
		}
	}
}

// occupy gives the workers that have none a task.
func (c *workers) occupy(ctx context.Context, snapshot []float32) error {
	var parcels []proxy.Parcel
	for _, name := range c.p.Peers()[workerType] {
		if c.idle[name] {
			c.idle[name] = false
			parcels = append(parcels, proxy.Parcel{Destination: name, Body: snapshot})
		}
	}
	if parcels == nil {
		return nil
	}
	_, err := c.p.IScatter(ctx, c.tag, proxy.Task, parcels)
	return err
}

func (*workers) reduce(context.Context, []float32) error { return nil }

func (*workers) gather(_ context.Context, used []*trajectory) ([]*trajectory, error) {
	return used, nil
}

// dismiss tells the workers that there is no more to do, and waits until they know.
func (c *workers) dismiss(ctx context.Context) error {
	_, err := c.p.Broadcast(ctx, workerType, dist.StopTag, proxy.Notification, nil)
	return err
}

// act makes an actor a component: it answers every snapshot with a trajectory, until it is dismissed.
func act(ctx context.Context, p *proxy.Proxy, a *actor) error {
	c := dist.New(p, a)
	for _, tag := range []string{tagRollout, tagUpdate} {
		event := regtable.Unit(learnerType, tag, regtable.Count(1))
		if err := c.OnEvent(event, answer); err != nil {
			return err
		}
	}
	return c.Run(ctx)
}

// answer is the handler of a snapshot.
func answer(ctx context.Context, a *actor, p *proxy.Proxy, messages []*proxy.Message) error {
	for _, m := range messages {
		snapshot, err := proxy.Decode[[]float32](m)
		if err != nil {
			return err
		}
		t, err := a.collect(snapshot)
		if err != nil {
			return err
		}
		if err := p.Reply(ctx, m, "", t.wire); err != nil {
			return err
		}
	}
	return nil
}
