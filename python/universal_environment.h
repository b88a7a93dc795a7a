// Which mode the environment variables HPY and HPY_DEBUG ask for.
#ifndef HPY_PYTHON_UNIVERSAL_ENVIRONMENT_H_
#define HPY_PYTHON_UNIVERSAL_ENVIRONMENT_H_

#include <Python.h>

#include "universal/loader.h"

namespace hpy::python {

// The mode for the module called `full_name`, which is also known as `short_name`, according to
// `environment` (a mapping of str). False with an exception set: an invalid HPY is a ValueError, a
// value that is no str a TypeError, and exceptions of the mapping other than KeyError are passed
// on.
//
//   HPY=MODE, HPY=NAME:MODE,NAME:MODE  MODE is debug, trace or universal in upper or lower case; a
//   module that
//                                      no entry names is universal, and the first entry that names
//                                      it counts.
//   HPY_DEBUG=1, HPY_DEBUG=NAME,NAME   the older spelling; read where HPY is not set.
//
// A module is named by its full dotted name or by the last component of it.
bool ModeFromEnvironment(PyObject* environment, PyObject* full_name, PyObject* short_name,
                         universal::Mode* mode);

// 1 when `environment` has HPY_LOG, with whatever value, 0 when not, -1 with an exception set.
int LogIsWanted(PyObject* environment);

}  // namespace hpy::python

#endif  // HPY_PYTHON_UNIVERSAL_ENVIRONMENT_H_
