"""Reading many stacks takes a while: who sits at a terminal sees how far it is, and nobody else."""

import io
import sys
from types import ModuleType
from typing import Any, Callable

import pytest

pytestmark = [pytest.mark.hpy_abis("debug"), pytest.mark.no_leak_check]

SOURCE = """
#include <hpy.h>
#define TEN(x) x x x x x x x x x x
HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    TEN(TEN(TEN(HPy_Dup(ctx, arg);)))
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_METH(leak_ten, "leak_ten", HPyFunc_O)
static HPy leak_ten_impl(HPyContext *ctx, HPy self, HPy arg)
{
    TEN(HPy_Dup(ctx, arg);)
    return HPy_Dup(ctx, ctx->h_None);
}
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(
    hpy_module: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, io.StringIO], str]:
    """What a leak check after a function of the module writes to this standard error."""
    import hpy.debug
    from hpy.debug.cli import terminal

    monkeypatch.setattr(terminal, "_DELAY", 0)
    monkeypatch.setattr(terminal, "_INTERVAL", 0)
    mod: Any = hpy_module(SOURCE)

    def run(function: str, stream: io.StringIO) -> str:
        detector = hpy.debug.LeakDetector()
        detector.start()
        getattr(mod, function)(object())
        monkeypatch.setattr(sys, "stderr", stream)
        with pytest.raises(hpy.debug.HPyLeakError):
            detector.stop()
        monkeypatch.undo()
        return stream.getvalue()

    return run


def test_a_line_counts_and_goes(shown: Callable[[str, io.StringIO], str]) -> None:
    steps = shown("leak", Terminal()).split("\r\x1b[K")
    assert steps[0] == ""
    assert steps[1] == "hpy.debug: reading stacks: 0 %"
    assert steps[-2] == "hpy.debug: reading stacks: 96 %"
    assert steps[-1] == "", "the line is cleared at the end"


def test_not_for_a_few(shown: Callable[[str, io.StringIO], str]) -> None:
    assert shown("leak_ten", Terminal()) == ""


def test_not_where_standard_error_is_no_terminal(
    shown: Callable[[str, io.StringIO], str],
) -> None:
    assert shown("leak", io.StringIO()) == ""
