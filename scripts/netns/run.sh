#!/bin/bash
# Runs a command as the ranks of a job on two "hosts": network namespaces joined by a veth pair.
#
#   scripts/netns/run.sh [-n RANKS_PER_HOST] [-rate RATE] [-delay TIME] -- COMMAND [ARGS...]
#
# -n      ranks in each namespace (default 1)
# -rate   limits each direction of the veth pair by a token bucket: 1gbit, 200mbit (tc's units)
# -delay  adds this much one-way delay to each direction: 50us, 10ms (tc netem)
#
# At the end it tells what each host's card has sent and, with -rate and for a COMMAND that prints
# cmd/bench's JSON, what share of the bound each line reaches: the time in which the rate carries the
# bytes that a host must send or receive however it is done (2(h-1)/h of the vector for an all-reduce
# among h hosts, whatever the ranks on each), by the measured time. tbf counts every packet with its
# Ethernet, IP and TCP headers, 66 of 1514 bytes, so a full link reaches 95.6 %.
#
# Each rank finds what torchrun would tell it (RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE,
# MASTER_ADDR, MASTER_PORT), a TUTTI_SECRET, without which nothing listens off the loopback, and a
# TUTTI_HOST_ID of its own host. Output is prefixed with host and rank. The exit status is that of
# the first rank that fails; the others are then ended. Everything is taken down again at the end,
# however it ends. Needs root, iproute2 and, for -rate and -delay, the kernel's tbf and netem.
set -u

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

ranks=1 rate='' delay=''
while [ $# -gt 0 ]; do
	case $1 in
	-n) [ $# -ge 2 ] || usage; ranks=$2; shift 2 ;;
	-rate) [ $# -ge 2 ] || usage; rate=$2; shift 2 ;;
	-delay) [ $# -ge 2 ] || usage; delay=$2; shift 2 ;;
	--) shift; break ;;
	*) usage ;;
	esac
