package rendezvous

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
)

// MaxSize is the largest number of ranks a job may have; a launcher that says more is not believed.
const MaxSize = 1 << 20

// maxSecretBytes bounds what TUTTI_SECRET_FILE may hold.
const maxSecretBytes = 64 << 10

// Environment is what a launcher told this process. The zero value means: no launcher found, one
// process alone.
type Environment struct {
	// Rank is this process's number, 0 <= Rank < Size.
	Rank int
	// Size is the number of ranks in the job; 0 when no launcher was found.
	Size int
	// LocalRank and LocalSize count the ranks of this host; -1 when unknown.
	LocalRank, LocalSize int
	// Store says where the ranks meet: redis://host:port/db, rediss:// (TLS), redis+unix:///path,
	// embedded://host:port (rank 0 serves it) or tutti://host:port (the launcher serves it).
	// Empty when nobody told.
	Store string
	// Secret is the job's shared secret (TUTTI_SECRET or the content of TUTTI_SECRET_FILE).
	Secret string
	// Job names the job, so that two jobs on one store do not meet. Where a launcher counts its
	// attempts, the attempt is part of the name.
	Job string
	// Launcher is "tutti", "torchrun", "openmpi", "mpich", "slurm", "kubernetes" or "".
	Launcher string
	// Interface is TUTTI_INTERFACE as it stands: interface names, CIDRs or addresses, separated by
	// commas, ^ in front to exclude. It is the transport's to interpret.
	Interface string
}

// String describes e for a log line; the secret and a store's password never appear in it.
func (e Environment) String() string {
	secret := "none"
	if e.Secret != "" {
		secret = "set"
	}
	return fmt.Sprintf("rank %d of %d (local %d of %d), job %q, store %q, secret %s, launcher %q",
		e.Rank, e.Size, e.LocalRank, e.LocalSize, e.Job, redactURL(e.Store), secret, e.Launcher)
}

// GoString is String, so that %#v cannot print the secret either.
func (e Environment) GoString() string { return "rendezvous.Environment{" + e.String() + "}" }

// LogValue implements slog.LogValuer without the secret.
func (e Environment) LogValue() slog.Value { return slog.StringValue(e.String()) }

// EnvironmentError reports an environment variable that is missing, malformed or at odds with
// another one.
type EnvironmentError struct {
	Variable string // the variable to look at
	Value    string // what it holds; empty when it is not set
	Expected string // what would have been accepted
	Remedy   string // what to do
	Err      error  // the cause, if there is one
}

