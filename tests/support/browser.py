"""A page in headless Chromium, driven by a script of the test."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from support import tree

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def drive(page: Path, script: str) -> Any:
    """What `script`, which runs at the end of the page, left as JSON in the page's title."""
    assert CHROMIUM is not None
    driven = page.with_name("driven.html")
    driven.write_text(page.read_text("utf-8").replace("</body>", script))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--virtual-time-budget=5000", f"--user-data-dir={page.parent / 'profile'}"]
    done = subprocess.run(
        [*command, driven.as_uri()],
        env=tree.WITHOUT_ASAN,
        capture_output=True,
        check=False,
        timeout=120,
    )
    title = re.search(r"<title>(\{.*?)</title>", done.stdout.decode("utf-8", "replace"))
    assert title is not None, done.stderr
    return json.loads(html.unescape(title[1]))
