// How CPython enters an extension: native arguments become handles, the result becomes native
// again.
//
// A handle of the universal context is an address plus one, and handles that are arguments belong
// to the caller: so arguments cost an addition each, and no reference is counted.
#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "runtime/ctx_interpreter.h"
#include "universal/context.h"

namespace hpy::universal {
namespace {

void Borrow(PyObject* const* objects, size_t count, HPy* handles) {
  for (size_t i = 0; i < count; ++i) handles[i] = _py2h_nn(objects[i]);
}

// A function that gets an array of borrowed handles, or `failed` without memory for it. Short arrays,
// that is nearly all, do not leave the stack.
template <typename Result, typename Call>
Result WithBorrowed(PyObject* const* objects, size_t count, Result failed, const Call& call) {
  constexpr size_t kFew = 12;
  if (count > kFew) [[unlikely]] {
    HPy* const many = static_cast<HPy*>(PyMem_Malloc(count * sizeof(HPy)));
    if (many == nullptr) {
      PyErr_NoMemory();
      return failed;
    }
    Borrow(objects, count, many);
    const Result result = call(many);
    PyMem_Free(many);
    return result;
  }
  HPy few[kFew];
  Borrow(objects, count, few);
  return call(few);
}

PyObject* const* TupleItems(PyObject* tuple) {
  return reinterpret_cast<PyTupleObject*>(tuple)->ob_item;
}

template <typename Struct>
Struct& ArgsOf(void* args) {
  return *static_cast<Struct*>(args);
}

template <typename Function>
Function As(HPyCFunction func) {
  return reinterpret_cast<Function>(func);
}

void CallVarargs(HPyContext* ctx, HPyCFunction func, void* args) {
  auto& a = ArgsOf<_HPyFunc_args_VARARGS>(args);
  const auto nargs = static_cast<size_t>(a.nargs);
  const HPy self = _py2h(a.self);
  a.result = _h2py(WithBorrowed(a.args, nargs, HPy_NULL, [&](const HPy* handles) {
    return As<HPyFunc_varargs>(func)(ctx, self, handles, nargs);
  }));
}

// Serves as fastcall and as vectorcall function: nargsf may carry PY_VECTORCALL_ARGUMENTS_OFFSET.
void CallKeywords(HPyContext* ctx, HPyCFunction func, void* args) {
  auto& a = ArgsOf<_HPyFunc_args_KEYWORDS>(args);
  const auto nargs = static_cast<size_t>(PyVectorcall_NARGS(a.nargsf));
  size_t count = nargs;
  if (a.kwnames != nullptr) count += static_cast<size_t>(PyTuple_GET_SIZE(a.kwnames));
  const HPy self = _py2h(a.self), kwnames = _py2h(a.kwnames);
  a.result = _h2py(WithBorrowed(a.args, count, HPy_NULL, [&](const HPy* handles) {
    return As<HPyFunc_keywords>(func)(ctx, self, handles, nargs, kwnames);
  }));
}

void CallInit(HPyContext* ctx, HPyCFunction func, void* args) {
  auto& a = ArgsOf<_HPyFunc_args_INITPROC>(args);
  const HPy_ssize_t nargs = PyTuple_GET_SIZE(a.args);
  const HPy self = _py2h_nn(a.self), kw = _py2h(a.kw);
  a.result =
      WithBorrowed(TupleItems(a.args), static_cast<size_t>(nargs), -1, [&](const HPy* handles) {
        return As<HPyFunc_initproc>(func)(ctx, self, handles, nargs, kw);
      });
}

void CallNew(HPyContext* ctx, HPyCFunction func, void* args) {
  auto& a = ArgsOf<_HPyFunc_args_NEWFUNC>(args);
  const HPy_ssize_t nargs = PyTuple_GET_SIZE(a.args);
  const HPy type = _py2h_nn(a.self), kw = _py2h(a.kw);
  a.result = _h2py(WithBorrowed(TupleItems(a.args), static_cast<size_t>(nargs), HPy_NULL,
                                [&](const HPy* handles) {
                                  return As<HPyFunc_newfunc>(func)(ctx, type, handles, nargs, kw);
                                }));
}

void CallGetBuffer(HPyContext* ctx, HPyCFunction func, void* args) {
  auto& a = ArgsOf<_HPyFunc_args_GETBUFFERPROC>(args);
  HPy_buffer buffer = {};
  a.result = As<HPyFunc_getbufferproc>(func)(ctx, _py2h(a.self), &buffer, a.flags);
  if (a.result < 0) {
    a.view->obj = nullptr;
    return;
  }
  a.view->buf = buffer.buf;
  a.view->obj = _h2py(buffer.obj);  // the view takes over the reference of the handle
  a.view->len = buffer.len;
  a.view->itemsize = buffer.itemsize;
  a.view->readonly = buffer.readonly;
  a.view->ndim = buffer.ndim;
  a.view->format = buffer.format;
  a.view->shape = buffer.shape;
  a.view->strides = buffer.strides;
  a.view->suboffsets = buffer.suboffsets;
  a.view->internal = buffer.internal;
}

void CallReleaseBuffer(HPyContext* ctx, HPyCFunction func, void* args) {
  auto& a = ArgsOf<_HPyFunc_args_RELEASEBUFFERPROC>(args);
  HPy_buffer buffer = {};
  buffer.buf = a.view->buf;
  buffer.obj = _py2h(a.view->obj);
  buffer.len = a.view->len;
  buffer.itemsize = a.view->itemsize;
  buffer.readonly = a.view->readonly;
  buffer.ndim = a.view->ndim;
  buffer.format = a.view->format;
  buffer.shape = a.view->shape;
  buffer.strides = a.view->strides;
  buffer.suboffsets = a.view->suboffsets;
  buffer.internal = a.view->internal;
  // The handle in `obj` owns a reference, which is ours to close whatever became of the member.
  PyObject* owner = a.view->obj;
  Py_XINCREF(owner);
  As<HPyFunc_releasebufferproc>(func)(ctx, _py2h(a.self), &buffer);
  Py_XDECREF(owner);
}

void CallTraverse(HPyContext*, HPyCFunction func, void* args) {
  auto& a = ArgsOf<_HPyFunc_args_TRAVERSEPROC>(args);
  a.result = _HPyType_CallTraverse(As<HPyFunc_traverseproc>(func), a.self, a.visit, a.arg);
}

// An exception that is pending when the capsule dies is none of the destructor's business.
void CallCapsuleDestructor(HPyContext*, HPyCFunction func, void* args) {
  auto* capsule = static_cast<PyObject*>(args);
  const char* name = PyCapsule_GetName(capsule);
  void* pointer = PyCapsule_GetPointer(capsule, name);
  void* context = PyCapsule_GetContext(capsule);
  As<HPyFunc_Capsule_Destructor>(func)(name, pointer, context);
}

void CallFree(HPyContext* ctx, HPyCFunction func, void* args) {
  As<HPyFunc_freefunc>(func)(ctx, ArgsOf<_HPyFunc_args_FREEFUNC>(args).arg0);
}

void CallDestructor(HPyContext* ctx, HPyCFunction func, void* args) {
  As<HPyFunc_destructor>(func)(ctx, _py2h(ArgsOf<_HPyFunc_args_DESTRUCTOR>(args).arg0));
}

// How the functions of a signature are called: each has a frame of its own, which is reached by a jump.
template <HPyFunc_Signature signature>
constexpr auto kCaller = [](HPyContext*, HPyCFunction, void*) {
  Py_FatalError("Unsupported HPyFunc_Signature in ctx_meth.c");
};

#define CALLER(SIGNATURE, function) \
  template <>                       \
  constexpr auto kCaller<HPyFunc_##SIGNATURE> = &function;
CALLER(VARARGS, CallVarargs)
CALLER(KEYWORDS, CallKeywords)
CALLER(INITPROC, CallInit)
CALLER(NEWFUNC, CallNew)
CALLER(GETBUFFERPROC, CallGetBuffer)
CALLER(RELEASEBUFFERPROC, CallReleaseBuffer)
CALLER(FREEFUNC, CallFree)
CALLER(DESTRUCTOR, CallDestructor)
CALLER(TRAVERSEPROC, CallTraverse)
CALLER(CAPSULE_DESTRUCTOR, CallCapsuleDestructor)
#undef CALLER

// The signatures whose parameters and result are converted one by one.
#define HANDLE(member) _py2h(a.member)
#define UNIFORM(SIGNATURE, type, result_of, ...)                \
  template <>                                                   \
  constexpr auto kCaller<HPyFunc_##SIGNATURE> =                 \
      [](HPyContext* ctx, HPyCFunction func, void* args) {      \
        auto& a = ArgsOf<_HPyFunc_args_##SIGNATURE>(args);      \
        a.result = result_of(As<type>(func)(ctx, __VA_ARGS__)); \
      };
UNIFORM(NOARGS, HPyFunc_noargs, _h2py, HANDLE(self))
UNIFORM(O, HPyFunc_o, _h2py, HANDLE(self), HANDLE(arg))
UNIFORM(UNARYFUNC, HPyFunc_unaryfunc, _h2py, HANDLE(arg0))
UNIFORM(BINARYFUNC, HPyFunc_binaryfunc, _h2py, HANDLE(arg0), HANDLE(arg1))
UNIFORM(TERNARYFUNC, HPyFunc_ternaryfunc, _h2py, HANDLE(arg0), HANDLE(arg1), HANDLE(arg2))
UNIFORM(INQUIRY, HPyFunc_inquiry, , HANDLE(arg0))
UNIFORM(LENFUNC, HPyFunc_lenfunc, , HANDLE(arg0))
UNIFORM(SSIZEARGFUNC, HPyFunc_ssizeargfunc, _h2py, HANDLE(arg0), a.arg1)
UNIFORM(SSIZESSIZEARGFUNC, HPyFunc_ssizessizeargfunc, _h2py, HANDLE(arg0), a.arg1, a.arg2)
UNIFORM(SSIZEOBJARGPROC, HPyFunc_ssizeobjargproc, , HANDLE(arg0), a.arg1, HANDLE(arg2))
UNIFORM(SSIZESSIZEOBJARGPROC, HPyFunc_ssizessizeobjargproc, , HANDLE(arg0), a.arg1, a.arg2,
        HANDLE(arg3))
UNIFORM(OBJOBJARGPROC, HPyFunc_objobjargproc, , HANDLE(arg0), HANDLE(arg1), HANDLE(arg2))
UNIFORM(GETATTRFUNC, HPyFunc_getattrfunc, _h2py, HANDLE(arg0), a.arg1)
UNIFORM(GETATTROFUNC, HPyFunc_getattrofunc, _h2py, HANDLE(arg0), HANDLE(arg1))
UNIFORM(SETATTRFUNC, HPyFunc_setattrfunc, , HANDLE(arg0), a.arg1, HANDLE(arg2))
UNIFORM(SETATTROFUNC, HPyFunc_setattrofunc, , HANDLE(arg0), HANDLE(arg1), HANDLE(arg2))
UNIFORM(REPRFUNC, HPyFunc_reprfunc, _h2py, HANDLE(arg0))
UNIFORM(HASHFUNC, HPyFunc_hashfunc, , HANDLE(arg0))
UNIFORM(RICHCMPFUNC, HPyFunc_richcmpfunc, _h2py, HANDLE(arg0), HANDLE(arg1), a.arg2)
UNIFORM(GETITERFUNC, HPyFunc_getiterfunc, _h2py, HANDLE(arg0))
UNIFORM(ITERNEXTFUNC, HPyFunc_iternextfunc, _h2py, HANDLE(arg0))
UNIFORM(DESCRGETFUNC, HPyFunc_descrgetfunc, _h2py, HANDLE(arg0), HANDLE(arg1), HANDLE(arg2))
UNIFORM(DESCRSETFUNC, HPyFunc_descrsetfunc, , HANDLE(arg0), HANDLE(arg1), HANDLE(arg2))
UNIFORM(GETTER, HPyFunc_getter, _h2py, HANDLE(arg0), a.arg1)
UNIFORM(SETTER, HPyFunc_setter, , HANDLE(arg0), HANDLE(arg1), a.arg2)
UNIFORM(OBJOBJPROC, HPyFunc_objobjproc, , HANDLE(arg0), HANDLE(arg1))
UNIFORM(MOD_CREATE, HPyFunc_mod_create, _h2py, HANDLE(spec))
#undef UNIFORM
#undef HANDLE

using Caller = void (*)(HPyContext*, HPyCFunction, void*);
template <size_t... number>
constexpr std::array<Caller, sizeof...(number)> CallersOf(std::index_sequence<number...>) {
  return {kCaller<static_cast<HPyFunc_Signature>(number)>...};
}
// The last one stands for numbers that no signature has.
constexpr auto kCallers =
    CallersOf(std::make_index_sequence<static_cast<size_t>(_HPyFunc_Signature_END) + 1>());

}  // namespace

void CallRealFunction(HPyContext* ctx, HPyFunc_Signature sig, HPyCFunction func, void* args) {
  kCallers[std::min(static_cast<size_t>(sig), kCallers.size() - 1)](ctx, func, args);
}

namespace {

// The context is that of the current interpreter: the library's own variable holds that of the one
// which loaded it last. An interpreter that is about to end has none any more, but destructors may
// still run in it; contexts are never freed, and so the library's will do.
[[gnu::cold, gnu::noinline]] void CallElsewhere(HPyContext* ctx, HPyFunc_Signature sig,
                                                HPyCFunction func, void* args) {
  const _HPyInterpreter* const interpreter = _HPyInterpreter_Find();
  CallRealFunction(interpreter != nullptr ? interpreter->context : ctx, sig, func, args);
}

}  // namespace
}  // namespace hpy::universal

// All that it calls is called in tail position: it has no frame.
extern "C" HPyAPI_IMPL void ctx_CallRealFunctionFromTrampoline(HPyContext* ctx,
                                                               HPyFunc_Signature sig,
                                                               HPyCFunction func, void* args) {
  const _HPyInterpreter* const interpreter = _HPyInterpreter_only;
  const auto number = static_cast<size_t>(sig);
  if (interpreter == nullptr || number >= hpy::universal::kCallers.size()) [[unlikely]] {
    return hpy::universal::CallElsewhere(ctx, sig, func, args);
  }
  hpy::universal::kCallers[number](interpreter->context, func, args);
}
