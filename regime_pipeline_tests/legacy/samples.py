"""Sample signal files as the replaced systems wrote them, sound and broken, into a folder.

Each says what ``regime migrate-signals`` must make of it. Everything follows from the seed. Does not
belong here: reading them (``legacy.reader``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from regime_pipeline.catalogue.fields.common import COMPONENTS
from regime_pipeline.windows import utc

START = utc("2024-02-03 15:30")
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
STRENGTHS = ("weak", "moderate", "strong", "very_strong")
OLD_NAMES = {
    "orderflow": "order_flow",
    "orderbook": "order-book",
    "beta_exp": "beta_exposure",
    "whale_act": "Whale Activity",
    "liquidation": "liquidations",
}


@dataclass(frozen=True)
class Sample:
    """One file, and what migrating it must come to.

    Attributes:
        name: path below the folder.
        body: its bytes.
        outcome: ``ok``, ``repaired``, ``partial`` or ``quarantined``.
        rows: rows that it holds.
        what: what is the matter with it.
    """

    name: str
    body: bytes
    outcome: str
    rows: int
    what: str


class _Pen:
    """Draws scores; knows the ways in which they used to be written down."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def score(self) -> float:
        return round(float(self._rng.uniform(5, 95)), 2)

    def signal(self) -> dict[str, Any]:
        score = self.score()
        direction = "bullish" if score > 55 else "bearish" if score < 45 else "neutral"
        return {
            "score": score,
            "direction": direction,
            "strength": str(self._rng.choice(STRENGTHS)),
            "confidence": round(float(self._rng.uniform(0, 1)), 3),
        }

    def some(self) -> list[str]:
        """Any subset of the components, in table order."""
        chosen = self._rng.random(len(COMPONENTS)) < 0.6
        return [c for c, take in zip(COMPONENTS, chosen, strict=True) if take] or ["momentum"]


def samples(seed: int = 7) -> list[Sample]:
    """Every sample, in name order."""
    pen = _Pen(seed)
    return sorted((*_sound(pen), *_damaged(pen), *_poisoned(pen)), key=lambda s: s.name)


def write(folder: Path, seed: int = 7) -> list[Sample]:
    """Write the samples below a folder, which is made when it is not there."""
    made = samples(seed)
    for sample in made:
        path = folder / sample.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.body)
    return made


def _joined(symbol: str) -> str:
    return symbol.replace("/", "")


def _dumped(document: object, **more: Any) -> bytes:
    return json.dumps(document, **more).encode()


def _list_of(
    pen: _Pen, count: int, at: datetime, symbol: str = "ETH/USDT"
) -> list[dict[str, object]]:
    return [
        {
            "symbol": _joined(symbol),
            "signal_type": "orderflow",
            "timestamp": int((at + timedelta(hours=i)).timestamp() * 1000),
            "score": f"{pen.score():.2f}",
        }
        for i in range(count)
    ]


def _sound(pen: _Pen) -> list[Sample]:
    out = []
    for i, symbol in enumerate(SYMBOLS):
        at = START + timedelta(hours=i)
        name = f"reports/{_joined(symbol)}_{at:%Y%m%d_%H%M}.json"
        document = {
            "symbol": _joined(symbol),
            "timestamp": at.replace(tzinfo=None).isoformat(),
            "signals": {c: pen.signal() for c in COMPONENTS},
            "metadata": {"version": "2.0"},
        }
        out.append(Sample(name, _dumped(document, indent=2), "ok", 11, "all eleven, nested"))
    at = START + timedelta(days=1)
    chosen = pen.some()
    flat: dict[str, object] = {"symbol": "BTC/USDT", "timestamp": int(at.timestamp())}
    for c in chosen:
        flat |= {f"{c}_score": pen.score(), f"{c}_confidence": 70}
    out.append(Sample("flat/btc.json", _dumped(flat), "ok", len(chosen), "flat, percent, seconds"))
    rows = _list_of(pen, 24, at)
    out.append(Sample("history/eth.json", _dumped(rows), "ok", 24, "list of texts, milliseconds"))
    at += timedelta(days=1)
    chosen = pen.some()
    many = {
        "generated_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        **{_joined(s): {"signals": {c: pen.signal() for c in chosen}} for s in SYMBOLS},
    }
    out.append(
        Sample("snapshots/all.json", _dumped(many), "ok", 3 * len(chosen), "several symbols")
    )
    renamed = {OLD_NAMES.get(c, c): {"value": pen.score(), "direction": "hold"} for c in COMPONENTS}
    at += timedelta(hours=1)
    name = f"named/SOLUSDT_{at:%Y-%m-%dT%H-%M}.json"
    out.append(Sample(name, _dumped(renamed), "ok", 11, "old names; symbol, time by file name"))
    listed = {"pair": "ETH-USDT", "results": [{"component": "volume", "date": f"{at:%Y-%m-%d}",
                                               "score": pen.score(), "strength": 0.4}]}  # fmt: skip
    out.append(Sample("results/eth.json", _dumped(listed), "ok", 1, "list in an envelope"))
    return out


