"""One report with every kind of violation, really made: as text, as SARIF, in a browser.

The programs are the wrong ones of `python -m hpy.debug explain KIND`.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hpy.debug import kinds
from support import browser, tree
from support.child import PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

EXAMPLES = tree.PACKAGE / "debug" / "examples"
KINDS = [kind.name for kind in kinds.all_kinds()]

# Runs in the page: sorts by kind, filters by each, opens what is found, and tells it in the title.
DRIVER = """
<script>
const set = (id, value) => {
  document.getElementById(id).value = value;
  document.getElementById(id).dispatchEvent(new Event("input"));
};
const texts = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent);
const seen = { found: {}, stories: {} };
document.querySelector("th[data-key=kind] button").click();
seen.sorted = texts("tr.site td:nth-child(2)");
for (const kind of new Set(seen.sorted)) {
  set("kind", kind);
  seen.found[kind] = texts("tr.site td:nth-child(2)");
  document.querySelector("tr.site").click();
  seen.stories[kind] = texts("tr.story pre")[0];
}
set("kind", "\\0");
seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
document.title = JSON.stringify(seen);
</script>
</body>"""


def test_every_kind(hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path) -> None:
    for kind in KINDS:
        source = (EXAMPLES / kind / "wrong.c").read_text("utf-8")
        extension = hpy_module.build(source, name="example")
        env = {
            "HPY_DEBUG_REPORT": str(tmp_path / "out.jsonl"),
            "HPY_DEBUG_ON_VIOLATION": "raise",
            "HPY_DEBUG_LONG_LIVED": "1" if kind == "long-lived-handle" else "0",
        }
        shutil.copy(EXAMPLES / kind / "use.py", tmp_path)
        run_python.run(["use.py"], env, extension, cwd=tmp_path)

    def report(*arguments: str) -> str:
        command = ["-m", "hpy.debug", "report", "out.jsonl", "--top", "99", *arguments]
        done = run_python.run(command, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    check_text(report())
    check_sarif(json.loads(report("--format", "sarif")))
    report("--format", "html", "-o", "page.html")
    if browser.CHROMIUM is not None:
        check_page(tmp_path / "page.html")


def check_text(text: str) -> None:
    assert set(re.findall(r"^(?:error|note)\[([\w-]+)\]: ", text, re.M)) == set(KINDS)
    for story in text.split("\n\n")[:-1]:
        assert re.search(r"^ +(-->|:::) \S+:\d+ in \S+$", story, re.M), story
        assert re.search(r"^ *\d+ \| .*\n +\| +[\^-]+ ", story, re.M), story
        assert story.count("= help: ") == 1
    assert text.splitlines()[-1].startswith("SUMMARY: hpy.debug: ")


def check_sarif(log: Any) -> None:
    (run,) = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == KINDS
    assert {result["ruleId"] for result in run["results"]} == set(KINDS)
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert re.search(r"\.(c|py)$", place["artifactLocation"]["uri"])
        assert place["region"]["startLine"] > 0
        kind = kinds.find(result["ruleId"])
        for stack in result["stacks"]:
            assert stack["message"]["text"] in (kind.at, kind.opened, kind.closed)


def check_page(page: Path) -> None:
    seen = browser.drive(page, DRIVER)
    assert seen["sorted"] == sorted(seen["sorted"])
    assert set(seen["found"]) == set(KINDS)
    for kind in KINDS:
        assert set(seen["found"][kind]) == {kind}
        assert re.match(rf"(error|note)\[{kind}\]: ", seen["stories"][kind])
    assert seen["wide"] == 0
