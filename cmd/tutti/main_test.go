package main

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

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tutti-ml/tutti/rendezvous"
)

// The scripts see two programs, both in this test binary: tutti, and the rank that it starts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"tutti":    main,
		"rankprog": func() { os.Exit(rankProgram(os.Args[1:])) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await,
			"send":  send,
			"gone":  gone,
		},
	})
}

// scriptTime bounds what would otherwise hang.
const scriptTime = 2 * time.Minute

// poll repeats a look until it succeeds.
func poll(ts *testscript.TestScript, what string, look func() bool) {
	for end := time.Now().Add(scriptTime); !look(); {
		if time.Now().After(end) {
			ts.Fatalf("%s did not come about", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// await FILE... blocks until the files exist and are not empty.
func await(ts *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		poll(ts, file, func() bool {
			info, err := os.Stat(ts.MkAbs(file))
			return err == nil && info.Size() > 0
		})
	}
}

// send SIGNAL FILE signals the process whose id stands in the file.
func send(ts *testscript.TestScript, _ bool, args []string) {
	number, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(syscall.Kill(processIn(ts, args[1]), syscall.Signal(number)))
}

// gone FILE... blocks until the processes whose ids stand in the files have ended.
func gone(ts *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		pid := processIn(ts, file)
		poll(ts, fmt.Sprintf("the end of process %d", pid), func() bool {
			if syscall.Kill(pid, 0) != nil {
				return true
			}
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(stat), ") Z ")
		})
	}
}

func processIn(ts *testscript.TestScript, file string) int {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(file)))
	ts.Check(err)
	return pid
}

// rankProgram is what the scripts launch: its words are done one after the other.
func rankProgram(words []string) int {
	rank := os.Getenv("TUTTI_RANK")
	for _, word := range words {
		kind, argument, _ := strings.Cut(word, ":")
		switch kind {
		case "say":
			fmt.Printf("%s from %s of %s\n", argument, rank, os.Getenv("TUTTI_SIZE"))
		case "mumble":
			fmt.Fprint(os.Stderr, argument)
		case "env":
			fmt.Println(os.Getenv(argument))
		case "meet":
			if status := meet(); status != 0 {
				return status
			}
		case "deaf":
			signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		case "pids":
			write("rank"+rank+".pid", os.Getpid())
			write("launcher"+rank+".pid", os.Getppid())
		case "wait":
			for {
				time.Sleep(time.Hour)
			}
		case "catch":
			catch(rank)
		default: // rank=status
			which, status, _ := strings.Cut(word, "=")
			if which == rank {
				number, _ := strconv.Atoi(status)
				return number
			}
		}
	}
	return 0
}

// write makes a file with a process id, whole or not at all.
func write(name string, pid int) {
	if err := os.WriteFile(name+".new", []byte(strconv.Itoa(pid)), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		panic(err)
	}
}

// catch tells the signals that come, and returns at SIGTERM.
func catch(rank string) {
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGTERM)
	write("rank"+rank+".pid", os.Getpid())
	write("launcher"+rank+".pid", os.Getppid())
	for s := range signals {
		fmt.Println("got", s)
		if s == syscall.SIGTERM {
			return
		}
		write("got"+rank, os.Getpid())
	}
}

// meet joins the other ranks.
func meet() int {
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
	fmt.Println("met", len(session.Members()))
	if err := session.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
