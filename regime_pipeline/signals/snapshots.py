"""What a trader looks at first: one row per symbol and hour, block by block, with age and status of each.

Belongs here: putting values of other tables of the same hour side by side. Does not belong here:
computing any of them, carrying an old value into an hour that has none.

The definition in words: docs/methods.md, section 7.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from regime_pipeline.catalogue.derivation import Input, derives, reads
from regime_pipeline.catalogue.fields.common import STATUSES, USABLE
from regime_pipeline.catalogue.frames import conform
from regime_pipeline.catalogue.model import Kind
from regime_pipeline.catalogue.registry import FIELDS, table
from regime_pipeline.catalogue.tables.signals import SNAPSHOT_BLOCKS
from regime_pipeline.market.sentiment import usable_hour
from regime_pipeline.numerics.panel import FloatPanel, from_panel, grid_length, to_panel
from regime_pipeline.settings import method_version
from regime_pipeline.signals.scores import names_text, text_of
from regime_pipeline.windows import HOUR, Grid

METHOD = "snapshots/1"

AGE_H = 48
"""Hours that an age is counted back; a block without a value for longer has none."""
FEAR_GREED_FRESH_H = 36

_STATE = ("status", "reason")
_LOOKBACK = f"{AGE_H}h"


def _block(name: str) -> Input:
    full, columns = SNAPSHOT_BLOCKS[name]
    return reads(full, _LOOKBACK, columns=("symbol", "ts", *columns, *_STATE, "source_tier"))


@derives(
    "signals.snapshots",
    market=_block("market"),
    volatility=_block("volatility"),
    regime=_block("regime"),
    funding=_block("funding"),
    cascade=_block("cascade"),
    confluence=_block("confluence"),
    futures=_block("futures"),
    fear_greed=reads("market.fear_greed", "4d"),
)
def snapshots(
    market: pd.DataFrame,
    volatility: pd.DataFrame,
    regime: pd.DataFrame,
    funding: pd.DataFrame,
    cascade: pd.DataFrame,
    confluence: pd.DataFrame,
    futures: pd.DataFrame,
    fear_greed: pd.DataFrame,
    *,
    grid: Grid,
) -> pd.DataFrame:
    """The snapshot of every symbol and hour of the grid.

    Every value is that of its own table at this very hour. ``{block}_block_status`` and ``_reason`` are
    the block's; ``{block}_block_age_h`` is 0 when the hour has the block's value, else the hours since the
    newest row that had one, null beyond 48. The index is the newest one that was out when the row
    decided, for at most 36 h.

    Args:
        market: ``market.metrics_1h``.
        volatility: ``features.volatility_regimes``.
        regime: ``regimes.timeframe_regimes``.
        funding: ``features.funding_anomalies``.
        cascade: ``features.liquidation_cascades``.
        confluence: ``signals.confluence``.
        futures: ``signals.futures_scores``.
        fear_greed: ``market.fear_greed``.
        grid: rows owed; the tables carry the declared lookback before it.

    Returns:
        Content columns of ``signals.snapshots``, the whole grid, sorted by key. ``ok`` when every
        block is, ``partial`` while one can be used, else ``missing``; ``reason`` names the blocks that
        are not ok.
    """
    given = {
        "market": market,
        "volatility": volatility,
        "regime": regime,
        "funding": funding,
        "cascade": cascade,
        "confluence": confluence,
        "futures": futures,
    }
    panels: dict[str, npt.NDArray] = {}
    texts: dict[str, pd.Series] = {}
    codes: dict[str, FloatPanel] = {}
    tiers = []
    for name, frame in given.items():
        codes[name] = _one_block(name, frame, grid, panels, texts)
        tiers.append(to_panel(frame, grid, ["source_tier"])["source_tier"])
    codes["fear_greed"], tier = _index(fear_greed, grid, panels, texts)
    tiers.append(tier)
    panels["source_tier"] = np.fmax.reduce(tiers)
    texts["status"], texts["reason"] = _of_row(codes)
    target = table("signals.snapshots")
    frame = from_panel(grid, panels).assign(method_version=method_version(METHOD), **texts)
    columns = list(target.content)
    return conform(_typed(frame)[columns], target)[columns]


def _one_block(
    name: str,
    frame: pd.DataFrame,
    grid: Grid,
    panels: dict[str, npt.NDArray],
    texts: dict[str, pd.Series],
) -> FloatPanel:
    """Put a block's columns into ``panels`` and ``texts``; its status as a place in ``STATUSES``."""
    columns = SNAPSHOT_BLOCKS[name][1]
    now = frame[frame["ts"] >= pd.Timestamp(grid.start)]
    numbers = [c for c in columns if FIELDS[c].kind not in _AS_TEXT]
    panels |= to_panel(now, grid, numbers)
    for column in (c for c in columns if FIELDS[c].kind in _AS_TEXT):
        texts[column] = _text(now, grid, column)
    wide = grid.widened(AGE_H * HOUR)
    place = frame["status"].map({s: float(i) for i, s in enumerate(STATUSES)})
    status = to_panel(frame.assign(place=place.astype("float64")), wide, ["place"])["place"]
    hours = np.arange(len(status))[:, None]
    newest = np.maximum.accumulate(np.where(status < len(USABLE), hours, -1), axis=0)
    age = np.where(newest >= 0, hours - newest, np.nan)[AGE_H:]
    code = status[AGE_H:]
    panels[f"{name}_block_age_h"] = np.where(age <= AGE_H, age, np.nan)
    absent = ~np.isfinite(code)
    code = np.where(absent, STATUSES.index("missing"), code)
    texts[f"{name}_block_status"] = text_of(code.astype(np.int64), STATUSES)
    why = _text(now, grid, "reason")
    texts[f"{name}_block_reason"] = why.mask(absent.T.reshape(-1), "no_row")
    return code


