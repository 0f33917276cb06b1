// Package launch starts the ranks of a job on this host: it serves the store they meet through,
// gives each its place in the environment, prefixes their output, forwards signals and, when one
// rank fails, ends the others and tells which failed first and why.
//
//	err := launch.Run(ctx, launch.Options{Ranks: 4, Command: []string{"./train", "-epochs", "3"}})
//
// Every rank leads a process group of its own, so that what it has started ends with it. On Linux
// the ranks are killed when the launcher dies, however it dies.
//
// The package imports rendezvous, the standard library and golang.org/x/sys; it installs no signal
// handler and never exits the process: signals come in through Options.Signals.
package launch
