"""The bulk archive: files by checksum, parsed like the API, filling only what the API lacks."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_pipeline.providers.binance import archive as binance_archive
from regime_pipeline.providers.binance.archive import (
    ARCHIVE_FEEDS,
    ENDPOINTS,
    checksum_of,
    files,
    missing_days,
    only_member,
    parse_funding,
    parse_klines,
    parse_metrics_open_interest,
    parse_metrics_positioning,
)
from regime_pipeline.providers.binance.archive_reader import STOP_AFTER
from regime_pipeline.providers.errors import (
    ChecksumMismatch,
    ContractViolation,
    EmptyNotAllowed,
    Malformed,
    NoSourceError,
    ProviderError,
    TooLarge,
)
from regime_pipeline.providers.fetch.fetch import FetchResult, fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.registry import ENDPOINTS as ALL_ENDPOINTS
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.archive import archive_file, packed
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.synthetic import SyntheticTape
from regime_pipeline.windows import DAY, HOUR, FixedClock, Window, hours_between, utc
from regime_pipeline_tests.simulator.archive_folder import write_archive

NOW = utc("2025-02-10 00:20")
CTX = Context(now=NOW)
SYMBOLS = ("BTC/USDT", "ETH/USDT")
WINDOW = Window(utc("2024-12-20"), utc("2025-01-12"))
HOURS = 23 * 24
API = ("binance", "binance_futures")
BTC = "data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-01.zip"
BAR = "1704067200000,1,3,0.5,2,10,1704070799999,20,5,4,8,0"


def zipped(text: str | bytes, name: str = "x") -> bytes:
    return packed(text if isinstance(text, str) else text.decode("latin-1"), name)


# --- zip and CSV ----------------------------------------------------------------------------------


def test_header_rows_are_told_from_data_and_columns_follow_their_names() -> None:
    header = ",".join(binance_archive._KLINE_FIELDS)
    plain = parse_klines(zipped(BAR), CTX)
    named = parse_klines(zipped(f"{header}\r\n{BAR}\r\n"), CTX)
    pd.testing.assert_frame_equal(plain, named)
    mixed = parse_klines(
        zipped("close,open,high,low,open_time,close_time,number_of_trades,volume,quote_asset_volume,"
               "taker_buy_base_asset_volume,taker_buy_quote_asset_volume\n"
               "2,1,3,0.5,1704067200000,1704070799999,5,10,20,4,8"), CTX)  # fmt: skip
    pd.testing.assert_frame_equal(plain, mixed)
    (row,) = plain.to_dict("records")
    assert row["ts"] == utc("2024-01-01")
    assert row["close_time"] == utc("2024-01-01 01:00")
    assert [row[c] for c in ("open", "high", "low", "close", "volume_base", "taker_buy_base")] == [
        1, 3, 0.5, 2, 10, 4,
    ]  # fmt: skip


def test_milliseconds_and_microseconds_are_told_apart() -> None:
    micro = "1735689600000000,1,3,0.5,2,10,1735693199999999,20,5,4,8,0"
    (row,) = parse_klines(zipped(micro), CTX).to_dict("records")
    assert row["ts"] == utc("2025-01-01")
    assert row["close_time"] == utc("2025-01-01 01:00")


def test_a_bad_row_has_a_reason_and_its_neighbours_stay() -> None:
    broken = BAR.replace(",3,", ",much,")
    frame = parse_klines(zipped(f"{BAR}\n{broken}\nshort,row\n{BAR}"), CTX)
    assert frame["reason"].isna().tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EmptyNotAllowed),
        ("open_time,open\n", ContractViolation),
        ("1,2,3\n4,5,6\n", ContractViolation),
    ],
)
def test_a_csv_of_another_shape_is_a_typed_error(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_klines(zipped(text), CTX)


def test_funding_carries_its_interval() -> None:
    frame = parse_funding(
        zipped("calc_time,funding_interval_hours,last_funding_rate\n1704067200003,8,0.00037409\n"),
        CTX,
    )
    (row,) = frame.to_dict("records")
    assert (row["funding_rate"], row["interval_hours"]) == (0.00037409, 8)
    assert np.isnan(row["mark_price"])


def metrics(*rows: tuple[str, str, str]) -> bytes:
    header = ",".join(binance_archive._METRIC_FIELDS)
    lines = [f"{at},BTCUSDT,{oi},1000,{ratio},1,3,0.9" for at, oi, ratio in rows]
    return zipped("\n".join([header, *lines]))


def test_an_hour_of_metrics_is_its_closing_snapshot() -> None:
    body = metrics(
        ("2024-01-01 00:05:00", "100", "1"),
        ("2024-01-01 00:55:00", "111", "1"),
        ("2024-01-01 01:00:00", "112", "4"),  # the close of the first hour
        ("2024-01-01 01:50:00", "120", "1"),  # the newest of the second hour, near enough
        ("2024-01-01 02:30:00", "130", "1"),  # the third hour has no close
        ("2024-01-01 04:00:00", "", "1"),  # nor the fourth
    )
    frame = parse_metrics_open_interest(body, CTX)
    assert frame[["ts", "open_interest_base"]].to_numpy().tolist() == [
        [pd.Timestamp("2024-01-01 00:00", tz="UTC"), 112.0],
        [pd.Timestamp("2024-01-01 01:00", tz="UTC"), 120.0],
    ]
    shares = parse_metrics_positioning(body, CTX)
    first = shares.loc[shares["ts"] == utc("2024-01-01")].set_index("metric")["value"]
    assert first.to_dict() == {
        "global_account_long_frac": 0.75,
        "top_trader_account_long_frac": 0.8,
        "top_trader_position_long_frac": 0.5,
    }


def test_an_unreadable_snapshot_is_told_and_the_others_stay() -> None:
    body = metrics(("2024-01-01 01:00:00", "1", "1"), ("yesterday", "2", "1"))
    frame = parse_metrics_open_interest(body, CTX)
    assert frame["reason"].notna().sum() == 1
    assert frame.loc[frame["reason"].isna(), "open_interest_base"].tolist() == [1.0]


LATER = Context(now=utc("2026-07-01"))


def day_of_metrics(first: str, minutes: range) -> bytes:
    """Labels from ``first`` on; open interest counts the minutes since 2026-06-24 00:00."""
    labels = pd.date_range(first, periods=len(minutes), freq="5min")
    return metrics(
        *((f"{at:%Y-%m-%d %H:%M:%S}", str(m), "1") for at, m in zip(labels, minutes, strict=True))
    )


def test_labels_of_metrics_mean_another_instant_from_the_file_of_2026_06_25_on() -> None:
    """The close of an hour is the state at its end, never five minutes later."""
    before = day_of_metrics("2026-06-24 00:05:00", range(5, 1441, 5))
    after = day_of_metrics("2026-06-25 00:00:00", range(1445, 2881, 5))
    both = [parse_metrics_open_interest(body, LATER) for body in (before, after)]
    hours = pd.concat(both).set_index("ts")["open_interest_base"]
    assert hours.index.tolist() == list(pd.date_range("2026-06-24", periods=48, freq="h", tz="UTC"))
    assert hours.tolist() == [60.0 * (n + 1) for n in range(48)]


def test_cells_of_metrics_may_be_quoted() -> None:
    plain = metrics(("2024-01-01 01:00:00", "1060", "1.5"))
    text = only_member(plain).decode()
    quoted = zipped(
        "\n".join(",".join(f'"{c}"' for c in row.split(",")) for row in text.split("\n"))
    )
    pd.testing.assert_frame_equal(
        parse_metrics_open_interest(quoted, CTX), parse_metrics_open_interest(plain, CTX)
    )
    assert parse_metrics_open_interest(quoted, CTX)["open_interest_base"].tolist() == [1060.0]


@pytest.mark.parametrize("cell", ['""', "", "n/a", "-1"])
def test_one_bad_ratio_of_a_snapshot_costs_itself_alone(cell: str) -> None:
    shares = parse_metrics_positioning(metrics(("2024-01-01 01:00:00", "1060", cell)), CTX)
    good = shares.loc[shares["reason"].isna()].set_index("metric")["value"]
    assert good.to_dict() == {
        "top_trader_position_long_frac": 0.5,
        "global_account_long_frac": 0.75,
    }
    assert shares["reason"].notna().sum() == (0 if cell in ('""', "") else 1)


def test_snapshots_labelled_a_second_late_stand_for_their_five_minutes() -> None:
    frame = parse_metrics_open_interest(
        metrics(("2024-01-01 00:55:01", "1055", "1"), ("2024-01-01 01:00:01", "1060", "1")), CTX
    )
    assert frame[["ts", "open_interest_base"]].to_numpy().tolist() == [
        [pd.Timestamp("2024-01-01", tz="UTC"), 1060.0]
    ]


def test_csv_that_breaks_off_inside_quotes_is_malformed() -> None:
    with pytest.raises(Malformed, match="no CSV"):
        parse_klines(zipped(f'"{BAR}'), CTX)


def zip_of(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, body in members:
            file.writestr(name, body)
    return out.getvalue()


@pytest.mark.parametrize("name", ["../x.csv", "/etc/x.csv", "a/b.csv", "..\\x.csv", "x.exe", ".."])
def test_a_member_with_a_path_is_refused(name: str) -> None:
    with pytest.raises(ProviderError):
        only_member(zip_of((name, b"1")))


def test_two_members_are_refused() -> None:
    with pytest.raises(ContractViolation, match="2 members"):
        only_member(zip_of(("a.csv", b"1"), ("b.csv", b"2")))


def test_a_bomb_is_stopped_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance_archive, "MAX_CSV_BYTES", 1_000_000)
    bomb = zip_of(("a.csv", b"0" * 20_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(TooLarge):
        only_member(bomb)
    # one that lies about its size in both places is caught by the bytes themselves
    lying = bomb.replace(struct.pack("<I", 20_000_000), struct.pack("<I", 1_000))
    with pytest.raises(Malformed):
        only_member(lying)


@pytest.mark.parametrize("end", [0, 1, 30, -30, -1])
def test_a_cut_zip_is_malformed(end: int) -> None:
    with pytest.raises(Malformed):
        only_member(zipped(BAR)[:end])


def test_a_flipped_byte_is_malformed() -> None:
    body = bytearray(zipped(BAR * 50))
    body[60] ^= 0xFF
    with pytest.raises(ProviderError):
        parse_klines(bytes(body), CTX)


_BYTES = st.binary(max_size=300)
_CELL = st.one_of(
    st.text(alphabet="0123456789.-eE+ \"'", max_size=12),
    st.text(max_size=6),
    st.sampled_from(["1704067200000", "2024-01-01 00:05:00", "NaN", "inf", "1e999", "BTCUSDT", ""]),
)
_CSV = st.lists(st.lists(_CELL, max_size=13).map(",".join), max_size=6).map("\n".join)
_HEADERS = st.sampled_from(
    ["", *(",".join(f) + "\n" for f in (binance_archive._KLINE_FIELDS,
                                        binance_archive._FUNDING_FIELDS,
                                        binance_archive._METRIC_FIELDS))]
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
@given(
    body=st.one_of(
        _BYTES,
        _BYTES.map(lambda b: zip_of(("a.csv", b))),
        st.builds(lambda h, c: zip_of(("a.csv", (h + c).encode())), _HEADERS, _CSV),
    )
)
@settings(max_examples=50, deadline=None)  # fmt: skip
def test_any_bytes_give_rows_or_a_typed_error(endpoint, body: bytes) -> None:
    try:
        frame = endpoint.parse(body, CTX)
    except ProviderError:
        return
    assert "ts" in frame
    good = frame.loc[frame["reason"].isna()]
    assert good["ts"].notna().all()


@given(_BYTES)
@settings(max_examples=50, deadline=None)
def test_any_checksum_file_gives_a_sum_or_a_typed_error(body: bytes) -> None:
    with contextlib.suppress(ProviderError):
        assert len(checksum_of(body, "a.zip")) == 64


def test_a_checksum_file_about_another_file_is_refused() -> None:
    line = f"{'a' * 64}  other.zip\n".encode()
    with pytest.raises(ContractViolation, match=r"other\.zip"):
        checksum_of(line, "mine.zip")


def test_the_parsers_are_registered() -> None:
    assert {f"binance_archive/{e.name}" for e in ENDPOINTS} <= set(ALL_ENDPOINTS)


# --- which files ----------------------------------------------------------------------------------

SPOT, FUNDING, METRICS = (
    next(a for a in ARCHIVE_FEEDS if a.kind == kind)
    for kind in ("klines", "fundingRate", "metrics")
)


def days(first: str, count: int) -> list:
    return [utc(first) + i * DAY for i in range(count)]


def test_a_month_is_one_file_when_it_is_out_and_much_of_it_is_missing() -> None:
    asked = [f.path.rsplit("/", 1)[1] for f in files(SPOT, "BTCUSDT", days("2024-12-30", 34), NOW)]
    assert asked == [
        "BTCUSDT-1h-2025-02-01.zip",  # February has not ended
        "BTCUSDT-1h-2025-01.zip",
        "BTCUSDT-1h-2024-12-31.zip",  # two days are not worth a month
        "BTCUSDT-1h-2024-12-30.zip",
    ]


def test_paths_are_those_of_the_archive() -> None:
    (day,) = days("2024-01-15", 1)
    assert SPOT.path("BTCUSDT", day, month=True) == (
        "data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip"
    )
    assert FUNDING.path("BTCUSDT", day, month=True) == (
        "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-01.zip"
    )
    assert METRICS.path("BTCUSDT", day, month=False) == (
        "data/futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2024-01-15.zip"
    )


def test_what_cannot_be_out_yet_is_not_asked_for() -> None:
    wide = Window(utc("2015-01-01"), NOW)
    assert SPOT.reach(wide, NOW).end == utc("2025-02-09")
    assert FUNDING.reach(wide, NOW).end == utc("2025-02-01")
    assert METRICS.reach(wide, NOW).start == utc("2020-09-01")


def test_missing_days_are_those_that_lack_an_hour() -> None:
    window = Window(utc("2024-01-01 06:00"), utc("2024-01-04"))
    there = hours_between(window.start, window.end)
    assert missing_days(there, window, hourly=True) == []
    assert missing_days(there.delete(40), window, hourly=True) == days("2024-01-02", 1)
    assert missing_days(there[:0], window, hourly=True) == days("2024-01-01", 3)
    assert missing_days(there[[0, 50]], window, hourly=False) == days("2024-01-02", 1)


# --- end to end -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tape() -> SyntheticTape:
    return SyntheticTape(start=utc("2024-10-01"), end=utc("2025-02-12"), symbols=SYMBOLS)


@pytest.fixture(scope="module")
def server(tape: SyntheticTape) -> Iterator[SimulatorServer]:
    with SimulatorServer(tape, FixedClock(NOW), walls=True) as running:
        yield running


@pytest.fixture(scope="module")
def vision(tape: SyntheticTape, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vision")
    assert write_archive(tape, folder, WINDOW, now=NOW) > 100
    return folder


@pytest.fixture
def get(server: SimulatorServer, tmp_path: Path) -> Iterator[Callable[..., FetchResult]]:
    clients: list[HttpClient] = []
    server.app.state.faults.clear()
    server.app.state.requests.clear()

    def go(
        dataset: str,
        *sources: str,
        window: Window = WINDOW,
        stored: pd.DataFrame | None = None,
        **more: object,
    ) -> FetchResult:
        given = {**server.settings_overrides(), "http_attempts": 1, "home": tmp_path, **more}
        made = Settings(_env_file=None, sources=sources, **given)  # type: ignore[arg-type]
        client = HttpClient(made, LandingStore.of(made), FixedClock(NOW), first_wait_s=0.01)
        clients.append(client)
        return fetch(
            dataset,
            window,
            settings=made,
            client=client,
            clock=FixedClock(NOW),
            symbols=SYMBOLS,
            stored=stored,
        )

    yield go
    for client in clients:
        client.close()


def archive_requests(server: SimulatorServer) -> list[str]:
    return [p for p in server.app.state.requests if p.startswith("/archive")]


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(
        columns=["source_tier", "payload_id", "mark_price", "interval_hours"], errors="ignore"
    )


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["candles", "funding_rates", "open_interest", "positioning"])
def test_the_archive_tells_what_the_api_tells_as_tier_three(
    get: Callable[..., FetchResult], dataset: str
) -> None:
    recent = Window(NOW - timedelta(days=25), utc("2025-02-01"))
    recent = Window(utc("2025-01-17"), recent.end)
    api = get(dataset, *API, window=recent)
    archive = get(dataset, "binance_archive", window=recent)
    assert len(api.frame) == len(archive.frame) > 0
    assert set(archive.frame["source_tier"]) == {3}
    assert set(archive.log["source"]) == set(archive.payloads["source"]) == {"binance_archive"}
    pd.testing.assert_frame_equal(
        comparable(api.frame), comparable(archive.frame), rtol=1e-6, check_dtype=False
    )
    assert archive.quarantined.empty


@pytest.mark.parametrize(
    "dataset",
    [
        "candles",
        "funding_rates",
        *(pytest.param(d, marks=pytest.mark.slow) for d in ("open_interest", "positioning")),
    ],
)
def test_a_folder_gives_the_same_as_the_web(
    get: Callable[..., FetchResult], vision: Path, dataset: str
) -> None:
    web = get(dataset, "binance_archive")
    folder = get(dataset, "binance_archive", binance_archive_url=str(vision))
    bookkeeping = ["available_at"]
    pd.testing.assert_frame_equal(
        web.frame.drop(columns=bookkeeping), folder.frame.drop(columns=bookkeeping)
    )
    assert set(folder.payloads["url"].str.startswith("file:data/")) == {True}


def test_nothing_is_asked_of_the_archive_where_the_api_has_it_all(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    got = get("candles", *API, "binance_archive")
    assert set(got.frame["source_tier"]) == {1}
    assert archive_requests(server) == []
    mine = got.log.loc[got.log["source"] == "binance_archive"]
    assert set(mine["fetch_status"]) == {"ok"}
    assert mine["request_count"].sum() == 0


def test_only_what_lies_behind_the_retention_wall_comes_from_the_archive(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    window = Window(utc("2025-01-01"), utc("2025-01-31"))
    got = get("open_interest", "binance_futures", "binance_archive", window=window)
    tiers = got.frame.groupby("symbol")["source_tier"]
    wall = NOW - timedelta(days=30)
    assert len(got.frame) == 2 * 30 * 24
    assert not got.frame.duplicated(["symbol", "ts"]).any()
    assert (got.frame.loc[got.frame["ts"] > wall + HOUR, "source_tier"] < 3).all()
    assert (tiers.apply(lambda t: (t == 3).sum()) >= 9 * 24).all()
    asked = archive_requests(server)
    assert asked
    assert not [p for p in asked if "2025-01-2" in p]


def test_a_dead_api_is_replaced_by_the_archive_and_still_told(
    get: Callable[..., FetchResult],
) -> None:
    got = get("candles", *API, "binance_archive", binance_api_url="http://127.0.0.1:9")
    by_market = got.frame.groupby("market")["source_tier"].agg(["min", "max", "size"])
    assert by_market.loc["spot"].tolist() == [3, 3, 2 * HOURS]
    assert by_market.loc["perp"].tolist() == [1, 1, 2 * HOURS]
    spot = got.frame.loc[got.frame["market"] == "spot"]
    assert set(spot["source"]) == {"binance"}
    status = got.log.groupby("source")["fetch_status"].agg(set).to_dict()
    assert status == {"binance": {"failed"}, "binance_futures": {"ok"}, "binance_archive": {"ok"}}


def test_hours_that_are_stored_already_are_not_asked_for(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    key = ["source", "venue", "market", "symbol", "timeframe", "ts"]
    all_of_it = get("candles", *API).frame[key]
    hole = (all_of_it["market"] == "spot") & (all_of_it["symbol"] == "BTC/USDT")
    hole &= all_of_it["ts"] == utc("2025-01-05 07:00")
    got = get("candles", "binance_archive", stored=all_of_it.loc[~hole])
    names = [p.rsplit("/", 1)[1] for p in archive_requests(server)]
    assert names == ["BTCUSDT-1h-2025-01-05.zip.CHECKSUM", "BTCUSDT-1h-2025-01-05.zip"]
    assert len(got.frame) == 24


@pytest.mark.slow
def test_a_wrong_checksum_stores_nothing_of_that_file(
    get: Callable[..., FetchResult], vision: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(vision, folder)
    zip_path = folder / BTC
    zip_path.write_bytes(zip_path.read_bytes() + b"\0")
    digest = hashlib.sha256(zip_path.read_bytes()).hexdigest()
    got = get("candles", "binance_archive", binance_archive_url=str(folder))
    log = got.log.set_index(["market", "symbol"])
    assert log.loc[("spot", "BTC/USDT"), "fetch_status"] == "partial"
    assert "checksum" in log.loc[("spot", "BTC/USDT"), "error_message"]
    assert (log.drop(index=("spot", "BTC/USDT"))["fetch_status"] == "ok").all()
    mine = got.frame.query("market == 'spot' and symbol == 'BTC/USDT'")
    assert len(mine) == HOURS  # by the files of single days
    assert digest not in set(got.payloads["payload_id"])
    assert not (tmp_path / "landing" / digest[:2] / f"{digest}.zst").exists()


def month_and_days(tape: SyntheticTape, folder: Path, month: str, *, lacks: tuple[int, ...]) -> int:
    """Days of a month as files of single days, and the month's file without some of them."""
    daily = "data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-{day:%Y-%m-%d}.zip"
    monthly = f"data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-{month}.zip"
    until = int(NOW.timestamp() * 1000)
    start = utc(f"{month}-01")
    of_month = [start + n * DAY for n in range(31)]
    lines = []
    for day in of_month:
        path = daily.format(day=day)
        body = archive_file(tape, path, until)
        assert body is not None
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
        if day.day not in lacks:
            lines.append(only_member(body).decode().strip())
    if lines:
        header, rows = lines[0].split("\n")[0], [part.split("\n")[1:] for part in lines]
        text = "\n".join([header, *(line for part in rows for line in part)])
        (folder / monthly).parent.mkdir(parents=True, exist_ok=True)
        (folder / monthly).write_bytes(packed(text, Path(monthly).stem))
    return len(of_month)