def _damaged(pen: _Pen) -> list[Sample]:
    at = START + timedelta(days=10)
    records = _dumped(_list_of(pen, 5, at))
    one, two = (
        _dumped(
            {
                "symbol": "BTCUSDT",
                "timestamp": f"{at + timedelta(hours=i):%Y-%m-%d %H:%M}",
                "momentum": pen.score(),
            }
        )
        for i in range(2)
    )
    later = START + timedelta(days=20)
    gap = _list_of(pen, 3, later, "SOL/USDT")
    gap[1]["score"] = float("nan")
    merge = b"<<<<<<< HEAD\n" + one + b"\n=======\n" + two + b"\n>>>>>>> other\n"
    wide = json.dumps({"symbol": "BTCUSDT", "date": "2024-03-01", "volume": pen.score()})
    latin = '{"symbol": "BTCUSDT", "date": "2024-03-02", "volume": 40, "note": "caf\xe9"}'
    twice = b'{"symbol": "BTCUSDT", "date": "2024-03-03", "volume": 40, "volume": 60}'
    return [
        Sample("broken/cut_list.json", records[:-30], "repaired", 4, "cut in its last record"),
        Sample("broken/cut_object.json", one[:-9], "quarantined", 0, "cut in its only record"),
        Sample("broken/two_documents.json", one + two, "repaired", 2, "two documents"),
        Sample(
            "broken/nul_tail.json",
            _dumped({"symbol": "BTCUSDT", "date": "2024-03-04", "technical": pen.score()})
            + b"\x00" * 512,
            "repaired",
            1,
            "NUL bytes at its end",
        ),
        Sample("broken/nan.json", _dumped(gap), "partial", 2, "one score is NaN"),
        Sample("broken/merge_markers.json", merge, "quarantined", 0, "merge markers"),
        Sample("broken/utf16.json", wide.encode("utf-16"), "repaired", 1, "UTF-16 with its mark"),
        Sample("broken/latin1.json", latin.encode("latin-1"), "quarantined", 0, "not UTF-8"),
        Sample("broken/empty.json", b"", "quarantined", 0, "0 bytes"),
        Sample("broken/nothing.json", b"\x00" * 64, "quarantined", 0, "only NUL bytes"),
        Sample(
            "broken/page.json",
            b"<!doctype html><html><body>502 Bad Gateway</body></html>",
            "quarantined",
            0,
            "a web page",
        ),
        Sample("broken/twice.json", twice, "quarantined", 0, "a key twice in one object"),
        Sample("broken/other.json", b'{"users": [1, 2]}', "quarantined", 0, "no signals at all"),
    ]


def _poisoned(pen: _Pen) -> list[Sample]:
    at = f"{START + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"

    def file(name: str, change: Callable[[dict[str, Any]], object], what: str) -> Sample:
        document: dict[str, Any] = {
            "symbol": "BTCUSDT",
            "timestamp": at,
            "signals": {"momentum": pen.signal()},
        }
        change(document)
        return Sample(f"poisoned/{name}.json", _dumped(document), "quarantined", 0, what)

    some_good = {
        "symbol": "ETHUSDT",
        "timestamp": at,
        "signals": {"momentum": pen.signal(), "volume": {"score": 1200}, "voodoo": pen.signal()},
    }
    return [
        file("future", lambda d: d.update(timestamp="2093-01-01T00:00:00Z"), "a future date"),
        file("symbol", lambda d: d.update(symbol="NOPE/USDT"), "a symbol that is not watched"),
        file("SOLUSDT_other", lambda _: None, "named for another symbol"),
        file("range", lambda d: d["signals"]["momentum"].update(score=-3), "a score below 0"),
        file(
            "markup",
            lambda d: d["signals"]["momentum"].update(direction="<script>alert(1)</script>"),
            "HTML in a text",
        ),
        file("words", lambda d: d["signals"]["momentum"].update(score="high"), "a word as score"),
        file("clockless", lambda d: d.pop("timestamp"), "no time"),
        Sample("poisoned/some.json", _dumped(some_good), "partial", 1, "two of three unusable"),
    ]