// Error names the variable, its value, what was expected and the remedy.
func (e *EnvironmentError) Error() string {
	value := "is not set"
	if e.Value != "" {
		value = "is " + strconv.Quote(clip(e.Value, 80))
	}
	text := fmt.Sprintf("rendezvous: %s %s; expected %s", e.Variable, value, e.Expected)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap returns the cause.
func (e *EnvironmentError) Unwrap() error { return e.Err }

// FromEnvironment reads what the launcher left in the environment; nil getenv means os.Getenv.
// The first launcher that speaks wins, in the order of the table in the package documentation.
// Without any launcher it returns an Environment of Size 0 and no error. It reads no network and
// no file but TUTTI_SECRET_FILE; every error is an *EnvironmentError.
func FromEnvironment(getenv func(string) string) (Environment, error) {
	if getenv == nil {
		getenv = os.Getenv
	}
	v := variables{getenv}
	env, err := v.launcher()
	if err != nil {
		return Environment{}, err
	}
	if store := v.text("TUTTI_STORE"); store != "" {
		if _, err := parseStoreURL(store); err != nil {
			return Environment{}, &EnvironmentError{
				Variable: "TUTTI_STORE", Value: redactURL(store), Expected: storeForms, Err: err,
			}
		}
		env.Store = store
	}
	if job := v.text("TUTTI_JOB"); job != "" {
		env.Job = job
	}
	env.Interface = v.text("TUTTI_INTERFACE")
	if env.Secret, err = v.secret(); err != nil {
		return Environment{}, err
	}
	return env, nil
}

// variables reads environment variables and turns what is wrong with them into errors.
type variables struct{ getenv func(string) string }

func (v variables) text(name string) string { return strings.TrimSpace(v.getenv(name)) }

func (v variables) has(name string) bool { return v.text(name) != "" }

// launcher asks each adapter in the order of precedence.
func (v variables) launcher() (Environment, error) {
	adapters := []func(variables) (Environment, bool, error){
		fromTutti, fromTorchrun, fromOpenMPI, fromMPICH, fromSlurm, fromKubernetes,
	}
	for _, adapter := range adapters {
		env, found, err := adapter(v)
		if err != nil {
			return Environment{}, err
		}
		if found {
			return env, v.checkAgainstTutti(env)
		}
	}
	if err := v.loneVariable(); err != nil {
		return Environment{}, err
	}
	return Environment{LocalRank: -1, LocalSize: -1}, nil
}

// checkAgainstTutti refuses a TUTTI_SIZE that contradicts the launcher that was believed.
func (v variables) checkAgainstTutti(env Environment) error {
	if env.Launcher == "tutti" || !v.has("TUTTI_SIZE") {
		return nil
	}
	size, err := v.number("TUTTI_SIZE", 1, MaxSize)
	if err != nil {
		return err
	}
	if size != env.Size {
		return &EnvironmentError{
			Variable: "TUTTI_SIZE", Value: v.text("TUTTI_SIZE"),
			Expected: fmt.Sprintf("%d, which is what the launcher %s says", env.Size, env.Launcher),
			Remedy:   "unset TUTTI_SIZE, or set TUTTI_RANK too to overrule the launcher",
		}
	}
	return nil
}

// loneVariable reports half of a pair when nobody gave a whole one.
func (v variables) loneVariable() error {
	pairs := [][2]string{
		{"TUTTI_RANK", "TUTTI_SIZE"},
		{"RANK", "WORLD_SIZE"},
		{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
		{"PMI_RANK", "PMI_SIZE"},
	}
	for _, pair := range pairs {
		for i, name := range pair {
			if other := pair[1-i]; v.has(name) && !v.has(other) {
				return &EnvironmentError{
					Variable: other,
					Expected: fmt.Sprintf("a number, because %s is %q", name, clip(v.text(name), 40)),
					Remedy:   fmt.Sprintf("set both %s and %s, or neither", pair[0], pair[1]),
				}
			}
		}
	}
	return nil
}

// number reads a decimal number within [low, high].
func (v variables) number(name string, low, high int) (int, error) {
	text := v.text(name)
	n, err := strconv.Atoi(text)
	if err == nil && low <= n && n <= high {
		return n, nil
	}
	expected := fmt.Sprintf("a whole number from %d to %d", low, high)
	if high < low {
		expected = "nothing: no value fits"
	}
	if errors.Is(err, strconv.ErrSyntax) || errors.Is(err, strconv.ErrRange) {
		err = nil // the quoted value says it already
	}
	return 0, &EnvironmentError{
		Variable: name, Value: text, Expected: expected, Err: err,
		Remedy: "correct it where the job is launched",
	}
}

// place reads rank and size, and the local pair where both of its variables are set.
func (v variables) place(rank, size, localRank, localSize string) (Environment, error) {
	env := Environment{LocalRank: -1, LocalSize: -1}
	var err error
	if env.Size, err = v.number(size, 1, MaxSize); err != nil {
		return env, err
	}
	if env.Rank, err = v.number(rank, 0, MaxSize); err != nil {
		return env, err
	}
	if env.Rank >= env.Size {
		return env, &EnvironmentError{
			Variable: rank, Value: v.text(rank),
			Expected: fmt.Sprintf("a rank below %s, which is %d", size, env.Size),
			Remedy:   "ranks count from 0; correct it where the job is launched",
		}
	}
	return env, v.local(&env, localRank, localSize)
}

// local fills the place on this host from whichever of the two variables are set.
func (v variables) local(env *Environment, localRank, localSize string) error {
	var err error
	if localSize != "" && v.has(localSize) {
		if env.LocalSize, err = v.number(localSize, 1, env.Size); err != nil {
			return err
		}
	}
	if localRank != "" && v.has(localRank) {
		high := env.Size - 1
		if env.LocalSize > 0 {
			high = env.LocalSize - 1
		}
		if env.LocalRank, err = v.number(localRank, 0, high); err != nil {
			return err
		}
	}
	return nil
}

// secret reads TUTTI_SECRET or the file that TUTTI_SECRET_FILE names.
func (v variables) secret() (string, error) {
	direct, path := v.text("TUTTI_SECRET"), v.text("TUTTI_SECRET_FILE")
	if path == "" {
		return direct, nil
	}
	wrong := func(expected string, err error) error {
		return &EnvironmentError{
			Variable: "TUTTI_SECRET_FILE", Value: path, Expected: expected,
			Err: err, Remedy: "write the secret into a file and mount it on every host",
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", wrong("a readable file", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecretBytes {
		return "", wrong(fmt.Sprintf("a regular file of at most %d bytes", maxSecretBytes), nil)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", wrong("a readable file", err)
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" {
		return "", wrong("a file that is not empty", nil)
	}
	if direct != "" && direct != secret {
		return "", wrong("the same secret as TUTTI_SECRET", nil)
	}
	return secret, nil
}

// hostPort joins a host and a port that may be an IPv6 address.
func hostPort(host string, port int) string {
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
}

// clip shortens text that comes from outside before it enters a message.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}
