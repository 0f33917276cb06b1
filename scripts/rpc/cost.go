package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// processorTime is how long the threads of a process have been on a processor (schedstat, proc(5)):
// of what a round trip costs, the part that other work on the machine hardly changes.
func processorTime(pid int) (time.Duration, error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || paths == nil {
		return 0, err // not Linux: nothing is known
	}
	var sum time.Duration
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // the thread has ended
		}
		var ns int64
		if err == nil {
			_, err = fmt.Sscan(string(text), &ns)
		}
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// spent is the processor time of all processes of a group.
func (g *group) spent() (time.Duration, error) {
	var sum time.Duration
	for _, p := range g.processes {
		t, err := processorTime(p.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}
