"""The HTML page of a report, opened in a browser: sorted, filtered, grouped, and the flame graph.

Without Chromium only what is in the file is looked at.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support import browser
from support.child import PythonRunner


def leak(function: str, count: int, **changes: Any) -> dict[str, Any]:
    frames = [
        {"function": function, "file": "/src/m.c", "line": 7, "library": "/lib/m.so", "offset": 1},
        {"function": "outer", "file": "/src/m.c", "line": 9, "library": "/lib/m.so", "offset": 2},
    ]
    return {
        "kind": "handle-leak",
        "message": "a handle was left open",
        "module": "pkg.m",
        "function": "f",
        "handle": {"id": "0x1", "repr": "'</script><b>&amp;'", "type": "str"},
        "opened": {"native": frames, "python": [{"function": "g", "file": "/g.py", "line": 3}]},
        "severity": "error",
        "count": count,
        **changes,
    }


ROWS = [
    leak("a", 3),
    leak("b", 10),
    leak("</script><script>alert(1)</script>", 1, module="other"),
    leak("c", 2, kind="double-close", opened=None, module="pkg.m"),
]
ROWS[3]["at"] = ROWS[0]["opened"]
# A note is no leak. Its story has a long line.
NOTE = leak("d", 4, kind="long-lived-handle", severity="note", message="x" * 500)

# Runs in the page, and leaves what it saw in its title.
DRIVER = """
<script>
try {
const texts = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent);
const places = () => texts("tr.site td.count").join(" ");
const seen = {};
const set = (id, value) => {
  document.getElementById(id).value = value;
  document.getElementById(id).dispatchEvent(new Event("input"));
};
const head = (key) => document.querySelector(`th[data-key=${key}] button`).click();
const flame = () => texts(".frame");
seen.first = places();
seen.shown = document.getElementById("shown").textContent;
head("count"); seen.ascending = places();
seen.sorted = document.querySelector("th[data-key=count]").getAttribute("aria-sort");
head("kind"); seen.kind = texts("tr.site td:nth-child(2)");
head("place"); seen.place = texts("tr.site td.place");
head("count");
seen.flame = flame();
const width = (name) => [...document.querySelectorAll(".frame")].find(
  (e) => e.textContent.startsWith(name)).getBoundingClientRect().width;
seen.share = width("b (") / width("outer (");
set("filter", "double CLOSE"); seen.filtered = places();
set("filter", "no such thing"); seen.nothing = places();
seen.no_flame = document.getElementById("flame").textContent;
set("filter", "");
set("kind", "handle-leak"); seen.by_kind = places();
set("kind", "\\0");
set("module", "other"); seen.by_module = places();
seen.module_flame = flame();
set("module", "\\0");
set("by", "module"); seen.groups = texts("tr.group");
set("by", "stack");
document.querySelector("tr.site").click(); seen.story = texts("pre");
document.querySelector("tr.site").click(); seen.closed = texts("pre").length;
[...document.querySelectorAll(".frame")].find((e) => e.textContent.startsWith("b (")).click();
seen.zoomed = flame();
set("kind", "long-lived-handle"); seen.note_flame = document.getElementById("flame").textContent;
document.querySelector("tr.site").click();
seen.expanded = document.querySelector("tr.site").ariaExpanded;
seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
seen.scripts = document.scripts.length;
seen.loaded = performance.getEntriesByType("resource").length;
document.title = JSON.stringify(seen);
} catch (error) { document.title = JSON.stringify({ error: String(error) }); }
</script>
</body>"""


@pytest.fixture
def page(run_python: PythonRunner, tmp_path: Path) -> Path:
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, NOTE]))
    command = ["-m", "hpy.debug", "report", "r.jsonl", "--format", "html", "-o", "page.html"]
    done = run_python.run(command, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return tmp_path / "page.html"


def test_one_file_that_needs_nothing_else(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>\n")
    assert not re.search(r"https?:|//cdn|\bsrc=|<link|@import|url\(", text)
    assert text.count("</script>") == 1, "nothing in the data ends the script"
    assert "SUMMARY: hpy.debug: 2 double-close (1 site), 14 handle-leak (3 sites)" in text


@pytest.mark.skipif(browser.CHROMIUM is None, reason="needs chromium")
def test_in_a_browser(page: Path) -> None:
    seen = browser.drive(page, DRIVER)
    assert "error" not in seen, seen
    assert seen["first"] == "10 4 3 2 1"
    assert seen["shown"] == "5 sites of 5"
    assert (seen["ascending"], seen["sorted"]) == ("1 2 3 4 10", "ascending")
    assert seen["kind"] == ["double-close", *["handle-leak"] * 3, "long-lived-handle"]
    assert seen["place"] == sorted(seen["place"])
    assert seen["filtered"] == "2"
    assert seen["nothing"] == ""
    assert seen["no_flame"] == "no leaks"
    assert seen["by_kind"] == "10 3 1"
    assert seen["by_module"] == "1"
    assert seen["groups"] == [
        "pkg.m: 19 violations at 4 sites",
        "other: 1 violation at 1 site",
    ]
    injected = "</script><script>alert(1)</script> (m.c:7)"
    assert seen["flame"] == [
        *("all leaks", "g (g.py:3)", "outer (m.c:9)"),
        *("b (m.c:7)", "a (m.c:7)", injected),
    ]
    assert seen["module_flame"] == ["all leaks", "g (g.py:3)", "outer (m.c:9)", injected]
    assert seen["zoomed"] == ["all leaks", "g (g.py:3)", "outer (m.c:9)", "b (m.c:7)"]
    assert seen["share"] == pytest.approx(10 / 14, abs=0.02)
    (story,) = seen["story"]
    assert story.startswith("error[handle-leak]: a handle was left open\n")
    assert "= handle: '</script><b>&amp;' (str)" in story
    assert "SUMMARY" not in story
    assert seen["closed"] == 0
    assert seen["note_flame"] == "no leaks"
    assert seen["expanded"] == "true"
    assert seen["wide"] == 0, "a long line scrolls in its cell"
    assert seen["scripts"] == 2, "that of the page and the driver; none out of the data"
    assert seen["loaded"] == 0
