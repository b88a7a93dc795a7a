"""Every function of the table is called by a test, on every ABI that has it; none is a stub."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from support import tree
from support.child import PythonRunner
from support.extension import ModuleFactory

TESTS = Path(__file__).resolve().parent

# Functions that have no public name of their own, or are behind another: what calls them. Each of
# these is a macro or an inline function that does nothing but that.
THROUGH = {
    "_HPy_New": ["HPy_New"],
    "HPyCapsule_Get": ["HPyCapsule_GetPointer", "HPyCapsule_GetName", "HPyCapsule_GetContext"],
    "HPyCapsule_Set": ["HPyCapsule_SetPointer", "HPyCapsule_SetName", "HPyCapsule_SetContext"],
    # The trampoline of a method calls it.
    "_HPy_CallRealFunctionFromTrampoline": ["HPyDef_METH"],
}
# Those that are an error of the compiler in the universal ABI.
LEGACY = {"HPy_FromPyObject", "HPy_AsPyObject"}


def functions_of_the_table() -> list[str]:
    """The public names, in the order of the struct."""
    table = (tree.REPOSITORY / "abi" / "context.inc").read_text()
    table = re.sub(r"/\*.*?\*/", "", table, flags=re.S)
    return re.findall(r"^HPY_(?:FUNC|PROC)\(\s*\d+,\s*\w+,\s*(\w+)", table, re.M)


def strings(text: str) -> Iterator[str]:
    """The strings of a Python file, without its docstrings."""
    module = ast.parse(text)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(module)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if isinstance(node.value, str):
            yield node.value


def names_in_c(source: str) -> set[str]:
    """The identifiers of C code, without comments and literals."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return set(re.findall(r"\w+", re.sub(pattern, " ", source, flags=re.S)))


def names_called(text: str, suffix: str) -> set[str]:
    """The identifiers of the C code in a file: all of it, or the strings that use a context."""
    if suffix != ".py":
        return names_in_c(text)
    found: set[str] = set()
    for string in strings(text):
        if re.search(r"\bctx\b", string):
            found |= names_in_c(string)
    return found


def not_called(files: Iterable[tuple[str, str]]) -> list[str]:
    """The functions of the table that none of the files, (text, suffix), calls."""
    found: set[str] = set()
    for text, suffix in files:
        found |= names_called(text, suffix)
    return [name for name in functions_of_the_table() if not found & {name, *THROUGH.get(name, ())}]


def read(paths: Iterable[Path]) -> list[tuple[str, str]]:
    return [(path.read_text(), path.suffix) for path in paths]


def files_of_all_tests() -> list[Path]:
    this = Path(__file__).name
    files = [path for path in TESTS.glob("*.py") if path.name != this]
    files += [*TESTS.glob("support/*.py"), *TESTS.glob("abi/*.c")]
    files += (tree.REPOSITORY / "examples").rglob("*.c")
    return sorted(files)


def files_of_all_abis() -> list[Path]:
    """Those whose tests run on cpython, universal, hybrid and debug: no HPY_ABIS of their own."""
    paths = sorted(TESTS.glob("test_api_*.py"))
    return [
        path
        for path in paths
        if path != Path(__file__) and not re.search("^HPY_ABIS", path.read_text(), re.M)
    ]


def test_table() -> None:
    names = functions_of_the_table()
    assert len(names) == len(set(names)) == 274 - 84
    assert set(THROUGH) | LEGACY <= set(names)


def test_every_function_is_called() -> None:
    assert not_called(read(files_of_all_tests())) == []


def test_every_function_is_called_on_every_abi() -> None:
    """Those of test_api_*.py alone; legacy functions exist in the ABIs cpython and hybrid only."""
    assert set(not_called(read(files_of_all_abis()))) == LEGACY
    legacy = TESTS / "test_api_legacy.py"
    assert names_called(legacy.read_text(), ".py") >= LEGACY
    assert re.search(
        r'^HPY_ABIS = \["cpython", "hybrid", "hybrid-debug"\]', legacy.read_text(), re.M
    )


@pytest.mark.parametrize("name", ["HPy_Add", "HPyCapsule_Set", "HPyTracker_ForgetAll", "_HPy_New"])
def test_a_missing_call_is_noticed(name: str) -> None:
    """Without the calls of a function, the list has that one."""
    gone = re.compile(r"\b(?:" + "|".join([name, *THROUGH.get(name, ())]) + r")\b")
    files = [(gone.sub("removed", text), suffix) for text, suffix in read(files_of_all_abis())]
    assert set(not_called(files)) == {name} | LEGACY


