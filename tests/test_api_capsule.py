"""Capsules: HPyCapsule_New, _Get*, _Set*, _IsValid and their destructors."""

import gc
from typing import Any, Callable

import pytest

from support.api_source import NULL, module_source
from support.extension import ModuleFactory

CAPSULES = module_source(
    """
    static int values[] = {10, 20, 30};
    static int ended, wrong;
    HPyCapsule_DESTRUCTOR(on_end)
    static void on_end_impl(const char *name, void *pointer, void *context)
    {
        ended++;
        if (name == NULL || strcmp(name, "the name") != 0 || pointer != &values[0] ||
            context != &values[1])
            wrong++;
    }
    HPyCapsule_DESTRUCTOR(on_other_end)
    static void on_other_end_impl(const char *name, void *pointer, void *context)
    {
        (void)name;
        (void)pointer;
        (void)context;
        ended += 100;
    }
    /* value(p): the number of the value that p points to, None for NULL. */
    static HPy number(HPyContext *ctx, void *pointer)
    {
        if (pointer == NULL) return HPyErr_Occurred(ctx) ? HPy_NULL : none(ctx);
        expect(ctx, 0);
        return HPyLong_FromLong(ctx, (long)((int *)pointer - values));
    }
    /* Names that outlive every capsule. */
    static const char *known(HPyContext *ctx, HPy h)
    {
        static const char *const names[] = {"the name", "other", "", "n\\xc3\\xa4me", "\\xff"};
        const char *given = text(ctx, h);
        size_t i;
        for (i = 0; given != NULL && i < sizeof(names) / sizeof(names[0]); i++)
            if (strcmp(names[i], given) == 0) return names[i];
        return NULL;
    }
    #define VALUE(i) (HPy_Is(ctx, args[i], ctx->h_Ellipsis) ? NULL : &values[SIZE(i)])
    """,
    # new(value or NULL, name or NULL)
    new="return HPyCapsule_New(ctx, VALUE(0), known(ctx, args[1]), NULL);",
    new_with_destructor="""
        HPy capsule = HPyCapsule_New(ctx, &values[0], "the name", &on_end);
        if (!HPy_IsNull(capsule) && HPyCapsule_SetContext(ctx, capsule, &values[1]) < 0) {
            HPy_Close(ctx, capsule);
            return HPy_NULL;
        }
        return capsule;
    """,
    half="""
        HPyCapsule_Destructor half = on_end;
        if (SIZE(0) == 0) half.impl = NULL;
        else half.cpy_trampoline = NULL;
        if (nargs == 1) return HPyCapsule_New(ctx, &values[0], "the name", &half);
        return status(ctx, HPyCapsule_SetDestructor(ctx, args[1], &half));
    """,
    get="return number(ctx, HPyCapsule_GetPointer(ctx, args[0], TEXT(1)));",
    get_name="""
        const char *name = HPyCapsule_GetName(ctx, args[0]);
        if (name == NULL) return HPyErr_Occurred(ctx) ? HPy_NULL : none(ctx);
        return HPyBytes_FromString(ctx, name);
    """,
    get_context="return number(ctx, HPyCapsule_GetContext(ctx, args[0]));",
    is_valid="return truth(ctx, HPyCapsule_IsValid(ctx, MAYBE(0), TEXT(1)));",
    set="return status(ctx, HPyCapsule_SetPointer(ctx, args[0], VALUE(1)));",
    set_name="return status(ctx, HPyCapsule_SetName(ctx, args[0], known(ctx, args[1])));",
    set_context="return status(ctx, HPyCapsule_SetContext(ctx, args[0], VALUE(1)));",
    set_destructor="""
        HPyCapsule_Destructor *destructor = SIZE(1) ? &on_other_end : NULL;
        return status(ctx, HPyCapsule_SetDestructor(ctx, args[0], destructor));
    """,
    ended='return HPy_BuildValue(ctx, "ii", ended, wrong);',
)


