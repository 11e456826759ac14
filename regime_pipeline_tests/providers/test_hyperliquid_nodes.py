"""Forced closures out of the files of Hyperliquid's nodes: who closed what, and which hours are whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pytest

from regime_pipeline.catalogue.datasets import stream_class
from regime_pipeline.coverage.rules import series_of
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.readings import NAMES, Context
from regime_pipeline.providers.registry import PARSERS
from regime_pipeline.settings import Settings
from regime_pipeline.windows import HOUR, FixedClock, Window, utc

NOW = utc("2025-11-30T12:30:00Z")
AT = utc("2025-11-30T09:00:00Z")
SYMBOLS = ("BTC/USDT", "DOT/USDT", "PEPE/USDT")
LONG, SHORT, OTHER = "0xAA01", "0xbb02", "0xcc03"


def fill(coin: str, at: datetime, number: int, **changed: Any) -> dict[str, Any]:
    """A fill that closes two coins of a long of five at 100."""
    return {
        "coin": coin, "px": "100.0", "sz": "2.0", "side": "A", "time": int(at.timestamp() * 1000),
        "startPosition": "5.0", "dir": "Close Long", "tid": number, "crossed": True, **changed,
    }  # fmt: skip


def forced(user: str, *, method: str = "market") -> dict[str, Any]:
    told = {"liquidatedUser": user.lower(), "markPx": "99.0", "method": method}
    return {"liquidation": told}


def block(at: datetime, *events: tuple[str, dict[str, Any]]) -> bytes:
    line = {"block_time": f"{at:%Y-%m-%dT%H:%M:%S}.123456789", "events": [list(e) for e in events]}
    return orjson.dumps(line)


def parsed(*lines: bytes) -> pd.DataFrame:
    return PARSERS["hyperliquid/node_fills_by_block"](b"\n".join(lines), Context(now=NOW))


CLOSED = fill("BTC", AT, 7) | forced(LONG)
TAKEN = fill("BTC", AT, 7, side="B", startPosition="-3.0", crossed=False) | forced(LONG)


def test_a_counterpartys_fill_is_never_a_closure() -> None:
    frame = parsed(block(AT, (LONG, CLOSED), (OTHER, TAKEN)))
    assert len(frame) == 1 and frame["reason"].isna().all()
    row = frame.iloc[0]
    assert (row["position_side"], row["quantity_base"]) == ("long", 2.0)
    assert (row["liquidation_usd"], row["closure_id"]) == (200.0, "7")  # at its price, not the mark


def test_a_recorded_counterparty_closes_nothing(payloads_dir: Path) -> None:
    frame = parsed((payloads_dir / "hyperliquid/node_fills_by_block__1.json").read_bytes())
    assert frame.empty and frame.attrs[NAMES] == ("SOL",)


def test_the_side_is_that_of_the_position_before() -> None:
    short = fill("BTC", AT, 8, side="B", startPosition="-5.0") | forced(SHORT, method="backstop")
    frame = parsed(block(AT, (LONG, CLOSED), (SHORT, short)))
    assert frame["position_side"].tolist() == ["long", "short"]
    assert frame["closure_method"].tolist() == ["market", "backstop"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"side": "B"}, "does not close a long"),
        ({"startPosition": "0.0"}, "cannot be told"),
        ({"startPosition": None}, "startPosition"),
        ({"px": "0"}, "not above 0"),
        ({"liquidation": {"liquidatedUser": LONG, "method": "adl"}}, "neither market nor backstop"),
    ],
)
def test_a_closure_that_contradicts_itself_is_a_bad_row(changed: dict[str, Any], why: str) -> None:
    frame = parsed(block(AT, (LONG, CLOSED), (LONG, CLOSED | changed)))
    assert pd.isna(frame["reason"].iloc[0])
    assert why in frame["reason"].iloc[1]


def test_older_files_have_a_pair_a_line() -> None:
    assert len(parsed(orjson.dumps([LONG, CLOSED]), orjson.dumps([OTHER, TAKEN]))) == 1


# ------------------------------------------------------------------ a folder


def write(root: Path, hour: datetime, *lines: bytes, folder: str = "node_fills_by_block") -> Path:
    path = root / folder / "hourly" / f"{hour:%Y%m%d}" / f"{hour.hour}.lz4"
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.CompressedOutputStream(file, "lz4") as packed,
    ):
        packed.write(b"".join(line + b"\n" for line in lines))
    return path


def ordinary(at: datetime, coin: str = "BTC", number: int = 1) -> bytes:
    return block(at, (OTHER, fill(coin, at, number)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three hours: two closures in the first, one of them told in the next file; then a quiet one."""
    root = tmp_path / "nodes"
    late = AT + timedelta(minutes=59, seconds=59)
    pepe = fill("kPEPE", AT, 11, px="0.02", sz="1000", startPosition="1000") | forced(LONG)
    write(
        root, AT, ordinary(AT), block(AT, (OTHER, TAKEN), (LONG, CLOSED)), block(AT, (LONG, pepe))
    )
    write(
        root, AT + HOUR, block(AT + HOUR, (LONG, fill("BTC", late, 9) | forced(LONG))),
        ordinary(AT + HOUR), ordinary(AT + 1.5 * HOUR, "kPEPE", 3),
    )  # fmt: skip
    write(root, AT + 2 * HOUR, ordinary(AT + 2 * HOUR))
    return root


