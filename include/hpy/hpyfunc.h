/* The signatures of implementations: HPyFunc_Signature, and a pointer type for each. */
#ifndef HPY_HPYFUNC_H
#define HPY_HPYFUNC_H

#include "hpy/slots.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void* (*HPyCFunction)(void);

/* What HPy_tp_traverse calls for each of the object's fields. */
typedef int (*HPyFunc_visitproc)(HPyField*, void*);

/* Only the first four are legal for a method. The enumerators have to stay enumerators: the
 * definition macros paste their names. */
typedef enum _HPy_ANY_INT {
#define HPY_SIGNATURE(value, NAME, ...) HPyFunc_##NAME = value,
#define HPY_SIGNATURE_BARE(value, NAME, ...) HPyFunc_##NAME = value,
#define HPY_SIGNATURE_RESERVED(value, NAME) HPyFunc_##NAME = value,
#include "hpy/abi/signatures.inc"
  _HPyFunc_Signature_END
} HPyFunc_Signature;

/* HPyFunc_binaryfunc points to an implementation; _HPyFuncType_HPyFunc_BINARYFUNC is its function
 * type, with which HPyFunc_DECLARE declares one. */
#define HPY_SIGNATURE(value, NAME, type, ret, params, ...) \
  typedef ret(*type) params;                               \
  typedef ret _HPyFuncType_HPyFunc_##NAME params;
#define HPY_SIGNATURE_BARE(value, NAME, type, ret, params) \
  typedef ret(*type) params;                               \
  typedef ret _HPyFuncType_HPyFunc_##NAME params;
#include "hpy/abi/signatures.inc"

typedef enum {
#define HPY_SLOT(name, value, SIGNATURE) name = value,
#include "hpy/abi/slots.inc"
  _HPySlot_Slot_END
} HPySlot_Slot;

#ifdef __cplusplus
}
#endif

#endif /* HPY_HPYFUNC_H */
