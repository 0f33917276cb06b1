#!/usr/bin/env bash
# Runs a program, such as a test binary, in a virtual machine with RDMA devices: Linux' soft RoCE,
# rdma_rxe, reached as any card through libibverbs. The machine is QEMU, emulated and so slow: it
# proves what works, never how fast. It needs no KVM, no root and no network of the host's.
#
#   scripts/rdma/run.sh [-t SECONDS] [-wire lo|veth] [-loss 1%] [-m MEBIBYTES] [-out DIR]
#                       [-with FILE]... [-count] BIN [ARGS...]
#
# -t      limit for the whole, from boot to poweroff (default 300)
# -wire   lo: one device, rxe0, on the loopback interface, 127.0.0.1 (default);
#         veth: rxe0 on v0, 10.9.0.1, and rxe1 on v1, 10.9.0.2, the two ends of a veth pair, so that
#         "/bin/ip link set v0 down" and "/sbin/tc qdisc ... netem" act on the packets between them
# -loss   with veth: the share of packets that are lost, each way
# -m      the machine's memory (default 1024)
# -out    a directory for what the program leaves in /out: -test.coverprofile=/out/cover.out
# -with   one more program for the machine's /bin, with its libraries
# -count  one processor, and a clock that counts its instructions, one a nanosecond: a time measured
#         in the machine then says how many it took, the same on a busy host as on an idle one
#
# BIN comes with the libraries it is linked with; one of this module, as a test binary (go test -c)
# is, starts in a directory with its package's testdata. It runs as root, with unlimited locked memory, on two
# processors; TUTTI_*, GORACE, GOTRACEBACK, GODEBUG and GOMAXPROCS reach it, and TUTTI_RDMA_WIRE says
# the wire, TUTTI_RDMA_LOSS its loss. As root is exempt from the limit of locked memory, a test of it
# starts a process as another user, 65534.
#
# The exit status is the program's; 124 if the time was up, 125 if the machine ended without one or
# could not be set up, 2 for wrong arguments.
set -euo pipefail

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

fail() {
	echo "rdma: $*" >&2
	exit 125
}

limit=300 wire=lo loss='' memory=1024 out='' with=() count=''
while [ $# -gt 0 ]; do
	case $1 in
	-t | -wire | -loss | -m | -out | -with) [ $# -ge 2 ] || usage ;;
	esac
	case $1 in
	-t) limit=$2; shift 2 ;;
	-wire) wire=$2; shift 2 ;;
	-loss) loss=$2; shift 2 ;;
	-m) memory=$2; shift 2 ;;
	-out) out=$2; shift 2 ;;
	-with) with+=("$(realpath "$2")"); shift 2 ;;
	-count) count=yes; shift ;;
	-*) usage ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || usage
case $wire in lo | veth) ;; *) usage ;; esac
case $limit$memory in *[!0-9]*) usage ;; esac
if [ -n "$loss" ] && [ "$wire" != veth ]; then
	echo "rdma: -loss needs -wire veth" >&2
	exit 2
fi
bin=$(realpath "$1")
shift
for file in "$bin" "${with[@]}"; do
	if [ ! -f "$file" ] || [ ! -x "$file" ]; then
		echo "rdma: $file is no program" >&2
		exit 2
	fi
done
[ -z "$out" ] || { mkdir -p "$out" && out=$(realpath "$out"); }

cd "$(dirname "$0")/../.."
. scripts/rdma/pack.sh
scripts/rdma/build.sh || fail "the virtual machine could not be made"
cache=$(realpath "${RDMA_CACHE:-build/rdma}")