_AS_TEXT = (Kind.TEXT, Kind.JSON, Kind.TIMESTAMP)


def _text(frame: pd.DataFrame, grid: Grid, column: str) -> pd.Series:
    """A column of texts or instants on the whole grid; null where there is no row."""
    codes, values = pd.factorize(frame[column])
    code = to_panel(frame.assign(code=codes.astype("float64")), grid, ["code"])["code"]
    at = np.where(np.isfinite(code), code, -1).astype(np.int64).T.reshape(-1)
    return pd.Series(pd.Series(values).array.take(at, allow_fill=True))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Instants of a grid without any row keep their type."""
    named = [str(c) for c in frame]
    stamps = [c for c in named if c in FIELDS and FIELDS[c].kind is Kind.TIMESTAMP]
    return frame.assign(**{c: pd.to_datetime(frame[c], utc=True).dt.as_unit("us") for c in stamps})


def _index(
    fear_greed: pd.DataFrame,
    grid: Grid,
    panels: dict[str, npt.NDArray],
    texts: dict[str, pd.Series],
) -> tuple[FloatPanel, FloatPanel]:
    """The index, the same for every symbol, its status and tier."""
    known = fear_greed[fear_greed["fear_greed"].notna() & fear_greed["available_at"].notna()]
    rows, width = grid_length(grid), len(grid.symbols)
    hour = usable_hour(known["available_at"])
    at = np.searchsorted(np.sort(hour.to_numpy("datetime64[us]")), _stamps(grid), side="right") - 1
    newest = known.assign(hour=hour).sort_values(["hour", "ts"], kind="stable")
    age = np.full(rows, np.nan)
    value, tier = np.full(rows, np.nan), np.full(rows, np.nan)
    found = at >= 0
    out = newest["available_at"].to_numpy("datetime64[us]")
    decided = _stamps(grid) + np.timedelta64(1, "h")
    age[found] = (decided[found] - out[at[found]]) / np.timedelta64(1, "h")
    value[found] = newest["fear_greed"].to_numpy("float64", na_value=np.nan)[at[found]]
    tier[found] = newest["source_tier"].to_numpy("float64", na_value=np.nan)[at[found]]
    fresh = age <= FEAR_GREED_FRESH_H
    code = np.where(fresh, 0, np.where(found, STATUSES.index("stale"), STATUSES.index("missing")))
    reason = np.where(fresh, -1, np.where(found, 0, 1))

    def everywhere(column: npt.NDArray) -> npt.NDArray:
        return np.broadcast_to(column[:, None], (rows, width)).copy()

    panels["fear_greed"] = everywhere(np.where(fresh, value, np.nan))
    panels["fear_greed_block_age_h"] = everywhere(np.floor(age))
    texts["fear_greed_block_status"] = text_of(everywhere(code), STATUSES)
    texts["fear_greed_block_reason"] = text_of(
        everywhere(reason), ("older_than_36h", "not_published")
    )
    return everywhere(code.astype("float64")), everywhere(np.where(fresh, tier, np.nan))


def _stamps(grid: Grid) -> npt.NDArray[np.datetime64]:
    return grid.hours.tz_localize(None).to_numpy("datetime64[us]")


def _of_row(codes: dict[str, FloatPanel]) -> tuple[pd.Series, pd.Series]:
    lacking = {name: code > 0 for name, code in codes.items()}
    some = np.logical_or.reduce([code < len(USABLE) for code in codes.values()])
    whole = ~np.logical_or.reduce(list(lacking.values()))
    code = np.where(whole, 0, np.where(some, 1, STATUSES.index("missing")))
    return text_of(code, STATUSES), names_text(lacking, ", ")