def test_capsules(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CAPSULES)
    for name in b"the name", b"", b"n\xc3\xa4me", b"\xff", NULL:
        capsule = mod.new(0, name)
        assert type(capsule).__name__ == "PyCapsule"
        assert mod.get(capsule, name) == 0
        assert mod.get_name(capsule) == (None if name is NULL else name)
        assert mod.get_context(capsule) is None
        assert mod.is_valid(capsule, name) == 1
        assert mod.set(capsule, 2) == 0
        assert mod.get(capsule, name) == 2
        assert mod.set_context(capsule, 1) == 0
        assert mod.get_context(capsule) == 1
        assert mod.set_context(capsule, NULL) == 0
        assert mod.get_context(capsule) is None
        assert mod.set_name(capsule, b"other") == 0
        assert mod.get_name(capsule) == b"other"
        assert mod.is_valid(capsule, name) == 0
        assert mod.is_valid(capsule, b"other") == 1
        with pytest.raises(ValueError, match="called with incorrect name"):
            mod.get(capsule, name)
        assert mod.set_name(capsule, NULL) == 0
        assert mod.get(capsule, NULL) == 2


def test_wrong_capsules(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CAPSULES)
    for name in b"the name", NULL:
        with pytest.raises(ValueError, match="PyCapsule_New called with null pointer"):
            mod.new(NULL, name)
    capsule = mod.new(0, b"the name")
    with pytest.raises(ValueError, match="called with null pointer"):
        mod.set(capsule, NULL)
    assert mod.get(capsule, b"the name") == 0
    for thing in 1, None, "the name", object():
        calls: list[Callable[[Any], object]] = [
            lambda o: mod.get(o, b"the name"),
            mod.get_name,
            mod.get_context,
            lambda o: mod.set(o, 0),
            lambda o: mod.set_name(o, b"other"),
            lambda o: mod.set_context(o, 0),
            lambda o: mod.set_destructor(o, 0),
            lambda o: mod.set_destructor(o, 1),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="invalid PyCapsule object"):
                call(thing)
        assert mod.is_valid(thing, b"the name") == 0
        assert mod.is_valid(thing, NULL) == 0
    assert mod.is_valid(NULL, b"the name") == 0


def test_destructors(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CAPSULES)
    capsule = mod.new_with_destructor()
    assert mod.get(capsule, b"the name") == 0
    assert mod.ended() == (0, 0)
    del capsule
    assert mod.ended() == (1, 0)
    capsule = mod.new_with_destructor()
    assert mod.set_destructor(capsule, 0) == 0  # taken away
    del capsule
    assert mod.ended() == (1, 0)
    capsule = mod.new_with_destructor()
    assert mod.set_destructor(capsule, 1) == 0  # another one
    del capsule
    assert mod.ended() == (101, 0)
    mod.set_destructor(mod.new(0, NULL), 1)
    assert mod.ended() == (201, 0)


def test_destructors_with_null_members(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CAPSULES)
    capsule = mod.new_with_destructor()
    for member in 0, 1:
        for arguments in (member,), (member, capsule):
            with pytest.raises(ValueError, match="destructor") as caught:
                mod.half(*arguments)
            assert str(caught.value) == "Invalid HPyCapsule destructor"
    del capsule, arguments, caught
    gc.collect()  # the tracebacks
    assert mod.ended() == (1, 0)


@pytest.mark.hpy_abis("universal", "debug")
def test_keys(hpy_module: ModuleFactory) -> None:
    """HPyCapsule_Get and _Set themselves, with keys that the helpers do not use."""
    mod: Any = hpy_module(
        module_source(
            make='static int value; return HPyCapsule_New(ctx, &value, "name", NULL);',
            get="""
                void *got = HPyCapsule_Get(ctx, args[0], (_HPyCapsule_key)SIZE(1), "name");
                expect(ctx, got == NULL);
                return got == NULL ? HPy_NULL : none(ctx);
            """,
            set="""
                static int value;
                _HPyCapsule_key key = (_HPyCapsule_key)SIZE(1);
                return status(ctx, HPyCapsule_Set(ctx, args[0], key, &value));
            """,
        )
    )
    capsule = mod.make()
    assert mod.get(capsule, 0) is None
    with pytest.raises(ValueError, match="Invalid operation: get HPyCapsule_key_Destructor"):
        mod.get(capsule, 3)
    assert mod.set(capsule, 0) == 0
    for key in -1, 4, 1000:
        with pytest.raises(SystemError, match="invalid key"):
            mod.get(capsule, key)
        with pytest.raises(SystemError, match="invalid key"):
            mod.set(capsule, key)
