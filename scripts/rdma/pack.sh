# shellcheck shell=bash
# Sourced by build.sh and run.sh: files into the archives that the kernel unpacks as its root.

# pack ROOT FILE PLACE copies a program or library to ROOT/PLACE, and beside it, at their own places,
# the shared libraries that it is linked with.
pack() {
	local root=$1 file=$2 place=$3 library
	install -D --mode 755 "$file" "$root/$place"
	# ldd fails for what is not dynamic, which then needs nothing.
	{ ldd "$file" 2>/dev/null || true; } | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' |
		while read -r library; do
			[ -e "$root$library" ] || install -D --mode 755 "$library" "$root$library"
		done
}

# archive ROOT writes the tree as the kernel reads it, all of it root's.
archive() {
	(cd "$1" && find . -print0 | sort --zero-terminated |
		cpio --null --create --format newc --owner 0:0 --quiet)
}
