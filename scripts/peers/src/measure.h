/* measure.h: what the peers' benchmarks share. It measures as cmd/bench does, so that a peer's line
 * and one of ours may be compared:
 *
 *   - the size is the bytes of the larger buffer of a rank, in whole blocks, one element at least;
 *   - float32, sum, root 0, out of place where the library has that form, which is all but broadcast;
 *   - warm-up rounds that grow until one takes a quarter of the timed loop's length, a barrier,
 *     then one loop of calls directly after each other, from 5 of them to 200000;
 *   - the clock is read after each call; the time is the mean of a call, of the slowest rank, p50 and
 *     p99 are percentiles of the calls, of the rank where they are longest;
 *   - a verified call before and one after, on buffers filled anew.
 *
 * A line of JSON comes out, with the fields of bench -json that are known here.
 */
#ifndef TUTTI_PEERS_MEASURE_H
#define TUTTI_PEERS_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum collective {
	ALLREDUCE, BROADCAST, REDUCE, SCATTER, GATHER, ALLGATHER, REDUCESCATTER, ALLTOALL, BARRIER,
	COLLECTIVES
};

static const char *const collective_names[COLLECTIVES] = {
	"allreduce", "broadcast", "reduce", "scatter", "gather", "allgather", "reducescatter",
	"alltoall", "barrier"
};

/* One call: count is what it is given, the elements of the vector or of one rank's block. In
 * broadcast recv is the only buffer, on all ranks. */
struct call {
	enum collective what;
	float *send, *recv;
	size_t count, send_len, recv_len;
};

/* What a library provides. */
struct engine {
	const char *name;
	int rank, ranks;
	int in_place; /* recv is input and output of an all-reduce */
	void *state;
	void (*prepare)(struct engine *, const struct call *);
	void (*run)(struct engine *, const struct call *);
	void (*barrier)(struct engine *);
	double (*longest)(struct engine *, double); /* the largest of all ranks' arguments */
};