@pytest.fixture
def get(
    make_settings: Callable[..., Settings], make_client: Callable[..., HttpClient], folder: Path
) -> Callable[..., FetchResult]:
    def one(dataset: str, hours: int = 2, **more: object) -> FetchResult:
        given = {
            "hyperliquid_archive_url": str(folder),
            "liquidation_source": "hyperliquid",
            **more,
        }
        settings = make_settings(sources=("hyperliquid",), symbols=SYMBOLS, **given)
        return fetch(
            dataset, Window(AT, AT + hours * HOUR), settings=settings,
            client=make_client(settings, FixedClock(NOW)), clock=FixedClock(NOW), symbols=SYMBOLS,
        )  # fmt: skip

    return one


def by_hour(found: FetchResult) -> pd.DataFrame:
    return found.log.sort_values("window_start", ignore_index=True)


def test_closures_of_an_hour_are_read_out_of_two_files(get: Callable[..., FetchResult]) -> None:
    found = get("liquidation_events")
    assert found.quarantined.empty
    frame = found.frame.set_index(["symbol", "closure_id"])
    assert sorted(frame.index) == [("BTC/USDT", "7"), ("BTC/USDT", "9"), ("PEPE/USDT", "11")]
    pepe = frame.loc[("PEPE/USDT", "11")]
    assert (pepe["price"], pepe["quantity_base"]) == pytest.approx((0.00002, 1e6))
    assert pepe["liquidation_usd"] == pytest.approx(20.0)
    assert by_hour(found)["window_start"].tolist() == [AT, AT + HOUR]
    assert set(found.frame["source_tier"]) == {1}


def test_hours_sum_to_their_closures_and_quiet_ones_are_zero(
    get: Callable[..., FetchResult],
) -> None:
    frame = get("liquidations").frame
    sums = frame.set_index(["symbol", "ts"])["long_liquidations_usd"]
    assert sums["BTC/USDT"].tolist() == [400.0, 0.0]
    assert sums["PEPE/USDT"].tolist() == [20.0, 0.0]
    assert (frame["short_liquidations_usd"] == 0).all()
    assert "DOT/USDT" not in sums  # nobody traded it: nobody knows


def test_an_hour_whose_next_file_is_not_there_yet_is_missed(
    get: Callable[..., FetchResult],
) -> None:
    found = get("liquidations", hours=3)
    assert by_hour(found)["fetch_status"].tolist()[-1] == "failed"
    assert by_hour(found)["error_class"].tolist()[-1] == "NotPublished"
    assert found.frame["ts"].max() == pd.Timestamp(AT + HOUR)


def test_a_torn_file_costs_its_hour_and_no_other(
    get: Callable[..., FetchResult], folder: Path
) -> None:
    path = write(folder, AT + 2 * HOUR, ordinary(AT + 2 * HOUR))
    path.write_bytes(path.read_bytes()[:-6])
    found = get("liquidations")
    assert by_hour(found)["error_class"].fillna("").tolist() == ["", "Malformed"]
    assert set(found.frame["ts"]) == {pd.Timestamp(AT)}


def test_a_last_line_without_its_end_is_torn(get: Callable[..., FetchResult], folder: Path) -> None:
    path = folder / "node_fills_by_block/hourly/20251130/9.lz4"
    with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, "lz4") as packed:
        packed.write(ordinary(AT)[:-1])
    found = get("liquidation_events", hours=1)
    assert found.log["error_class"].tolist() == ["Malformed"] and found.frame.empty


def test_a_link_is_not_followed(get: Callable[..., FetchResult], folder: Path) -> None:
    path = folder / "node_fills_by_block/hourly/20251130/9.lz4"
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    assert get("liquidation_events", hours=1).log["error_class"].tolist() == ["ContractViolation"]


def test_files_of_the_older_kind_are_read_where_the_newer_is_absent(
    get: Callable[..., FetchResult], folder: Path
) -> None:
    (folder / "node_fills_by_block/hourly/20251130/9.lz4").unlink()
    write(folder, AT, orjson.dumps([LONG, CLOSED]), folder="node_fills")
    assert get("liquidation_events", hours=1).frame["closure_id"].tolist() == ["7", "9"]


def test_without_a_folder_nothing_is_read_and_the_log_says_why(
    get: Callable[..., FetchResult],
) -> None:
    found = get("liquidation_events", hyperliquid_archive_url=None)
    assert found.frame.empty and found.log["request_count"].tolist() == [
        0
    ]  # one line, not one an hour
    assert found.log["error_message"].str.contains("REGIME_HYPERLIQUID_ARCHIVE_URL").all()


def test_the_past_is_expected_of_files_and_their_venue_tells_all(
    make_settings: Callable[..., Settings], folder: Path
) -> None:
    settings = make_settings(sources=("hyperliquid",), hyperliquid_archive_url=str(folder))
    (series,) = series_of(settings, "liquidation_events", SYMBOLS[:1])
    assert not series.is_forward_only and series.horizon is None and series.off is None
    assert stream_class("liquidations", "hyperliquid") == "complete"


def test_the_venue_of_its_liquidations_is_the_source_itself(
    make_settings: Callable[..., Settings],
) -> None:
    assert make_settings(liquidation_source="hyperliquid").liquidation_venue == "hyperliquid"