done
case $ranks in '' | *[!0-9]* | 0) usage ;; esac
[ $# -gt 0 ] || usage
if [ "$(id -u)" -ne 0 ]; then
	echo "netns: only root may make network namespaces; use sudo" >&2
	exit 2
fi

# Names and the network differ between runs side by side. Interface names have 15 bytes at most.
id=$$
host=("ttA$id" "ttB$id") card=("tA$id" "tB$id")
net="10.$((id / 256 % 256)).$((id % 256))"
address=("$net.1" "$net.2")
dir=$(mktemp -d)
pids=()
reaper=''

# A rank is the leader of a session of its own, so that what it has started ends with it.
end_ranks() {
	for pid in "${pids[@]}"; do
		kill -s "$1" -- "-$pid" 2>/dev/null
	done
}

cleanup() {
	trap - EXIT INT TERM HUP
	[ -z "$reaper" ] || kill "$reaper" 2>/dev/null
	end_ranks KILL
	wait 2>/dev/null
	for h in 0 1; do
		# The veth pair disappears with either of its namespaces.
		ip netns del "${host[h]}" 2>/dev/null
	done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

make_hosts() {
	ip netns add "${host[0]}" && ip netns add "${host[1]}" &&
		ip link add "${card[0]}" netns "${host[0]}" type veth peer name "${card[1]}" netns "${host[1]}" ||
		return
	for h in 0 1; do
		ip -n "${host[h]}" link set lo up &&
			ip -n "${host[h]}" address add "${address[h]}/24" dev "${card[h]}" &&
			ip -n "${host[h]}" link set "${card[h]}" up || return
		parent=root
		if [ -n "$rate" ]; then
			tc -n "${host[h]}" qdisc add dev "${card[h]}" root handle 1: \
				tbf rate "$rate" burst 256kb latency 50ms || return
			parent='parent 1:1'
		fi
		if [ -n "$delay" ]; then
			# shellcheck disable=SC2086
			tc -n "${host[h]}" qdisc add dev "${card[h]}" $parent netem delay "$delay" limit 100000 ||
				return
		fi
	done
}

# await_link returns when both ends of the pair carry frames, which takes the kernel a moment.
await_link() {
	for _ in $(seq 100); do
		up=0
		for h in 0 1; do
			ip -n "${host[h]}" -br link show dev "${card[h]}" | grep -q ' UP ' && up=$((up + 1))
		done
		[ $up -eq 2 ] && return
		sleep 0.05
	done
	echo "netns: the veth pair does not come up" >&2
	return 1
}

make_hosts && await_link || {
	echo "netns: the hosts could not be made" >&2
	exit 1
}

# shares tells of each line of bench's JSON how much of the bound it reaches.
shares() {
	local bytes_per_second
	bytes_per_second=$(tc -n "${host[0]}" -j qdisc show dev "${card[0]}" |
		sed -n 's/.*"kind":"tbf"[^}]*"rate":\([0-9]*\).*/\1/p')
	awk -v rate="$bytes_per_second" -v ranks="$ranks" '
		function field(name) {
			if (!match($0, "\"" name "\":\"?[^,\"}]*")) return ""
			text = substr($0, RSTART, RLENGTH)
			sub(/^[^:]*:"?/, "", text)
			return text
		}
		BEGIN {
			part["allreduce"] = part["broadcast"] = part["reduce"] = 1
			part["allgather"] = part["reducescatter"] = part["gather"] = part["scatter"] = 1 / 2
			part["alltoall"] = ranks / 2
			wide["f32"] = 4
			wide["bf16"] = wide["f16"] = 2
		}
		/^{/ && field("op") in part && field("bytes") > 0 && field("time_us") > 0 {
			bound = field("bytes") * part[field("op")] / rate * 1e6
			if (field("wire") != field("dtype")) bound *= wide[field("wire")] / wide[field("dtype")]
			printf "netns: %s %s of %d bytes%s: %.0f us, %.0f us by the rate alone: %.1f %%\n", \
				field("op"), field("algo"), field("bytes"), \
				field("inplace") == "true" ? " in place" : "", field("time_us"), bound, \
				100 * bound / field("time_us")
		}' "$dir/stdout"
}

size=$((2 * ranks))
secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
port=$((20000 + id % 10000))

# start HOST LOCAL_RANK COMMAND... runs a rank in the background and notes how it ended.
start() {
	local h=$1 local_rank=$2 rank=$(($1 * ranks + $2))
	shift 2
	local out="$dir/out$rank" err="$dir/err$rank"
	mkfifo "$out" "$err"
	tee -a "$dir/stdout" <"$out" | sed -u "s/^/[${host[h]:0:3} $rank] /" &
	readers+=($!)
	sed -u "s/^/[${host[h]:0:3} $rank] /" <"$err" >&2 &
	readers+=($!)
	setsid ip netns exec "${host[h]}" env \
		RANK=$rank WORLD_SIZE=$size LOCAL_RANK="$local_rank" LOCAL_WORLD_SIZE="$ranks" \
		MASTER_ADDR="${address[0]}" MASTER_PORT=$port \
		TUTTI_SECRET="$secret" TUTTI_HOST_ID="${host[h]}" "$@" >"$out" 2>"$err" </dev/null &
	pids+=($!)
}

readers=()
for h in 0 1; do
	for ((l = 0; l < ranks; l++)); do
		start "$h" "$l" "$@"
	done
done

status=0
left=("${pids[@]}")
while [ ${#left[@]} -gt 0 ]; do
	wait -n -p ended "${left[@]}"
	code=$?
	[ -n "${ended:-}" ] || break
	if [ $code -ne 0 ] && [ $status -eq 0 ]; then
		status=$code
		for i in "${!pids[@]}"; do
			[ "${pids[i]}" = "$ended" ] &&
				echo "netns: rank $i on ${host[i / ranks]} failed first, with status $code" >&2
		done
		# Ranks tell each other of a failure; give them a moment to say what they saw.
		(sleep 5; end_ranks TERM; sleep 5; end_ranks KILL) &
		reaper=$!
	fi
	rest=()
	for pid in "${left[@]}"; do
		[ "$pid" = "$ended" ] || rest+=("$pid")
	done
	left=(${rest[@]+"${rest[@]}"})
done
wait "${readers[@]}"
for h in 0 1; do
	echo "netns: host ${host[h]:0:3} has sent $(ip netns exec "${host[h]}" \
		cat "/sys/class/net/${card[h]}/statistics/tx_bytes") bytes"
done
[ -z "$rate" ] || shares
exit $status
