// What the debug context needs to know about objects themselves: the part of the host interface that
// looks inside them. Called by a thread that holds the interpreter.
#ifndef HPY_DEBUG_CTX_HOST_OBJECTS_H_
#define HPY_DEBUG_CTX_HOST_OBJECTS_H_

#include <cstddef>
#include <cstdint>

#include "hpy.h"

namespace hpy::debug_ctx {

// How the fields of an object are visited.
enum class FieldVisits {
  kNone,     // its type has no tp_traverse for them
  kForeign,  // by a function that is not HPy's, or nobody tells when the object's life ends
  kObserved  // by HPy_tp_traverse, and State::fields is told of the end
};

// The memory behind the native struct of an object that belongs to the debug context. Zero until it
// writes there.
struct StructGuard {
  char* bytes = nullptr;  // null: the object has none
  size_t struct_size = 0;
};

class ObjectHost {
 public:
  virtual ~ObjectHost() = default;

  // Whether the (native) object has a native struct of that shape. An object of no HPy type has the
  // shape Legacy alone. A plain function, for HPy_AsStruct has nothing else to wait for.
  int (*has_shape)(void* object, int shape) = nullptr;
  // HPyType_FromSpec for a type whose objects are observed, and have a StructGuard where they can.
  virtual HPy NewType(HPyType_Spec* spec, HPyType_SpecParam* params) = 0;
  // Whether the object's type was made by NewType (or is a subclass of one), so that nothing was
  // stored in its fields before we looked.
  virtual bool IsObserved(HPy object) = 0;
  virtual StructGuard GuardOf(HPy object) = 0;
  // The native struct of an object of an HPy type; no bytes for any other.
  struct Struct {
    const char* bytes = nullptr;
    size_t size = 0;
  };
  virtual Struct StructOf(HPy object) = 0;

  virtual FieldVisits FieldVisitsOf(HPy object) = 0;
  // Calls HPy_tp_traverse of an object that is kObserved.
  virtual void Traverse(HPy object, HPyFunc_visitproc visit, void* arg) = 0;
  // That function.
  virtual HPyCFunction TraverseFunction(HPy object) = 0;
  // HPyField_Store of the universal context, where nobody is told of it.
  virtual void StoreField(HPy owner, HPyField* field, HPy value) = 0;

  // The bounds of the thread's stack; both 0 where they are not known.
  struct Bounds {
    uintptr_t low, high;
  };
  virtual Bounds ThreadStack() = 0;
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_HOST_OBJECTS_H_
