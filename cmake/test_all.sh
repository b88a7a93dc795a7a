#!/bin/sh
# test_all.sh BUILD JOBS PYTEST-ARGUMENTS...: the GoogleTests, then pytest on every CPython of this machine.
#
# The binaries of all of them lie side by side in the one tree BUILD/python; each has its environment in
# BUILD/venvs. What failed is named at the end.
set -eu
here=$(dirname "$0")
build=$1
jobs=$2
shift 2

pythons=$("$here/find_pythons.sh")
if [ -z "$pythons" ]; then
  echo "No CPython 3.9 to 3.13 with headers was found." >&2
  exit 1
fi
.venv/bin/cmake -B "$build" -DHPY_PYTHONS="$(echo "$pythons" | paste -s -d';')"
.venv/bin/cmake --build "$build"
failed=''
.venv/bin/ctest --test-dir "$build" --output-on-failure --no-tests=ignore || failed='ctest'
for python in $pythons; do
  version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
  venv="$build/venvs/$version"
  if [ ! "$venv/.stamp" -nt requirements-dev.txt ]; then
    "$here/install_deps.sh" venv "$venv" "$python" test
    touch "$venv/.stamp"
  fi
  echo "=== CPython $version"
  HPY_BUILD_DIR="$build" "$venv/bin/python" -m pytest -n "$jobs" "$@" || failed="$failed $version"
done
if [ -n "$failed" ]; then
  echo "Failed: $failed" >&2
  exit 1
fi
