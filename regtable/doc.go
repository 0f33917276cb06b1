// Package regtable is the conditional event register table of a distributed program: handlers
// wait for messages of certain sources and tags in certain amounts, and the table says when they
// have come.
//
//	table := regtable.New(describe, members, regtable.Options[*Message]{})
//	event := regtable.MustParse("worker:update:60% AND master:go:1")
//	_, err := table.Register(event, func(ctx context.Context, messages []*Message) error { ... })
//	for message := range incoming {
//		err := table.Dispatch(ctx, message)
//	}
//
// The package imports the standard library only. It knows messages as a type parameter and peers
// through [Members]; no proxy, transport, store or wire format ever enters it. It starts no
// goroutine, and reads no clock.
//
// # Events
//
// A unit event source:tag:amount waits for messages: worker:update:10 for ten, worker:update:60%
// for as many as 60 percent of the live workers. The source is a peer's type or exact name, * any
// of them; the tag is exact, * any. [And] and [Or], or AND (&&), OR (||) and parentheses in text,
// combine events to any depth up to [MaxDepth]; AND binds tighter.
//
// # Matching and consumption
//
// Each registered event has a first-in first-out queue for each of its distinct unit events. A
// pushed message is kept in every queue whose unit event matches, so that events do not compete;
// one that matches nothing is counted and let go. A round looks at the events in the order of
// registration, each once. An event that holds takes, for each unit event that made it so, the
// oldest messages that were needed; the rest stay for the next firing.
//
//   - A unit event holds when its queue has as much as is needed. A percentage is of the live peers
//     of the source; a count is capped at their number. Without a live peer nothing holds.
//   - An AND holds when all of its parts do, and takes for all, in their order. Its parts do not
//     share a message of one queue: a unit event that stands twice needs twice the amount.
//   - An OR holds when a part does, and takes for the first that does, in their order. It does not
//     look back: (a OR b) AND a waits for two a once it has one, even with a b there.
//
// # Promises
//
//   - The cost of a push depends on the unit events that match the message, not on how many others
//     there are. A round looks only at events with new messages, unless the membership has changed.
//   - A push allocates nothing once the queues have grown; a firing allocates what it hands out.
//   - All messages of a call are taken before its first handler runs. Each handler is called,
//     whatever the ones before it return. No lock is held meanwhile.
//   - Memory is bounded: by Options.Limit for each unit event, by the Max constants for events.
//
// # Difference from MARO
//
// The table is modelled on the RegisterTable of Microsoft's MARO (maro/communication, version
// 0.3.2a4), whose rules are the defaults, except for these:
//
//	MARO                                        here, and why
//
//	A source matches as a substring of the      The type of the peer, or its exact name. "actor"
//	name: actor also accepts coactor_1, and a   took messages of strangers, and a name that does
//	name without its type is never matched.     not contain its type was mute.
//
//	A source must be a type; another is a       The name of a peer is a source too. Where
//	KeyError when a message is checked.         Options.Sources is given, an unknown one is an
//	                                            error of Register, before anything was sent.
//
//	Peers are a snapshot, made at the start.    Members is asked at each check: 60% is of those
//	                                            who live now. No peers is a condition that does
//	No peers: PeersMissError out of push.       not hold, since peers come back.
//
//	A percentage that rounds down to 0 holds    At least one message, since 10% of five workers
//	without a message inside AND, and never     is not nobody. Rounding: Floor is MARO's rule to
//	fires alone.                                the letter, Ceil a third.
//
//	A count above the number of peers is        The same, as the default, but not silently:
//	capped silently.                            Registration.Progress shows need and peers.
//	                                            Uncapped waits for the full number.
//
//	Three messages of one worker satisfy        The same, as the default. Distinct counts senders.
//	worker:update:3.
//
//	One firing an event and get.                The same, as the default. Drain repeats.
//
//	What is left over waits for ever, and       The same, as the default. Late drops messages of
//	counts for later rounds.                    rounds that are over.
//
//	Queues grow without bound.                  Options.Limit for each unit event; Push says which
//	                                            one is full, and the others go on.
//
//	The same unit event twice under AND: both   The amounts add up, so that a handler gets as
//	see the same messages, and the handler gets many messages as its event says. The same unit
//	fewer than declared.                        event in two branches of an OR shares a queue.
//
//	A handler that raises keeps later ones      Each is called; the errors are joined. After a
//	from being called; their messages are lost. panic the rest waits for the next call.
//
//	A flat list, without telling which message  The same list, and Firing.Groups.
//	answers what.
//
//	Every unit event is split and resolved      Events are compiled once and indexed by tag and
//	again for every message: 148 us a push      source.
//	with 100 events.
//
//	Amounts are what int() takes: " 1", 1_0,    1 to MaxCount, or 1% to 100%, in ASCII digits.
//	-1, 0, 120%, digits of any script. A source Names are not empty. The error says where and
//	or tag may be empty. "a:b:" is an           why. A condition that nothing can satisfy, or
//	IndexError.                                 that nothing has to, is a mistake.
//
//	Combined events are tuples with the         [And], [Or] or infix text. An operator without
//	operator last; ("AND",) is accepted and     operands is an error.
//	never fires.
//
//	push returns what the handlers return.      Handlers return errors. A closure keeps the rest.
package regtable
