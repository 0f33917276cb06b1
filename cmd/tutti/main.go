package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// cli is the whole command line: one field a subcommand.
type cli struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run runCommand `cmd:"" help:"Run a program as the ranks of a job on this host."`
}

func main() {
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// exitCoder is an error that says what the shell should see.
type exitCoder interface{ ExitCode() int }

// usageStatus is the exit status for a command line that makes no sense.
const usageStatus = 2

// exited carries the status that kong asks for after --help and --version out of its parser.
type exited int

// execute parses the command line, runs the subcommand and returns the exit status.
func execute(args []string, stdout, stderr io.Writer) (status int) {
	defer func() {
		if code, ok := recover().(exited); ok {
			status = int(code)
		}
	}()
	var commands cli
	parser, err := kong.New(&commands, kong.Name("tutti"),
		kong.Description("Tutti: collective communication for training jobs."),
		kong.Vars{"version": version()}, kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(stderr, "tutti:", err)
		return usageStatus
	}
	context, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "tutti: %v; see `tutti --help`\n", err)
		return usageStatus
	}
	if err := context.Run(); err != nil {
		fmt.Fprintln(stderr, "tutti:", err)
		var coded exitCoder
		if errors.As(err, &coded) {
			return coded.ExitCode()
		}
		return 1
	}
	return 0
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "tutti (version unknown)"
	}
	text := "tutti " + info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			text += " " + setting.Value
		}
	}
	return text + " " + info.GoVersion
}
