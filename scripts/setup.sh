#!/usr/bin/env bash
# Installs those of the given Debian packages that are not there yet, and says so. What is there,
# from Debian or from elsewhere, is left alone, so that a second run does nothing.
#
#   scripts/setup.sh redis-server python3-zmq iproute2
set -euo pipefail

have() {
	case $1 in
	redis-server) command -v redis-server ;;
	# The tests that need a foreign ZeroMQ start Debian's interpreter, not one from elsewhere.
	python3-zmq) [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import zmq' ;;
	iproute2) command -v ip ;;
	make) command -v make ;;
	gcc | g++) command -v "$1" ;;
	libc6-dev) [ -e /usr/include/stdlib.h ] ;;
	ca-certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] ;;
	*) [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1")" = installed ] ;;
	esac >/dev/null 2>&1
}

missing=()
for package in "$@"; do
	have "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	as_root=(sudo)
fi
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
	apt-get install --yes --no-install-recommends "${missing[@]}")

if ! command -v apt-get >/dev/null; then
	echo "setup: not a Debian system: please install what it calls ${missing[*]}" >&2
	exit 1
fi
if [ ${#as_root[@]} -gt 0 ] && ! command -v sudo >/dev/null; then
	echo "setup: neither root nor sudo: please have these packages installed: ${missing[*]}" >&2
	exit 1
fi
echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get update --quiet
# A package may start its service while it is installed; the tests start their own.
"${install[@]}" </dev/null

for package in "${missing[@]}"; do
	have "$package" || {
		echo "setup: $package is installed, yet what it is for does not work" >&2
		exit 1
	}
done
