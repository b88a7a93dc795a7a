#!/bin/sh
# Installs what the project needs and this machine lacks; nothing if there is all.
#
#   cmake/install_deps.sh system GROUP...             Debian packages of the groups build, test, lint
#   cmake/install_deps.sh venv FOLDER PYTHON SECTION...
#       the virtual environment FOLDER with these sections of requirements-dev.txt; PYTHON is an
#       interpreter or `newest`
#
# The one place that names the Debian packages. Without root it prints the command that installs them
# and stops with status 1. On a system without dpkg it names them and goes on.
set -eu
here=$(dirname "$0")

build_packages='g++ make pkg-config ccache libabsl-dev libfmt-dev libunwind-dev libdw-dev iso-codes'
test_packages='libgtest-dev libbenchmark-dev clang binutils pypy3 gdb valgrind chromium'
lint_packages='clang-format clang-tidy'
# Only where no other interpreter fits (cmake/find_pythons.sh).
python_packages='python3 python3-dev python3-venv'

install_packages() {
  if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is no Debian; make sure that you have what these Debian packages hold: $*" >&2
    return
  fi
  missing=''
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "These Debian packages are missing:$missing. Install them with" >&2
    echo "    sudo apt-get install$missing" >&2
    exit 1
  fi
  echo "Installing$missing"
  export DEBIAN_FRONTEND=noninteractive
  # A machine without package lists, or with old ones, finds them after an update.
  # shellcheck disable=SC2086 # one word a package
  apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 ||
    { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; }
}

newest_python() {
  "$here/find_pythons.sh" | head -n 1
}

case "${1:-}" in
  system)
    shift
    wanted=''
    for group in "$@"; do
      case "$group" in
        build)
          wanted="$wanted $build_packages"
          [ -n "$(newest_python)" ] || wanted="$wanted $python_packages"
          ;;
        test) wanted="$wanted $test_packages" ;;
        lint) wanted="$wanted $lint_packages" ;;
        *) echo "unknown group $group: there are build, test, lint" >&2; exit 2 ;;
      esac
    done
    # shellcheck disable=SC2086
    install_packages $wanted
    ;;
  venv)
    folder=$2
    python=$3
    shift 3
    if [ "$python" = newest ]; then
      python=$(newest_python)
      if [ -z "$python" ]; then
        echo "No CPython 3.9 to 3.13 with headers and ensurepip was found. On Debian, install" >&2
        echo "    sudo apt-get install $python_packages" >&2
        exit 1
      fi
    fi
    # An environment of another interpreter, or one that was not finished, is made anew.
    if [ "$(cat "$folder/.made-with" 2>/dev/null)" != "$python" ]; then
      echo "Making $folder with $python"
      rm -rf "$folder"
      "$python" -m venv "$folder"
      echo "$python" > "$folder/.made-with"
    fi
    for section in "$@"; do
      sed -n "/^# $section\$/,/^\$/p" "$here/../requirements-dev.txt"
    done > "$folder/requirements.txt"
    "$folder/bin/python" -m pip install -q --disable-pip-version-check -r "$folder/requirements.txt"
    ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
