package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/rendezvous/launch"
)

// runCommand is `tutti run`.
type runCommand struct {
	Ranks      int           `short:"n" name:"ranks" default:"1" help:"Number of ranks to start."`
	Store      string        `placeholder:"URL" help:"Meet at this store instead of serving one."`
	SecretFile string        `placeholder:"FILE" help:"Read the job's secret here, not at random."`
	Job        string        `placeholder:"NAME" help:"Name of the job; random by default."`
	Env        []string      `sep:"none" placeholder:"K=V" help:"Variable for all ranks; repeatable."`
	NoPrefix   bool          `help:"Do not put [rank] before each line of output."`
	Timestamp  bool          `help:"Put the time before each line of output."`
	Grace      time.Duration `default:"10s" help:"Time between SIGTERM and SIGKILL."`
	Verbose    bool          `short:"v" help:"Tell about each rank's start and end."`
	Command    []string      `arg:"" passthrough:"" help:"The program and its arguments, after --."`
}

// Help is what kong adds below the summary.
func (*runCommand) Help() string {
	return "Serves a store on loopback, starts the ranks with TUTTI_* set, prefixes their output " +
		"and forwards signals. When one rank fails the others are ended, and tutti exits with the " +
		"status of the first failure: 128 + N if signal N ended it."
}

// Run implements the subcommand.
func (c *runCommand) Run() error {
	for _, assignment := range c.Env {
		if name, _, found := strings.Cut(assignment, "="); !found || name == "" {
			return usageError(fmt.Sprintf("--env %q is not K=V", assignment))
		}
	}
	secret, err := c.secret()
	if err != nil {
		return err
	}
	command := c.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelDebug
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	return launch.Run(context.Background(), launch.Options{
		Ranks: c.Ranks, Command: command, Env: c.Env, Store: c.Store, Secret: secret, Job: c.Job,
		NoPrefix: c.NoPrefix, Timestamp: c.Timestamp, Grace: c.Grace, Signals: signals,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
}

// secret reads the file, if one is named; a secret in the environment is passed on.
func (c *runCommand) secret() (string, error) {
	env, err := rendezvous.FromEnvironment(func(name string) string {
		switch {
		case name == "TUTTI_SECRET_FILE" && c.SecretFile != "":
			return c.SecretFile
		case name == "TUTTI_SECRET_FILE", name == "TUTTI_SECRET" && c.SecretFile == "":
			return os.Getenv(name)
		}
		return ""
	})
	return env.Secret, err
}

// usageError is a mistake on the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

// ExitCode implements exitCoder.
func (usageError) ExitCode() int { return usageStatus }
