"""Seed 003: the examples that are plain Python/C (S7, and S46 to S50 of the study of strings).

They say what HPy starts from. Beside HPy, in the ABIs that have Python/C too, they work as they
stand. Put right: in S46 `s` is a pointer; `...` is filled in. S48 and S49 are the excerpts with
what is around them.
"""

# The names have those of the examples.
# ruff: noqa: N802

import base64

from support.extension import ModuleFactory

HPY_ABIS = ["cpython", "hybrid", "hybrid-debug"]

SOURCE = r"""
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "hpy.h"
#include <string.h>

static HPy take(HPyContext *ctx, PyObject *object)
{
    HPy h = object == NULL ? HPy_NULL : HPy_FromPyObject(ctx, object);
    Py_XDECREF(object);
    return h;
}

/* S7, lines 245 to 253. The difference in references is that of the object before and after. */
HPyDef_METH(foo, "foo", HPyFunc_NOARGS)
static HPy foo_impl(HPyContext *ctx, HPy self)
{
    PyObject *x = PyLong_FromLong(42424242);
    PyObject *y = x;
    Py_ssize_t with_one = Py_REFCNT(x), with_two;
    Py_INCREF(y);
    with_two = Py_REFCNT(x);
    Py_DECREF(x);
    Py_DECREF(x);
    return HPyLong_FromSsize_t(ctx, with_two - with_one);
}

/* S46, lines 1117 to 1124. */
HPyDef_METH(bytes, "bytes", HPyFunc_NOARGS)
static HPy bytes_impl(HPyContext *ctx, HPy self)
{
    Py_ssize_t size = 5;
    PyObject *s = PyBytes_FromStringAndSize(NULL, size);
    char *buf = PyBytes_AS_STRING(s);
    strcpy(buf, "hello");
    return take(ctx, s);
}

HPyDef_METH(whole_bytes, "whole_bytes", HPyFunc_NOARGS)
static HPy whole_bytes_impl(HPyContext *ctx, HPy self)
{
    return take(ctx, Py_BuildValue("(NNN)", PyBytes_FromString("abc"),
                                   PyBytes_FromStringAndSize("a\0c", 3),
                                   PyBytes_FromFormat("%d-%s", 7, "x")));
}

/* S47, lines 1132 to 1180. */
HPyDef_METH(str, "str", HPyFunc_NOARGS)
static HPy str_impl(HPyContext *ctx, HPy self)
{
    Py_ssize_t size = 5;
    PyObject *s = PyUnicode_New(size, 127);
    Py_UCS1 *buf = PyUnicode_1BYTE_DATA(s);
    strcpy((char *)buf, "hello");
    return take(ctx, s);
}

HPyDef_METH(write_char, "write_char", HPyFunc_NOARGS)
static HPy write_char_impl(HPyContext *ctx, HPy self)
{
    PyObject *s = PyUnicode_New(2, 0x20ac);
    if (PyUnicode_WriteChar(s, 0, 'x') < 0) return HPy_NULL;
    PyUnicode_WRITE(PyUnicode_KIND(s), PyUnicode_DATA(s), 1, 0x20ac);
    return take(ctx, s);
}

/* S48, lines 1294 to 1301: the excerpt of markupsafe, for a quotation mark. */
HPyDef_METH(escape, "escape", HPyFunc_NOARGS)
static HPy escape_impl(HPyContext *ctx, HPy self)
{
    const Py_UCS1 in[] = {'s', 'a', 'y', '"', 'x'}, *inp = in;
    PyObject *s = PyUnicode_New(9, 127);
    Py_UCS1 *outp = PyUnicode_1BYTE_DATA(s);
    Py_ssize_t ncopy = 0;
    for (; inp < in + sizeof(in); inp++) {
        switch (*inp) {
        case '"':
            memcpy(outp, inp - ncopy, sizeof(*outp) * ncopy);
            outp += ncopy; ncopy = 0;
            *outp++ = '&';
            *outp++ = '#';
            *outp++ = '3';
            *outp++ = '4';
            *outp++ = ';';
            break;
        default:
            ncopy++;
        }
    }
    memcpy(outp, inp - ncopy, sizeof(*outp) * ncopy);
    return take(ctx, s);
}

/* S49, lines 1305 to 1309: pybase64, with a base64_encode of a few lines. */
static void base64_encode(const char *in, size_t size, char *out, size_t *out_len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i, k;
    for (i = 0; i < size; i += 3) {
        unsigned long bits = 0;
        for (k = 0; k < 3; k++) bits = bits << 8 | (i + k < size ? (unsigned char)in[i + k] : 0);
        for (k = 0; k < 4; k++) *out++ = i + k > size ? '=' : digits[bits >> (18 - 6 * k) & 63];
    }
    *out_len = (size + 2) / 3 * 4;
}
HPyDef_METH(base64, "base64", HPyFunc_O)
static HPy base64_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Py_buffer buffer;
    PyObject *object = HPy_AsPyObject(ctx, arg), *out_object;
    size_t out_len;
    char *dst;
    if (PyObject_GetBuffer(object, &buffer, PyBUF_SIMPLE) < 0) return HPy_NULL;
    out_len = (size_t)(((buffer.len + 2) / 3) * 4);
    out_object = PyUnicode_New((Py_ssize_t)out_len, 127);
    dst = (char*)PyUnicode_1BYTE_DATA(out_object);
    base64_encode((const char *)buffer.buf, (size_t)buffer.len, dst, &out_len);
    PyBuffer_Release(&buffer);
    Py_DECREF(object);
    return take(ctx, out_object);
}

/* S50, lines 1319 to 1324. */
HPyDef_METH(fill, "fill", HPyFunc_NOARGS)
static HPy fill_impl(HPyContext *ctx, HPy self)
{
    Py_ssize_t size = 5;
    PyObject *s = PyUnicode_New(size, 127);
    Py_UCS1 *buf = PyUnicode_1BYTE_DATA(s);
    buf[0] = 'H';
    buf[1] = 'e';
    buf[2] = 'l';
    buf[3] = 'l';
    buf[4] = 'o';
    return take(ctx, s);
}
"""


def test_seed_003_S7_two_references(hpy_module: ModuleFactory) -> None:
    assert hpy_module(SOURCE).foo() == 1


def test_seed_003_S46_making_bytes(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SOURCE)
    assert mod.bytes() == b"hello"
    assert mod.whole_bytes() == (b"abc", b"a\0c", b"7-x")


def test_seed_003_S47_making_str(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SOURCE)
    assert mod.str() == "hello"
    assert mod.write_char() == "x\u20ac"


def test_seed_003_S48_markupsafe(hpy_module: ModuleFactory) -> None:
    assert hpy_module(SOURCE).escape() == "say&#34;x"


def test_seed_003_S49_pybase64(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SOURCE)
    for size in range(8):
        data = bytes(range(250, 250 + size)) if size < 6 else b"hpy!debug"[:size]
        assert mod.base64(data) == base64.b64encode(data).decode()


def test_seed_003_S50_filling_str(hpy_module: ModuleFactory) -> None:
    assert hpy_module(SOURCE).fill() == "Hello"
