package rendezvous

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// FuzzFromEnvironment gives every variable an arbitrary value: the answer is a sound environment or
// an *EnvironmentError, never a panic.
func FuzzFromEnvironment(f *testing.F) {
	names := []string{
		"TUTTI_RANK", "TUTTI_SIZE", "TUTTI_LOCAL_RANK", "TUTTI_LOCAL_SIZE", "TUTTI_STORE",
		"TUTTI_JOB", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
		"TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK",
		"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "PMIX_NAMESPACE", "PMI_RANK",
		"PMI_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID", "SLURM_JOB_ID", "SLURM_NODEID",
		"SLURM_TASKS_PER_NODE", "SLURM_JOB_NODELIST", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS",
		"HOSTNAME", "TUTTI_SERVICE",
	}
	f.Add("TUTTI_RANK=1\nTUTTI_SIZE=4\nTUTTI_STORE=redis://h:1")
	f.Add("RANK=1\nWORLD_SIZE=2\nMASTER_ADDR=::1\nMASTER_PORT=65534\nTORCHELASTIC_USE_AGENT_STORE=1")
	f.Add("SLURM_PROCID=0\nSLURM_NTASKS=8\nSLURM_STEP_ID=0\nSLURM_JOB_ID=1\n" +
		"SLURM_TASKS_PER_NODE=4(x2)\nSLURM_NODEID=1\nSLURM_JOB_NODELIST=a[1-2]")
	f.Add("JOB_COMPLETION_INDEX=0\nJOB_COMPLETIONS=2\nHOSTNAME=a-0")
	f.Fuzz(func(t *testing.T, text string) {
		values := map[string]string{}
		for i, line := range strings.Split(text, "\n") {
			name, value, found := strings.Cut(line, "=")
			if !found {
				name = names[i%len(names)]
			}
			values[name] = value
		}
		env, err := FromEnvironment(func(name string) string {
			if name == "TUTTI_SECRET_FILE" {
				return "" // no input may choose which file is read
			}
			return values[name]
		})
		var wrong *EnvironmentError
		if err != nil {
			if !errors.As(err, &wrong) || wrong.Variable == "" || wrong.Expected == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		if env.Size == 0 && (env.Rank != 0 || env.Launcher != "") {
			t.Fatalf("no size, yet %v", env)
		}
		if env.Size > 0 && (env.Rank < 0 || env.Rank >= env.Size || env.Size > MaxSize ||
			env.LocalRank >= env.Size || env.LocalSize > env.Size) {
			t.Fatalf("unsound: %v", env)
		}
		if env.Store != "" {
			if _, err := parseStoreURL(env.Store); err != nil {
				t.Fatalf("the store %q cannot be dialled: %v", env.Store, err)
			}
		}
	})
}

func FuzzSlurmTasks(f *testing.F) {
	f.Add("4(x2),3", 2)
	f.Add("1(x1048576)", 5)
	f.Fuzz(func(t *testing.T, list string, node int) {
		if tasks, err := slurmTasks(list, node); err == nil && (tasks < 1 || tasks > MaxSize) {
			t.Fatalf("slurmTasks(%q, %d) = %d", list, node, tasks)
		}
	})
}

func FuzzSlurmFirstHost(f *testing.F) {
	f.Add("node[01-03,7],x2")
	f.Add("a[1]b[2]c")
	f.Fuzz(func(t *testing.T, list string) {
		host, err := slurmFirstHost(list)
		if err == nil && (host == "" || strings.ContainsAny(host, "[],")) {
			t.Fatalf("slurmFirstHost(%q) = %q", list, host)
		}
	})
}

// bytesConn is a connection whose peer sends given bytes.
type bytesConn struct {
	net.Conn
	io.Reader
}

func (c bytesConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// FuzzGuard sends arbitrary bytes to the guard: what it lets through is a sequence of whole,
// bounded commands with at least one word each, of which a stranger's are harmless.
func FuzzGuard(f *testing.F) {
	f.Add([]byte("*2\r\n$4\r\nAUTH\r\n$4\r\nword\r\n*1\r\n$4\r\nPING\r\n"), true)
	f.Add([]byte("*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$4\r\nword\r\n"), true)
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), false)
	f.Add([]byte("*0\r\n"), false)
	f.Add([]byte("*-1\r\n"), false)
	f.Add([]byte("*1\r\n$99999999999\r\n"), false)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, sent []byte, locked bool) {
		password := ""
		if locked {
			password = "word"
		}
		left, right := net.Pipe()
		defer left.Close()
		defer right.Close()
		ended := 0
		g := newGuard(bytesConn{left, bytes.NewReader(sent)}, password, func() {},
			func(error) { ended++ })
		passed, err := io.ReadAll(g)
		if len(passed) > len(sent) || !bytes.HasPrefix(sent, passed) {
			t.Fatalf("the guard made up %q from %q", passed, sent)
		}
		if err == nil && ended != 1 {
			t.Fatalf("ended %d times", ended)
		}
		commands := parseCommands(t, passed)
		for _, words := range commands {
			if len(words) == 0 {
				t.Fatalf("a command without words passed: %q", passed)
			}
		}
		if locked && len(commands) > 0 && !strangerCommands[strings.ToUpper(commands[0][0])] {
			t.Fatalf("a stranger's %q passed", commands[0][0])
		}
	})
}

// parseCommands reads what the guard let through with a plain parser of its own.
func parseCommands(t *testing.T, passed []byte) [][]string {
	var commands [][]string
	reader := bufio.NewReader(bytes.NewReader(passed))
	number := func(kind byte) int {
		line, err := reader.ReadString('\n')
		if err != nil || line[0] != kind {
			t.Fatalf("%q passed: %q, %v", passed, line, err)
		}
		n := 0
		for _, c := range strings.TrimSuffix(line[1:], "\r\n") {
			n = n*10 + int(c-'0')
		}
		return n
	}
	for {
		if _, err := reader.Peek(1); err != nil {
			return commands
		}
		words := make([]string, number('*'))
		for i := range words {
			word := make([]byte, number('$')+2)
			if _, err := io.ReadFull(reader, word); err != nil {
				t.Fatalf("a command was cut: %q", passed)
			}
			words[i] = string(word[:len(word)-2])
		}
		commands = append(commands, words)
	}
}

func FuzzStoreURL(f *testing.F) {
	for _, url := range []string{
		"redis://u:p@h:1/2", "redis+unix:///a?db=1", "embedded://[::1]:1", "rediss://h", "tutti://h:1",
	} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseStoreURL(text)
		redactURL(text)
		if err == nil && u.address() == "" {
			t.Fatalf("%q has no address", text)
		}
	})
}

// FuzzRecords decodes arbitrary bytes from the store, as unsigned records of each kind.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("-\n{\"Rank\":1,\"Nonce\":\"n\"}"))
	f.Add([]byte("-\n{\"Members\":[{}]}"))
	f.Fuzz(func(t *testing.T, record []byte) {
		sign := newSigner(nil, "job")
		decodeEntry(sign, "roll", 1, record)
		claimedHost(record)
		var v verdict
		if decode(sign, labelVerdict, "roll", record, &v) != nil {
			return
		}
		a := &answerer{call: call{RollCallOptions: rollOptions("job", 1, 2, "")}, roll: new(roll)}
		if result, err := a.complete(&v); err == nil && len(result.members) != 2 {
			t.Fatalf("%q gave %d members", record, len(result.members))
		}
	})
}
