"""Legacy signal files: what is read, repaired behind the gate, refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_pipeline.catalogue.fields.common import COMPONENTS
from regime_pipeline.legacy import reader as legacy
from regime_pipeline.legacy.reader import (
    LegacyFile,
    LegacyFileError,
    legacy_paths,
    parse_legacy,
)
from regime_pipeline.net import files
from regime_pipeline.net.files import UnreadableFileError, read_stable
from regime_pipeline.windows import utc
from regime_pipeline_tests.legacy.samples import Sample, samples

NOW = utc("2024-06-01")
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def parsed(content: object, name: str = "x.json") -> LegacyFile:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parse_legacy(body, name=name, now=NOW, symbols=SYMBOLS)


def signal(**more: object) -> dict[str, object]:
    return {"symbol": "BTCUSDT", "timestamp": "2024-02-03", "momentum": 41, **more}


@pytest.mark.parametrize("sample", samples(7) + samples(8), ids=lambda s: s.name)
def test_87_every_sample_comes_to_what_its_maker_says(sample: Sample) -> None:
    got = parse_legacy(sample.body, name=sample.name, now=NOW, symbols=SYMBOLS)
    assert (got.outcome, len(got.rows)) == (sample.outcome, sample.rows), got.reason
    assert (got.reason is None) == (got.outcome == "ok")


def test_the_samples_cover_every_component_and_outcome() -> None:
    made = samples(7)
    found = {
        c
        for s in made
        for c in parse_legacy(s.body, name=s.name, now=NOW).rows["component"].unique()
    }
    assert found == set(COMPONENTS)
    assert {s.outcome for s in made} == {"ok", "repaired", "partial", "quarantined"}


def test_values_are_taken_exactly_as_written() -> None:
    got = parsed(
        {
            "symbol": "BTC-USDT",
            "timestamp": 1706974200,
            "price": 43012.5,
            "signals": {
                "whale_activity": {
                    "score": "61.25",
                    "direction": "Long",
                    "strength": "very strong",
                    "confidence": 55,
                }
            },
        }
    )
    (row,) = got.rows.to_dict("records")
    assert row == {
        "symbol": "BTC/USDT",
        "component": "whale_act",
        "ts": utc("2024-02-03 15:30"),
        "score": 61.25,
        "direction": "BULLISH",
        "strength": 1.0,
        "confidence": 0.55,
        "price": 43012.5,
    }


def test_what_a_file_does_not_say_is_null_and_no_default() -> None:
    (row,) = parsed(signal()).rows.to_dict("records")
    assert row["score"] == 41
    for name in ("direction", "strength", "confidence", "price"):
        assert row[name] != row[name] or row[name] is None


@pytest.mark.slow
def test_fault_86_of_a_cut_list_no_record_is_kept_that_nothing_follows() -> None:
    whole = json.dumps([signal(timestamp=f"2024-02-0{d}") for d in (1, 2, 3)]).encode()
    second_ends = whole.index(b"}", whole.index(b"}") + 1) + 1
    for end in range(second_ends, len(whole)):
        got = parsed(whole[:end])
        days = set(got.rows["ts"].dt.day)
        # the second record's closing brace alone does not tell that the writer was done with it
        assert days == ({1, 2} if end > second_ends else {1}), whole[:end]
        assert got.outcome == "repaired"


@pytest.mark.slow
@given(st.data())
@settings(max_examples=80, deadline=None)
def test_fault_86_no_cut_of_any_sample_invents_or_alters_a_row(data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(_SOUND))
    end = data.draw(st.integers(0, len(sample.body)))
    whole = parse_legacy(sample.body, name=sample.name, now=NOW).rows
    got = parse_legacy(sample.body[:end], name=sample.name, now=NOW).rows
    assert set(map(repr, got.itertuples(index=False))) <= set(
        map(repr, whole.itertuples(index=False))
    )


_SOUND = [s for s in samples(7) if s.outcome == "ok"]


@pytest.mark.slow
@given(st.one_of(st.binary(max_size=400), st.text(max_size=200).map(str.encode)))
@settings(max_examples=120, deadline=None)
def test_any_bytes_give_a_report_and_no_exception(body: bytes) -> None:
    got = parse_legacy(body, name="any.json", now=NOW)
    assert got.outcome in {"ok", "repaired", "partial", "quarantined"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
    | st.sampled_from(["BTCUSDT", "2024-02-03", "momentum", "now", "today"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["symbol", "timestamp", "signals", "momentum", "score", "data", "type",
                         "price", "BTCUSDT", "confidence", "strength", "direction", "x"]),
        inner,
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.slow
@given(_JSON)
@settings(max_examples=120, deadline=None)
def test_any_json_gives_rows_in_range_or_reasons(content: object) -> None:
    got = parsed(content)
    assert got.rows["score"].between(0, 100).all()
    assert (got.rows["ts"] <= NOW + legacy.timedelta(minutes=1)).all()
    assert got.rows[["strength", "confidence"]].fillna(0).stack().between(0, 1).all()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"timestamp": "2024-07-01"}, "in the future"),
        ({"timestamp": "now"}, "not understood"),
        ({"timestamp": True}, "not understood"),
        ({"timestamp": "1999-01-01"}, "before 2017"),
        ({"momentum": 410}, "not in 0..100"),
        ({"momentum": -1}, "not in 0..100"),
        ({"momentum": "1e999"}, "no finite number"),
        ({"momentum": True}, "no finite number"),
        ({"momentum": {"score": 50, "confidence": 1.5}}, "neither a fraction nor a percentage"),
        ({"momentum": {"score": 50, "direction": "up?"}}, "not known"),
        ({"momentum": {"score": 50, "note": "<b>x</b>"}}, "markup"),
        ({"symbol": "DOGE/USDT"}, "not configured"),
        ({"symbol": "'; DROP TABLE x;--"}, "no usable symbol"),
        ({"price": 0}, "not positive"),
    ],
)
def test_fault_87_a_poisoned_record_is_refused_with_its_reason(
    change: dict[str, object], why: str
) -> None:
    got = parsed(signal(**change))
    assert got.rows.empty
    assert got.outcome == "quarantined"
    (refused,) = got.refused
    assert why in refused["reason"]
    assert refused["record"]


def test_a_bad_record_never_sinks_its_neighbours() -> None:
    got = parsed([signal(), signal(momentum=101), signal(timestamp="2024-02-05")])
    assert (got.outcome, len(got.rows), len(got.refused)) == ("partial", 2, 1)


def test_two_records_that_contradict_each_other_are_told() -> None:
    got = parsed([signal(), signal(momentum=42), signal(momentum=42)])
    assert got.rows["score"].tolist() == [42.0]
    assert [r["reason"] for r in got.refused] == [
        "another record of the file with the same key says otherwise"
    ]


def test_deep_nesting_is_refused_and_not_followed() -> None:
    assert "nested" in (parsed(b"[" * 100_000).error or "nested too deep")
    assert parsed(b"[" * 20 + json.dumps(signal()).encode() + b"]" * 20).outcome == "quarantined"


# --- what may be opened -----------------------------------------------------------------------------


def _reasons(folder: Path) -> dict[str, str | None]:
    return {str(p.relative_to(folder)): why for p, why in legacy_paths(folder)}


def test_only_regular_files_of_the_folder_are_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text(json.dumps(signal()))
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "good.json").write_text(json.dumps(signal()))
    (folder / "link.json").symlink_to(outside / "secret.json")
    (folder / "up.json").symlink_to("../outside/secret.json")
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    os.mkfifo(folder / "pipe.json")
    (folder / "dir.json").mkdir()
    with (folder / "huge.json").open("wb") as file:
        file.truncate(10 * 2**30)
    reasons = _reasons(folder)
    assert reasons == {
        "huge.json": f"{10 * 2**30} bytes, the limit is {files.MAX_BYTES}",
        "link.json": "a symbolic link is not followed",
        "linked": "a symbolic link is not followed",
        "pipe.json": "not a regular file",
        "sub/good.json": None,
        "up.json": "a symbolic link is not followed",
    }


@pytest.mark.parametrize(
    "swap",
    [
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/etc/hostname"),
        lambda path: path.mkdir(),
        lambda path: None,
    ],
    ids=["pipe", "link", "folder", "gone"],
)
def test_a_file_swapped_after_it_was_listed_is_not_followed(
    tmp_path: Path, swap: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.json"
    swap(path)
    with pytest.raises(UnreadableFileError):
        read_stable(path)


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(signal()))
    real = os.fstat
    seen = []

    def grows(handle: int) -> os.stat_result:
        seen.append(real(handle))
        with path.open("a") as file:  # another process writes between our two looks
            file.write(" ")
        return seen[-1]

    monkeypatch.setattr(files.os, "fstat", grows)
    with pytest.raises(UnreadableFileError, match="changed while it was read"):
        read_stable(path)
    assert len(seen) == 2


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LegacyFileError, match="is no folder"):
        legacy_paths(tmp_path / "nowhere")
