#!/usr/bin/env bash
# Runs all that docs/ibverbs.md says is shown on RDMA devices, one virtual machine after another, and
# says at the end what each took and how it ended: about an hour on two cores.
#
#   scripts/rdma/full.sh [NAME...]     only these lines of the table below
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

# Name, and the options and packages of test.sh.
table=(
	"driver          -t 900 -m 1536 ./transport/ibverbs"
	"driver-race     -race -wires lo -t 1200 -m 2048 ./transport/ibverbs"
	"driver-loss     -wires veth -loss 1% -t 1800 -m 1536 -run TestConformance$ ./transport/ibverbs"
	"choice          -t 600 -m 1536 ./transport/drivers"
	"types           -t 900 -m 2048 -run EveryType ./collective"
	"types-race      -race -wires lo -t 1200 -m 3072 -run EveryType ./collective"
	"types-loss      -wires veth -loss 1% -short -t 900 -m 2048 -run EveryType ./collective"
	"faults          -t 600 -m 2048 -run Killed|Stopped|WireGoesDown ./collective"
	"direct          -wires lo -t 600 -m 2048 -run CollectivesGoDirect ./collective"
	"proxy           -wires lo -t 900 -m 2048 ./proxy"
	"bench           -wires lo -t 900 -m 2048 ./cmd/bench"
)

summary=() failed=0
for line in "${table[@]}"; do
	read -r -a words <<<"$line"
	name=${words[0]}
	if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
		continue
	fi
	begin=$SECONDS said=passed
	scripts/rdma/test.sh "${words[@]:1}" || { said=FAILED failed=1; }
	summary+=("$(printf '%-12s %s after %d s' "$name" "$said" $((SECONDS - begin)))")
done
if [ ${#summary[@]} -eq 0 ]; then
	echo "rdma: no line is called $*" >&2
	exit 2
fi
printf 'rdma: %s\n' "${summary[@]}"
exit $failed
