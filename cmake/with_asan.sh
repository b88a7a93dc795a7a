#!/bin/sh
# with_asan.sh COMMAND...: runs a command whose Python loads modules that are built with AddressSanitizer.
#
# The interpreter itself has none, so the run-time library is loaded first, and libstdc++ with it: ASan
# looks for __cxa_throw at its start. Python's allocator is passed by, to see its blocks; that
# interpreters never free everything is no leak of ours. Faults are left to those who handle them: the
# tests of guarded memory fault on purpose. And what is too large to be had is no error of the caller.
set -eu
cxx=${CXX:-c++}
LD_PRELOAD="$("$cxx" -print-file-name=libasan.so):$("$cxx" -print-file-name=libstdc++.so)"
export LD_PRELOAD
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:handle_segv=0:handle_sigbus=0:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export PYTHONMALLOC=malloc
# CPython 3.13 lets deallocation nest 10 000 levels deep, counted in frames without instrumentation.
ulimit -s 65536 2>/dev/null || true
exec "$@"
