#!/usr/bin/env bash
# Runs the tests of packages, built with the tag ibverbs, in run.sh's virtual machine: each package
# over each wire, in a machine of its own, and all of them even if one fails. A machine that has no
# RDMA device does not get as far as the tests: run.sh fails.
#
#   scripts/rdma/test.sh [-race] [-wires "lo veth"] [-loss 1%] [-t SECONDS] [-m MEBIBYTES]
#                        [-run REGEXP] [-short] [-v] PACKAGE...
#
# -t is the limit of one machine (default 330), -m its memory (default 1024), -loss the share of
# packets that are lost on the wire veth, which then has to be the only one. For example:
#
#   scripts/rdma/test.sh -wires veth -run 'Link|Loss' -v ./transport/ibverbs
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

race=() wires='lo veth' loss=() limit=330 memory=1024 flags=()
while [ $# -gt 0 ]; do
	case $1 in
	-race) race=(-race); shift ;;
	-v) flags+=(-test.v); shift ;;
	-short) flags+=(-test.short); shift ;;
	-wires) [ $# -ge 2 ] || usage; wires=$2; shift 2 ;;
	-loss) [ $# -ge 2 ] || usage; loss=(-loss "$2"); shift 2 ;;
	-t) [ $# -ge 2 ] || usage; limit=$2; shift 2 ;;
	-m) [ $# -ge 2 ] || usage; memory=$2; shift 2 ;;
	-run) [ $# -ge 2 ] || usage; flags+=(-test.run "$2"); shift 2 ;;
	-*) usage ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || usage
case $limit in '' | *[!0-9]*) usage ;; esac
if [ "$limit" -le 60 ]; then
	echo "rdma: -t $limit leaves no time for tests beside booting" >&2
	exit 2
fi

scripts/rdma/build.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()
for package in "$@"; do
	name=$(basename "$package")
	test=$work/$name.test
	CGO_ENABLED=1 go test -c "${race[@]}" -tags ibverbs -o "$test" "$package"
	[ -e "$test" ] || {
		echo "rdma: $package has no tests" >&2
		exit 1
	}
	for wire in $wires; do
		echo "rdma: $package over $wire${loss[*]:+, ${loss[1]} lost}"
		# Go's own limit comes first, with the stacks of what hangs.
		scripts/rdma/run.sh -t "$limit" -m "$memory" -wire "$wire" "${loss[@]}" \
			"$test" -test.timeout "$((limit - 40))s" "${flags[@]}" ||
			failed+=("$package over $wire;")
	done
	rm "$test"
done
if [ ${#failed[@]} -gt 0 ]; then
	echo "rdma: FAILED: ${failed[*]}" >&2
	exit 1
fi