@pytest.mark.parametrize(
    ("lacks", "status"), [((16, 19, 21, 26), "ok"), (tuple(range(1, 32)), "ok"), ((), "partial")],
    ids=["some days", "the whole month", "refused"],
)  # fmt: skip
def test_days_that_a_months_file_lacks_come_from_the_files_of_single_days(
    get: Callable[..., FetchResult], tape: SyntheticTape, tmp_path: Path,
    lacks: tuple[int, ...], status: str,
) -> None:  # fmt: skip
    folder = tmp_path / "partly"
    month_and_days(tape, folder, "2025-01", lacks=lacks)
    if not lacks:
        (folder / f"{BTC}.CHECKSUM").write_text(f"{'0' * 64}  {Path(BTC).name}\n")
    window = Window(utc("2025-01-01"), utc("2025-02-01"))
    got = get("candles", "binance_archive", window=window, binance_archive_url=str(folder))
    assert len(got.frame) == 31 * 24
    log = got.log.set_index(["market", "symbol"]).loc[("spot", "BTC/USDT")]
    assert log["fetch_status"] == status
    if status == "partial":
        assert "instead" in log["error_message"]


def test_a_wrong_checksum_over_the_web_stores_nothing_either(
    get: Callable[..., FetchResult], server: SimulatorServer, tape: SyntheticTape
) -> None:
    other = archive_file(tape, BTC.replace("BTC", "ETH"), int(NOW.timestamp() * 1000))
    server.app.state.faults[f"/archive/{BTC}.CHECKSUM"] = Fault(
        body=f"{hashlib.sha256(other).hexdigest()}  {BTC.rsplit('/', 1)[1]}\n"
    )
    got = get("candles", "binance_archive")
    told = got.log.loc[got.log["fetch_status"] == "partial", "error_message"]
    assert len(told) == 1
    assert told.str.contains("checksum").all()
    assert len(got.frame) == 4 * HOURS


