"""docs/settings.md: the table of the settings, made from hpy.debug.settings.SETTINGS.

`PYTHONPATH=build/python python tests/support/settings_table.py` writes it; tests/test_cli_page.py
sees to it that it is what the document has.
"""

from pathlib import Path

BEGIN, END = "<!-- begin of the table -->\n", "<!-- end of the table -->\n"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def table() -> str:
    from hpy.debug.pytest_options import _SETTINGS as OF_PYTEST
    from hpy.debug.settings import SETTINGS

    rows = [
        "| setting | default | values | what it does | variable | flag of `run` | pytest |",
        "|---|---|---|---|---|---|---|",
    ]
    for setting in SETTINGS.values():
        flag = setting.flag if not setting.is_flag else f"{setting.flag}, --no-{setting.flag[2:]}"
        pytest = f"`--{setting.ini.replace('_', '-')}`, `{setting.ini}`"
        rows.append(
            f"| `{setting.name}` | {setting.shown_default} | {setting.expected} | {setting.help} "
            f"| `{setting.variable}` | `{flag}` | {pytest if setting.name in OF_PYTEST else ''} |"
        )
    return "".join(f"{row}\n" for row in rows)


def with_table(text: str) -> str:
    """The document with the table as it is to be."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text("utf-8")), "utf-8")
