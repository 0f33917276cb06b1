// Package rendezvous answers "who is there": it reads what a launcher told the process, meets the
// other ranks through a small key-value store and returns the list of all members.
//
//	env, err := rendezvous.FromEnvironment(nil)
//	self := rendezvous.Member{Addresses: mine, Version: version}
//	session, err := rendezvous.Join(ctx, env, self, rendezvous.Options{})
//	defer session.Close()
//	for _, member := range session.Members() { ... }
//
// # Launchers
//
// The first launcher whose rank and size are both set is believed; TUTTI_STORE, TUTTI_JOB, TUTTI_SECRET (or
// TUTTI_SECRET_FILE) and TUTTI_INTERFACE complete or overrule what it says. So a torchrun inside
// Slurm counts as torchrun: the launcher nearest to the process wins. Half of a pair is an error
// where no other launcher speaks, and so is a TUTTI_SIZE that contradicts the launcher.
//
//	tutti       rank, size  TUTTI_RANK, TUTTI_SIZE
//	            local       TUTTI_LOCAL_RANK, TUTTI_LOCAL_SIZE
//	            job, store  TUTTI_JOB, TUTTI_STORE
//	torchrun    rank, size  RANK, WORLD_SIZE
//	            local       LOCAL_RANK, LOCAL_WORLD_SIZE
//	            job         TORCHELASTIC_RUN_ID and TORCHELASTIC_RESTART_COUNT
//	            store       MASTER_ADDR, MASTER_PORT: rank 0 serves there (a)
//	openmpi     rank, size  OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE
//	            local       OMPI_COMM_WORLD_LOCAL_RANK, OMPI_COMM_WORLD_LOCAL_SIZE
//	            job         PMIX_NAMESPACE
//	            store       loopback on one host (b), else MASTER_ADDR, MASTER_PORT
//	mpich       rank, size  PMI_RANK, PMI_SIZE
//	            local       MPI_LOCALRANKID, MPI_LOCALNRANKS
//	            store       MASTER_ADDR, MASTER_PORT
//	slurm       rank, size  SLURM_PROCID, SLURM_STEP_NUM_TASKS or SLURM_NTASKS (c)
//	            local       SLURM_LOCALID, SLURM_STEP_TASKS_PER_NODE or SLURM_TASKS_PER_NODE
//	            job         SLURM_JOB_ID, SLURM_STEP_ID, SLURM_RESTART_COUNT
//	            store       MASTER_ADDR, MASTER_PORT, else the first host of the node list (b)
//	kubernetes  rank        JOB_COMPLETION_INDEX
//	            size        TUTTI_SIZE, JOB_COMPLETIONS or JOB_PARALLELISM (d)
//	            job         JOB_NAME, or HOSTNAME less its index
//	            store       <job>-0.<TUTTI_SERVICE>, port 7117; the service defaults to the job
//
// (a) With TORCHELASTIC_USE_AGENT_STORE the agent of torchrun listens on MASTER_PORT for its own
// store, so rank 0 serves ours on MASTER_PORT + 1.
//
// (b) On a port from 20000 to 29999 that follows from the job's name. Where all ranks share one
// host, loopback is used. Slurm's lists are SLURM_STEP_NODELIST and SLURM_JOB_NODELIST; without
// them, SLURM_LAUNCH_NODE_IPADDR. They assume that rank 0 runs on the first host, which Slurm's
// arbitrary distribution may change: set TUTTI_STORE then.
//
// (c) Only with SLURM_STEP_ID: a batch script without srun is one process, not a rank.
//
// (d) Kubernetes tells a pod its index, not how many there are: map the size in.
//
// # Stores
//
//	redis://[user:password@]host:port/db    a Redis that somebody runs; rediss:// with TLS
//	redis+unix:///path?db=0                 the same over a Unix socket
//	embedded://host:port                    rank 0 serves an embedded store there
//	tutti://host:port                       such a store, served by somebody else: `tutti run`
//
// All are reached by the same Redis client. The embedded server listens on one TCP port, answers
// only the commands that [Store] sends, checks every length before it allocates and ends any
// connection that does not speak the protocol or show the password in time. A store is needed to
// join, not to run.
//
// # The roll call
//
// Rank 0 leads. It opens a roll: a generation number from the store, one higher each time, and a
// random id. Every other rank claims its slot in the newest roll and renews a lease there. When all
// slots are held by living processes, rank 0's verdict completes the roll with the exact list of
// members, and each rank accepts only a verdict that names its own process. Hence
//
//   - what an earlier run left in a persistent store is never counted: it belongs to another roll;
//   - a rank that starts before its rank 0 finds the old roll, and waits until a new one is opened;
//   - a process that crashed during the roll call is replaced when its lease has ended (5 s); one
//     that lives is not, and the second gets a *DuplicateRankError that names both;
//   - when rank 0's deadline ends, or a rank that had joined gives up, the verdict says so, and all
//     ranks return a *RollCallError with the same list of missing ranks;
//   - differing versions, settings or sizes give all ranks the same *VersionError.
//
// A job name that differs between attempts (as those from torchrun and Slurm do) keeps the remains
// of an attempt that is still being killed apart from the next one.
//
// # Security
//
// With a secret, every record carries an HMAC-SHA256 bound to its kind, job and roll: whoever can
// write to the store, but does not know the secret, can disturb a job but not join it. [Signer] does
// the same for those who keep records of their own in a [Store]. The embedded store's password
// follows from the secret, not the other way round. Nothing is encrypted, except by rediss://.
// Without a secret, the embedded store serves loopback only. No record carries code.
//
// The package imports the standard library, go-redis, miniredis and internal/stack. It knows nothing
// of tensors, schedules, transports, collectives or the proxy, and never will: addresses are opaque
// to it. It logs only through the logger it is given, installs no signal handler, and no goroutine
// outlives the Close of what started it.
package rendezvous
