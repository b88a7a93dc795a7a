"""Reports of what was captured in a library that is no longer there: its own line, or an offset.

An extension opens helper libraries, calls them and closes them. The same code with other lines is
loaded at the same place then.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyLeakError, LeakDetector
from hpy.debug.violation import NativeFrame, Violation
from support import tree
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

HELPER = r"""
#include "hpy.h"

__attribute__((visibility("default"))) HPy make(HPyContext *ctx, HPy old)
{
    HPy h = HPyLong_FromLong(ctx, 4242);  /* makes */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return h;
}

__attribute__((visibility("default"))) HPy drop(HPyContext *ctx, HPy old)
{
    HPy_Close(ctx, old);  /* drops */
    if (HPy_IsNull(old))
        return HPy_NULL;
    return old;
}
"""

SOURCE = r"""
#include "hpy.h"
#include <dlfcn.h>

typedef HPy (*helper)(HPyContext *ctx, HPy old);

/* A helper of a library, which is there during the call only. */
static __attribute__((noinline)) HPy call(HPyContext *ctx, const char *path, const char *name,
                                          HPy old, size_t *place)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    helper f = library ? (helper)dlsym(library, name) : NULL;
    HPy h;
    if (f == NULL)
        return HPyErr_SetString(ctx, ctx->h_OSError, dlerror());
    *place = (size_t)f;
    h = f(ctx, old);  /* calls */
    if (dlclose(library) != 0)
        return HPyErr_SetString(ctx, ctx->h_OSError, "dlclose");
    return h;
}

HPyDef_METH(leak, "leak", HPyFunc_VARARGS, .doc = "A handle from each library; their places.")
static HPy leak_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPyListBuilder places = HPyListBuilder_New(ctx, (HPy_ssize_t)nargs);
    size_t i;
    for (i = 0; i < nargs; i++) {
        const char *path = HPyUnicode_AsUTF8AndSize(ctx, args[i], NULL);
        size_t place = 0;
        HPy h = call(ctx, path, "make", HPy_NULL, &place);  /* leaks */
        if (HPy_IsNull(h)) {
            HPyListBuilder_Cancel(ctx, places);
            return HPy_NULL;
        }
        h = HPyLong_FromSize_t(ctx, place);
        HPyListBuilder_Set(ctx, places, (HPy_ssize_t)i, h);
        HPy_Close(ctx, h);
    }
    return HPyListBuilder_Build(ctx, places);
}

HPyDef_METH(use, "use", HPyFunc_VARARGS, .doc = "Opened in one library, closed in the other.")
static HPy use_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    size_t place;
    HPy h = call(ctx, HPyUnicode_AsUTF8AndSize(ctx, args[0], NULL), "make", HPy_NULL, &place);
    if (HPy_IsNull(h))
        return HPy_NULL;
    call(ctx, HPyUnicode_AsUTF8AndSize(ctx, args[1], NULL), "drop", h, &place);
    return HPy_Dup(ctx, h);  /* uses */
}
"""


class Helper(NamedTuple):
    """A library with HELPER, some lines further down."""

    path: Path
    source: Path
    shift: int

    def line(self, mark: str) -> int:
        return line_of(HELPER, f"/* {mark} */") + self.shift


def build_helper(folder: Path, shift: int, *flags: str) -> Helper:
    source, path = folder / f"helper{shift}.c", folder / f"libhelper{shift}.so"
    source.write_text("\n" * shift + HELPER)
    command = ["cc", "-shared", "-fPIC", "-g", "-O1", "-DHPY", "-DHPY_ABI_UNIVERSAL", *flags]
    command += [f"-I{tree.INCLUDE}", str(source), "-o", str(path)]
    subprocess.run(command, check=True)
    return Helper(path, source, shift)


@pytest.fixture(params=["build id", "no build id"])
def helpers(request: pytest.FixtureRequest, tmp_path: Path) -> list[Helper]:
    flags = ["-Wl,--build-id=none"] if request.param == "no build id" else []
    return [build_helper(tmp_path, shift, *flags) for shift in (0, 10, 20)]


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE, ldflags=["-ldl"])


def place_of(frame: NativeFrame) -> tuple[Optional[str], Optional[str], Optional[int]]:
    return frame.function, frame.file, frame.line


def leaks_of(mod: Any, order: list[Helper], *, in_one_call: bool) -> list[Violation]:
    """Each helper of `order` leaks a handle; all were loaded at one place at least once."""
    paths = [str(helper.path) for helper in order]
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        places = mod.leak(*paths) if in_one_call else [mod.leak(path)[0] for path in paths]
    again = {here for here, there in zip(places[1:], places) if here == there}
    assert again, "the loader has never given a place again"
    return list(caught.value.violations)


@pytest.mark.parametrize("in_one_call", [True, False], ids=["one call", "calls"])
def test_another_library_at_the_same_place(
    mod: Any, helpers: list[Helper], in_one_call: bool
) -> None:
    leaks = leaks_of(mod, helpers * 3, in_one_call=in_one_call)
    assert [leak.count for leak in leaks] == [3] * len(helpers)  # of equal stacks each
    for helper, leak in zip(helpers, leaks):
        assert leak.opened is not None
        first, *rest = leak.opened.native
        assert place_of(first) == ("make", str(helper.source), helper.line("makes"))
        assert first["library"] == str(helper.path)
        assert [(frame.function, frame.line) for frame in rest] == [
            ("call", line_of(SOURCE, "/* calls */")),
            ("leak_impl", line_of(SOURCE, "/* leaks */")),
        ]


def test_stacks_of_a_closed_handle(mod: Any, helpers: list[Helper]) -> None:
    for opens, closes in zip(helpers, helpers[1:] + helpers[:1]):
        with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
            mod.use(str(opens.path), str(closes.path))
        found = caught.value.violation
        assert found is not None
        assert found.opened is not None
        assert found.closed is not None
        assert found.at is not None
        assert place_of(found.opened.native[0])[1:] == (str(opens.source), opens.line("makes"))
        assert place_of(found.closed.native[0])[1:] == (str(closes.source), closes.line("drops"))
        assert found.at.native[0].line == line_of(SOURCE, "/* uses */")


@pytest.mark.parametrize("fate", ["deleted", "exchanged", "written over"])
def test_file_that_is_not_the_one_that_ran(
    mod: Any, helpers: list[Helper], fate: str, tmp_path: Path
) -> None:
    """Function and line cannot be known any more; the offset is that of the call all the same."""
    helper, other, _ = helpers
    kept = shutil.copy(helper.path, tmp_path / "kept.so")
    detector = LeakDetector()
    detector.start()
    mod.leak(str(helper.path))
    if fate == "deleted":
        helper.path.unlink()
    elif fate == "exchanged":
        other.path.rename(helper.path)
    else:
        helper.path.write_bytes(other.path.read_bytes())
    with pytest.raises(HPyLeakError) as caught:
        detector.stop()
    (leak,) = caught.value.violations
    assert leak.opened is not None
    first, second, _ = leak.opened.native
    assert place_of(first) == (None, None, None)
    assert first["library"] == str(helper.path)
    command = ["addr2line", "-fie", kept, hex(first.offset or 0)]
    if shutil.which("addr2line"):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert said[-2:] == ["make", f"{helper.source}:{helper.line('makes')}"]
    assert second.line == line_of(SOURCE, "/* calls */")
    assert str(caught.value).count(f"{helper.path.name} has no debug information") == 1
