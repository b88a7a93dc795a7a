#!/bin/sh
# Prints the CPythons of this machine that hpy supports and can be built for, the newest first, one path a
# line: those on PATH (python3, python3.9, ...) and pyenv's versions. Of equal versions at different
# places each counts; a link to one that was seen does not.
#
# Fit is a CPython 3.9 to 3.13 with the GIL, its Python.h, and ensurepip (for virtual environments).
set -eu

probe='
import os, sys, sysconfig
fit = (sys.implementation.name == "cpython" and (3, 9) <= sys.version_info[:2] <= (3, 13)
       and not sysconfig.get_config_var("Py_GIL_DISABLED") and sys.prefix == sys.base_prefix)
try:
    import ensurepip
except ImportError:
    fit = False
if fit and os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
    print("%d.%03d.%03d %s" % (sys.version_info[:3] + (os.path.realpath(sys.executable),)))
'

candidates() {
  for name in python3 python3.13 python3.12 python3.11 python3.10 python3.9; do
    IFS=:
    for folder in $PATH; do
      printf '%s/%s\n' "$folder" "$name"
    done
    unset IFS
  done
  pyenv_root=${PYENV_ROOT:-}
  if [ -z "$pyenv_root" ] && command -v pyenv >/dev/null 2>&1; then
    pyenv_root=$(pyenv root)
  fi
  for python in "${pyenv_root:-$HOME/.pyenv}"/versions/3.*/bin/python3; do
    printf '%s\n' "$python"
  done
}

candidates | while IFS= read -r python; do
  if [ -x "$python" ]; then
    "$python" -c "$probe" 2>/dev/null || true
  fi
done | sort -ru | cut -d' ' -f2-