static double seconds(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A small whole number for each rank and index, so that sums of many ranks are exact. */
static float number(int rank, size_t index) {
	unsigned long h = ((unsigned long)rank + 1) * 0x9E3779B97F4A7C15ul + index * 0xD1B54A32D192ED03ul;
	return (float)(h >> 57) - 64;
}

static int blocked(enum collective c) { return c >= SCATTER && c <= ALLTOALL; }

static float *buffer(size_t elements) {
	size_t bytes = (elements * sizeof(float) + 4095) / 4096 * 4096;
	void *p = aligned_alloc(4096, bytes ? bytes : 4096);
	if (!p) {
		fprintf(stderr, "out of memory for %zu bytes\n", bytes);
		exit(1);
	}
	memset(p, 0, bytes);
	return (float *)p;
}

static void layout(const struct engine *e, struct call *c, size_t bytes) {
	size_t elements = bytes / sizeof(float), n = (size_t)e->ranks;
	c->count = blocked(c->what) ? elements / n : elements;
	if (c->count == 0)
		c->count = 1;
	if (c->what == BARRIER)
		c->count = 0;
	size_t whole = blocked(c->what) ? c->count * n : c->count;
	c->send_len = c->what == GATHER || c->what == ALLGATHER ? c->count : whole;
	c->recv_len = c->what == SCATTER || c->what == REDUCESCATTER ? c->count : whole;
	c->send = buffer(c->send_len);
	c->recv = buffer(c->recv_len);
}

static void fill(const struct engine *e, struct call *c) {
	size_t i;
	for (i = 0; i < c->send_len; i++)
		c->send[i] = number(e->rank, i);
	for (i = 0; i < c->recv_len; i++)
		c->recv[i] = -1000.5f;
	if ((c->what == BROADCAST && e->rank == 0) || (c->what == ALLREDUCE && e->in_place))
		memcpy(c->recv, c->send, c->recv_len * sizeof(float));
}

static float sum(const struct engine *e, size_t index) {
	float s = 0;
	for (int r = 0; r < e->ranks; r++)
		s += number(r, index);
	return s;
}

static float expected(const struct engine *e, const struct call *c, size_t i) {
	size_t own = (size_t)e->rank * c->count;
	switch (c->what) {
	case ALLREDUCE: case REDUCE: return sum(e, i);
	case REDUCESCATTER: return sum(e, own + i);
	case BROADCAST: return number(0, i);
	case SCATTER: return number(0, own + i);
	case GATHER: case ALLGATHER: return number((int)(i / c->count), i % c->count);
	case ALLTOALL: return number((int)(i / c->count), own + i % c->count);
	default: return 0;
	}
}

static long verify(struct engine *e, struct call *c) {
	long wrong = 0;
	fill(e, c);
	if (e->prepare)
		e->prepare(e, c);
	e->barrier(e);
	e->run(e, c);
	if ((c->what == REDUCE || c->what == GATHER) && e->rank != 0)
		return 0;
	for (size_t i = 0; i < c->recv_len; i++)
		wrong += c->recv[i] != expected(e, c, i);
	return wrong;
}

static double repeat(struct engine *e, const struct call *c, long n) {
	double start = seconds();
	for (long i = 0; i < n; i++)
		e->run(e, c);
	return seconds() - start;
}

/* samples calls one after the other, and notes how long each took. */
static double samples(struct engine *e, const struct call *c, double *took, long n) {
	double start = seconds(), before = start;
	for (long i = 0; i < n; i++) {
		e->run(e, c);
		double now = seconds();
		took[i] = now - before;
		before = now;
	}
	return before - start;
}

static int ascending(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The smallest of n sorted samples that is not below p percent of them. */
static double percentile(const double *sorted, long n, int p) {
	return sorted[(n * p + 99) / 100 - 1];
}

static void measure(struct engine *e, enum collective what, size_t bytes, double target) {
	struct call c = {what, 0, 0, 0, 0, 0};
	layout(e, &c, bytes);
	double wrong = (double)verify(e, &c), took;
	long n = 3;
	for (;; n *= 4) {
		e->barrier(e);
		took = e->longest(e, repeat(e, &c, n));
		if (took >= target / 4 || n >= 200000)
			break;
	}
	n = (long)(target / (took / (double)n));
	n = n < 5 ? 5 : n > 200000 ? 200000 : n;
	double *each = (double *)malloc((size_t)n * sizeof *each);
	if (!each) {
		fprintf(stderr, "out of memory for %ld samples\n", n);
		exit(1);
	}
	memset(each, 0, (size_t)n * sizeof *each);
	e->barrier(e);
	took = e->longest(e, samples(e, &c, each, n) / (double)n);
	qsort(each, (size_t)n, sizeof *each, ascending);
	double p50 = e->longest(e, percentile(each, n, 50)), p99 = e->longest(e, percentile(each, n, 99));
	free(each);
	wrong += (double)verify(e, &c);
	wrong = e->longest(e, wrong);
	if (e->rank == 0) {
		size_t whole = c.send_len > c.recv_len ? c.send_len : c.recv_len;
		printf("{\"op\":\"%s\",\"dtype\":\"f32\",\"redop\":\"sum\",\"driver\":\"%s\",\"np\":%d,"
		       "\"bytes\":%zu,\"count\":%zu,\"time_us\":%.3f,\"p50_us\":%.3f,"
		       "\"p99_us\":%.3f,\"wrong\":%.0f}\n",
		       collective_names[what], e->name, e->ranks, whole * sizeof(float), c.count, took * 1e6,
		       p50 * 1e6, p99 * 1e6, wrong);
		fflush(stdout);
	}
	free(c.send);
	free(c.recv);
}

/* measure_arguments reads NAME COLLECTIVE BYTES SECONDS and measures that. */
static int measure_arguments(struct engine *e, int argc, char **argv) {
	if (argc != 5) {
		fprintf(stderr, "usage: %s NAME COLLECTIVE BYTES SECONDS\n", argv[0]);
		return 2;
	}
	e->name = argv[1];
	for (int k = 0; k < COLLECTIVES; k++)
		if (strcmp(collective_names[k], argv[2]) == 0) {
			measure(e, (enum collective)k, strtoull(argv[3], 0, 10), atof(argv[4]));
			return 0;
		}
	fprintf(stderr, "%s: no collective %s\n", argv[0], argv[2]);
	return 2;
}

#endif
