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
    "<script>addEventListener('load',()=>{const d=document.documentElement;"
    "const c=[...document.querySelectorAll('.chart svg')].map(s=>s.getBoundingClientRect());"
    "const f=[...document.querySelectorAll('td.first')].map(s=>s.getBoundingClientRect());"
    "parent.postMessage(JSON.stringify({over:d.scrollWidth-d.clientWidth,charts:c.length,"
    "flat:c.filter(r=>r.height<80||r.width<200).length,"
    "outside:f.filter(r=>r.right>d.clientWidth).length}),'*')})</script></body>"
)
FRAME = (
    "<!doctype html><body style='margin:0'><script>addEventListener('message',"
    "e=>{{document.body.dataset.out=e.data}})</script>"
    "<iframe src='{page}' style='border:0;width:{width}px;height:1400px'></iframe></body>"
)
"""A window of its own for the page: Chromium makes none that is narrower than 500 pixels."""


def laid_out(page: Path, folder: Path, width: int) -> dict[str, int]:
    """Pixels by which the page is wider than its window, its charts, and what is out of place.

    ``flat`` counts charts that are too small, ``outside`` the cells marked ``first`` that reach beyond
    the window before anything is scrolled. Skips the test where there is no Chromium.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on the path")
    # what the browser made of it, written where --dump-dom shows it
    measured = folder / "measured.html"
    measured.write_text(page.read_text("utf-8").replace("</body>", MEASURE), "utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(page=measured.as_uri(), width=width), "utf-8")
    shown = subprocess.run(
        [
            chromium,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            f"--user-data-dir={folder / 'profile'}",
            "--window-size=1400,1400",
            "--virtual-time-budget=3000",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    found = re.search(r'data-out="([^"]*)"', shown)
    assert found is not None
    return json.loads(unescape(found.group(1)))
