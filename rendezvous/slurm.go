package rendezvous

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// fromSlurm reads what srun sets for a task. A batch script without srun has SLURM_PROCID and
// SLURM_NTASKS too, yet is one process: it has no step, so it is not taken for a rank.
func fromSlurm(v variables) (Environment, bool, error) {
	size := "SLURM_STEP_NUM_TASKS"
	if !v.has(size) {
		size = "SLURM_NTASKS"
	}
	if !v.has("SLURM_PROCID") || !v.has(size) || !v.has("SLURM_STEP_ID") {
		return Environment{}, false, nil
	}
	env, err := v.place("SLURM_PROCID", size, "", "")
	if err != nil {
		return env, true, err
	}
	env.Launcher = "slurm"
	if err := v.slurmLocal(&env); err != nil {
		return env, true, err
	}
	if v.has("SLURM_JOB_ID") {
		env.Job = "slurm-" + clip(v.text("SLURM_JOB_ID"), 40) + "." + clip(v.text("SLURM_STEP_ID"), 40)
		if v.has("SLURM_RESTART_COUNT") {
			env.Job += "." + clip(v.text("SLURM_RESTART_COUNT"), 20)
		}
	}
	env.Store, err = v.slurmStore(env)
	return env, true, err
}

// slurmLocal fills the place on this node: SLURM_LOCALID, and the entry of this node in the
// tasks-per-node list.
func (v variables) slurmLocal(env *Environment) error {
	list := "SLURM_STEP_TASKS_PER_NODE"
	if !v.has(list) {
		list = "SLURM_TASKS_PER_NODE"
	}
	if v.has(list) && (v.has("SLURM_NODEID") || !strings.ContainsAny(v.text(list), ",x")) {
		node := 0
		var err error
		if v.has("SLURM_NODEID") {
			if node, err = v.number("SLURM_NODEID", 0, MaxSize); err != nil {
				return err
			}
		}
		tasks, err := slurmTasks(v.text(list), node)
		if err == nil && tasks > env.Size {
			err = fmt.Errorf("%d tasks on node %d, but the job has %d", tasks, node, env.Size)
		}
		if err != nil {
			return &EnvironmentError{
				Variable: list, Value: v.text(list), Err: err,
				Expected: `counts such as "4(x2),3", one for each node`,
				Remedy:   "this is Slurm's to set; unset it to do without",
			}
		}
		env.LocalSize = tasks
	}
	return v.local(env, "SLURM_LOCALID", "")
}

// slurmStore finds where rank 0 runs: on the first host of the step's list. On one node, loopback
// serves. Other ways to say it come first: TUTTI_STORE, then MASTER_ADDR with MASTER_PORT.
func (v variables) slurmStore(env Environment) (string, error) {
	if store, err := v.masterStore(); store != "" || err != nil || v.has("TUTTI_STORE") {
		return store, err
	}
	if env.Job == "" {
		return "", nil
	}
	port := jobPort(env.Job)
	if env.LocalSize == env.Size {
		return "embedded://" + hostPort("127.0.0.1", port), nil
	}
	for _, list := range []string{"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"} {
		if !v.has(list) {
			continue
		}
		host, err := slurmFirstHost(v.text(list))
		if err != nil {
			return "", &EnvironmentError{
				Variable: list, Value: v.text(list), Err: err,
				Expected: `a host list such as "node[01-03,7],x2"`,
				Remedy:   "set TUTTI_STORE to do without it",
			}
		}
		return v.embeddedStore(list, host, port)
	}
	if host := v.text("SLURM_LAUNCH_NODE_IPADDR"); host != "" {
		return v.embeddedStore("SLURM_LAUNCH_NODE_IPADDR", host, port)
	}
	return "", nil
}

// slurmTasks returns the number of tasks on a node, given Slurm's compressed list: comma-separated
// counts, each with an optional repetition, such as "4(x2),3". It never expands the list.
func slurmTasks(list string, node int) (int, error) {
	answer, passed := 0, 0
	for item := range strings.SplitSeq(list, ",") {
		count, repeat, repeated := strings.Cut(item, "(x")
		times := 1
		if repeated {
			digits, closed := strings.CutSuffix(repeat, ")")
			n, err := decimal(digits)
			if err != nil || !closed || n < 1 {
				return 0, fmt.Errorf("repetition in %q is not (xN)", clip(item, 40))
			}
			times = n
		}
		tasks, err := decimal(count)
		if err != nil {
			return 0, fmt.Errorf("%q is not a count", clip(count, 40))
		}
		if answer == 0 && passed <= node && node < passed+times {
			if tasks < 1 {
				return 0, fmt.Errorf("node %d has no tasks", node)
			}
			answer = tasks
		}
		if passed += times; passed > MaxSize {
			return 0, fmt.Errorf("more than %d nodes", MaxSize)
		}
	}
	if answer == 0 {
		return 0, fmt.Errorf("the list has %d nodes, this is node %d", passed, node)
	}
	return answer, nil
}

// decimal parses an unsigned number of at most MaxSize; unlike Atoi it takes no sign.
func decimal(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err == nil && n > MaxSize {
		err = strconv.ErrRange
	}
	return int(n), err
}

// slurmFirstHost returns the first host of Slurm's compressed host list. Brackets hold
// comma-separated numbers and ranges whose leading zeros count: "node[01-03,7],x2" begins with
// node01. Several brackets may stand in one name.
func slurmFirstHost(list string) (string, error) {
	var host strings.Builder
	for rest := list; rest != "" && rest[0] != ','; {
		at := strings.IndexAny(rest, "[],")
		if at < 0 {
			at = len(rest)
		}
		host.WriteString(rest[:at])
		if rest = rest[at:]; rest == "" || rest[0] == ',' {
			break
		}
		inside, after, closed := strings.Cut(rest[1:], "]")
		if rest[0] == ']' || !closed {
			return "", errors.New("brackets do not match")
		}
		first, err := firstOfRanges(inside)
		if err != nil {
			return "", err
		}
		host.WriteString(first)
		rest = after
	}
	if host.Len() == 0 {
		return "", errors.New("no host in it")
	}
	return host.String(), nil
}

// firstOfRanges returns the first number of "01-03,7", zeros kept, after checking all of it.
func firstOfRanges(ranges string) (string, error) {
	first := ""
	for item := range strings.SplitSeq(ranges, ",") {
		low, high, isRange := strings.Cut(item, "-")
		from, err := decimal(low)
		if err != nil {
			return "", fmt.Errorf("%q is not a number or a range", clip(item, 40))
		}
		if isRange {
			if to, err := decimal(high); err != nil || to < from {
				return "", fmt.Errorf("%q is not a range", clip(item, 40))
			}
		}
		if first == "" {
			first = low
		}
	}
	return first, nil
}
