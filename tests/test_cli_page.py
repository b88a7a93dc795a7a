"""docs/command-line.md: what it shows is what is printed; docs/settings.md has every setting.

With HPY_UPDATE_DOCS=1 the outputs are written into the page.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import settings_table, tree
from support.extension import ModuleFactory

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

PAGE = tree.REPOSITORY / "docs" / "command-line.md"
BLOCK = re.compile(r"```console\n(.*?)```\n", re.S)


def normalised(text: str) -> str:
    """Without what differs from one machine to the next."""
    text = re.sub(r"0x[0-9a-f]+", "0x...", text)
    text = re.sub(r"(?m)^  (?:unwinding on|that is slow).*\n", "", text)  # on a busy machine
    text = re.sub(r"(?m)^ +[~^]+\n", "", text)  # of tracebacks, from CPython 3.11 on
    text = re.sub(
        r"(?m)^(\s+.*(?:CPython|kernel:|ns of|mappings|overcommit|ulimit|us the).*)$", "", text
    )
    return re.sub(
        r"(?m)^  (?:native module|debug mode|SIG\w+|guard|page|address|faulth).*$", "", text
    )


def source_of(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```\n", PAGE.read_text("utf-8"), re.S)
    assert found is not None
    return found[1]


def test_console(hpy_module: ModuleFactory, tmp_path: Path) -> None:
    page = PAGE.read_text("utf-8")
    extension = hpy_module.build(source_of("c"), "rows", cflags=["-g", "-O1"])
    work = tmp_path / "work"
    work.mkdir()
    for path in extension.folder.iterdir():
        if path.is_file():
            shutil.copy(path, work)
    shutil.copy(extension.source, work / "rows.c")
    (work / "script.py").write_text(source_of("python"))
    (work / "first_word.py").write_text('import rows; rows.first("one")\n')
    environment = {name: v for name, v in os.environ.items() if not name.startswith("HPY")}
    folder = Path(sys.executable).parent
    environment.update(
        PYTHONPATH=os.pathsep.join([str(tree.STAGED), str(work)]),
        PATH=f"{folder}{os.pathsep}{environment['PATH']}",
        DEBUGINFOD_URLS="",
        NO_COLOR="1",
    )

    def printed(block: str) -> str:
        commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        script = "".join(f"cat <<'.'\n$ {c}\n.\n(exit $s)\n{c}\ns=$?\n" for c in commands)
        done = subprocess.run(
            ["bash", "-c", f"s=0\n{script}"],
            cwd=work,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        text = done.stdout.replace(str(extension.source), "rows.c").replace(f"{work}/", "")
        return text.replace(str(tree.STAGED) + "/", ".../")

    blocks = BLOCK.findall(page)
    assert len(blocks) > 6
    outputs = {block: printed(block) for block in blocks}
    if os.environ.get("HPY_UPDATE_DOCS") == "1":
        PAGE.write_text(
            BLOCK.sub(lambda found: f"```console\n{outputs[found[1]]}```\n", page), "utf-8"
        )
        return
    for block, output in outputs.items():
        assert normalised(output) == normalised(block)


def test_table_of_the_settings() -> None:
    text = settings_table.DOCUMENT.read_text("utf-8")
    assert settings_table.with_table(text) == text, (
        "run: PYTHONPATH=build/python python tests/support/settings_table.py"
    )
    from hpy.debug.settings import SETTINGS

    for name in SETTINGS:
        assert f"\n| `{name}` | " in text
