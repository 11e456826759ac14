"""Closed hours: how much of each was heard, sums of what was, and what proves it.

Belongs here: judging hours from spans and segments, writing sums, ``ops.stream_hours``, ``lost`` spans
and the log rows that coverage reads. Does not belong here: rows of single events (``store``).
"""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa

from regime_pipeline.catalogue import table
from regime_pipeline.catalogue.datasets import DATASETS, Expected, Form, stream_class
from regime_pipeline.collect import decode
from regime_pipeline.collect.archive import batches
from regime_pipeline.collect.plan import Line
from regime_pipeline.collect.store import RUN_ID, Storer, instant_ns
from regime_pipeline.collect.watch import S, clipped, holes, seconds, union
from regime_pipeline.coverage import store as coverage_store
from regime_pipeline.coverage.asked import SETTLE
from regime_pipeline.coverage.unproven import STREAMED
from regime_pipeline.windows import HOUR, Window, floor_hour

CLOSE_AFTER = timedelta(seconds=20)
"""How long messages of an hour are waited for after its end."""
WHOLE_S = 3599.0
"""Seconds that have to be heard of an hour for it to count as whole."""
JUDGED_BACK = timedelta(days=3)
BAR_TOLERANCE = 1e-9

Key = tuple[str, str, str, str, str]
"""Dataset, source, venue, market, symbol."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one hour of one series.

    Attributes:
        key: the series.
        hour: its start.
        live_s: seconds that some connection heard.
        lost: stretches that none heard, in ns, and why.
        row_count: single rows behind it.
        proof: ``ids``, ``bars``, ``seconds`` or None.
        content_hash: digest of the hour's rows as the segments give them.
        reason: why it is not proven.
    """

    key: Key
    hour: datetime
    live_s: float
    lost: tuple[tuple[int, int, str], ...]
    row_count: int = 0
    proof: str | None = None
    content_hash: str | None = None
    reason: str | None = None


def digest_of(frame: pd.DataFrame, name: str) -> str:
    """A digest of what rows of a table say, whatever their order and bookkeeping."""
    item = table(name)
    rows = frame[list(item.content)].sort_values(list(item.key), ignore_index=True)
    hashed = pd.util.hash_pandas_object(rows, index=False).to_numpy()
    return hashlib.sha256(np.ascontiguousarray(hashed).tobytes()).hexdigest()[:32]


