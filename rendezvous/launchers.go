package rendezvous

import (
	"fmt"
	"hash/fnv"
	"strconv"
)

// DefaultStorePort is the port of the embedded store where a launcher tells a host but no port.
const DefaultStorePort = 7117

// fromTutti reads the variables that `tutti run` sets and that a person may set by hand.
func fromTutti(v variables) (Environment, bool, error) {
	if !v.has("TUTTI_RANK") {
		return Environment{}, false, nil // a lone TUTTI_SIZE belongs to Kubernetes
	}
	if !v.has("TUTTI_SIZE") {
		return Environment{}, false, v.loneVariable()
	}
	env, err := v.place("TUTTI_RANK", "TUTTI_SIZE", "TUTTI_LOCAL_RANK", "TUTTI_LOCAL_SIZE")
	env.Launcher = "tutti"
	return env, true, err
}

// fromTorchrun reads torchrun's variables, which many other launchers and people set as well.
// MASTER_PORT may already be taken: with TORCHELASTIC_USE_AGENT_STORE the agent listens there for
// its own store, so ours goes to the next port.
func fromTorchrun(v variables) (Environment, bool, error) {
	if !v.has("RANK") || !v.has("WORLD_SIZE") {
		return Environment{}, false, nil
	}
	env, err := v.place("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
	if err != nil {
		return env, true, err
	}
	env.Launcher = "torchrun"
	if env.Job = v.text("TORCHELASTIC_RUN_ID"); env.Job != "" && v.has("TORCHELASTIC_RESTART_COUNT") {
		env.Job += "." + clip(v.text("TORCHELASTIC_RESTART_COUNT"), 20)
	}
	env.Store, err = v.masterStore()
	return env, true, err
}

// masterStore turns MASTER_ADDR and MASTER_PORT into an embedded store's address; "" when both are
// missing or TUTTI_STORE makes them irrelevant.
func (v variables) masterStore() (string, error) {
	host, hasPort := v.text("MASTER_ADDR"), v.has("MASTER_PORT")
	if v.has("TUTTI_STORE") || (host == "" && !hasPort) {
		return "", nil
	}
	if host == "" || !hasPort {
		missing := "MASTER_ADDR"
		if host != "" {
			missing = "MASTER_PORT"
		}
		return "", &EnvironmentError{
			Variable: missing, Expected: "to be set together with its other half",
			Remedy: "set MASTER_ADDR and MASTER_PORT to where rank 0 runs, or set TUTTI_STORE",
		}
	}
	port, err := v.number("MASTER_PORT", 1, 65534)
	if err != nil {
		return "", err
	}
	if agent, err := strconv.ParseBool(v.text("TORCHELASTIC_USE_AGENT_STORE")); err == nil && agent {
		port++
	}
	return v.embeddedStore("MASTER_ADDR", host, port)
}

// embeddedStore checks that the address built from a variable is one that Dial will accept.
func (v variables) embeddedStore(variable, host string, port int) (string, error) {
	store := "embedded://" + hostPort(host, port)
	if _, err := parseStoreURL(store); err != nil {
		return "", &EnvironmentError{
			Variable: variable, Value: host, Expected: "a host name or an address", Err: err,
			Remedy: "correct it, or set TUTTI_STORE",
		}
	}
	return store, nil
}

// fromOpenMPI reads what mpirun of Open MPI sets. It tells no address; when all ranks share one
// host, loopback and a port derived from the job's name are enough.
func fromOpenMPI(v variables) (Environment, bool, error) {
	if !v.has("OMPI_COMM_WORLD_RANK") || !v.has("OMPI_COMM_WORLD_SIZE") {
		return Environment{}, false, nil
	}
	env, err := v.place("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
		"OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")
	if err != nil {
		return env, true, err
	}
	env.Launcher, env.Job = "openmpi", v.text("PMIX_NAMESPACE")
	if env.LocalSize == env.Size && env.Job != "" {
		env.Store = "embedded://" + hostPort("127.0.0.1", jobPort(env.Job))
	} else {
		env.Store, err = v.masterStore()
	}
	return env, true, err
}

// fromMPICH reads what the Hydra launcher of MPICH, Intel MPI and MVAPICH sets. Hydra tells neither
// an address nor a job's name.
func fromMPICH(v variables) (Environment, bool, error) {
	if !v.has("PMI_RANK") || !v.has("PMI_SIZE") {
		return Environment{}, false, nil
	}
	env, err := v.place("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
	if err != nil {
		return env, true, err
	}
	env.Launcher = "mpich"
	env.Store, err = v.masterStore()
	return env, true, err
}

// jobPort derives the embedded store's port from a job's name: below the usual ephemeral range, so
// that no outgoing connection sits on it, and spread so that two jobs of one host rarely collide.
func jobPort(job string) int {
	const first, count = 20000, 10000
	h := fnv.New32a()
	h.Write([]byte(job))
	return first + int(h.Sum32()%count)
}

// storeForms lists the accepted store addresses for messages.
const storeForms = "redis://host:port/db, rediss://host:port/db, redis+unix:///path, " +
	"embedded://host:port or tutti://host:port"

// storeRemedy says how each launcher is told where the store is.
func storeRemedy(launcher string) string {
	switch launcher {
	case "openmpi":
		return "mpirun -x TUTTI_STORE=embedded://HOST_OF_RANK_0:PORT -x TUTTI_SECRET=..."
	case "mpich":
		return "mpiexec -genv TUTTI_STORE embedded://HOST_OF_RANK_0:PORT -genv TUTTI_SECRET ..."
	case "torchrun":
		return "set MASTER_ADDR and MASTER_PORT, or TUTTI_STORE, on every rank"
	default:
		return fmt.Sprintf("set TUTTI_STORE on every rank to one of %s, "+
			"or start the ranks of one host with `tutti run -n N -- program`", storeForms)
	}
}
