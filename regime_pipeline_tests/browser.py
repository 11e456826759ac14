"""A page in a headless Chromium: what came of its layout."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

MEASURE = (
    "<script>const b=document.body,d=document.documentElement;"
    "const c=[...document.querySelectorAll('.chart svg')].map(s=>s.getBoundingClientRect());"
    "b.dataset.out=JSON.stringify({over:d.scrollWidth-d.clientWidth,charts:c.length,"
    "flat:c.filter(r=>r.height<80||r.width<200).length})</script></body>"
)


def laid_out(page: Path, folder: Path, width: int) -> dict[str, int]:
    """Pixels by which the page is wider than its window, its charts, and those that are too small.

    Skips the test where there is no Chromium.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on the path")
    # what the browser made of it, written where --dump-dom shows it
    measured = folder / "measured.html"
    measured.write_text(page.read_text("utf-8").replace("</body>", MEASURE), "utf-8")
    shown = subprocess.run(
        [
            chromium,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width},1400",
            "--dump-dom",
            measured.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    found = re.search(r'data-out="([^"]*)"', shown)
    assert found is not None
    return json.loads(unescape(found.group(1)))
