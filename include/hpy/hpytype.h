/* Definitions as data: HPyDef and what it is made of, HPyType_Spec, HPyStructSequence_Desc. */
#ifndef HPY_HPYTYPE_H
#define HPY_HPYTYPE_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  HPySlot_Slot slot;
  HPyCFunction impl;              /* what HPy calls */
  cpy_PyCFunction cpy_trampoline; /* what CPython calls */
} HPySlot;

typedef struct {
  const char* name; /* UTF-8 */
  HPyCFunction impl;
  cpy_PyCFunction cpy_trampoline;
  HPyFunc_Signature signature;
  const char* doc; /* UTF-8, or NULL */
} HPyMeth;

/* Numerically CPython's T_* codes; beside each the C type of the field. */
typedef enum {
  HPyMember_SHORT = 0,           /* short */
  HPyMember_INT = 1,             /* int */
  HPyMember_LONG = 2,            /* long */
  HPyMember_FLOAT = 3,           /* float */
  HPyMember_DOUBLE = 4,          /* double */
  HPyMember_STRING = 5,          /* const char *: a str, None when NULL; never writable */
  HPyMember_OBJECT = 6,          /* HPyField: None when null */
  HPyMember_CHAR = 7,            /* char: a str of length 1 */
  HPyMember_BYTE = 8,            /* signed char */
  HPyMember_UBYTE = 9,           /* unsigned char */
  HPyMember_USHORT = 10,         /* unsigned short */
  HPyMember_UINT = 11,           /* unsigned int */
  HPyMember_ULONG = 12,          /* unsigned long */
  HPyMember_STRING_INPLACE = 13, /* char []: a str; never writable */
  HPyMember_BOOL = 14,           /* char */
  HPyMember_OBJECT_EX = 16,      /* HPyField: AttributeError when null */
  HPyMember_LONGLONG = 17,       /* long long */
  HPyMember_ULONGLONG = 18,      /* unsigned long long */
  HPyMember_HPYSSIZET = 19,      /* HPy_ssize_t */
  HPyMember_NONE = 20            /* ignored: always None */
} HPyMember_FieldType;

typedef struct {
  const char* name;
  HPyMember_FieldType type;
  HPy_ssize_t offset; /* from the start of the extension's struct */
  int readonly;
  const char* doc;
} HPyMember;

typedef struct {
  const char* name;
  HPyCFunction getter_impl;
  HPyCFunction setter_impl;
  cpy_getter getter_cpy_trampoline;
  cpy_setter setter_cpy_trampoline;
  const char* doc;
  void* closure;
} HPyGetSet;

typedef enum {
  HPyDef_Kind_Slot = 1,
  HPyDef_Kind_Meth = 2,
  HPyDef_Kind_Member = 3,
  HPyDef_Kind_GetSet = 4
} HPyDef_Kind;

typedef struct {
  HPyDef_Kind kind;
  _HPy_EXTENSION union {
    HPySlot slot;
    HPyMeth meth;
    HPyMember member;
    HPyGetSet getset;
  };
} HPyDef;

typedef struct {
  cpy_PyCapsule_Destructor cpy_trampoline;
  HPyFunc_Capsule_Destructor impl;
} HPyCapsule_Destructor;

/* May be embedded in an object's struct, with a `__vectorcalloffset__` member that points at it:
 * CPython reads a vectorcallfunc there, so the trampoline stays first. */
typedef struct {
  cpy_vectorcallfunc cpy_trampoline;
  HPyFunc_keywords impl;
} HPyCallFunction;

typedef struct {
  cpy_vectorcallfunc cpy_trampoline;
  HPyCallFunction impl;
} HPyType_Vectorcall;

/* Which built-in type's struct the extension's struct follows. Legacy: none, the struct starts with
 * the object header itself, as in the Python/C API. */
typedef enum {
  HPyType_BuiltinShape_Legacy = -1,
  HPyType_BuiltinShape_Object = 0,
  HPyType_BuiltinShape_Type = 1,
  HPyType_BuiltinShape_Long = 2,
  HPyType_BuiltinShape_Float = 3,
  HPyType_BuiltinShape_Unicode = 4,
  HPyType_BuiltinShape_Tuple = 5,
  HPyType_BuiltinShape_List = 6,
  HPyType_BuiltinShape_Dict = 7
} HPyType_BuiltinShape;

/* The older spelling has `int legacy` where `builtin_shape` is. The two are told apart by their bit
 * patterns: `.legacy = 1` stores the bits of 1.0f, which are no shape, and the inline
 * HPyType_FromSpec translates them. `.legacy = 0` is the object shape. */
typedef struct {
  const char* name; /* dotted: the last component is __name__, the rest __module__ */
  int basicsize;    /* of the extension's struct alone; 0 inherits */
  int itemsize;
  unsigned long flags; /* HPy_TPFLAGS_* */
  _HPy_EXTENSION union {
    HPyType_BuiltinShape builtin_shape;
    float legacy;
    int32_t _shape_bits;
  };
  void* legacy_slots; /* a PyType_Slot array, only with the legacy shape */
  HPyDef** defines;   /* NULL at the end, or NULL */
  const char* doc;
} HPyType_Spec;

#define _HPyType_SHAPE_BITS_LEGACY 0x3f800000 /* of 1.0f */

typedef enum {
  HPyType_SpecParam_Base = 1,       /* one base; may be repeated, in the order of the MRO */
  HPyType_SpecParam_BasesTuple = 2, /* all bases; not together with Base */
  HPyType_SpecParam_Metaclass = 3
} HPyType_SpecParam_Kind;

/* An array of these ends with kind 0. The usual `{ 0 }` initialises no enum in C++. */
typedef struct {
#ifdef __cplusplus
  int kind;
#else
  HPyType_SpecParam_Kind kind;
#endif
  HPy object;
} HPyType_SpecParam;

#define _Py_TPFLAGS_HEAPTYPE (1UL << 9)
#define _Py_TPFLAGS_HAVE_VERSION_TAG (1UL << 18)
#define HPy_TPFLAGS_DEFAULT (_Py_TPFLAGS_HEAPTYPE | _Py_TPFLAGS_HAVE_VERSION_TAG)
#define HPy_TPFLAGS_BASETYPE (1UL << 10)
#define HPy_TPFLAGS_HAVE_VECTORCALL (1UL << 11)
#define HPy_TPFLAGS_HAVE_GC (1UL << 14)
#define HPy_TPFLAGS_GC HPy_TPFLAGS_HAVE_GC

typedef struct {
  const char* name; /* NULL ends the array */
  const char* doc;
} HPyStructSequence_Field;

typedef struct {
  const char* name;
  const char* doc;
  HPyStructSequence_Field* fields;
} HPyStructSequence_Desc;

#ifdef __cplusplus
}
#endif

#endif /* HPY_HPYTYPE_H */
