/* Measures an MPI library. Started by its mpirun. */
#include <mpi.h>

#include "measure.h"

static void run(struct engine *e, const struct call *c) {
	MPI_Comm w = MPI_COMM_WORLD;
	int n = (int)c->count;
	(void)e;
	switch (c->what) {
	case ALLREDUCE: MPI_Allreduce(c->send, c->recv, n, MPI_FLOAT, MPI_SUM, w); break;
	case BROADCAST: MPI_Bcast(c->recv, n, MPI_FLOAT, 0, w); break;
	case REDUCE: MPI_Reduce(c->send, c->recv, n, MPI_FLOAT, MPI_SUM, 0, w); break;
	case SCATTER: MPI_Scatter(c->send, n, MPI_FLOAT, c->recv, n, MPI_FLOAT, 0, w); break;
	case GATHER: MPI_Gather(c->send, n, MPI_FLOAT, c->recv, n, MPI_FLOAT, 0, w); break;
	case ALLGATHER: MPI_Allgather(c->send, n, MPI_FLOAT, c->recv, n, MPI_FLOAT, w); break;
	case REDUCESCATTER:
		MPI_Reduce_scatter_block(c->send, c->recv, n, MPI_FLOAT, MPI_SUM, w);
		break;
	case ALLTOALL: MPI_Alltoall(c->send, n, MPI_FLOAT, c->recv, n, MPI_FLOAT, w); break;
	default: MPI_Barrier(w);
	}
}

static void barrier(struct engine *e) {
	(void)e;
	MPI_Barrier(MPI_COMM_WORLD);
}

static double longest(struct engine *e, double x) {
	(void)e;
	MPI_Allreduce(MPI_IN_PLACE, &x, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
	return x;
}

int main(int argc, char **argv) {
	struct engine e = {0};
	MPI_Init(&argc, &argv); /* its default is to abort the job on any error */
	MPI_Comm_rank(MPI_COMM_WORLD, &e.rank);
	MPI_Comm_size(MPI_COMM_WORLD, &e.ranks);
	e.run = run;
	e.barrier = barrier;
	e.longest = longest;
	int status = measure_arguments(&e, argc, argv);
	MPI_Finalize();
	return status;
}
