"""The source of examples/json."""

from support import tree

FOLDER = tree.REPOSITORY / "examples" / "json"


def one_source() -> str:
    """All the files of the example in one, so that a change of any is a change of the source."""
    files = [p for p in sorted(FOLDER.glob("*.c")) if p.name != "json_init.c"]
    text = "".join(path.read_text("utf-8") for path in [FOLDER / "json.h", *files])
    text = text.replace('#include "json.h"', "")
    return text + (FOLDER / "json_init.c").read_text("utf-8").replace('#include "json.h"', "")
