package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/rendezvous"
)

// role is what a process does in a job of several.
type role string

const (
	alone    role = "alone"   // learns, with all actors in this process
	learning role = "learner" // learns from what actors send
	player   role = "actor"   // plays for a learner
	member   role = "member"  // plays, and learns together with the others
)

// place is a process's part in a job.
type place struct {
	role   role
	number int // of the actor
	actors int
	env    rendezvous.Environment
}

// placeOf reads the part of this process from the flags and from what its launcher has told: with
// proxies rank 0 learns and the others play, with collectives all ranks do both.
func placeOf(o options) (place, error) {
	env, err := rendezvous.FromEnvironment(nil)
	if err != nil {
		return place{}, err
	}
	if o.store != "" {
		env.Store = o.store
	}
	p := place{role: o.role, number: o.number, actors: o.actors, env: env}
	switch {
	case o.collective && env.Size < 1:
		return p, errors.New("-collective needs several ranks: tutti run -n 4 -- rollout -collective")
	case o.collective && o.async:
		return p, errors.New("-collective is on-policy: leave -async out")
	case o.collective:
		p.role, p.number, p.actors = member, env.Rank, env.Size
	case o.role != "":
	case env.Size > 1 && env.Rank == 0:
		p.role, p.actors = learning, env.Size-1
	case env.Size > 1:
		p.role, p.number, p.actors = player, env.Rank-1, env.Size-1
	default:
		p.role = alone
	}
	return p, nil
}

// options are those of this process's proxy.
func (p place) options(name string) []proxy.Option {
	options := []proxy.Option{proxy.WithName(name), proxy.WithSecret(p.env.Secret)}
	if p.env.Store != "" {
		options = append(options, proxy.WithStore(p.env.Store))
	}
	return options
}

// play runs the part of a process that does not report: an actor's.
func (p place) play(ctx context.Context, o options, r recipe) (err error) {
	w, err := proxy.Join(ctx, o.group, workerType, map[string]int{learnerType: 1},
		append(p.options(workerName(p.number)), proxy.WithRejoin(proxy.Rejoin{}))...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close(context.WithoutCancel(ctx))) }()
	return act(ctx, w, newActor(r, p.number))
}

// learn runs the part of a process that reports: it is alone, the learner, or one of the members.
func (p place) learn(ctx context.Context, o options, j job, report reporter) (out outcome, err error) {
	take := taking(p.actors, o.async)
	switch p.role {
	case learning:
		l, err := proxy.Join(ctx, o.group, learnerType, map[string]int{workerType: p.actors},
			append(p.options(learnerType), proxy.WithRejoin(proxy.Rejoin{
				Minimal: map[string]int{workerType: take},
			}))...)
		if err != nil {
			return out, err
		}
		defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(ctx))) }()
		c, err := newWorkers(l, p.actors, o.async)
		if err != nil {
			return out, err
		}
		if out, err = j.learn(ctx, c, report); err != nil {
			return out, err
		}
		return out, c.dismiss(ctx)
	case member:
		comm, err := collective.Connect(ctx, collective.WithEnvironment(p.env))
		if err != nil {
			return out, err
		}
		defer func() { err = errors.Join(err, comm.Close()) }()
		return j.learn(ctx, &members{comm: comm, actor: newActor(j.recipe, p.number)}, report)
	}
	return j.learn(ctx, newLocal(j.recipe, take), report)
}

// speaks says whether this process shows what happens.
func (p place) speaks() bool { return p.role != player && (p.role != member || p.number == 0) }

// silent is the reporter of a process that another one speaks for.
type silent struct{}

func (silent) update(progress) {}

// describePlace says how the job is spread.
func describePlace(out io.Writer, p place) {
	switch p.role {
	case learning:
		fmt.Fprintf(out, "this process learns; %s in processes of their own\n", count(p.actors, "actor"))
	case member:
		fmt.Fprintf(out, "%d processes, each an actor and a learner, average their gradients\n", p.actors)
	}
}