def test_a_refused_month_without_files_of_its_days_is_a_failure(
    get: Callable[..., FetchResult], vision: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "months"
    shutil.copytree(vision, folder, ignore=shutil.ignore_patterns("daily"))
    zip_path = folder / BTC
    zip_path.write_bytes(zip_path.read_bytes() + b"\0")
    got = get("candles", "binance_archive", binance_archive_url=str(folder))
    bad = got.log.loc[got.log["fetch_status"] == "failed"]
    assert bad["error_class"].tolist() == [ChecksumMismatch.__name__]
    assert len(got.frame) == 3 * HOURS + 12 * 24


def test_a_folder_without_checksum_files_relies_on_the_zips_own(
    get: Callable[..., FetchResult], vision: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(vision, folder, ignore=shutil.ignore_patterns("*.CHECKSUM"))
    got = get("candles", "binance_archive", binance_archive_url=str(folder))
    assert len(got.frame) == 4 * HOURS


@pytest.mark.slow
def test_fault_88_a_link_out_of_the_folder_is_not_followed(
    get: Callable[..., FetchResult], vision: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "linked"
    shutil.copytree(vision, folder)
    target = tmp_path / "elsewhere.zip"
    (folder / BTC).rename(target)
    (folder / BTC).symlink_to(target)
    got = get("candles", "binance_archive", binance_archive_url=str(folder))
    bad = got.log.loc[got.log["fetch_status"] == "partial"]
    assert bad[["market", "symbol"]].to_numpy().tolist() == [["spot", "BTC/USDT"]]
    assert "symbolic link" in bad["error_message"].iloc[0]


def test_a_file_under_another_months_name_is_quarantined(
    get: Callable[..., FetchResult], vision: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "swapped"
    shutil.copytree(vision, folder, ignore=shutil.ignore_patterns("*.CHECKSUM"))
    shutil.copy(folder / BTC.replace("2025-01", "2024-12"), folder / BTC)
    got = get("candles", "binance_archive", binance_archive_url=str(folder))
    spot = got.frame.query("market == 'spot' and symbol == 'BTC/USDT'")
    assert len(spot) == HOURS  # January by the files of single days
    assert got.quarantined["reason"].str.contains("which the file is about").any()


@pytest.mark.slow
def test_the_time_before_a_listing_is_not_searched_to_its_end(
    get: Callable[..., FetchResult], server: SimulatorServer
) -> None:
    window = Window(utc("2023-01-01"), utc("2024-10-03"))
    got = get("open_interest", "binance_archive", window=window)
    assert len(got.frame) == 2 * 2 * 24  # the tape begins on 1 October
    per_symbol = len(archive_requests(server)) / 2
    assert STOP_AFTER.days <= per_symbol <= STOP_AFTER.days + 30


def test_an_archive_that_is_down_fails_once_per_series_and_not_per_file(
    get: Callable[..., FetchResult],
) -> None:
    got = get("open_interest", "binance_archive", binance_archive_url="http://127.0.0.1:9")
    assert set(got.log["fetch_status"]) == {"failed"}
    assert got.frame.empty
    assert got.log["request_count"].sum() <= 16


def test_a_folder_that_is_not_there_is_said_so(get: Callable[..., FetchResult]) -> None:
    got = get("candles", "binance_archive", binance_archive_url="/nowhere/at/all")
    assert set(got.log["fetch_status"]) == {"failed"}
    assert got.log["error_message"].str.contains("is no folder").all()


def test_without_an_address_there_is_no_archive(get: Callable[..., FetchResult]) -> None:
    with pytest.raises(NoSourceError):
        get("candles", "binance_archive", binance_archive_url=None)
    got = get("candles", *API, "binance_archive", binance_archive_url=" ")
    assert "binance_archive" not in set(got.log["source"])
