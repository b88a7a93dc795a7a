"""Prints what the build must know of the interpreter that runs this: one KEY=VALUE a line."""

import os
import sys
import sysconfig

paths = sysconfig.get_paths()
facts = {
    "VERSION": ".".join(map(str, sys.version_info[:3])),
    "IMPLEMENTATION": sys.implementation.name,
    "SOABI": sysconfig.get_config_var("SOABI") or "",
    "EXT_SUFFIX": sysconfig.get_config_var("EXT_SUFFIX") or "",
    "FREE_THREADED": "1" if sysconfig.get_config_var("Py_GIL_DISABLED") else "0",
    "INCLUDE": ";".join(dict.fromkeys((paths["include"], paths["platinclude"]))),
    "HAS_HEADERS": "1" if os.path.exists(os.path.join(paths["include"], "Python.h")) else "0",
}
for key, value in facts.items():
    print(f"{key}={value}")
