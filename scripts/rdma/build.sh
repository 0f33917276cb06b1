#!/usr/bin/env bash
# Makes what run.sh boots: a kernel with soft RoCE (rdma_rxe) and the part of its file system that is
# the same for every program. Installs the Debian packages for it, downloads Debian's kernel, which
# it only unpacks, and leaves in build/rdma/, or in $RDMA_CACHE:
#
#   kernel       Debian's kernel, uncompressed: an emulated processor takes seconds to do that
#   base.cpio    init, busybox, iproute2, libibverbs' provider for rxe, and the kernel's modules
#   base.stamp   what these were made from
#
# A second run does nothing, and two at once do not disturb each other. Root is needed only for
# packages that are missing.
#
#   scripts/rdma/build.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/rdma/pack.sh
cache=${RDMA_CACHE:-build/rdma}

# The order in which init loads them. rxe asks for crc32_generic by an alias that only modprobe would
# know; the last two are for links between two devices and for their faults.
modules=(crc32_generic udp_tunnel ip6_udp_tunnel ib_core ib_uverbs rdma_rxe veth sch_netem)

fail() {
	echo "rdma: $*" >&2
	exit 1
}

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] ||
	fail "the virtual machine is made of Debian's packages for amd64, and this is another system"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
scripts/setup.sh qemu-system-x86 busybox-static cpio xz-utils iproute2 libibverbs1 \
	ibverbs-providers libibverbs-dev pkg-config gcc libc6-dev ca-certificates

stamp=$(cat scripts/rdma/{build.sh,pack.sh,init} <(dpkg-query --show busybox-static iproute2 \
	libibverbs1 ibverbs-providers libc6) | sha256sum)
if [ "$(cat "$cache/base.stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

kernel_package() {
	apt-cache depends linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# fetch_kernel leaves the kernel and its modules, no more, in the cache's tree of that kernel.
fetch_kernel() {
	local package
	package=$(kernel_package)
	if [ -z "$package" ]; then
		as_root=()
		[ "$(id -u)" -eq 0 ] || as_root=(sudo)
		"${as_root[@]}" apt-get update --quiet
		package=$(kernel_package)
	fi
	[ -n "$package" ] || fail "apt knows no linux-image-amd64: look at /etc/apt/sources.list"
	tree=$cache/$package
	[ -d "$tree" ] && return
	echo "rdma: downloading $package"
	# As root in a directory of its own, apt would warn that it does not change its user.
	(cd "$work" && apt-get --quiet --quiet -o APT::Sandbox::User=root download "$package") ||
		fail "$package could not be downloaded"
	mkdir "$work/tree"
	local wanted=('./boot/vmlinuz-*')
	for module in "${modules[@]}"; do
		wanted+=("*/$module.ko*")
	done
	dpkg-deb --fsys-tarfile "$work"/linux-image-*.deb |
		tar --extract --directory "$work/tree" --wildcards "${wanted[@]}" ||
		fail "$package does not have all of: ${modules[*]}"
	mv "$work/tree" "$tree"
}

# uncompress_kernel takes the ELF file out of a bzImage, where it is an xz stream. A kernel that is
# compressed in another way boots as it is, only more slowly.
uncompress_kernel() {
	local image=$1 out=$2 offset
	# The code that uncompresses it has the same first bytes somewhere.
	while IFS=: read -r offset _; do
		# xz complains of what follows the stream, after it has written all of it.
		tail --bytes +$((offset + 1)) "$image" | xz -dc --single-stream >"$out" 2>/dev/null || true
		if [ "$(head --bytes 4 "$out" | tail --bytes 3)" = ELF ]; then
			return
		fi
	done < <(LC_ALL=C grep --text --byte-offset --only-matching $'\xfd7zXZ' "$image")
	cp "$image" "$out"
}

make_root() {
	local root=$1 position=0 file applet
	mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,out,job,root,etc/libibverbs.d,modules}
	install -m 755 scripts/rdma/init "$root/init"
	pack "$root" "$(command -v busybox)" bin/busybox
	pack "$root" "$(PATH=$PATH:/sbin command -v ip)" bin/ip
	pack "$root" "$(PATH=$PATH:/sbin command -v tc)" sbin/tc
	pack "$root" "$(PATH=$PATH:/sbin command -v rdma)" bin/rdma
	for applet in $(busybox --list); do
		# busybox has an ip and a tc too, which do not know all that iproute2's know.
		[ -e "$root/bin/$applet" ] || [ "$applet" = tc ] || ln -s busybox "$root/bin/$applet"
	done
	# The provider is loaded by name, so no program's list of libraries has it.
	for file in /usr/lib/*/libibverbs/librxe-rdmav*.so; do
		pack "$root" "$file" "${file#/}"
	done
	cp /etc/libibverbs.d/rxe.driver "$root/etc/libibverbs.d/"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	printf '127.0.0.1 localhost rxe\n::1 localhost\n' >"$root/etc/hosts"
	for module in "${modules[@]}"; do
		position=$((position + 1))
		file=$(find "$tree" -name "$module.ko*" | head -n 1)
		case $file in
		*.ko) cp "$file" "$root/modules/$position-$module.ko" ;;
		*.xz) xz -dc "$file" >"$root/modules/$position-$module.ko" ;;
		*) fail "the kernel's module $module is of no known kind: '$file'" ;;
		esac
	done
}

fetch_kernel
uncompress_kernel "$(find "$tree/boot" -name 'vmlinuz-*' | head -n 1)" "$work/kernel"
make_root "$work/root"
archive "$work/root" >"$work/base.cpio"
mv "$work/kernel" "$work/base.cpio" "$cache/"
echo "$stamp" >"$cache/base.stamp"
echo "rdma: $cache has $(basename "$tree") and its base file system"
