"""Pictures of the scorecard: rates, what was found, and one planted event of each type.

Belongs here: drawing, with the colours and the SVG of ``charts``. Does not belong here: counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regime_pipeline.evaluation.scenes import Result, Sample
from regime_pipeline.evaluation.scoring import interval
from regime_pipeline.reporting.charts import COLOURS, drawing, margins, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, NAIVE = "accent", "longs"
FLOOR_EXPONENT = -5
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

SHOWN = {
    "LIQUIDATION_CASCADE": ("liquidation_cascades", "total_liquidation_usd", "USD in the hour", 3),
    "FUNDING_ANOMALY": ("funding_prints", "z_score", "z of the print", 20),
    "FUNDING_REVERSAL": ("funding_prints", "z_score", "z of the print", 20),
    "VOLATILITY_REGIME_CHANGE": ("volatility_regimes", "vol_ratio_gk", "volatility ratio", 7),
    "CORRELATION_BREAK": ("asset_correlations", "corr_7d", "7 d correlation", 20),
    "REGIME_CONFIRMED": ("timeframe_regimes", "trend_z_4h", "trend z of 4 h bars", 12),
}
"""By event type: table and column of the line, its name, days shown either side."""


def rate_chart(results: Sequence[Result]) -> str:
    """False alarms a day on null worlds, ours beside the naive and the advertised rate, log scale."""
    from matplotlib.figure import Figure

    rows = [r for r in results if not r.ours.planted]
    with drawing("rates"):
        figure = Figure(figsize=(10.4, 0.36 * len(rows) + 0.75))
        axes = figure.subplots(gridspec_kw=margins(figure, left=3.7, top=0.3, bottom=0.34))
        axes.set_title("False alarms per symbol-day (pair-day: correlations) · log scale")
        floor = 10.0**FLOOR_EXPONENT
        for y, r in enumerate(rows):
            rate, days = r.ours.false_per_day or 0.0, r.ours.quiet_days
            low, high = interval(r.ours.wrong, days)
            axes.plot([max(low, floor), high], [y, y], color=COLOURS[OURS], linewidth=1.4)
            _dot(axes, max(rate, floor), y, OURS, filled=rate > 0)
            if r.naive is not None:
                theirs = r.naive.false_per_day or 0.0
                _dot(axes, max(theirs, floor), y, NAIVE, filled=theirs > 0)
            if r.advertised is not None:
                axes.plot(max(r.advertised, floor), y, marker="|", markersize=13, markeredgewidth=1.6,
                          color=COLOURS["ink"], linestyle="none")  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlim(floor / 1.6, 12)
        axes.xaxis.set_major_formatter(_power)
        _names(axes, [f"{r.detector} · {r.scene.world.removeprefix('null_')}" for r in rows])
        return svg(figure, "False alarms on null worlds")


def found_chart(results: Sequence[Result]) -> str:
    """Share found, share right and delay on the planted worlds, ours beside the naive rules."""
    from matplotlib.figure import Figure

    rows = [r for r in results if r.ours.planted]
    with drawing("found"):
        figure = Figure(figsize=(10.4, 0.4 * len(rows) + 0.75))
        grid = {**margins(figure, left=2.75, top=0.3, bottom=0.28), "wspace": 0.16}
        panels = figure.subplots(1, 3, sharey=True, gridspec_kw=grid)
        for axes, (name, title) in zip(
            panels,
            (
                ("recall", "Found (recall)"),
                ("precision", "Right (precision)"),
                ("delay_hours", "Delay, hours"),
            ),
            strict=True,
        ):
            axes.set_title(title)
            for y, r in enumerate(rows):
                ours = getattr(r.ours, name)
                theirs = getattr(r.naive, name) if r.naive is not None else None
                if ours is not None and theirs is not None:
                    axes.plot([ours, theirs], [y, y], color=COLOURS["grid"], linewidth=2.4)
                if theirs is not None:
                    _dot(axes, theirs, y + 0.1, NAIVE)
                if ours is not None:
                    _dot(axes, ours, y - 0.1, OURS)
            if name != "delay_hours":
                axes.set_xlim(-0.03, 1.03)
                axes.set_xticks([0.0, 0.5, 1.0])
                axes.xaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f} %")
            else:
                top = max([*(r.ours.delay_hours or 0 for r in rows), 8]) * 1.1
                axes.set_xlim(-0.04 * top, top)
            _names(axes, [r.detector for r in rows])
        return svg(figure, "What was found of the planted events")


def example_chart(result: Result) -> str:
    """One planted event: the statistic, the event's time shaded, who said something when."""
    from matplotlib.figure import Figure

    sample = result.sample
    if sample is None or sample.world.truth.empty:
        raise ValueError(f"{result.detector} in {result.scene.world} kept no sample")
    table, column, name, days = SHOWN[result.detector]
    truth = sample.world.truth
    pad = pd.Timedelta(days=days)
    grid = sample.world.grid
    whole = truth[(truth["start"] - pad >= grid.start) & (truth["settled"] + pad <= grid.end)]
    shown = whole if len(whole) else truth
    event = shown.iloc[len(shown) // 2]
    left, right = event["start"] - pad, event["settled"] + pad
    with drawing(f"example-{result.detector}"):
        figure = Figure(figsize=(10.4, 1.75))
        axes = figure.subplots(gridspec_kw=margins(figure, left=0.62, top=0.26, bottom=0.28))
        axes.set_title(f"{result.detector} · {name} · {event['instrument']}")
        line = _series(sample, table, column, str(event["instrument"]))
        line = line[(line.index >= left) & (line.index <= right)]
        axes.axvspan(
            event["start"], event["last"], color=COLOURS["highvol"], alpha=0.22, linewidth=0
        )
        axes.plot(line.index, line.to_numpy(), color=COLOURS["line"], linewidth=0.9)
        if column == "total_liquidation_usd":
            axes.set_yscale("log")
        for alarms, height, marker, colour in (
            (sample.ours, 0.94, "v", OURS),
            (sample.naive, 0.06, "^", NAIVE),
        ):
            _marks(axes, alarms, event, (left, right), (height, marker, colour))
        axes.set_xlim(left, right)
        _days(axes)
        return svg(figure, f"A planted event of {result.detector}")


def _marks(
    axes: Axes,
    alarms: pd.DataFrame | None,
    event: pd.Series,
    span: tuple[pd.Timestamp, pd.Timestamp],
    look: tuple[float, str, str],
) -> None:
    if alarms is None:
        return
    mine = alarms[alarms["instrument"].eq(event["instrument"])]
    at = mine.loc[mine["known_at"].between(*span), "known_at"]
    height, marker, colour = look
    axes.scatter(
        at, np.full(len(at), height), s=22, marker=marker, linewidth=0, color=COLOURS[colour],
        transform=axes.get_xaxis_transform(), zorder=4, alpha=0.9,
    )  # fmt: skip


def _series(sample: Sample, table: str, column: str, instrument: str) -> pd.Series:
    rows = sample.rows[table]
    if "symbol_a" in rows:
        a, b = instrument.split("|")
        rows = rows[rows["symbol_a"].eq(a) & rows["symbol_b"].eq(b)]
    else:
        rows = rows[rows["symbol"].eq(instrument)]
    return rows.set_index("ts")[column].astype("float64")


def _dot(axes: Axes, x: float, y: float, colour: str, *, filled: bool = True) -> None:
    face: Any = COLOURS[colour] if filled else COLOURS["surface"]
    axes.plot(x, y, marker="o", markersize=6, color=face, markeredgecolor=COLOURS[colour],
              markeredgewidth=1.2, linestyle="none", zorder=3)  # fmt: skip


def _names(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)


def _days(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def _power(value: float, _position: float) -> str:
    """A power of ten as text; the leftmost one stands for none at all."""
    exponent = round(float(np.log10(value)))
    if exponent <= FLOOR_EXPONENT:
        return "none"
    return f"{value:g}" if exponent >= -2 else f"10{str(exponent).translate(_SUPERSCRIPT)}"
