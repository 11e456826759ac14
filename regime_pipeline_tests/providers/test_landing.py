from __future__ import annotations

import errno
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regime_pipeline.providers.landing import LandingError, LandingStore


def test_bytes_come_back_exactly_and_are_named_by_their_hash(tmp_path: Path) -> None:
    store = LandingStore(str(tmp_path / "l"))
    body = bytes(range(256)) * 40
    landed = store.put(body)
    assert landed.payload_id == hashlib.sha256(body).hexdigest()
    assert landed.byte_count == len(body)
    assert (tmp_path / "l" / landed.path).stat().st_size < len(body)
    assert store.get(landed.payload_id) == body
    assert store.get(store.put(b"").payload_id) == b""


def test_same_bytes_are_stored_once_even_by_many_threads(tmp_path: Path) -> None:
    store = LandingStore(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        ids = {x.payload_id for x in pool.map(store.put, [b"same"] * 64)}
    assert len(ids) == 1
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1


def test_on_a_disk_that_is_nearly_full_nothing_is_asked_for(tmp_path: Path) -> None:
    store = LandingStore(str(tmp_path / "not yet there"))
    store.require_room(least=0.0)
    with pytest.raises(OSError, match="% of the disk is free") as refused:
        store.require_room(least=1.01)
    assert refused.value.errno == errno.ENOSPC
    LandingStore("memory://bucket").require_room(least=1.01)  # its disk is not ours


def test_fault_60_damaged_payload_is_noticed(tmp_path: Path) -> None:
    """Row 60: half a file, other content, no file."""
    store = LandingStore(str(tmp_path))
    landed = store.put(b"[1,2,3]" * 100)
    file = tmp_path / landed.path
    whole = file.read_bytes()
    file.write_bytes(whole[:-4])
    with pytest.raises(LandingError, match="damaged"):
        store.get(landed.payload_id)
    file.write_bytes((tmp_path / store.put(b"other").path).read_bytes())
    with pytest.raises(LandingError, match="hashes differently"):
        store.get(landed.payload_id)
    with pytest.raises(LandingError, match="no payload"):
        store.get("0" * 64)


@pytest.mark.parametrize("name", ["../../etc/passwd", "x" * 64, "", "a" * 63])
def test_only_a_hash_names_a_payload(tmp_path: Path, name: str) -> None:
    with pytest.raises(LandingError, match="no payload id"):
        LandingStore(str(tmp_path)).get(name)


def test_any_fsspec_url_works() -> None:
    store = LandingStore("memory://landing-test")
    assert store.get(store.put(b"x").payload_id) == b"x"


def test_fault_60_interrupted_write_leaves_no_payload(tmp_path: Path, monkeypatch) -> None:
    """What was written aside is not there under its name."""
    store = LandingStore(str(tmp_path))
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        store.put(b"x")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
