// Measures Gloo over its TCP transport on the loopback interface. It starts its ranks itself:
//
//	gloo RANKS ring|halving-doubling NAME COLLECTIVE BYTES SECONDS
//
// The second argument chooses the algorithm of all-reduce; ring is what Gloo takes by itself. Its
// reduce-scatter has one form only, by halving, in place.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/alltoall.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/gather.h>
#include <gloo/math.h>
#include <gloo/reduce.h>
#include <gloo/reduce_scatter.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/rendezvous/prefix_store.h>
#include <gloo/scatter.h>
#include <gloo/transport/tcp/device.h>

#include "measure.h"

namespace {

using Context = std::shared_ptr<gloo::rendezvous::Context>;

struct State {
	Context data, control; // two meshes, so that tags never meet
	bool halving = false;
	std::function<void()> call;
	std::vector<float> scratch;
};

State &state(engine *e) { return *static_cast<State *>(e->state); }

// wrap makes the options of a call into the call: they are built once, as a user would.
template <typename Options>
std::function<void()> wrap(void (*f)(Options &), std::shared_ptr<Options> o) {
	return [f, o] { f(*o); };
}

template <typename Options>
std::shared_ptr<Options> options(const Context &c) {
	auto o = std::make_shared<Options>(c);
	o->setTag(1);
	return o;
}

void add(void *to, const void *a, const void *b, size_t n) { gloo::sum<float>(to, a, b, n); }

std::function<void()> reduceScatter(engine *e, const call *c) {
	State &s = state(e);
	s.scratch.assign(c->send, c->send + c->send_len);
	auto algorithm = std::make_shared<gloo::ReduceScatterHalvingDoubling<float>>(
	    s.data, std::vector<float *>{s.scratch.data()}, (int)c->send_len,
	    std::vector<int>(e->ranks, (int)c->count));
	// Only the first result, which is verified, is right: later ones add up what is there.
	auto first = std::make_shared<bool>(true);
	return [=, &s] {
		algorithm->run();
		if (*first)
			memcpy(c->recv, s.scratch.data(), c->recv_len * sizeof(float));
		*first = false;
	};
}

std::function<void()> allReduce(engine *e, const call *c) {
	State &s = state(e);
	if (s.halving) {
		auto algorithm = std::make_shared<gloo::AllreduceHalvingDoubling<float>>(
		    s.data, std::vector<float *>{c->recv}, (int)c->count);
		return [=] { algorithm->run(); };
	}
	auto o = options<gloo::AllreduceOptions>(s.data);
	o->setInput(c->send, c->count);
	o->setOutput(c->recv, c->count);
	o->setReduceFunction(add);
	o->setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);
	return [=] { gloo::allreduce(*o); };
}

std::function<void()> reduce(engine *e, const call *c) {
	State &s = state(e);
	auto o = options<gloo::ReduceOptions>(s.data);
	s.scratch.resize(c->count); // an output is wanted on every rank
	o->setInput(c->send, c->count);
	o->setOutput(e->rank == 0 ? c->recv : s.scratch.data(), c->count);
	o->setReduceFunction(add);
	o->setRoot(0);
	return wrap(gloo::reduce, o);
}

std::function<void()> scatter(engine *e, const call *c) {
	auto o = options<gloo::ScatterOptions>(state(e).data);
	if (e->rank == 0) {
		std::vector<float *> blocks;
		for (int r = 0; r < e->ranks; r++)
			blocks.push_back(c->send + (size_t)r * c->count);
		o->setInputs(blocks, c->count);
	}
	o->setOutput(c->recv, c->count);
	o->setRoot(0);
	return wrap(gloo::scatter, o);
}

std::function<void()> gather(engine *e, const call *c) {
	auto o = options<gloo::GatherOptions>(state(e).data);
	o->setInput(c->send, c->count);
	if (e->rank == 0)
		o->setOutput(c->recv, c->recv_len);
	o->setRoot(0);
	return wrap(gloo::gather, o);
}

