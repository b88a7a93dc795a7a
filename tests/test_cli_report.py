"""`python -m hpy.debug report`: every format and grouping, several files, and what is refused."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from support import mistakes
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

REPORT = ["-m", "hpy.debug", "report"]


@pytest.fixture
def folder(hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path) -> Path:
    """With all.jsonl: every mistake once, and three leaks more at one place."""
    extension = hpy_module.build(mistakes.SOURCE)
    work = tmp_path / "work"
    work.mkdir()
    (work / "script.py").write_text(mistakes.SCRIPT)
    names = [*mistakes.MISTAKES, "leak", "leak", "leak"]
    done = run_python.run(
        ["-m", "hpy.debug", "run", "--report", "all.jsonl", "script.py", *names],
        module=extension,
        cwd=work,
    )
    assert done.returncode == 70
    return work


@pytest.fixture
def report(run_python: PythonRunner, folder: Path) -> Any:
    def report(*arguments: str, status: int = 0, **how: Any) -> str:
        done = run_python.run([*REPORT, *arguments], cwd=folder, **how)
        assert done.returncode == status, done.stderr
        assert done.stderr == ""
        return done.stdout

    return report


# Text.


def test_text(report: Any) -> None:
    text = report("all.jsonl")
    headlines = re.findall(r"^(?:error|note)\[([\w-]+)\]", text, re.M)
    assert sorted(headlines) == sorted(mistakes.MISTAKES.values())
    assert headlines[0] == "handle-leak", "the most frequent first"
    assert "= count: 4 times with the same stacks" in text
    use = line_of(mistakes.SOURCE, "/* use uses */")
    assert f"{use} |     return HPy_Add(ctx, arg, h);  /* use uses */" in text
    assert "= python: script.py:7 in <module>" in text
    last = text.splitlines()[-1]
    assert last.startswith("SUMMARY: hpy.debug: 4 use-after-close (4 sites), 2 double-close")
    assert last.endswith(", 6 handle-leak (3 sites), report: all.jsonl")
    assert "\x1b" not in text


def test_colour_when_it_is_forced(report: Any) -> None:
    assert "\x1b[" in report("all.jsonl", env={"FORCE_COLOR": "1"})
    assert "\x1b[" not in report("all.jsonl", env={"FORCE_COLOR": "1", "NO_COLOR": "1"})


def test_top(report: Any) -> None:
    text = report("all.jsonl", "--top", "2")
    assert len(re.findall(r"^error\[", text, re.M)) == 2
    assert "and 18 more sites with 18 violations not shown" in text
    assert len(report("all.jsonl", "--top", "2", "--format", "json").splitlines()) == 2


@pytest.mark.parametrize(
    ("by", "first", "more"),
    [
        ("module", "module mytest: 23 violations at 20 sites", None),
        ("kind", "kind handle-leak: 6 violations at 3 sites", "kind double-close: 2 violations"),
        ("type", "type str: 12 violations at 9 sites", "type int: 1 violation at 1 site"),
    ],
)
def test_group_by(report: Any, by: str, first: str, more: Any) -> None:
    lines = report("all.jsonl", "--group-by", by).splitlines()
    assert lines[0] == first
    assert more is None or any(line.startswith(more) for line in lines)
    assert lines[-1].startswith("SUMMARY: hpy.debug: 4 use-after-close")
    sites = [line for line in lines if re.match(r"^ +\d+  \w", line)]
    assert re.match(r"^ +4  (handle-leak|mytest) +\S*mytest.c:\d+ in leak_impl$", sites[0])
    if by == "kind":
        lines = report("all.jsonl", "--group-by", by, "--top", "1").splitlines()
        assert lines[-3] == "and 11 more kinds with 17 violations: --top shows more"


# JSON.


def test_json_can_be_read_again(report: Any, folder: Path) -> None:
    text = report("all.jsonl", "--format", "json")
    rows = [json.loads(line) for line in text.splitlines()]
    assert sorted(row["kind"] for row in rows) == sorted(mistakes.MISTAKES.values())
    assert rows[0]["count"] == 4
    (folder / "again.jsonl").write_text(text)
    assert report("again.jsonl", "--format", "json") == text
    assert report("again.jsonl") == report("all.jsonl").replace("all.jsonl", "again.jsonl")


def test_json_of_groups(report: Any) -> None:
    text = report("all.jsonl", "--format", "json", "--group-by", "kind")
    groups = [json.loads(line) for line in text.splitlines()]
    assert [group["by"] for group in groups] == ["kind"] * 12
    assert (groups[0]["group"], groups[0]["count"], len(groups[0]["violations"])) == (
        "handle-leak",
        6,
        3,
    )


# Folded stacks.


def test_folded(report: Any) -> None:
    lines = report("all.jsonl", "--format", "folded").splitlines()
    assert len(lines) == 20
    leak = line_of(mistakes.SOURCE, "/* leak */")
    assert lines[0] == f"handle-leak;<module> (script.py:7);leak_impl (mytest.c:{leak}) 4"
    assert any(re.search(r";leak_below_impl \(\S+\);make_row \(\S+\) 1$", line) for line in lines)
    by_module = report("all.jsonl", "--format", "folded", "--group-by", "module").splitlines()
    assert all(line.startswith("mytest;") for line in by_module)


# SARIF, as other people's packages read it.


def test_sarif_pydantic(report: Any, folder: Path) -> None:
    sarif_pydantic = pytest.importorskip("sarif_pydantic")
    text = report("all.jsonl", "--format", "sarif")
    log = sarif_pydantic.Sarif.model_validate_json(text)
    assert str(getattr(log.version, "value", log.version)) == "2.1.0"
    (run,) = log.runs
    assert run.tool.driver.name == "hpy.debug"
    rules = [rule.id for rule in run.tool.driver.rules]
    assert set(rules) == set(mistakes.MISTAKES.values())
    assert len(run.results) == 20
    for result in run.results:
        assert rules[result.rule_index] == result.rule_id
        assert str(getattr(result.level, "value", result.level)) == "error"
        location = result.locations[0].physical_location
        assert location.artifact_location.uri.endswith("/mytest.c")
        assert location.region.start_line > 0
    assert run.results[0].rule_id == "handle-leak"
    # What sarif-pydantic has no class for.
    (data,) = json.loads(text)["runs"]
    assert data["originalUriBaseIds"]["SRCROOT"]["uri"] == folder.as_uri() + "/"
    assert data["results"][0]["occurrenceCount"] == 4
    use = next(r for r in data["results"] if "HPy_Add was given a handle" in r["message"]["text"])
    assert [r["message"]["text"] for r in use["relatedLocations"]] == ["opened here", "closed here"]
    assert [r["physicalLocation"]["region"]["startLine"] for r in use["relatedLocations"]] == [
        line_of(mistakes.SOURCE, "/* use opens */"),
        line_of(mistakes.SOURCE, "/* use closes */"),
    ]
    frames = use["stacks"][0]["frames"]
    assert frames[-1]["location"]["physicalLocation"]["artifactLocation"] == {
        "uri": "script.py",
        "uriBaseId": "SRCROOT",
    }
    prints = [result["partialFingerprints"]["hpyDebugSite/v1"] for result in data["results"]]
    assert len(set(prints)) == 20


def test_sarif_says_what_the_text_says(report: Any, folder: Path) -> None:
    frame = {"function": "f", "file": "mytest.c", "line": 3, "library": "m.so", "offset": 1}
    script = {"function": "<module>", "file": "script.py", "line": 7}
    frozen = {"function": "run_path", "file": "<frozen runpy>", "line": 9}
    row = {
        "kind": "builder-after-build",
        "message": "no",
        "at": {"native": [frame], "python": [script, frozen]},
        "opened": {"native": [frame], "python": []},
        "closed": {"native": [], "python": [frozen]},
    }
    (folder / "row.jsonl").write_text(json.dumps(row) + "\n")
    (result,) = json.loads(report("row.jsonl", "--format", "sarif"))["runs"][0]["results"]
    said = [stack["message"]["text"] for stack in result["stacks"]]
    assert said == ["used here", "made here", "built or cancelled here"]
    assert [found["message"]["text"] for found in result["relatedLocations"]] == ["made here"]
    places = [f["location"].get("physicalLocation") for f in result["stacks"][0]["frames"]]
    # There is a file of the second name in this folder, none of the first, and the third is none.
    artifacts = [place and place["artifactLocation"] for place in places]
    assert artifacts == [{"uri": "mytest.c"}, {"uri": "script.py", "uriBaseId": "SRCROOT"}, None]


def test_sarif_tools(report: Any, folder: Path) -> None:
    loader = pytest.importorskip("sarif.loader")
    report("all.jsonl", "--format", "sarif", "-o", "all.sarif")
    found = loader.load_sarif_file(str(folder / "all.sarif"))
    assert found.get_distinct_tool_names() == ["hpy.debug"]
    assert found.get_result_count() == 20
    histogram = found.get_report().get_issues_grouped_by_type_for_severity("error")
    assert sum(len(issues) for issues in histogram.values()) == 20
    lines = {
        record["Location"].rpartition("/")[2]: record["Line"] for record in found.get_records()
    }
    assert set(lines) == {"mytest.c"}


# Several files.


def test_several_files(report: Any, folder: Path) -> None:
    lines = (folder / "all.jsonl").read_text().splitlines(keepends=True)
    (folder / "p-1.jsonl").write_text("".join(lines[:3]))
    (folder / "p-22.jsonl").write_text("".join(lines[3:]))
    (folder / "p-x.jsonl").write_text("not one of them")
    whole = report("all.jsonl", "--format", "folded")
    for names in (["p-1.jsonl", "p-22.jsonl"], ["p-{pid}.jsonl"]):
        assert sorted(report(*names, "--format", "folded").splitlines()) == sorted(
            whole.splitlines()
        )
    assert report("p-{pid}.jsonl").endswith("report: p-{pid}.jsonl\n")


# Suppressions.


def test_suppressions(run_python: PythonRunner, folder: Path) -> None:
    (folder / "known.txt").write_text("handle-leak\n*-close\n")
    done = run_python.run([*REPORT, "all.jsonl", "--suppressions", "known.txt"], cwd=folder)
    assert done.stderr == (
        "suppressed: 13 violations\n"
        "       7 *-close (known.txt:2)\n"
        "       6 handle-leak (known.txt:1)\n"
    )
    assert done.stdout.splitlines()[-1].startswith("SUMMARY: hpy.debug: 2 close-of-argument")


# Damaged files, and what is no report.


def test_last_line_that_was_cut(run_python: PythonRunner, folder: Path) -> None:
    whole = (folder / "all.jsonl").read_bytes()
    rows = whole.splitlines(keepends=True)
    for cut in (1, 5, 9, len(rows[-1]) // 2, len(rows[-1]) - 2):
        (folder / "cut.jsonl").write_bytes(b"".join(rows[:-1]) + rows[-1][:cut])
        done = run_python.run([*REPORT, "cut.jsonl", "--format", "json"], cwd=folder)
        assert done.returncode == 0
        assert done.stderr == (
            f"hpy.debug: the last line of 'cut.jsonl', line {len(rows)}, was cut, as by a crash; "
            "it is left out\n"
        )
        counts = [json.loads(line)["count"] for line in done.stdout.splitlines()]
        assert sorted(counts) == sorted(json.loads(row)["count"] for row in rows[:-1])
    # Without the line break it is whole all the same.
    (folder / "cut.jsonl").write_bytes(whole[:-1])
    done = run_python.run([*REPORT, "cut.jsonl", "--format", "json"], cwd=folder)
    assert done.stderr == ""


def test_empty_file_is_a_report_of_nothing(report: Any, folder: Path) -> None:
    (folder / "empty.jsonl").write_text("")
    assert report("empty.jsonl") == "SUMMARY: hpy.debug: no violations, report: empty.jsonl\n"
    assert report("empty.jsonl", "--format", "json") == ""
    assert json.loads(report("empty.jsonl", "--format", "sarif"))["runs"][0]["results"] == []
    assert "no violations" in report("empty.jsonl", "--format", "html")


GOOD = '{"kind":"handle-leak","message":"m"}\n'


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("hello", "line 1 is not JSON: 'hello'. A report is what HPY_DEBUG_REPORT=F, or"),
        ("hello\n", "line 1 is not JSON: 'hello'. A report is"),
        (GOOD + "{\n", "line 2 is not JSON: '{'. A report is"),
        (GOOD[:20] + "\n" + GOOD, "line 1 is not JSON: "),
        ("\n" + GOOD, "line 1 is not JSON: ''. A report is"),
        ("[]\n", "line 1 is no violation: it has no kind. A report is"),
        ('{"a": 1}\n', "line 1 is no violation: it has no kind. A report is"),
        ('{"kind":"new","message":"m"}\n', "line 1 has the kind 'new', which is not known here"),
        ('{"kind":["a"],"message":"m"}\n', "line 1 has the kind ['a'], which is not known here"),
        ('{"kind":"handle-leak"}\n', "line 1 is no violation: its message is None"),
        (GOOD.replace('"m"', "3"), "line 1 is no violation: its message is 3"),
        (GOOD.replace('"m"', '"m","count":0'), "line 1 is no violation: its count is 0"),
        (GOOD.replace('"m"', '"m","count":"x"'), "line 1 is no violation: its count is 'x'"),
        (GOOD.replace('"m"', '"m","at":[]'), "line 1 is no violation: its at is []"),
        (GOOD.replace('"m"', '"m","module":1'), "line 1 is no violation: its module is 1"),
        (GOOD.replace('"m"', '"m","severity":"x"'), "its severity is 'x'"),
        (GOOD.replace('"m"', '"m","at":{"native":[1]}'), "a frame of it is 1"),
        (GOOD.replace('"m"', '"m","at":{"native":1}'), "line 1 is no violation: its at is"),
        (GOOD.replace('"m"', '"m","at":{"native":[{"line":"x"}]}'), "the line of a frame is 'x'"),
        (GOOD.replace('"m"', '"m","at":{"python":[{}]}'), "line 1 is no violation"),
        (GOOD.replace('"m"', '"m","handle":{}'), "line 1 is no violation"),
        ("\x7fELF\x02\x01\0\0", "line 1 is not JSON"),
    ],
)
def test_no_report(run_python: PythonRunner, tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    done = run_python.run([*REPORT, "bad.jsonl"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hpy.debug: 'bad.jsonl' is no report: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the following arguments are required: F"),
        (["missing.jsonl"], "cannot read the report 'missing.jsonl': No such file or directory. A"),
        (["."], "cannot read the report '.': Is a directory. A report is what"),
        (["p-{pid}.jsonl"], "there is no report file 'p-{pid}.jsonl', with any number in place of"),
        (["r.jsonl", "-o", "no/out"], "cannot write 'no/out': No such file or directory. -o needs"),
        (["r.jsonl", "-o", "."], "cannot write '.': Is a directory. -o needs the path of a file"),
        (["r.jsonl", "--format", "pdf"], "argument --format: invalid choice: 'pdf' (choose from "),
        (["r.jsonl", "--group-by", "x"], "argument --group-by: invalid choice: 'x' (choose from "),
        (["r.jsonl", "--top", "0"], "argument --top: N must be a whole number from 1; it is '0'"),
        (["r.jsonl", "--top", "-1"], "--top"),
        (["r.jsonl", "--top", "many"], "N must be a whole number from 1; it is 'many'"),
        (["r.jsonl", "--suppressions", "no"], "cannot read the suppressions of 'no': No such fil"),
        (["r.jsonl", "--suppressions", "bad"], "bad:1: there is no kind of violation 'nonsense'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused(run_python: PythonRunner, tmp_path: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "r.jsonl").write_text(GOOD)
    (tmp_path / "bad").write_text("nonsense\n")
    done = run_python.run([*REPORT, *arguments], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_report_that_may_not_be_read(run_python: PythonRunner, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(GOOD)
    (tmp_path / "r.jsonl").chmod(0)
    done = run_python.run([*REPORT, "r.jsonl"], cwd=tmp_path)
    assert done.returncode == 2
    assert "Permission denied" in done.stderr


def test_progress_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from hpy.debug.cli import terminal

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(terminal, "_DELAY", 0)
    monkeypatch.setattr(terminal, "_INTERVAL", 0)
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        with terminal.Progress("reading x", 200, stream) as progress:
            progress.at(50)
            progress.at(200)
        expected = "\r\x1b[Kreading x: 25 %\r\x1b[Kreading x: 100 %\r\x1b[K" if shown else ""
        assert stream.getvalue() == expected
