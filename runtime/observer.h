/* What the debug mode asks the runtime about objects, and what it is told of their life. Internal.
 *
 * Objects are `void *`, for the type differs with what includes hpy.h. Everything is called under
 * the GIL. */
#ifndef HPY_RUNTIME_OBSERVER_H_
#define HPY_RUNTIME_OBSERVER_H_

#include "hpy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The bytes that an observed type has behind its struct, for the debug mode to write a pattern to. */
#define HPY_GUARD_SIZE 64

/* What the observer is told. It may not run Python code nor touch reference counts then: garbage may
 * be about to be collected, the owner may be dying. */
typedef struct {
  /* `field` of the struct of `owner` refers to `value` from now on (NULL: to nothing), and no longer
   * to `old`, and no extension in debug mode has done it: a member descriptor, or a library in the
   * universal mode. `owner` may be NULL. */
  void (*stored)(void *owner, const HPyField *field, void *old, void *value);
  /* tp_clear, or the deallocation, has set a field to null. */
  void (*taken)(void *owner, void *value);
  /* They have gone through all fields. The owner's life ends if `dies`. */
  void (*cleared)(void *owner, int dies);
  /* The memory is going to be freed; HPy_tp_destroy has run. */
  void (*dies)(void *object);
} _HPyObserver;

/* How the fields of an object's struct are visited. */
enum {
  HPY_FIELDS_NO_TRAVERSE = 0, /* the type has no tp_traverse for them */
  HPY_FIELDS_FOREIGN = 1,     /* it has one that is not HPy's, or its end is not observed */
  HPY_FIELDS_OBSERVED = 2     /* HPy_tp_traverse, and `cleared` tells of the end */
};

typedef struct {
  /* Installs the observer of this process. Stores through the universal context are observed as well
   * from then on: it gets another ctx_Field_Store. What was in its place is returned: the caller's
   * own stores go there. */
  void (*(*install)(HPyContext *universal, const _HPyObserver *observer))(HPyContext *, HPy,
                                                                          HPyField *, HPy);
  /* HPyType_FromSpec for a type whose objects are observed from their creation on: it has the
   * generated tp_dealloc and, where that is possible, HPY_GUARD_SIZE bytes behind its struct. */
  HPy (*type_from_spec)(HPyType_Spec *spec, HPyType_SpecParam *params);
  /* Whether type_from_spec made the type of the object, or the HPy type that it is a subclass of. */
  int (*is_observed)(void *object);
  /* The guard behind the object's struct, zero until somebody writes to it. NULL: it has none. */
  char *(*guard_of)(void *object, HPy_ssize_t *struct_size);
  /* The object's struct. NULL: its type is none of HPy's. */
  char *(*struct_of)(void *object, HPy_ssize_t *struct_size);
  /* Whether there is a struct of that shape in the object, as _HPyType_GetBuiltinShape counts. */
  int (*has_shape)(void *object, int shape);
  /* One of HPY_FIELDS_*. */
  int (*fields_of)(void *object);
  /* Calls HPy_tp_traverse of an object that is HPY_FIELDS_OBSERVED. */
  int (*traverse)(void *object, HPyFunc_visitproc visit, void *arg);
  /* That function. */
  HPyFunc_traverseproc (*traverse_function)(void *object);
} _HPyObserverFunctions;

#ifdef __cplusplus
}
#endif

#endif