std::function<void()> build(engine *e, const call *c) {
	const Context &data = state(e).data;
	switch (c->what) {
	case ALLREDUCE: return allReduce(e, c);
	case REDUCE: return reduce(e, c);
	case SCATTER: return scatter(e, c);
	case GATHER: return gather(e, c);
	case REDUCESCATTER: return reduceScatter(e, c);
	case BROADCAST: {
		auto o = options<gloo::BroadcastOptions>(data);
		o->setOutput(c->recv, c->count);
		o->setRoot(0);
		return wrap(gloo::broadcast, o);
	}
	case ALLGATHER: {
		auto o = options<gloo::AllgatherOptions>(data);
		o->setInput(c->send, c->count);
		o->setOutput(c->recv, c->recv_len);
		return wrap(gloo::allgather, o);
	}
	case ALLTOALL: {
		auto o = options<gloo::AlltoallOptions>(data);
		o->setInput(c->send, c->send_len);
		o->setOutput(c->recv, c->recv_len);
		return wrap(gloo::alltoall, o);
	}
	default: return wrap(gloo::barrier, options<gloo::BarrierOptions>(data));
	}
}

void prepare(engine *e, const call *c) { state(e).call = build(e, c); }
void run(engine *e, const call *) { state(e).call(); }

void barrier(engine *e) {
	gloo::BarrierOptions o(state(e).control);
	gloo::barrier(o);
}

double longest(engine *e, double x) {
	gloo::AllreduceOptions o(state(e).control);
	o.setOutput(&x, 1);
	o.setReduceFunction([](void *to, const void *a, const void *b, size_t n) {
		gloo::max<double>(to, a, b, n);
	});
	gloo::allreduce(o);
	return x;
}

Context mesh(engine *e, gloo::rendezvous::Store &store, const char *prefix,
             std::shared_ptr<gloo::transport::Device> device) {
	gloo::rendezvous::PrefixStore own(prefix, store);
	auto c = std::make_shared<gloo::rendezvous::Context>(e->rank, e->ranks);
	c->connectFullMesh(own, device);
	return c;
}

int child(int rank, int ranks, const char *dir, bool halving, int argc, char **argv) {
	State s;
	engine e = {};
	e.rank = rank;
	e.ranks = ranks;
	e.state = &s;
	e.prepare = prepare;
	e.run = run;
	e.barrier = barrier;
	e.longest = longest;
	s.halving = halving;
	e.in_place = halving;
	gloo::transport::tcp::attr where;
	where.iface = "lo";
	auto device = gloo::transport::tcp::CreateDevice(where);
	gloo::rendezvous::FileStore store(dir);
	s.control = mesh(&e, store, "control", device);
	s.data = mesh(&e, store, "data", device);
	int status = measure_arguments(&e, argc, argv);
	barrier(&e);
	fflush(stdout);
	_exit(status); // a peer that closes first would make destructors throw
}

} // namespace

int main(int argc, char **argv) {
	if (argc != 7) {
		fprintf(stderr, "usage: %s RANKS ring|halving-doubling NAME COLLECTIVE BYTES SECONDS\n", argv[0]);
		return 2;
	}
	const int ranks = atoi(argv[1]);
	const bool halving = strcmp(argv[2], "halving-doubling") == 0;
	char dir[] = "/tmp/gloo-peers.XXXXXX";
	if (!mkdtemp(dir)) {
		perror("mkdtemp");
		return 1;
	}
	std::vector<pid_t> children;
	for (int r = 0; r < ranks; r++) {
		pid_t pid = fork();
		if (pid == 0)
			return child(r, ranks, dir, halving, argc - 2, argv + 2);
		children.push_back(pid);
	}
	int failed = 0, status;
	for (int r = 0; r < ranks; r++) {
		wait(&status);
		if (status && !failed++)
			for (pid_t pid : children)
				kill(pid, SIGTERM);
	}
	std::string remove = std::string("rm -rf ") + dir;
	return system(remove.c_str()) || failed ? 1 : 0;
}
