// Package rendezvous answers "who is there": it reads what a launcher told the process, meets the
// other ranks through a small key-value store and returns the list of all members.
//
//	env, err := rendezvous.FromEnvironment(nil)
//	session, err := rendezvous.Join(ctx, env, rendezvous.Member{Addresses: mine}, rendezvous.Options{})
//	defer session.Close()
//	for _, member := range session.Members() { ... }
//
// # Launchers
//
// The first row whose variables are all set is believed; TUTTI_STORE, TUTTI_JOB, TUTTI_SECRET (or
// TUTTI_SECRET_FILE) and TUTTI_INTERFACE complete or overrule what it says. So a torchrun inside
// Slurm counts as torchrun: the launcher nearest to the process wins. Half of a pair is an error
// where no other launcher speaks, and so is a TUTTI_SIZE that contradicts the launcher.
//
//	launcher    rank, size                  local rank, local size       job                      store
//	tutti       TUTTI_RANK, TUTTI_SIZE      TUTTI_LOCAL_RANK,            TUTTI_JOB                TUTTI_STORE
//	                                        TUTTI_LOCAL_SIZE
//	torchrun    RANK, WORLD_SIZE            LOCAL_RANK,                  TORCHELASTIC_RUN_ID and  MASTER_ADDR:MASTER_PORT,
//	                                        LOCAL_WORLD_SIZE             _RESTART_COUNT           rank 0 serves (a)
//	openmpi     OMPI_COMM_WORLD_RANK,       OMPI_COMM_WORLD_LOCAL_RANK,  PMIX_NAMESPACE           one host: loopback (b);
//	            OMPI_COMM_WORLD_SIZE        OMPI_COMM_WORLD_LOCAL_SIZE                            else MASTER_ADDR:MASTER_PORT
//	mpich       PMI_RANK, PMI_SIZE          MPI_LOCALRANKID,             -                        MASTER_ADDR:MASTER_PORT
//	                                        MPI_LOCALNRANKS
//	slurm       SLURM_PROCID,               SLURM_LOCALID,               SLURM_JOB_ID, _STEP_ID,  MASTER_ADDR:MASTER_PORT;
//	            SLURM_STEP_NUM_TASKS or     SLURM_STEP_TASKS_PER_NODE    _RESTART_COUNT           else first host of the
//	            SLURM_NTASKS (c)            or SLURM_TASKS_PER_NODE                               node list (b)
//	kubernetes  JOB_COMPLETION_INDEX,       -                            JOB_NAME, or HOSTNAME    <job>-0.<TUTTI_SERVICE>,
//	            TUTTI_SIZE, JOB_COMPLETIONS                              less its index           port 7117; the service is
//	            or JOB_PARALLELISM (d)                                                            the job's name by default
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
// write to the store, but does not know the secret, can disturb a job but not join it. The embedded
// store's password follows from the secret, not the other way round. Nothing is encrypted, except
// by rediss://. Without a secret, the embedded store serves loopback only. No record carries code.
//
// The package imports the standard library, go-redis and miniredis. It knows nothing of tensors,
// schedules, transports, collectives or the proxy, and never will: addresses are opaque to it.
// It logs only through the logger it is given, installs no signal handler, and no goroutine
// outlives the Close of what started it.
package rendezvous
