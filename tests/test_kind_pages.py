"""docs/kinds: the pages of the kinds of violations say what the tables, examples and reports say.

With HPY_UPDATE_DOCS=1 they are written anew.
"""

import os
import re

import hpy.debug.kinds
from support import kind_pages, tree


def test_up_to_date() -> None:
    if os.environ.get("HPY_UPDATE_DOCS") == "1":
        kind_pages.write()
    said = {path.name: path.read_text("utf-8") for path in kind_pages.FOLDER.iterdir()}
    made = kind_pages.pages()
    assert sorted(said) == sorted(made), "run python tests/support/kind_pages.py"
    for name, text in made.items():
        assert said[name] == text, "run python tests/support/kind_pages.py"


def test_the_table_is_read_as_the_native_code_reads_it() -> None:
    native = [
        (kind.name, kind.severity, kind.title, kind.cause, kind.help)
        for kind in hpy.debug.kinds.all_kinds()
    ]
    assert [kind[1:] for kind in kind_pages.kinds()] == native
    assert len({kind.group for kind in kind_pages.kinds()}) == 6


def test_a_page_has_all_of_it() -> None:
    for kind in hpy.debug.kinds.all_kinds():
        text = (kind_pages.FOLDER / f"{kind.name}.md").read_text("utf-8")
        assert kind.cause in text
        assert f"```c\n/* {kind.name}: " in text
        assert f"```c\n/* Not {kind.name}: " in text
        assert "\nimport example\n" in text.partition("```python")[2]
        assert f"```\n{kind.severity}[{kind.name}]: " in text
        assert len(re.findall(r"^```", text, re.M)) == 8


def test_the_index_lists_every_page_and_is_linked() -> None:
    index = (kind_pages.FOLDER / "index.md").read_text("utf-8")
    names = [kind.name for kind in hpy.debug.kinds.all_kinds()]
    assert re.findall(r"\| \[([\w-]+)\]\(\1\.md\) \|", index) == names
    for page in ("index.md", "debug-mode.md", "command-line.md"):
        assert "(kinds/index.md)" in (tree.REPOSITORY / "docs" / page).read_text("utf-8")