work=$(mktemp -d)
qemu=''
# shellcheck disable=SC2317 # a trap calls it
cleanup() {
	trap - EXIT INT TERM HUP
	# timeout hands the signal on to QEMU.
	[ -z "$qemu" ] || { kill "$qemu" && wait "$qemu"; } 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

quote() {
	local word
	for word in "$@"; do
		printf "'%s' " "${word//\'/\'\\\'\'}"
	done
}

# package_dir prints where the package of a program lies in this module, if it does. A test binary
# has ".test" behind its path, but for that of a command.
package_dir() {
	go version -m "$bin" 2>/dev/null | awk '
		$1 == "path" { path = $2 }
		$1 == "mod" { module = $2 }
		END {
			sub(/\.test$/, "", path)
			if (module != "" && index(path, module "/") == 1)
				print substr(path, length(module) + 2)
		}' || true
}

# job fills the archive that follows the base: the program, its data, and what to do with it.
job() {
	local root=$work/job file dir name
	mkdir -p "$root/job"
	pack "$root" "$bin" "job/$(basename "$bin")"
	for file in "${with[@]}"; do
		pack "$root" "$file" "bin/$(basename "$file")"
	done
	dir=$(package_dir)
	dir=${dir:-.}
	mkdir -p "$root/job/$dir"
	[ ! -d "$dir/testdata" ] || cp -R "$dir/testdata" "$root/job/$dir/"
	{
		printf 'wire=%s loss=%s bring_out=%s\n' "$(quote "$wire")" "$(quote "$loss")" "${out:+yes}"
		printf 'export TUTTI_RDMA_WIRE=%s TUTTI_RDMA_LOSS=%s\n' "$wire" "$loss"
		for name in $(compgen -e); do
			case $name in
			TUTTI_RDMA_*) ;;
			TUTTI_* | GORACE | GOTRACEBACK | GODEBUG | GOMAXPROCS)
				printf 'export %s=%s\n' "$name" "$(quote "${!name}")"
				;;
			esac
		done
	} >"$root/job/settings"
	printf 'cd %s && exec %s\n' "$(quote "/job/$dir")" \
		"$(quote "/job/$(basename "$bin")" "$@")" >"$root/job/run"
	{ cat "$cache/base.cpio" && archive "$root"; } >"$work/initrd"
}

# boot runs the machine until it ends. tsc=reliable: Linux else drops the emulated clock for a slower
# one. no_timer_check: on a busy host the timer may be late, and Linux else takes it for broken. QEMU
# is told to take no KVM, as some hosts offer one that cannot boot this.
boot() {
	local processors=(-accel "tcg,thread=multi" -smp 2)
	if [ -n "$count" ]; then
		processors=(-accel "tcg,thread=single" -smp 1 -icount "shift=0,sleep=off")
	fi
	timeout --kill-after=5 "$limit" qemu-system-x86_64 "${processors[@]}" -M q35 -cpu max \
		-m "$memory" -nodefaults -no-user-config -no-reboot -display none \
		-serial "file:$work/console" -chardev stdio,id=output,signal=off -serial chardev:output \
		-serial "file:$work/status" -serial "file:$work/out.tar" \
		-kernel "$cache/kernel" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet panic=-1 oops=panic tsc=reliable no_timer_check" </dev/null &
	qemu=$!
	local code=0
	wait "$qemu" || code=$?
	qemu=''
	return $code
}

# kernel_said shows the last of the kernel's messages: it kills for want of memory, and it panics.
kernel_said() {
	local messages
	messages=$(tr -d '\r' <"$work/console" | grep -v 'reboot: Power down' | tail -n 40) || return 0
	printf "rdma: the kernel's last messages:\n%s\n" "$messages" >&2
}

job "$@"
code=0
boot || code=$?
status=$(cat "$work/status" 2>/dev/null || true)
if [ -s "$work/out.tar" ]; then
	tar --extract --file "$work/out.tar" --directory "$out" ||
		fail "what /out held did not come back whole"
fi
case $status in
'')
	kernel_said
	if [ $code -eq 124 ] || [ $code -eq 137 ]; then
		echo "rdma: $(basename "$bin") was not done in the virtual machine after $limit s (-t)" >&2
		exit 124
	fi
	fail "the virtual machine ended without the program's status (QEMU's own: $code)"
	;;
*[!0-9]*)
	kernel_said
	fail "the virtual machine could not be set up: $status"
	;;
0) ;;
*)
	kernel_said
	echo "rdma: $(basename "$bin") ended with status $status" >&2
	;;
esac
exit "$status"
