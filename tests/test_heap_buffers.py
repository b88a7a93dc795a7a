"""guard="heap": wrong writes to memory behind a pointer do not fault, and are found afterwards.

At the close of the handle, at the return of the function that got the pointer, or when the record
of the closed handle is used again. The same where no guarded pages are left.
"""

import json
from typing import Any

import pytest

from support.child import PythonRunner
from support.extension import ModuleFactory, line_of
from support.fault_source import SOURCE

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

CAUGHT = """
import json
import mytest
from hpy.debug import HPyDebugError
def wrong(function, *arguments):
    try:
        function(*arguments)
    except HPyDebugError as error:
        print(json.dumps(error.violation.to_dict()))
    else:
        print('{}')
"""
APIS = [
    ("'hello'", 0, "HPyUnicode_AsUTF8AndSize", "gives utf8"),
    ("b'hello'", 1, "HPyBytes_AsString", "gives bytes"),
    ("b'hello'", 2, "HPyBytes_AS_STRING", "gives BYTES"),
    ("type('hello', (), {})", 3, "HPyType_GetName", "gives name"),
]
api = pytest.mark.parametrize(("obj", "which", "name", "gives"), APIS, ids=[a[2] for a in APIS])


class Case:
    def __init__(self, factory: ModuleFactory, run: PythonRunner) -> None:
        self._module = factory.build(SOURCE)
        self._run = run

    def __call__(self, code: str, guard: str = "heap", policy: str = "raise") -> Any:
        env = {"HPY_DEBUG_GUARD": guard, "HPY_DEBUG_ON_VIOLATION": policy}
        return self._run(CAUGHT + code, module=self._module, env=env)

    def found(self, code: str, guard: str = "heap") -> list[Any]:
        done = self(code, guard)
        assert done.returncode == 0, done.stderr
        return [json.loads(text) for text in done.stdout.splitlines()]


@pytest.fixture
def case(hpy_module: ModuleFactory, run_python: PythonRunner) -> Case:
    return Case(hpy_module, run_python)


def lines(stack: Any) -> list[int]:
    return [frame["line"] for frame in stack["native"]]


def line(mark: str) -> int:
    return line_of(SOURCE, f"/* {mark} */")


@api
def test_write_after_close(case: Case, obj: str, which: int, name: str, gives: str) -> None:
    (found,) = case.found(f"wrong(mytest.after, {obj}, {which}, 1)")
    assert found["kind"] == "buffer-after-close"
    assert (found["api"], found["module"], found["function"]) == (name, "mytest", "after")
    assert found["at"]["native"][0]["function"] == "after_impl"
    assert lines(found["opened"]) == [line(gives), line("asks after")]
    assert lines(found["closed"]) == [line("closes after")]
    assert "(found when the function returned)" in found["message"]


@api
def test_write(case: Case, obj: str, which: int, name: str, gives: str) -> None:
    (found,) = case.found(f"wrong(mytest.during, {obj}, {which}, 1, 1)")
    assert (found["kind"], found["api"]) == ("buffer-write", name)
    assert found["at"]["native"][0]["function"] == "during_impl"
    assert lines(found["opened"]) == [line(gives), line("asks during")]
    assert found["closed"] is None
    assert found["handle"]["type"] == ("type" if which == 3 else "bytes" if which else "str")
    assert found["handle"]["repr"] == (None if which == 3 else obj)


@api
@pytest.mark.parametrize("offset", [6, -1])
def test_overrun(case: Case, obj: str, which: int, name: str, gives: str, offset: int) -> None:
    (found,) = case.found(f"wrong(mytest.during, {obj}, {which}, {offset}, 1)")
    assert (found["kind"], found["api"]) == ("buffer-overrun", name)
    assert lines(found["opened"]) == [line(gives), line("asks during")]
    assert "outside of its 6 bytes" in found["message"]


def test_found_at_the_close(case: Case) -> None:
    """A later call writes: what finds it is the close, whose line is told."""
    (found,) = case.found("mytest.hold('hello')\nmytest.write_held()\nwrong(mytest.release)")
    assert (found["kind"], found["function"]) == ("buffer-write", "release")
    assert found["at"]["native"][0]["line"] == line_of(SOURCE, "HPy_Close(ctx, held[i]);")
    assert "(found when the handle was closed)" in found["message"]
    assert found["at"]["python"][-1]["line"] > 1


def test_found_when_the_record_is_used_again(case: Case) -> None:
    (found, nothing) = case.found(
        "mytest.keep('hello', 0)\nmytest.touch_kept(1)\n"
        "for _ in range(63): mytest.right('hello', 1)\n"
        "wrong(mytest.right, 'hello', 1)\nwrong(mytest.right, 'hello', 3000)"
    )
    assert (found["kind"], nothing) == ("buffer-after-close", {})
    assert lines(found["opened"]) == [line("gives utf8"), line("asks keep")]
    assert found["closed"]["native"][0]["function"] == "keep_impl"
    assert "by the return of the function (found when the record" in found["message"]


def test_said_once(case: Case) -> None:
    code = "mytest.hold('hello')\nmytest.write_held()\nwrong(mytest.release)\n"
    assert [v.get("kind") for v in case.found(code + "wrong(mytest.right, 'hello', 3000)")] == [
        "buffer-write",
        None,
    ]


@pytest.mark.parametrize("policy", ["abort", "warn"])
@pytest.mark.parametrize(
    "code",
    ["mytest.after('hello', 0, 1)", "mytest.during('hello', 0, 1, 1)"],
    ids=["after", "during"],
)
def test_policies(case: Case, policy: str, code: str) -> None:
    done = case(code, policy=policy)
    kind = "buffer-after-close" if "after" in code else "buffer-write"
    assert f"[{kind}]" in done.stderr
    if policy == "abort":
        assert 'with guard="strict" (HPY_DEBUG_GUARD=strict) it faults' in done.stderr
    assert done.returncode == (-6 if policy == "abort" else 0)


def test_no_pages_left(case: Case) -> None:
    """The pages are those of a file, which a limit rules out: the report says how to get some."""
    done = case(
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "mytest.during('hello', 0, 1, 1)\n",
        guard="strict",
        policy="warn",
    )
    assert "[buffer-write]" in done.stderr
    assert "it did not fault, for no guarded pages were left" in done.stderr
    assert "raise vm.max_map_count (sysctl), ulimit -v or ulimit -f" in done.stderr