class Hours:
    """Judges closed hours of everything that is collected.

    Args:
        storer: tables, connections and segments.
    """

    def __init__(self, storer: Storer) -> None:
        self._storer = storer
        self._lines: dict[Key, list[Line]] = defaultdict(list)
        for line in storer.lines:
            for subscription in line.subscriptions.values():
                for feed in subscription.channel.stored:
                    for symbol in subscription.symbols:
                        key = (
                            feed.dataset, line.source.name, feed.venue, feed.market, symbol.canonical
                        )  # fmt: skip
                        self._lines[key].append(line)

    def close(self, now: datetime) -> list[Judged]:
        """Judges the hours that have closed and were not judged yet; writes what follows."""
        out: list[Judged] = []
        pending = self._pending(now)
        for hour in sorted(pending):
            judged = self.judge(hour, pending[hour])
            self._write(judged, now)
            out += judged
        touched = {j.key[0] for j in out if DATASETS[j.key[0]].expected is not Expected.ANSWERS}
        for dataset in sorted(touched):
            window = Window(min(pending), max(pending) + HOUR)
            coverage_store.refresh(
                self._storer.warehouse, self._storer.settings, now, dataset, window
            )
        self._answer(now)
        if out:
            pa.default_memory_pool().release_unused()  # an hour of trades is much more than a turn needs
        return out

    # ------------------------------------------------------------------ which hours

    def _pending(self, now: datetime) -> dict[datetime, list[Key]]:
        last = floor_hour(now - CLOSE_AFTER)
        since = floor_hour(now - JUDGED_BACK)

        def read(connection: psycopg.Connection) -> tuple[list[tuple], list[tuple]]:
            spans = connection.execute(
                "select dataset, source, venue, market, symbol, min(span_start) "
                "from ops.stream_spans where span_end > %s group by 1, 2, 3, 4, 5",
                (since,),
            ).fetchall()
            hours = connection.execute(
                "select dataset, source, venue, market, symbol, ts from ops.stream_hours "
                "where ts >= %s",
                (since,),
            ).fetchall()
            return spans, hours

        spans, known = self._storer.warehouse.transact(read)
        done = {(tuple(k), at) for *k, at in known}
        out: dict[datetime, list[Key]] = defaultdict(list)
        for *names, first in spans:
            key = tuple(names)
            if key not in self._lines:
                continue
            hour = max(since, floor_hour(first))
            while hour < last:
                if (key, hour) not in done:
                    out[hour].append(key)  # type: ignore[arg-type]
                hour += HOUR
        return out

    # ------------------------------------------------------------------ judging

    def judge(self, hour: datetime, keys: Sequence[Key]) -> list[Judged]:
        """What became of an hour of some series; sums of whole hours are written on the way."""
        heard = self._heard(hour)
        inside = (instant_ns(hour), instant_ns(hour + HOUR))
        judged: dict[Key, Judged] = {}
        for key in keys:
            spans = heard.get(key, [])
            intervals = clipped(union((a, b) for a, b, _ in spans), inside)
            lost = tuple(
                (a, b, _why(spans, a)) for a, b in holes([(a, b) for a, b, _ in spans], inside)
            )
            judged[key] = Judged(key, hour, seconds(intervals), lost)
        out: list[Judged] = []
        by_dataset: dict[tuple[str, str], list[Judged]] = defaultdict(list)
        for one in judged.values():
            by_dataset[one.key[0], one.key[1]].append(one)
        for (dataset, _), ones in by_dataset.items():
            out += self._proven(dataset, hour, ones)
        return out

    def _heard(self, hour: datetime) -> dict[Key, list[tuple[int, int, str]]]:
        rows = self._storer.warehouse.transact(
            lambda c: c.execute(
                "select dataset, source, venue, market, symbol, span_start, span_end, reason "
                "from ops.stream_spans where span_end > %s and span_start < %s "
                "and stream_state in ('live', 'backfilled')",
                (hour, hour + HOUR),
            ).fetchall()
        )
        out: dict[Key, list[tuple[int, int, str]]] = defaultdict(list)
        for *names, start, end, reason in rows:
            out[tuple(names)].append((instant_ns(start), instant_ns(end), reason or ""))  # type: ignore[index]
        return out

    def recomputed(
        self, dataset: str, hour: datetime, keys: Iterable[Key]
    ) -> tuple[pd.DataFrame, pd.DataFrame, decode.Parsed]:
        """The hour's rows of some series, made of the segments alone, and the refused ones."""
        storer = self._storer
        mine = {k: self._lines[k] for k in keys}
        lines = {line.name: line for found in mine.values() for line in found}
        start, end = instant_ns(hour), instant_ns(hour + HOUR + CLOSE_AFTER)
        found = decode.parsed(
            (
                batch
                for line in lines.values()
                for batch in batches(
                    line, start, end, folder=storer.folder, warehouse=storer.warehouse,
                    landing=storer.landing,
                )
            ),
            [dataset],
        )  # fmt: skip
        window = Window(hour, hour + HOUR)
        if _is_summed(dataset, lines.values()):
            heard: Mapping[tuple[str, str], Line] = {(k[3], k[4]): v[0] for k, v in mine.items()}
            frame, refused = decode.sums(
                dataset, found, storer.settings, window, heard, window.end + CLOSE_AFTER,
                sizes=storer.sizes,
            )  # fmt: skip
        else:
            frame, refused = decode.rows(dataset, found, storer.settings, sizes=storer.sizes)
            frame = frame[(frame["ts"] >= hour) & (frame["ts"] < hour + HOUR)]
        return frame.reset_index(drop=True), refused, found

    def _proven(self, dataset: str, hour: datetime, ones: Sequence[Judged]) -> list[Judged]:
        """The hours with their rows, digests and proofs."""
        whole = {j.key for j in ones if j.live_s >= WHOLE_S and self._is_ready(j.key)}
        if not whole:
            return [_unproven(j, "not heard from end to end") for j in ones]
        frame, refused, _ = self.recomputed(dataset, hour, whole)
        lines = [line for k in whole for line in self._lines[k]]
        if _is_summed(dataset, lines):
            frame["payload_id"] = None
            self._storer.warehouse.merge(f"raw.{dataset}", frame, run_id=RUN_ID)
            self._storer.warehouse.quarantine(f"raw.{dataset}", refused, source=None, run_id=RUN_ID)
        out = []
        for one in ones:
            if one.key not in whole:
                out.append(_unproven(one, "not heard from end to end"))
                continue
            *_, market, symbol = one.key
            mine = frame[(frame["market"] == market) & (frame["symbol"] == symbol)]
            proof, reason = self._proof(dataset, one.key, hour, mine)
            out.append(
                replace(
                    one,
                    row_count=len(mine),
                    proof=proof,
                    content_hash=digest_of(mine, f"raw.{dataset}"),
                    reason=reason,
                )
            )
        return out

    def _is_ready(self, key: Key) -> bool:
        return all(self._storer.knows_sizes(line) for line in self._lines[key])

    def _proof(
        self, dataset: str, key: Key, hour: datetime, mine: pd.DataFrame
    ) -> tuple[str | None, str | None]:
        """What shows that a whole hour's rows are all there are, or why nothing does."""
        if DATASETS[dataset].form is Form.SUMMED:
            return self._by_bar(key, hour, mine)
        if stream_class(dataset, key[2]) != "complete":
            return None, "the venue does not send every event"
        if dataset == "candles":
            return ("bars", None) if len(mine) else (None, "no closed bar came")
        return "seconds", None

    def _by_bar(
        self, key: Key, hour: datetime, mine: pd.DataFrame
    ) -> tuple[str | None, str | None]:
        """Whether an hour's trades sum to the venue's own bar."""
        _, source, venue, market, symbol = key
        bars = self._storer.warehouse.read(
            "raw.candles", Window(hour, hour + HOUR), symbols=[symbol],
            where={"source": source, "venue": venue, "market": market},
        )  # fmt: skip
        if bars.empty:
            return None, "there is no bar to hold the trades against"
        volume = float(bars["volume_base"].iloc[0])
        traded = float((mine["taker_buy_base"] + mine["taker_sell_base"]).sum())
        if abs(traded - volume) <= BAR_TOLERANCE * max(volume, 1e-12):
            return "bars", None
        return None, f"trades sum to {traded:.10g} and the bar says {volume:.10g}"

    # ------------------------------------------------------------------ writing

    def _write(self, judged: Sequence[Judged], now: datetime) -> None:
        hours = [
            (
                *j.key, j.hour, stream_class(j.key[0], j.key[2]), min(j.live_s, 3600.0),
                min(3600.0, sum(b - a for a, b, _ in j.lost) / S), j.row_count, j.proof,
                j.proof is not None, j.reason, j.content_hash, now,
            )
            for j in judged
        ]  # fmt: skip
        lost = [(*j.key, decode.at(a), decode.at(b), why) for j in judged for a, b, why in j.lost]

        def work(connection: psycopg.Connection) -> None:
            with connection.cursor() as cursor:
                cursor.executemany(
                    "insert into ops.stream_hours (dataset, source, venue, market, symbol, ts, "
                    "stream_class, live_s, lost_s, row_count, proof, is_proven, reason, content_hash, "
                    "judged_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
                    "on conflict (dataset, source, venue, market, symbol, ts) do update set "
                    "live_s = excluded.live_s, lost_s = excluded.lost_s, "
                    "row_count = excluded.row_count, proof = excluded.proof, "
                    "is_proven = excluded.is_proven, reason = excluded.reason, "
                    "content_hash = excluded.content_hash, judged_at = excluded.judged_at",
                    hours,
                )
                cursor.executemany(
                    "insert into ops.stream_spans (dataset, source, venue, market, symbol, connection, "
                    "span_start, span_end, stream_state, reason, received_count, dropped_count) "
                    "values (%s, %s, %s, %s, %s, '', %s, %s, 'lost', %s, 0, 0) on conflict do nothing",
                    lost,
                )

        self._storer.warehouse.transact(work)

    def _answer(self, now: datetime) -> None:
        """Log rows about whole hours of events: that nothing more can come is an answer, too.

        They are written once an hour has settled, as answers of requests count only then.
        """
        settled = now - SETTLE
        names = [n for n, d in DATASETS.items() if d.expected is Expected.ANSWERS]

        def work(connection: psycopg.Connection) -> list[tuple]:
            return connection.execute(
                "select h.dataset, h.source, h.venue, h.market, h.symbol, h.ts, h.row_count "
                "from ops.stream_hours h where h.dataset = any(%s) and h.live_s >= %s "
                "and h.ts <= %s and h.ts >= %s and not exists (select from ops.fetch_log l "
                "where l.run_id = %s and l.dataset = h.dataset and l.source = h.source "
                "and l.venue = h.venue and l.market = h.market and l.symbol = h.symbol "
                "and l.window_start = h.ts)",
                (names, WHOLE_S, settled - HOUR, now - JUDGED_BACK, RUN_ID),
            ).fetchall()

        found = self._storer.warehouse.transact(work)
        if not found:
            return
        rows = [
            {
                "fetch_id": uuid.uuid4().hex, "dataset": dataset, "source": source, "venue": venue,
                "market": market, "symbol": symbol, "endpoint_path": f"{STREAMED}{dataset}",
                "window_start": hour, "window_end": hour + HOUR,
                "fetch_status": "ok" if count else "empty", "rows_stored": count,
                "rows_quarantined": 0, "request_count": 1, "fetched_at": now,
            }
            for dataset, source, venue, market, symbol, hour, count in found
        ]  # fmt: skip
        item = table("ops.fetch_log")
        frame = pd.DataFrame(rows).reindex(columns=list(item.fields))
        self._storer.warehouse.record("ops.fetch_log", frame, run_id=RUN_ID)
        hours = [row["window_start"] for row in rows]
        for dataset in sorted({str(row["dataset"]) for row in rows}):
            coverage_store.refresh(
                self._storer.warehouse, self._storer.settings, now, dataset,
                Window(min(hours), max(hours) + HOUR),
            )  # fmt: skip


def _is_summed(dataset: str, lines: Iterable[Line]) -> bool:
    if DATASETS[dataset].form is Form.SUMMED:
        return True
    return any(
        feed.summed
        for line in lines
        for subscription in line.subscriptions.values()
        for feed in subscription.channel.stored
        if feed.dataset == dataset
    )


def _unproven(one: Judged, reason: str) -> Judged:
    return replace(one, reason=reason)


def _why(spans: Sequence[tuple[int, int, str]], at: int) -> str:
    """Why nobody heard from an instant on: the reason of the span that ended there."""
    ended = [reason for _, end, reason in spans if end == at and reason]
    return ended[0] if ended else "the collector was not running or not subscribed"
