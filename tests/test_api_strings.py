"""bytes and str: making them from memory, reading them, encodings."""

import os
import sys
from typing import Any

import pytest

from support.api_source import NULL, module_source, outcome
from support.extension import ModuleFactory

BYTES = module_source(
    check="return truth(ctx, HPyBytes_Check(ctx, args[0]));",
    size="return status(ctx, HPyBytes_Size(ctx, args[0]));",
    get_size="return HPyLong_FromSsize_t(ctx, HPyBytes_GET_SIZE(ctx, args[0]));",
    # Up to the first NUL.
    as_string="""
        const char *text = HPyBytes_AsString(ctx, args[0]);
        expect(ctx, text == NULL);
        return text == NULL ? HPy_NULL : HPyBytes_FromString(ctx, text);
    """,
    # All of it, and the NUL behind it.
    as_string_unchecked="""
        const char *text = HPyBytes_AS_STRING(ctx, args[0]);
        return HPyBytes_FromStringAndSize(ctx, text, HPyBytes_GET_SIZE(ctx, args[0]) + 1);
    """,
    # from_string_and_size(bytes or NULL, size)
    from_string_and_size="return HPyBytes_FromStringAndSize(ctx, TEXT(0), SIZE(1));",
)


def test_bytes(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(BYTES)

    class Sub(bytes):
        pass

    for thing in b"", b"x", b"a\x00b\xff", Sub(b"sub"), bytes(range(256)) * 100:
        assert mod.check(thing) == 1
        assert mod.size(thing) == mod.get_size(thing) == len(thing)
        assert mod.as_string(thing) == thing.split(b"\x00")[0]
        assert mod.as_string_unchecked(thing) == thing + b"\x00"
        assert mod.from_string_and_size(thing, len(thing)) == thing
    for other in "text", bytearray(b"x"), memoryview(b"x"), None, 1:
        assert mod.check(other) == 0
        for call in mod.size, mod.as_string:
            with pytest.raises(TypeError, match="expected bytes"):
                call(other)


def test_bytes_from_memory(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(BYTES)
    assert mod.from_string_and_size(b"hello", 2) == b"he"
    assert mod.from_string_and_size(b"hello", 0) == b""
    for size in -1, -sys.maxsize - 1:
        with pytest.raises(SystemError):
            mod.from_string_and_size(b"hello", size)
    for size in -1, 0, 1:
        with pytest.raises(ValueError, match="NULL char") as caught:
            mod.from_string_and_size(NULL, size)
        assert str(caught.value) == "NULL char * passed to HPyBytes_FromStringAndSize"
    with pytest.raises((OverflowError, MemoryError)):
        mod.from_string_and_size(b"hello", sys.maxsize)


TEXTS = module_source(
    """
    #include <wchar.h>
    static const wchar_t WIDE[] = L"wide \\u00e4\\u20ac";
    """,
    check="return truth(ctx, HPyUnicode_Check(ctx, args[0]));",
    from_string="return HPyUnicode_FromString(ctx, TEXT(0));",
    as_ascii="return HPyUnicode_AsASCIIString(ctx, args[0]);",
    as_latin1="return HPyUnicode_AsLatin1String(ctx, args[0]);",
    as_utf8="return HPyUnicode_AsUTF8String(ctx, args[0]);",
    as_utf8_and_size="""
        HPy_ssize_t size = 77;
        const char *text = HPyUnicode_AsUTF8AndSize(ctx, args[0], &size);
        expect(ctx, text == NULL);
        /* A failure leaves it alone; CPython 3.13 makes it -1. */
        if (text == NULL && size != 77 && size != -1)
            HPy_FatalError(ctx, "*size was written by a failure");
        return text == NULL ? HPy_NULL : HPyBytes_FromStringAndSize(ctx, text, size + 1);
    """,
    as_utf8_without_size="""
        const char *text = HPyUnicode_AsUTF8AndSize(ctx, args[0], NULL);
        expect(ctx, text == NULL);
        return text == NULL ? HPy_NULL : HPyBytes_FromString(ctx, text);
    """,
    # The same pointer each time, as long as the handle is open.
    as_utf8_twice="""
        HPy_ssize_t size;
        const char *text = HPyUnicode_AsUTF8AndSize(ctx, args[0], &size);
        return truth(ctx, text == HPyUnicode_AsUTF8AndSize(ctx, args[0], NULL));
    """,
    from_wide_char="return HPyUnicode_FromWideChar(ctx, WIDE, SIZE(0));",
    from_no_wide_char="return HPyUnicode_FromWideChar(ctx, NULL, SIZE(0));",
    decode_fs="return HPyUnicode_DecodeFSDefault(ctx, TEXT(0));",
    decode_fs_and_size="return HPyUnicode_DecodeFSDefaultAndSize(ctx, TEXT(0), SIZE(1));",
    encode_fs="return HPyUnicode_EncodeFSDefault(ctx, args[0]);",
    read_char="""
        HPy_UCS4 c = HPyUnicode_ReadChar(ctx, args[0], SIZE(1));
        expect(ctx, c == (HPy_UCS4)-1);
        return c == (HPy_UCS4)-1 ? HPy_NULL : HPyLong_FromUInt32_t(ctx, c);
    """,
    decode_ascii="return HPyUnicode_DecodeASCII(ctx, TEXT(0), SIZE(1), TEXT(2));",
    decode_latin1="return HPyUnicode_DecodeLatin1(ctx, TEXT(0), SIZE(1), TEXT(2));",
    from_encoded="return HPyUnicode_FromEncodedObject(ctx, args[0], TEXT(1), TEXT(2));",
    substring="return HPyUnicode_Substring(ctx, args[0], SIZE(1), SIZE(2));",
)


class Sub(str):
    pass


STRINGS = ["", "abc", "a\x00b", "\xe4\xff", "\u20ac", "\N{SNAKE}!", Sub("sub"), "x" * 10000]
NO_STRINGS: list[object] = [None, 0, b"abc", [], object()]


def test_str_to_bytes(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TEXTS)
    for text in STRINGS:
        assert mod.check(text) == 1
        utf8 = text.encode()
        assert mod.as_utf8(text) == utf8
        assert mod.as_utf8_and_size(text) == utf8 + b"\x00"
        assert mod.as_utf8_without_size(text) == utf8.split(b"\x00")[0]
        assert mod.as_utf8_twice(text) == 1
        assert mod.from_string(utf8) == text.split("\x00")[0]
        for function, encoding in (mod.as_ascii, "ascii"), (mod.as_latin1, "latin-1"):
            assert outcome(function, text) == outcome(text.encode, encoding)
    for other in NO_STRINGS:
        assert mod.check(other) == 0
        for call in mod.as_utf8, mod.as_ascii, mod.as_latin1, mod.as_utf8_without_size:
            with pytest.raises(TypeError, match="bad argument type"):
                call(other)
        with pytest.raises(TypeError):
            mod.as_utf8_and_size(other)
    for call in mod.as_utf8, mod.as_utf8_and_size, mod.as_utf8_without_size:
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            call("a\udc80")


def test_str_from_utf8(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TEXTS)
    for wrong in b"\xff", b"ab\x80", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80":
        assert outcome(mod.from_string, wrong) == outcome(wrong.decode)


def test_wide_characters(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TEXTS)
    text = "wide \xe4\u20ac"
    assert mod.from_wide_char(-1) == text
    assert mod.from_wide_char(len(text)) == text
    assert mod.from_wide_char(len(text) + 1) == text + "\x00"
    assert mod.from_wide_char(3) == "wid"
    assert mod.from_wide_char(0) == ""
    assert mod.from_no_wide_char(0) == ""
    for size in -1, 3:
        with pytest.raises(SystemError):
            mod.from_no_wide_char(size)


def test_file_system_encoding(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TEXTS)
    for name in b"", b"abc", b"\xc3\xa4", b"\xff\x80", b"a/b":
        assert mod.decode_fs(name) == os.fsdecode(name)
        assert mod.decode_fs_and_size(name, len(name)) == os.fsdecode(name)
        assert mod.encode_fs(os.fsdecode(name)) == name
    assert mod.decode_fs_and_size(b"a\x00b\xff", 4) == os.fsdecode(b"a\x00b\xff")
    assert mod.decode_fs_and_size(b"abc", 2) == "ab"
    assert mod.decode_fs_and_size(b"abc", 0) == ""
    for other in NO_STRINGS:
        with pytest.raises(TypeError):
            mod.encode_fs(other)
    with pytest.raises(UnicodeEncodeError):
        mod.encode_fs("\ud800")


def test_read_char(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TEXTS)
    for text in STRINGS:
        short = text[:10]
        assert [mod.read_char(text, i) for i in range(len(short))] == [ord(c) for c in short]
        for index in -1, len(text), sys.maxsize, -sys.maxsize - 1:
            with pytest.raises(IndexError, match="string index out of range"):
                mod.read_char(text, index)
    for other in NO_STRINGS:
        with pytest.raises(TypeError, match="bad argument type"):
            mod.read_char(other, 0)


def test_decoding(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TEXTS)
    for errors in NULL, b"strict", b"", b"replace", b"ignore", b"surrogateescape":
        assert mod.decode_ascii(b"abc", 3, errors) == "abc"
        assert mod.decode_ascii(b"a\x00c", 2, errors) == "a\x00"
        assert mod.decode_latin1(b"a\xe4\x00", 3, errors) == "a\xe4\x00"
        assert mod.decode_latin1(b"", 0, errors) == mod.decode_ascii(b"", 0, errors) == ""
    for errors in b"replace", b"ignore", b"surrogateescape":
        assert mod.decode_ascii(b"a\xff", 2, errors) == b"a\xff".decode("ascii", errors.decode())
    for errors in NULL, b"strict":
        with pytest.raises(UnicodeDecodeError, match="'ascii' codec can't decode byte 0xff"):
            mod.decode_ascii(b"a\xff", 2, errors)
    for errors in b"", b"no such handler":
        with pytest.raises(LookupError):
            mod.decode_ascii(b"a\xff", 2, errors)


def test_from_encoded_object(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TEXTS)
    for thing in b"a\xc3\xa4", bytearray(b"a\xc3\xa4"), memoryview(b"a\xc3\xa4"):
        assert mod.from_encoded(thing, b"utf-8", NULL) == "a\xe4"
        assert mod.from_encoded(thing, NULL, NULL) == "a\xe4"
        assert mod.from_encoded(thing, b"latin-1", b"strict") == "a\xc3\xa4"
        assert mod.from_encoded(thing, b"ascii", b"ignore") == "a"
        with pytest.raises(UnicodeDecodeError):
            mod.from_encoded(thing, b"ascii", NULL)
        with pytest.raises(LookupError):
            mod.from_encoded(thing, b"no such encoding", NULL)
    assert mod.from_encoded(b"", b"no such encoding", NULL) == ""
    with pytest.raises(TypeError, match="decoding str is not supported"):
        mod.from_encoded("text", b"utf-8", NULL)
    other: object
    for other in None, 1, []:
        with pytest.raises(TypeError, match="need a bytes-like object"):
            mod.from_encoded(other, b"utf-8", NULL)


@pytest.mark.hpy_abis("cpython", "universal")
def test_encoded_object_is_null(hpy_module: ModuleFactory) -> None:
    mod: Any = hpy_module(
        module_source(f="return HPyUnicode_FromEncodedObject(ctx, HPy_NULL, TEXT(0), TEXT(1));")
    )
    with pytest.raises(SystemError):
        mod.f(b"utf-8", b"strict")


def test_substring(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TEXTS)
    for text in STRINGS:
        for start in 0, 1, 2, len(text), len(text) + 1, sys.maxsize:
            for end in 0, 1, 2, len(text), len(text) + 1, sys.maxsize:
                assert mod.substring(text, start, end) == text[start:end]
        for start, end in (-1, 1), (0, -1), (-1, -1), (-sys.maxsize - 1, 0):
            with pytest.raises(IndexError, match="string index out of range"):
                mod.substring(text, start, end)


def test_negative_sizes(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TEXTS)
    for size in -1, -5, -sys.maxsize - 1:
        with pytest.raises(SystemError):
            mod.decode_ascii(b"abc", size, NULL)
        with pytest.raises(SystemError):
            mod.decode_fs_and_size(b"abc", size)
    # CPython reads the bytes before it looks at the sign: with the last of these sizes, past their
    # end, which debug mode tells of.
    for size in -1, -5:
        with pytest.raises(SystemError):
            mod.decode_latin1(b"abc", size, NULL)
