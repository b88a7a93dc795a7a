/* What the runtime keeps for each interpreter. Internal: extensions do not include it. */
#ifndef HPY_RUNTIME_CTX_INTERPRETER_H_
#define HPY_RUNTIME_CTX_INTERPRETER_H_

#include "ctx_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HPY_INTERPRETER_LOCAL __attribute__((visibility("hidden")))
#else
#define HPY_INTERPRETER_LOCAL
#endif

/* The record of one interpreter. Records are never freed: libraries keep the address of the context
 * in one, and code that runs at the very end of an interpreter still finds its (then empty) record.
 * When its interpreter has ended a record serves the next one.
 *
 * All of it is read and written under the GIL, which all these interpreters share: those with a GIL
 * of their own are refused when the module is imported. */
typedef struct _HPyInterpreter {
  struct _HPyInterpreter *next;
  PyInterpreterState *state; /* NULL: free for another interpreter */
  int64_t id;                /* of the interpreter that has the record or had it last */
  PyObject **globals; /* what the HPyGlobal of an index refers to; owned references, or NULL */
  Py_ssize_t globals_size;
  HPyContext *context;   /* universal context only */
  int context_is_filled; /* with the objects of this interpreter */
} _HPyInterpreter;

/* The only record in use, or NULL when there are several or none. In the universal context every
 * interpreter is attached when hpy.universal is imported, so this one belongs to the current
 * interpreter. (An extension of the CPython ABI learns of an interpreter from its first store
 * only.) */
extern HPY_INTERPRETER_LOCAL _HPyInterpreter *_HPyInterpreter_only;

/* The record of the current interpreter, which is made if there is none. NULL with an exception set
 * when that fails. What it refers to is released when the interpreter ends. */
HPY_INTERPRETER_LOCAL _HPyInterpreter *_HPyInterpreter_Attach(void);

/* The record of the current interpreter, or NULL without an exception. */
HPY_INTERPRETER_LOCAL _HPyInterpreter *_HPyInterpreter_Find(void);

#ifdef __cplusplus
}
#endif

#endif
