/* Stands first on the include path of the universal ABI, so that including CPython's header fails.
 */
#ifdef HPY_ABI_UNIVERSAL
#error "It is forbidden to #include <Python.h> when targeting the HPy Universal ABI"
#else
#error "Internal HPy error, something is wrong with your build system."
#endif
