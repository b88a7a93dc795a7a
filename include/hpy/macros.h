/* Compiler attributes, and the preprocessor tools of the definition macros. */
#ifndef HPY_MACROS_H
#define HPY_MACROS_H

#ifdef __cplusplus
#define _HPy_EXTERN_C extern "C"
/* For enumerations of which C can pass any value: so that C++ knows them all too. */
#define _HPy_ANY_INT : int
#else
#define _HPy_EXTERN_C
#define _HPy_ANY_INT
#endif

#if defined(__GNUC__) || defined(__clang__)
#define _HPy_UNUSED __attribute__((unused))
#define _HPy_NO_RETURN __attribute__((noreturn))
#define _HPy_ALWAYS_INLINE __attribute__((always_inline))
#define _HPy_MAY_ALIAS __attribute__((may_alias))
#define _HPy_COLD __attribute__((cold, noinline))
#define _HPy_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define _HPy_EXTENSION __extension__
/* A call that is the last thing a function does becomes a jump, and the frame of the function is
 * gone from stack traces. An asm statement behind the call keeps it: it has to be executed after
 * the call returned, and before the function does. It costs no instruction. */
#define _HPy_KEEP_FRAME() __asm__ __volatile__("")
#else
#define _HPy_UNUSED
#if defined(_MSC_VER)
#define _HPy_NO_RETURN __declspec(noreturn)
#else
#define _HPy_NO_RETURN
#endif
#define _HPy_ALWAYS_INLINE
#define _HPy_MAY_ALIAS
#define _HPy_COLD
#define _HPy_UNLIKELY(condition) (condition)
#define _HPy_EXTENSION
#define _HPy_KEEP_FRAME() ((void)0)
#endif

/* g++ -Wextra complains about designated initialisers that leave members out, as the optional ones
 * of the definition macros do. */
#if defined(__cplusplus) && defined(__GNUC__)
/* clang-format off */
#define _HPy_BEGIN_PARTIAL       \
  _Pragma("GCC diagnostic push") \
  _Pragma("GCC diagnostic ignored \"-Wmissing-field-initializers\"")
/* clang-format on */
#define _HPy_END_PARTIAL _Pragma("GCC diagnostic pop")
#else
#define _HPy_BEGIN_PARTIAL
#define _HPy_END_PARTIAL
#endif

#if defined(_WIN32) || defined(__CYGWIN__)
#define _HPy_HIDDEN
#elif defined(__GNUC__) || defined(__clang__)
#define _HPy_HIDDEN __attribute__((visibility("hidden")))
#else
#define _HPy_HIDDEN
#endif

/* A variable that every unit defines, and of which the binary has one. */
#if (defined(__GNUC__) || defined(__clang__)) && !defined(_WIN32)
#define _HPy_MERGED __attribute__((weak)) _HPy_HIDDEN
#elif defined(_MSC_VER)
#define _HPy_MERGED __declspec(selectany)
#else
#error "HPy does not know how this compiler merges definitions of a variable"
#endif

#ifndef HPy_EXPORTED_SYMBOL
#if defined(_WIN32) || defined(__CYGWIN__)
#define HPy_EXPORTED_SYMBOL __declspec(dllexport)
#elif defined(__GNUC__) || defined(__clang__)
#define HPy_EXPORTED_SYMBOL __attribute__((visibility("default")))
#else
#define HPy_EXPORTED_SYMBOL
#endif
#endif

#define HPy_EXPORTED_FUNC _HPy_EXTERN_C HPy_EXPORTED_SYMBOL
#define HPyMODINIT_FUNC HPy_EXPORTED_FUNC HPy /* older spelling */

/* Inline functions. Those of the universal and hybrid ABI are always inlined, so that the call
 * through the context is made by the extension's own function, whatever the level of optimisation:
 * that is the frame which reports name. */
#define HPyAPI_UNUSED _HPy_UNUSED static inline
#ifdef HPY_ABI_CPYTHON
#define HPyAPI_FUNC HPyAPI_UNUSED
#else
#define HPyAPI_FUNC _HPy_UNUSED _HPy_ALWAYS_INLINE static inline
#endif
#define HPyAPI_INLINE_HELPER HPyAPI_FUNC

/* Functions of the runtime that are compiled into the extension. */
#define HPyAPI_IMPL _HPy_HIDDEN
#define HPyAPI_HELPER _HPy_HIDDEN

/* Preprocessor tools: paste after expansion, take the n-th argument, drop the first ones. The lists
 * end with an argument more than is needed, so that `...` is never empty (C99, -pedantic). */
#define _HPy_CAT(a, b) _HPy_CAT_(a, b)
#define _HPy_CAT_(a, b) a##b
#define _HPy_1ST(first, ...) first
#define _HPy_2ND(...) _HPy_2ND_(__VA_ARGS__)
#define _HPy_2ND_(first, second, ...) second
#define _HPy_3RD(first, second, third, ...) third
#define _HPy_4TH(first, second, third, fourth, ...) fourth
#define _HPy_REST(first, ...) __VA_ARGS__
#define _HPy_REST2(first, second, ...) __VA_ARGS__
#define _HPy_EAT(...)
#define _HPy_UNPAREN(...) __VA_ARGS__

/* Expands to FOUND when prefix##name is a macro of the form `~, FOUND,` and to `otherwise` when it
 * is no macro: then the paste is one identifier, and `otherwise` is the second argument. */
#define _HPy_PROBE(prefix, name, otherwise) _HPy_2ND(_HPy_CAT(prefix, name), otherwise, ~)

#endif /* HPY_MACROS_H */
