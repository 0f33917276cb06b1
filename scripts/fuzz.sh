#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the given time each (30s).
# Stops at the first that finds an input, which go test leaves in the package's testdata.
#
#   scripts/fuzz.sh [time] [packages]
set -euo pipefail
cd "$(dirname "$0")/.."

duration=${1:-30s}
shift || true
packages=("$@")
[ ${#packages[@]} -gt 0 ] || packages=(./...)

found=0
for package in $(go list "${packages[@]}"); do
	# Only packages with a target in their sources are compiled to be asked for its name.
	dir=$(go list -f '{{.Dir}}' "$package")
	grep -qs '^func Fuzz' "$dir"/*_test.go || continue
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz'); do
		found=$((found + 1))
		echo "== $package $target $duration"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package"
	done
done
echo "$found fuzz targets, $duration each: nothing found"
[ "$found" -gt 0 ]