def test_what_is_no_call() -> None:
    name = "HPy_Add"
    for text in (
        '"""HPy_Add(ctx, a, b)"""',
        'match = "HPy_Add: argument 1"',
        "SOURCE = '/* HPy_Add */ f(ctx);'",
        'SOURCE = """ f(ctx, "HPy_Add"); """',
        "# HPy_Add(ctx)",
    ):
        assert name in not_called([(text, ".py")])
    assert name not in not_called([("SOURCE = 'return HPy_Add(ctx, a, b);'", ".py")])
    assert name not in not_called([("HPy f(void) { return HPy_Add(ctx, a, b); }", ".c")])


# --------------------------------------------------------------------------------------------------
# Slots that are not implemented

# attempt(name) calls a function with arguments of the right kind.
ATTEMPT = """
    #include "hpy.h"
    #include <cstring>
    #include <type_traits>

    namespace {

    template <typename T>
    T Argument(HPyContext *ctx)
    {
        static char memory[4096];
        if constexpr (std::is_same_v<T, HPy>)
            return ctx->h_None;
        else if constexpr (std::is_same_v<T, const char *>)
            return "mytest.name";
        else if constexpr (std::is_same_v<T, const wchar_t *>)
            return L"wide";
        else if constexpr (std::is_pointer_v<T>)
            return reinterpret_cast<T>(memory);
        else
            return T{};
    }

    template <typename R, typename... Args>
    HPy Call(HPyContext *ctx, R (*function)(HPyContext *, Args...))
    {
        if constexpr (std::is_same_v<R, HPy>) {
            HPy result = function(ctx, Argument<Args>(ctx)...);
            if (!HPy_IsNull(result)) HPy_Close(ctx, result);
        } else {
            static_cast<void>(function(ctx, Argument<Args>(ctx)...));
        }
        return HPyErr_Occurred(ctx) ? HPy_NULL : HPy_Dup(ctx, ctx->h_None);
    }

    }

    HPyDef_METH(attempt, "attempt", HPyFunc_O)
    static HPy attempt_impl(HPyContext *ctx, HPy, HPy arg)
    {
        const char *wanted = HPyUnicode_AsUTF8AndSize(ctx, arg, NULL);
    #define HPY_FUNC(index, member, name, ...) \\
        if (!std::strcmp(wanted, #name)) return Call(ctx, ctx->member);
    #define HPY_PROC(index, member, name, ...) \\
        if (!std::strcmp(wanted, #name)) return Call(ctx, ctx->member);
    #include "hpy/abi/context.inc"
        return HPyErr_SetString(ctx, ctx->h_KeyError, wanted);
    }
"""
# Each call in a process of its own: those that trust their caller may crash, and are no stubs.
ATTEMPT_ALL = """
import os, signal, sys
import mytest
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        status = 0
        signal.alarm(20)
        try:
            mytest.attempt(name)
        except NotImplementedError:
            status = 5
        except KeyError as error:
            status = 6 if error.args == (name,) else 0
        except BaseException:
            pass
        os._exit(status)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    print(name, {5: "unfinished", 6: "unknown", 0: "done"}.get(code, "crashed"), flush=True)
"""


@pytest.mark.hpy_abis("universal")
def test_no_slot_raises_not_implemented_error(
    hpy_module: ModuleFactory, run_python: PythonRunner
) -> None:
    """The list of the slots that do, by calling them: it is empty."""
    extension = hpy_module.build(ATTEMPT, language="c++", cflags=["-std=c++17"])
    names = functions_of_the_table()
    done = run_python(ATTEMPT_ALL, *names, module=extension)
    assert done.returncode == 0, done.stderr
    outcomes = dict(line.split() for line in done.stdout.splitlines())
    assert list(outcomes) == names
    assert [name for name, outcome in outcomes.items() if outcome == "unfinished"] == []
    assert [name for name, outcome in outcomes.items() if outcome == "unknown"] == []
    # Most calls came to their end, so that the two lists mean something.
    assert list(outcomes.values()).count("done") > 160


def test_no_code_raises_not_implemented_error() -> None:
    """Neither do those that cannot be called just so: no source of the runtime names it."""
    found = []
    for room in "include", "runtime", "universal", "debug_ctx", "python":
        for path in (tree.REPOSITORY / room).rglob("*"):
            if path.suffix not in {".c", ".cc", ".h", ".inc"}:
                continue
            for line in path.read_text().splitlines():
                if "NotImplementedError" in line:
                    found.append(f"{path.relative_to(tree.REPOSITORY)}: {line.strip()}")
    assert found == []
