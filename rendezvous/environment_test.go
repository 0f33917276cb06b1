package rendezvous

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// variablesOf turns "A=1 B=2" into a getenv.
func variablesOf(text string) func(string) string {
	values := map[string]string{}
	for assignment := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(assignment, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

const slurmTask = "SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1 SLURM_STEP_ID=0 " +
	"SLURM_JOB_ID=42 SLURM_NODEID=1 "

func TestFromEnvironment(t *testing.T) {
	tests := []struct {
		name, variables string
		want            Environment
	}{
		{"nothing", "", Environment{LocalRank: -1, LocalSize: -1}},
		{
			"tutti", "TUTTI_RANK=1 TUTTI_SIZE=4 TUTTI_LOCAL_RANK=0 TUTTI_LOCAL_SIZE=2 TUTTI_JOB=j " +
				"TUTTI_STORE=redis://h:1/2 TUTTI_SECRET=s TUTTI_INTERFACE=^docker0,10.0.0.0/8",
			Environment{
				Rank: 1, Size: 4, LocalRank: 0, LocalSize: 2, Job: "j", Store: "redis://h:1/2",
				Secret: "s", Launcher: "tutti", Interface: "^docker0,10.0.0.0/8",
			},
		},
		{
			"tutti overrules torchrun", "TUTTI_RANK=1 TUTTI_SIZE=2 RANK=5 WORLD_SIZE=8",
			Environment{Rank: 1, Size: 2, LocalRank: -1, LocalSize: -1, Launcher: "tutti"},
		},
		{
			"torchrun", "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=node1 " +
				"MASTER_PORT=29500 TORCHELASTIC_RUN_ID=run TORCHELASTIC_RESTART_COUNT=2",
			Environment{
				Rank: 3, Size: 4, LocalRank: 1, LocalSize: 2, Job: "run.2",
				Store: "embedded://node1:29500", Launcher: "torchrun",
			},
		},
		{
			"torchrun whose agent holds the port", "RANK=0 WORLD_SIZE=1 MASTER_ADDR=::1 " +
				"MASTER_PORT=29500 TORCHELASTIC_USE_AGENT_STORE=True",
			Environment{
				Size: 1, LocalRank: -1, LocalSize: -1, Store: "embedded://[::1]:29501",
				Launcher: "torchrun",
			},
		},
		{
			"torchrun with our store", "RANK=0 WORLD_SIZE=2 MASTER_ADDR=h TUTTI_STORE=redis://r",
			Environment{
				Size: 2, LocalRank: -1, LocalSize: -1, Store: "redis://r", Launcher: "torchrun",
			},
		},
		{
			"torchrun inside slurm", slurmTask + "RANK=0 WORLD_SIZE=2",
			Environment{Size: 2, LocalRank: -1, LocalSize: -1, Launcher: "torchrun"},
		},
		{
			"open mpi on one host", "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 " +
				"OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_NAMESPACE=ns@1",
			Environment{
				Rank: 1, Size: 2, LocalRank: 1, LocalSize: 2, Job: "ns@1", Launcher: "openmpi",
				Store: fmt.Sprint("embedded://127.0.0.1:", jobPort("ns@1")),
			},
		},
		{
			"open mpi on two hosts", "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 " +
				"OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=1 PMIX_NAMESPACE=ns@1",
			Environment{
				Rank: 1, Size: 2, LocalRank: 0, LocalSize: 1, Job: "ns@1", Launcher: "openmpi",
			},
		},
		{
			"open mpi inside slurm", slurmTask + "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=3",
			Environment{Size: 3, LocalRank: -1, LocalSize: -1, Launcher: "openmpi"},
		},
		{
			"mpich", "PMI_RANK=1 PMI_SIZE=4 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2",
			Environment{Rank: 1, Size: 4, LocalRank: 1, LocalSize: 2, Launcher: "mpich"},
		},
		{
			"slurm", slurmTask + "SLURM_STEP_TASKS_PER_NODE=4(x2) SLURM_STEP_NODELIST=gpu[07-09],x " +
				"SLURM_NTASKS=99",
			Environment{
				Rank: 5, Size: 8, LocalRank: 1, LocalSize: 4, Job: "slurm-42.0", Launcher: "slurm",
				Store: fmt.Sprint("embedded://gpu07:", jobPort("slurm-42.0")),
			},
		},
		{
			"slurm on one node", "SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_STEP_ID=3 SLURM_JOB_ID=42 " +
				"SLURM_TASKS_PER_NODE=2 SLURM_JOB_NODELIST=n1 SLURM_RESTART_COUNT=1",
			Environment{
				Size: 2, LocalRank: -1, LocalSize: 2, Job: "slurm-42.3.1", Launcher: "slurm",
				Store: fmt.Sprint("embedded://127.0.0.1:", jobPort("slurm-42.3.1")),
			},
		},
		{
			"slurm with only a launch node", slurmTask + "SLURM_LAUNCH_NODE_IPADDR=10.1.2.3",
			Environment{
				Rank: 5, Size: 8, LocalRank: 1, LocalSize: -1, Job: "slurm-42.0", Launcher: "slurm",
				Store: fmt.Sprint("embedded://10.1.2.3:", jobPort("slurm-42.0")),
			},
		},
		{
			"slurm with a master", slurmTask + "MASTER_ADDR=m MASTER_PORT=7",
			Environment{
				Rank: 5, Size: 8, LocalRank: 1, LocalSize: -1, Job: "slurm-42.0", Launcher: "slurm",
				Store: "embedded://m:7",
			},
		},
		{
			"batch script without srun", "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_JOB_ID=42",
			Environment{LocalRank: -1, LocalSize: -1},
		},
		{
			"kubernetes", "JOB_COMPLETION_INDEX=2 TUTTI_SIZE=3 HOSTNAME=train-2 TUTTI_SERVICE=svc",
			Environment{
				Rank: 2, Size: 3, LocalRank: -1, LocalSize: -1, Job: "train", Launcher: "kubernetes",
				Store: "embedded://train-0.svc:7117",
			},
		},
		{
			"kubernetes by its own names", "JOB_COMPLETION_INDEX=0 JOB_COMPLETIONS=3 JOB_NAME=train",
			Environment{
				Size: 3, LocalRank: -1, LocalSize: -1, Job: "train", Launcher: "kubernetes",
				Store: "embedded://train-0.train:7117",
			},
		},
		{
			"kubernetes with a redis", "JOB_COMPLETION_INDEX=0 JOB_PARALLELISM=3 HOSTNAME=other " +
				"TUTTI_STORE=redis://r:6379/0",
			Environment{
				Size: 3, LocalRank: -1, LocalSize: -1, Launcher: "kubernetes",
				Store: "redis://r:6379/0",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := FromEnvironment(variablesOf(test.variables))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFromEnvironmentErrors(t *testing.T) {
	tests := []struct {
		variables string
		variable  string
		want      string
	}{
		{"TUTTI_RANK=1", "TUTTI_SIZE", `rendezvous: TUTTI_SIZE is not set; expected a number, ` +
			`because TUTTI_RANK is "1"; set both TUTTI_RANK and TUTTI_SIZE, or neither`},
		{"TUTTI_SIZE=4", "TUTTI_RANK", `because TUTTI_SIZE is "4"`},
		{"TUTTI_RANK=4 TUTTI_SIZE=4", "TUTTI_RANK", `rendezvous: TUTTI_RANK is "4"; expected a rank ` +
			`below TUTTI_SIZE, which is 4; ranks count from 0; correct it where the job is launched`},
		{"TUTTI_RANK=-1 TUTTI_SIZE=4", "TUTTI_RANK", "a whole number from 0"},
		{"TUTTI_RANK=one TUTTI_SIZE=4", "TUTTI_RANK", `is "one"`},
		{"TUTTI_RANK=0 TUTTI_SIZE=99999999999999999999", "TUTTI_SIZE", "from 1 to 1048576"},
		{"TUTTI_RANK=0 TUTTI_SIZE=0", "TUTTI_SIZE", "from 1 to"},
		{"TUTTI_RANK=0 TUTTI_SIZE=2 TUTTI_LOCAL_SIZE=3", "TUTTI_LOCAL_SIZE", "from 1 to 2"},
		{
			"TUTTI_RANK=0 TUTTI_SIZE=4 TUTTI_LOCAL_SIZE=2 TUTTI_LOCAL_RANK=2", "TUTTI_LOCAL_RANK",
			"from 0 to 1",
		},
		{"TUTTI_STORE=mysql://u:p@h", "TUTTI_STORE", "none of redis"},
		{"TUTTI_STORE=redis://h:99999", "TUTTI_STORE", "not within 1 to 65535"},
		{"TUTTI_SECRET_FILE=/nowhere/at/all", "TUTTI_SECRET_FILE", "no such file"},
		{"TUTTI_SECRET_FILE=/dev/zero", "TUTTI_SECRET_FILE", "a regular file"},
		{"RANK=1", "WORLD_SIZE", "set both RANK and WORLD_SIZE"},
		{"RANK=1 WORLD_SIZE=2 MASTER_ADDR=h", "MASTER_PORT", "MASTER_ADDR and MASTER_PORT"},
		{"RANK=1 WORLD_SIZE=2 MASTER_PORT=9", "MASTER_ADDR", "MASTER_ADDR and MASTER_PORT"},
		{"RANK=1 WORLD_SIZE=2 MASTER_ADDR=h MASTER_PORT=0", "MASTER_PORT", "from 1 to 65534"},
		{"RANK=1 WORLD_SIZE=2 MASTER_ADDR=a/b@c MASTER_PORT=1", "MASTER_ADDR", "a host name"},
		{"RANK=1 WORLD_SIZE=2 TUTTI_SIZE=3", "TUTTI_SIZE", "2, which is what the launcher torchrun"},
		{"OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE", "or neither"},
		{slurmTask + "SLURM_STEP_TASKS_PER_NODE=4(x", "SLURM_STEP_TASKS_PER_NODE", "(xN)"},
		{slurmTask + "SLURM_STEP_TASKS_PER_NODE=4", "SLURM_STEP_TASKS_PER_NODE", "this is node 1"},
		{slurmTask + "SLURM_STEP_TASKS_PER_NODE=1,9", "SLURM_STEP_TASKS_PER_NODE", "the job has 8"},
		{slurmTask + "SLURM_JOB_NODELIST=n[1", "SLURM_JOB_NODELIST", "brackets do not match"},
		{"JOB_COMPLETION_INDEX=0", "TUTTI_SIZE", ".spec.completions"},
		{"JOB_COMPLETION_INDEX=3 JOB_COMPLETIONS=3", "JOB_COMPLETION_INDEX", "below JOB_COMPLETIONS"},
	}
	for _, test := range tests {
		_, err := FromEnvironment(variablesOf(test.variables))
		var wrong *EnvironmentError
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v, want an *EnvironmentError", test.variables, err)
			continue
		}
		if wrong.Variable != test.variable || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v\nwant %s and %q", test.variables, err, test.variable, test.want)
		}
	}
}

func TestSecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(path, []byte("  from file\n"), 0o600))
	env, err := FromEnvironment(variablesOf("TUTTI_SECRET_FILE=" + path))
	if check(t, err); env.Secret != "from file" {
		t.Errorf("secret %q, want %q", env.Secret, "from file")
	}
	_, err = FromEnvironment(variablesOf("TUTTI_SECRET=other TUTTI_SECRET_FILE=" + path))
	contains(t, err, "TUTTI_SECRET_FILE", "the same secret as TUTTI_SECRET")
	check(t, os.WriteFile(path, []byte("\n"), 0o600))
	_, err = FromEnvironment(variablesOf("TUTTI_SECRET_FILE=" + path))
	contains(t, err, "not empty")
	check(t, os.Truncate(path, maxSecretBytes+1))
	_, err = FromEnvironment(variablesOf("TUTTI_SECRET_FILE=" + path))
	contains(t, err, "at most 65536 bytes")
}

// TestSecretsStayOutOfText prints an environment in every way that a log might.
func TestSecretsStayOutOfText(t *testing.T) {
	env := Environment{Size: 1, Secret: "hush", Store: "redis://user:hush@h:1/0"}
	for _, verb := range []string{"%v", "%+v", "%s", "%#v"} {
		if text := fmt.Sprintf(verb, env); strings.Contains(text, "hush") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
	if text := env.LogValue().String(); strings.Contains(text, "hush") {
		t.Errorf("LogValue is %s", text)
	}
	for _, url := range []string{"redis://u:hush@h:99999", "mysql://u:hush@h", "redis://u:hush@:h:%zz"} {
		_, err := FromEnvironment(variablesOf("TUTTI_STORE=" + url))
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s gives %v", url, err)
		}
		_, err = Dial(t.Context(), url, DialOptions{})
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("Dial of %s gives %v", url, err)
		}
	}
}

func TestSlurmTasks(t *testing.T) {
	tests := []struct {
		list string
		want []int // by node; -1 for an error
	}{
		{"4", []int{4, -1}},
		{"4(x2),3", []int{4, 4, 3, -1}},
		{"1,2(x3),1", []int{1, 2, 2, 2, 1, -1}},
		{"1(x1000000)", []int{1, 1, 1}},
		{"1(x2000000)", []int{-1}},
		{"", []int{-1}},
		{"0", []int{-1}},
		{"-1", []int{-1}},
		{"+1", []int{-1}},
		{"4(x0)", []int{-1}},
		{"4(2)", []int{-1}},
		{"4(x2", []int{-1}},
		{"4,,4", []int{-1}},
		{"99999999999999999999", []int{-1}},
	}
	for _, test := range tests {
		for node, want := range test.want {
			got, err := slurmTasks(test.list, node)
			if err != nil {
				got = -1
			}
			if got != want {
				t.Errorf("slurmTasks(%q, %d) = %d, %v; want %d", test.list, node, got, err, want)
			}
		}
	}
}

func TestSlurmFirstHost(t *testing.T) {
	tests := map[string]string{
		"node[01-03,7],x2":        "node01",
		"node7":                   "node7",
		"a,b":                     "a",
		"rack[2-3]node[004-9].hp": "rack2node004.hp",
		"n[1,5-9]-ib":             "n1-ib",
		"":                        "",
		",a":                      "",
		"n[":                      "",
		"n[]":                     "",
		"n]":                      "",
		"n[a]":                    "",
		"n[3-1]":                  "",
		"n[1-]":                   "",
	}
	for list, want := range tests {
		got, err := slurmFirstHost(list)
		if (err != nil) != (want == "") || (err == nil && got != want) {
			t.Errorf("slurmFirstHost(%q) = %q, %v; want %q", list, got, err, want)
		}
	}
}
