// Package drivers names the built-in transports, so that a user can choose one by a word and the
// engine need know none of them.
//
// It imports transport and every driver that needs nothing but its name. Engines, schedules and
// launchers never enter it. inproc is not among them: its ranks share a network object.
package drivers
