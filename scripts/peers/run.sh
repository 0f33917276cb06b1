#!/bin/sh
# Compares Tutti's collectives with Open MPI, MPICH and Gloo on this host.
#
#   scripts/peers/run.sh [-install] [FLAGS]
#   scripts/peers/run.sh -op allreduce -np 2,4 -sizes 4,1K,64K,1M,16M,64M -rounds 5
#
# -install, which needs root and Debian or Ubuntu, installs the peers first. FLAGS are those of the
# program beside this script: -h lists them. Programs are built into PEERS_BIN, by default
# tutti-peers under TMPDIR, and built again only when their sources have changed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
bin=${PEERS_BIN:-${TMPDIR:-/tmp}/tutti-peers}

if [ "${1:-}" = -install ]; then
	shift
	apt-get install -y --no-install-recommends \
		openmpi-bin libopenmpi-dev mpich libmpich-dev libgloo-dev gcc g++ >&2
fi

# build PROGRAM SOURCE COMPILER... compiles SOURCE unless PROGRAM is newer.
build() {
	program=$bin/$1 source=$here/src/$2
	shift 2
	if [ "$program" -nt "$source" ] && [ "$program" -nt "$here/src/measure.h" ]; then
		return
	fi
	compiler=$1
	shift
	if ! command -v "$compiler" >/dev/null; then
		echo "peers: no $compiler: install the peers with run.sh -install, or leave out with -peers" >&2
		return
	fi
	"$compiler" -O2 -Wall -o "$program" "$source" "$@"
}

mkdir -p "$bin"
build mpi.openmpi mpi.c mpicc.openmpi
build mpi.mpich mpi.c mpicc.mpich
build gloo gloo.cc g++ -std=c++17 -lgloo -lpthread
cd "$here"
go build -o "$bin/bench" ../../cmd/bench
go build -o "$bin/compare" .
exec "$bin/compare" -bench "$bin/bench" -bin "$bin" "$@"
