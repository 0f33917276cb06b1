# Tutti's commands. A target does the whole of what it says on a fresh Debian machine that has Go
# and make; what is missing is installed by scripts/setup.sh, which says so first.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOL        := go tool -modfile=tools.mod
RANKS       ?= 4
WORKERS     ?= 4
SEEDS       ?= 1 2 3 4 5
PKG         ?= ./...
BENCH       ?= .
COUNT       ?= 5
FUZZTIME    ?= 30s
HOSTS_FLAGS ?= -n 2
RATES       ?= 1gbit 100mbit
BENCH_FLAGS ?= -v -op all -b 4 -e 1M -f 64 -time 50ms
RPC_FLAGS   ?= -rounds 5
RATE        ?= 100mbit
WIRE_FLAGS  ?= -epochs 1 -batch 32 -hidden 1024,512 -bucket 1024
PREDICT_FLAGS ?=
IBVERBS_PKG ?= ./transport/ibverbs
IBVERBS_FLAGS ?= -t 900 -m 1536
PEERS_FLAGS ?= -np 2,4 -timeout 30s -plot $(CURDIR)/docs/allreduce.svg

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r t d; do \
		printf '  make %-13s %s\n' "$$t" "$$d"; done

.PHONY: build
build: ## the commands and examples, into bin/
	@mkdir -p bin
	go build -o bin/ ./cmd/... ./examples/...

.PHONY: demo
demo: ## train a digit classifier on RANKS=4 processes and compare it with one process
	@mkdir -p bin build
	go build -o bin/ ./cmd/tutti ./examples/train
	bin/tutti run -n $(RANKS) -- bin/train -compare -want-accuracy 0.96 -plot build/train.png

.PHONY: demo-rollout
demo-rollout: ## a learner and WORKERS=4 actors learn to balance a pole, once for each of SEEDS="1 2 3 4 5"
	@mkdir -p bin build
	go build -o bin/ ./cmd/tutti ./examples/rollout
	for seed in $(SEEDS); do \
		bin/tutti run -n $$(($(WORKERS) + 1)) $(STORE:%=--store %) -- bin/rollout -seed $$seed \
			-want-return 475 -plot build/rollout-$$seed.png $(ROLLOUT_FLAGS); done

.PHONY: test
test: ## everything: sets the machine up, then go vet and all tests
	scripts/setup.sh redis-server python3-zmq iproute2
	go vet $(PKG)
	TUTTI_REQUIRE_REDIS=1 TUTTI_REQUIRE_LIBZMQ=1 \
		TUTTI_REQUIRE_NETNS=$$([ $$(id -u) -ne 0 ] || echo 1) go test -timeout 15m $(PKG)
	go -C tensor/kernelgen vet ./...
	go -C tensor/kernelgen test ./...
	go -C scripts/rpc test ./...

.PHONY: test-large
test-large: ## the tests of messages beyond 2^31 bytes, which need much memory and minutes
	@mkdir -p build
	TUTTI_LARGE=1 go test -timeout 60m -run Large -v $(PKG) | tee build/test-large.txt
	@grep -q '^--- PASS' build/test-large.txt || { echo "test-large: no test ran"; exit 1; }

.PHONY: race
race: ## the short tests under the race detector
	scripts/setup.sh gcc libc6-dev redis-server
	CGO_ENABLED=1 go test -race -short -timeout 15m $(PKG)

.PHONY: test-ibverbs
test-ibverbs: ## the tests of IBVERBS_PKG on real RDMA devices, in a virtual machine (soft RoCE)
	scripts/rdma/test.sh $(IBVERBS_FLAGS) $(IBVERBS_PKG)

.PHONY: test-ibverbs-race
test-ibverbs-race: ## the same under the race detector
	scripts/rdma/test.sh -race $(IBVERBS_FLAGS) $(IBVERBS_PKG)

.PHONY: test-ibverbs-full
test-ibverbs-full: ## all that docs/ibverbs.md says is shown over RDMA, line by line; WHAT='driver types'
	scripts/rdma/full.sh $(WHAT)

.PHONY: bench
bench: ## Go benchmarks of PKG that match BENCH, COUNT times, into build/bench.txt
	@mkdir -p build
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKG) | tee build/bench.txt
	$(TOOL) benchstat $$([ -f build/bench-base.txt ] && echo build/bench-base.txt) build/bench.txt

