package launch_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/rendezvous"
)

// behaviour, when set, makes the test binary one of the programs that the tests launch.
const behaviour = "TUTTI_TEST_BEHAVIOUR"

func TestMain(m *testing.M) {
	if name := os.Getenv(behaviour); name != "" {
		os.Exit(behave(name))
	}
	goleak.VerifyTestMain(m)
}

// behave is the program of a rank.
func behave(name string) int {
	rank := os.Getenv("TUTTI_RANK")
	kind, argument, _ := strings.Cut(name, ":")
	switch kind {
	case "exit": // rank 1 exits with the status, the others wait for a signal
		if rank != "1" {
			return block()
		}
		status, _ := strconv.Atoi(argument)
		return status
	case "print":
		fmt.Print("first\nsecond without end")
		fmt.Fprint(os.Stderr, "on stderr\n")
	case "kill":
		if rank == "0" {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return block()
	case "stubborn": // ignores SIGTERM; rank 0 fails once all others do
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		return stubborn(rank)
	case "catch": // prints the signals it gets, ends well at SIGTERM
		return catch()
	case "join":
		return join()
	case "long":
		fmt.Println(strings.Repeat(rank, 1<<20))
	case "lines":
		for i := range 200 {
			fmt.Printf("%s-%d-%s\n", rank, i, strings.Repeat("x", i))
		}
	case "environment":
		for _, name := range os.Args[1:] {
			fmt.Println(name + "=" + os.Getenv(name))
		}
	}
	return 0
}

// block waits to be ended from outside.
func block() int {
	fmt.Println("ready")
	for {
		time.Sleep(time.Hour)
	}
}

// stubborn lets rank 0 fail when all ranks have met, so that all ignore SIGTERM by then.
func stubborn(rank string) int {
	if status := join(); status != 0 {
		return status
	}
	if rank == "0" {
		return 5
	}
	for {
		time.Sleep(time.Hour)
	}
}

func catch() int {
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT,
		syscall.SIGINT, syscall.SIGTERM)
	fmt.Println("ready")
	for s := range signals {
		fmt.Println("got", s)
		if s == syscall.SIGTERM {
			return 0
		}
	}
	return 1
}

// join meets the other ranks through what the launcher told.
func join() int {
	env, err := rendezvous.FromEnvironment(nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	session, err := rendezvous.Join(context.Background(), env, rendezvous.Member{},
		rendezvous.Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("met", len(session.Members()), "from", env.Launcher)
	if err := session.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
