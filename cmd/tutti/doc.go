// Command tutti starts and examines jobs of Tutti.
//
//	tutti run -n 4 -- ./train -epochs 3
//
// `tutti --help` lists the subcommands, `tutti run --help` the flags of one. Each subcommand is a
// struct with a Run method, and one field of the type cli.
//
// It imports rendezvous/launch and kong. What moves data never enters it.
package main
