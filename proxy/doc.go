// Package proxy lets the components of a distributed program send each other messages: masters and
// workers, learners and actors, by type and name. It is the proxy of Microsoft's MARO
// (maro/communication, version 0.3.2a4) as a Go package.
//
//	p, err := proxy.Join(ctx, "training", "master", map[string]int{"worker": 4})
//	defer p.Close(ctx)
//	replies, err := p.Broadcast(ctx, "worker", "rollout", proxy.Task, parameters)
//
//	p, err := proxy.Join(ctx, "training", "worker", map[string]int{"master": 1})
//	defer p.Close(ctx)
//	for m, err := range p.Receive(ctx) {
//		parameters, err := proxy.Decode[[]float32](m)
//		err = p.Reply(ctx, m, "", trajectory)
//	}
//
// # Components
//
// A component is a process, or a part of one, with a type and a name that is its own in its group.
// Join publishes it in a store (package rendezvous), finds the peers that it expects, and returns
// when it is connected with all of them. In the store a type is the hash <group>:<type>, with a
// field for each component, and the key <group>:<name>:lease is there as long as its process renews
// it:
//
//	redis-cli HGETALL training:worker
//
// The store is needed to join, not to run. While it is lost nobody is judged; when it is back,
// empty or not, everybody publishes itself again.
//
// # Sessions
//
// Every message belongs to a session, whose id its replies carry. A plain message asks for nothing.
// A notification is kept by its sender's proxy until the receiver's application has received it, a
// task until the receiver's application has replied. The stages, of each peer of a session:
//
//	task_request          sent, or waiting to be
//	task_receive          the application has received it: its proxy says so by itself
//	task_complete         the application has replied, once
//	notification_request  sent, or waiting to be
//	notification_receive  the application has received it: its proxy says so by itself
//
// # Delivery
//
//   - Messages between two components arrive in the order in which they were sent, requests and
//     replies each among themselves.
//   - A link that breaks is opened again, and what the other end has not acknowledged is sent
//     again. Numbers on the stream keep it from arriving twice.
//   - With WithRejoin, a component that died and was started again under its name gets every
//     request that is not settled: of tasks those without a reply, of others those not received. A
//     task can so be worked on twice; its requester gets one reply, the first, and drops and counts
//     later ones, by the id of the message that they answer.
//   - Without it, or when the peer stays away for too long, who waits gets a *PeerLostError.
//   - What is kept is bounded: in number and bytes for each peer that is away, and for each that is
//     there by a window of bytes that its application has not received. Senders wait for room, and
//     so does nobody else.
//   - Every call takes a context, and nothing else bounds its time: one deadline for the call,
//     whatever else arrives meanwhile.
//
// # Progress
//
// The goroutine that waits moves the messages itself, its own and others', and spins for a learned
// while before it parks; so a round trip wakes nobody. While no call is under way, or many are, a
// goroutine of the proxy's does it. Small messages that wait for the same link share a frame; where
// an application answers several that came together, and quickly, its replies wait for each other,
// for a millisecond at most. Bodies that are slices of numbers or bytes go from the sender's memory
// to the socket, and from the socket into the memory that the receiver gets. To a process of this
// host that shares memory, bodies of 64 KiB and more go through up to 32 MiB that both see: they
// are copied there, for all receivers of a broadcast once, and out of there by each. The memory of
// received bodies is garbage-collected, or is for bodies to come when it was released
// (Message.Release).
//
// # Security
//
// Who knows the group's secret may join; without one, the driver reaches this host alone. Bodies
// are numbers, bytes, strings or CBOR, and no type or code of the sender's. Lengths are checked
// before anything is made for them, and what a peer sends that does not parse ends its connection,
// nothing else. The source of a message is who the connection belongs to.
//
// # Difference from MARO
//
//	MARO                                         here, and why
//
//	Unexpected components beyond the expected    All that join are peers; the expected number is
//	number are in nobody's list, or in some.     what Join waits for. So all agree on who is there.
//
//	A component can be answered only if its      Who has sent something can be answered. A message
//	type is expected, else the process exits.    to an unknown name is an *UnknownPeerError.
//
//	isend, send: ids and replies as lists.       ISend returns one id, Send one reply: there is one
//	                                             destination. IScatter and IBroadcast return ids as
//	                                             MARO does, that of a broadcast once for each peer.
//
//	The timeout of a receive starts again with   A context's deadline is one for the call. None, or
//	every message; None and 0 mean for ever.     zero, has no second meaning.
//
//	Short results are returned like whole ones,  Results stand at the place of their target; what is
//	in the order of arrival.                     missing is a *PartialError that names each.
//
//	receive_by_id keeps other messages where     Receive and ReceiveByID take from one inbox.
//	receive does not look.
//
//	reply changes its argument, so that a task   Reply sends a new message. Acknowledge, then Reply,
//	can't be acknowledged and completed.         works; a second Reply is a *StageError.
//
//	reply(None) overwrites the body, against     The body is what is given; an empty tag keeps the
//	its documentation.                           tag. Forward keeps both, when they are empty.
//
//	A reply to a notification counts as its      The proxies say that it was received. Send of a
//	receipt; without one, send waits for ever.   notification returns then. A reply is a message of
//	                                             its own.
//
//	Replies to a broadcast have the type as      The source is the component.
//	their source.
//
//	Any session type may be passed; stages are   Types and stages are checked, here and on arrival.
//	never read.
//
//	A broadcast overtakes, or is overtaken by,   One stream for each pair keeps the order.
//	messages of the same sender.
//
//	Rejoin only when something is sent; up to    The store is watched. What waits does so with its
//	300 s inside isend.                          context, and others go on.
//
//	A full cache for an absent peer drops the    CacheBlock, CacheDropOldest, with an error for who
//	oldest message silently.                     waits, or CacheFail.
//
//	max_rejoin_times is for the orchestrator.    Rejoin.Max bounds how often a name may come back.
//
//	Errors end the process (exit 64 and 65);     Errors are values: RedisConnectionError is
//	exceptions have numbers, 1001 to 1013.       *rendezvous.StoreError; PeersMissError is
//	                                             *UnknownPeerError; InformationUncompletedError is
//	                                             *WaitError of phase "join"; PeersConnectionError,
//	                                             DriverSendError, DriverReceiveError and
//	                                             PeersDisconnectionError are *transport.LinkError,
//	                                             logged, and mended by sending again;
//	                                             MessageSessionTypeError is *ArgumentError;
//	                                             ConditionalEventSyntaxError is
//	                                             *regtable.SyntaxError; DriverTypeError and
//	                                             SocketTypeError are *drivers.UnknownError;
//	                                             PendingToSend is *BackpressureError, when there is
//	                                             no room; PeersRejoinTimeout is *MinimalPeersError
//	                                             or *PeerLostError.
//
//	Signal handlers, a log file, a sleep of      None. Close(ctx) leaves the group.
//	three seconds.
//
// The package imports transport, rendezvous, regtable, internal/stack, CBOR (fxamacker), s2 and zstd
// (klauspost) and UUIDs (google). Drivers are reached by name through transport/drivers. Communicators and
// collectives never enter it. It starts no process, handles no signal, and logs only through
// WithLogger.
package proxy
