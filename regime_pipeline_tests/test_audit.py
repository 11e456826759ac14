"""A feed of weaknesses that does not answer in full is a failed audit and not a clean one."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from regime_pipeline_tests.faultserver import Fault, FaultServer

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "audit.py"
LOCK = """\
one==1.0.0 \\
    --hash=sha256:00
Two-Words[extra]==2.1 ; python_version < "3.12" \\
    --hash=sha256:11
# a==comment
"""
CLEAN = {"results": [{}, {}]}


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def judged(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feed: str, lock: str = LOCK
) -> int:
    monkeypatch.setattr(audit, "FEED", feed)
    (tmp_path / "lock").write_text(lock)
    code: int = audit.main([str(tmp_path / "lock")])
    return code


def test_the_lock_of_this_tree_is_read_whole(audit: ModuleType) -> None:
    text = (SCRIPT.parents[1] / "requirements.lock").read_text()
    found = audit.locked(text)
    assert len(found) == sum(1 for line in text.splitlines() if "==" in line and line[0].isalnum())
    assert dict(found)["numba"].startswith("0.")
    assert audit.locked(LOCK) == [("one", "1.0.0"), ("two-words", "2.1")]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Fault(body=json.dumps(CLEAN).encode()), 0),
        (Fault(body=json.dumps({"results": [{}, {"vulns": [{"id": "X-1"}]}]}).encode()), 1),
        (Fault(status=503), 2),
        (Fault(body=b"<html>blocked</html>"), 2),
        (Fault(body=b"{}"), 2),
        (Fault(body=b'{"results": [{}]}'), 2),
        (Fault(body=b'{"results": [{}, {"next_page_token": "x"}]}'), 2),
        (Fault(body=json.dumps(CLEAN).encode(), cut_after=5), 2),
    ],
)
def test_fault_96_only_a_whole_answer_counts(
    audit: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: Fault,
    code: int,
) -> None:
    with FaultServer({"/v1/querybatch": answer}) as server:
        assert judged(audit, tmp_path, monkeypatch, server.url) == code
    assert ("two-words 2.1: X-1" in capsys.readouterr().out) == (code == 1)


def test_fault_96_a_feed_that_cannot_be_reached_is_a_failed_audit(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judged(audit, tmp_path, monkeypatch, "http://127.0.0.1:1") == 2
    assert judged(audit, tmp_path, monkeypatch, "http://127.0.0.1:1", lock="") == 2
