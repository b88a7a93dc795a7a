/* Which binary interface is compiled: reads HPY_ABI_*, defines HPY_ABI and the version macros.
 *
 *   HPY_ABI_CPYTHON    calls the Python/C API directly; the binary needs no hpy at run time
 *   HPY_ABI_UNIVERSAL  every call goes through the HPyContext; Python.h must not be included
 *   HPY_ABI_HYBRID     as universal, and calls of the Python/C API are allowed beside it
 *
 * A build system defines exactly one of them. The older spelling had HPY_UNIVERSAL_ABI for the
 * universal ABI and nothing for CPython's: the first means hybrid when Python.h was included before
 * (with the universal ABI that is an error), the second is understood where Python.h can be found.
 */
#ifndef HPY_ABI_CHOICE_H
#define HPY_ABI_CHOICE_H

#if !defined(HPY_ABI_CPYTHON) && !defined(HPY_ABI_UNIVERSAL) && !defined(HPY_ABI_HYBRID)
#if defined(HPY_UNIVERSAL_ABI)
#if defined(Py_PYTHON_H)
#define HPY_ABI_HYBRID
#else
#define HPY_ABI_UNIVERSAL
#endif
#elif defined(Py_PYTHON_H)
#define HPY_ABI_CPYTHON
#elif defined(__has_include)
#if __has_include(<Python.h>)
#define HPY_ABI_CPYTHON
#endif
#endif
#endif

#if defined(HPY_ABI_CPYTHON) && defined(HPY_ABI_HYBRID)
#error "Conflicting macros are defined: HPY_ABI_CPYTHON and HPY_ABI_HYBRID"
#endif
#if defined(HPY_ABI_CPYTHON) && defined(HPY_ABI_UNIVERSAL)
#error "Conflicting macros are defined: HPY_ABI_CPYTHON and HPY_ABI_UNIVERSAL"
#endif
#if defined(HPY_ABI_HYBRID) && defined(HPY_ABI_UNIVERSAL)
#error "Conflicting macros are defined: HPY_ABI_HYBRID and HPY_ABI_UNIVERSAL"
#endif

#if defined(HPY_ABI_CPYTHON)
#define HPY_ABI "cpython"
#elif defined(HPY_ABI_UNIVERSAL)
#define HPY_ABI "universal"
#elif defined(HPY_ABI_HYBRID)
#define HPY_ABI "hybrid"
#else
/* The message is one line. */
/* clang-format off */
#error "Cannot determine the desired HPy ABI: you must set one of HPY_ABI_CPYTHON, HPY_ABI_UNIVERSAL or HPY_ABI_HYBRID"
/* clang-format on */
#endif

/* Versions with different majors are incompatible; minor N + 1 is binary compatible with minor N.
 */
#define HPY_ABI_VERSION 0
#define HPY_ABI_VERSION_MINOR 0
#define HPY_ABI_TAG "hpy0"

#ifndef HPY_ABI_UNIVERSAL
#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>
#endif

#endif /* HPY_ABI_CHOICE_H */
