// Package drivers names the built-in transports, so that a user can choose one by a word and the
// engine need know none of them. The default, auto, reaches the processes of this host through
// shared memory, those of hosts on one RDMA network by that, in builds that have it, and all others by
// ZeroMQ; where memory or a device fails it says so once and takes ZeroMQ.
//
// It imports transport and every driver that needs nothing but its name; nothing else imports a
// driver by its path. Engines, schedules and launchers never enter it. inproc is not among them:
// its ranks share a network object.
package drivers