.PHONY: bench-peers
bench-peers: ## Tutti beside Open MPI, MPICH and Gloo; draws docs/allreduce.svg; PEERS_FLAGS='-np 2'
	scripts/setup.sh openmpi-bin libopenmpi-dev mpich libmpich-dev libgloo-dev gcc g++
	scripts/peers/run.sh $(PEERS_FLAGS)

.PHONY: bench-predict
bench-predict: ## predicted beside measured times of all collectives; PREDICT_FLAGS='-np 2 -under "chrt -r 1"'
	@mkdir -p bin
	go build -o bin/ ./cmd/bench
	go run ./scripts/predict -bench bin/bench $(PREDICT_FLAGS)

.PHONY: bench-rpc
bench-rpc: ## package proxy beside gRPC-go and MARO's figures; RPC_FLAGS='-cases send -sizes 0'
	@mkdir -p bin
	go -C scripts/rpc build -o $(CURDIR)/bin/rpc .
	bin/rpc $(RPC_FLAGS)

.PHONY: bench-hosts
bench-hosts: ## all collectives between two network namespaces as hosts (root); HOSTS_FLAGS='-rate 1gbit'
	scripts/setup.sh iproute2
	@mkdir -p bin
	go build -o bin/ ./cmd/bench
	scripts/netns/run.sh $(HOSTS_FLAGS) -- bin/bench $(BENCH_FLAGS)

.PHONY: bench-links
bench-links: ## how much of links of RATES="1gbit 100mbit" all-reduces between two hosts fill (root)
	scripts/setup.sh iproute2
	@mkdir -p bin
	go build -o bin/ ./cmd/bench
	for rate in $(RATES); do for ranks in 1 2; do \
		echo "== $$rate, $$ranks a host"; \
		scripts/netns/run.sh -n $$ranks -rate $$rate -- bin/bench -op allreduce -b 1M -e 16M -f 4 -c 0 \
			-time 3s -json | grep ^netns; done; done

.PHONY: bench-priority
bench-priority: ## 4 B all-reduces beside 16 MiB ones between two hosts at RATES, without and with priority (root)
	scripts/setup.sh iproute2
	@mkdir -p bin
	go build -o bin/ ./cmd/bench
	for rate in $(RATES); do for priority in false true; do \
		echo "== $$rate, priority $$priority"; \
		scripts/netns/run.sh -rate $$rate -- bin/bench -b 4 -time 3s -c 0 -beside 16M -priority=$$priority | \
			grep -E '#|f32'; done; done

.PHONY: bench-wire
bench-wire: ## gradients of a training step at RATE=100mbit between two hosts: f32, bf16, f16 (root)
	scripts/setup.sh iproute2
	@mkdir -p bin
	go build -o bin/ ./examples/train
	for round in 1 2 3; do for wire in f32 bf16 f16; do \
		scripts/netns/run.sh -rate $(RATE) -- bin/train $(WIRE_FLAGS) -wire $$wire | grep gradients:; \
	done; done

.PHONY: lint
lint: ## format, vet on every platform, staticcheck, generated files
	@unformatted=$$($(TOOL) gofumpt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofumpt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags noasm ./...
	GOARCH=arm64 CGO_ENABLED=0 go vet ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go vet ./...
	scripts/setup.sh gcc libc6-dev libibverbs-dev pkg-config
	CGO_ENABLED=1 go vet -tags ibverbs ./...
	$(TOOL) staticcheck ./...
	go -C scripts/rpc vet ./...
	go mod verify
	go -C tensor/kernelgen test -run TestCommittedFilesAreCurrent ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME=30s
	scripts/fuzz.sh $(FUZZTIME) $(PKG)

.PHONY: cover
cover: ## statement coverage of each package and of all
	@mkdir -p build
	go test -short -timeout 15m -coverprofile build/cover.out $(PKG)
	go tool cover -func build/cover.out | tail -n 1

.PHONY: generate
generate: ## what go generate writes: the SIMD kernels
	go generate ./...

.PHONY: clean
clean: ## what the targets above leave behind
	rm -rf bin build
