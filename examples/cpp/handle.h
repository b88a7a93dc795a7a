/* HPy for C++ authors: handles that close themselves, and exceptions that become Python's.
 *
 *     HPyDef_METH(first, "first", HPyFunc_O)
 *     static HPy first_impl(HPyContext *ctx, HPy, HPy items)
 *     {
 *         return guarded(ctx, [&] { return Handle(ctx, HPy_GetItem_i(ctx, items, 0)); });
 *     }
 *
 * C++11. Nothing here is part of hpy.h: copy it, and make it yours. */
#ifndef EXAMPLES_CPP_HANDLE_H
#define EXAMPLES_CPP_HANDLE_H

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "hpy.h"

/* A function of the API has failed and has set Python's exception, which says all there is to say.
 */
class PythonError : public std::exception
{
   public:
    const char *what() const noexcept override
    {
        return "a Python exception is set";
    }
};

/* Owns an open handle, and closes it. Arguments and constants of the context belong to others: they
 * stay plain HPy, or are duplicated. */
class Handle
{
   public:
    /* Takes over what a function of the API returned; PythonError if that is HPy_NULL. */
    Handle(HPyContext *ctx, HPy h) : ctx_(ctx), h_(h)
    {
        if (HPy_IsNull(h))
            throw PythonError();
    }
    Handle(Handle &&other) noexcept : ctx_(other.ctx_), h_(other.release())
    {
    }
    Handle &operator=(Handle &&other) noexcept
    {
        if (this != &other) {
            close();
            ctx_ = other.ctx_;
            h_ = other.release();
        }
        return *this;
    }
    ~Handle()
    {
        close();
    }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;

    static Handle dup(HPyContext *ctx, HPy h)
    {
        return Handle(ctx, HPy_Dup(ctx, h));
    }

    /* Still owned by this. */
    HPy get() const
    {
        return h_;
    }
    /* The caller owns it from now on. */
    HPy release() noexcept
    {
        HPy h = h_;
        h_ = HPy_NULL;
        return h;
    }

   private:
    void close() noexcept
    {
        if (!HPy_IsNull(h_))
            HPy_Close(ctx_, release());
    }

    HPyContext *ctx_;
    HPy h_;
};

/* Checks what a function returned that gives a negative number for an error. */
template <typename Integer>
Integer checked(Integer result)
{
    if (result < 0)
        throw PythonError();
    return result;
}

/* Sets Python's exception for the C++ one that is being handled. */
inline void set_python_exception(HPyContext *ctx) noexcept
{
    try {
        throw;
    } catch (const PythonError &) {
        /* is set */
    } catch (const std::bad_alloc &) {
        HPyErr_NoMemory(ctx);
    } catch (const std::out_of_range &error) {
        HPyErr_SetString(ctx, ctx->h_IndexError, error.what());
    } catch (const std::invalid_argument &error) {
        HPyErr_SetString(ctx, ctx->h_ValueError, error.what());
    } catch (const std::exception &error) {
        HPyErr_SetString(ctx, ctx->h_RuntimeError, error.what());
    } catch (...) {
        HPyErr_SetString(ctx, ctx->h_RuntimeError, "a C++ exception of unknown type");
    }
}

/* What `function` returns, a Handle, for Python. No C++ exception may leave a function that Python
 * calls: what is thrown in here becomes Python's. */
template <typename Function>
HPy guarded(HPyContext *ctx, Function function) noexcept
{
    try {
        return function().release();
    } catch (...) {
        set_python_exception(ctx);
        return HPy_NULL;
    }
}

/* The same for slots that return -1 for an error. */
template <typename Function>
auto guarded_status(HPyContext *ctx, Function function) noexcept -> decltype(function())
{
    try {
        return function();
    } catch (...) {
        set_python_exception(ctx);
        return -1;
    }
}

/* A copy of the text of a str; PythonError (TypeError is set) if it is none. */
inline std::string to_string(HPyContext *ctx, HPy h)
{
    HPy_ssize_t size = 0;
    const char *text = HPyUnicode_AsUTF8AndSize(ctx, h, &size);
    if (text == nullptr)
        throw PythonError();
    return std::string(text, static_cast<std::size_t>(size));
}

#endif /* EXAMPLES_CPP_HANDLE_H */
