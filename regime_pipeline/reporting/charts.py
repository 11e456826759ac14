"""Charts of the report as inline SVG.

Belongs here: drawing. matplotlib draws with placeholder colours, which are then replaced by CSS
variables, so that one picture reads on light and on dark; texts stay texts. Does not belong here:
reading tables, or deciding what is worth a chart.

Missing values are gaps in every line and hatched bands behind the price.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regime_pipeline.windows import Window
from regime_pipeline.wording.formats import scaled
from regime_pipeline.wording.labels import SEVERITIES, label_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "line": "#040404",
    "ignition": "#050501",
    "cooling": "#050502",
    "chop": "#050503",
    "neutral": "#050504",
    "stable": "#060601",
    "highvol": "#060602",
    "explosive": "#060603",
    "extreme": "#060604",
    "longs": "#070701",
    "shorts": "#070702",
    "accent": "#070703",
    "missing": "#070704",
    "surface": "#080808",
}
"""CSS variable by placeholder colour."""


@dataclass(frozen=True)
class SymbolSeries:
    """What one symbol's chart shows; every series is indexed by UTC time, null where unknown.

    Attributes:
        price: close by bucket.
        primary: primary regime by hour, None where unknown.
        volatility: confirmed volatility regime by hour.
        vol_ratio: largest ratio of each bucket.
        funding_z: z by print.
        anomalies: prints beyond the threshold.
        longs: liquidated longs by bucket, USD.
        shorts: liquidated shorts by bucket, USD.
        cascades: announced cascades: severity by hour.
    """

    price: pd.Series
    primary: pd.Series
    volatility: pd.Series
    vol_ratio: pd.Series
    funding_z: pd.Series
    anomalies: pd.Series
    longs: pd.Series
    shorts: pd.Series
    cascades: pd.DataFrame


@contextmanager
def drawing(salt: str) -> Iterator[None]:
    """The look of every chart; ``salt`` keeps the ids of one chart apart from another's."""
    import matplotlib as mpl

    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": salt,
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 9,
            "text.color": COLOURS["ink"],
            "axes.edgecolor": COLOURS["grid"],
            "axes.labelcolor": COLOURS["muted"],
            "axes.facecolor": "none",
            "axes.grid": True,
            "axes.grid.axis": "y",
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.titlesize": 9,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlepad": 5,
            "axes.xmargin": 0,
            "grid.color": COLOURS["grid"],
            "grid.linewidth": 0.6,
            "xtick.color": COLOURS["grid"],
            "ytick.color": COLOURS["grid"],
            "xtick.labelcolor": COLOURS["muted"],
            "ytick.labelcolor": COLOURS["muted"],
            "ytick.major.size": 0,
            "figure.facecolor": "none",
            "savefig.facecolor": "none",
            "hatch.color": COLOURS["missing"],
            "hatch.linewidth": 0.7,
            "path.simplify": True,
            "path.simplify_threshold": 0.4,
            "timezone": "UTC",
        }
    ):
        yield


def svg(figure: Figure, label: str) -> str:
    """The figure as an inline ``<svg>`` with colours and fonts taken from the page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for name, placeholder in COLOURS.items():
        text = text.replace(placeholder, f"var(--{name})")
    text = re.sub(r"font: ([^;\"]*?)(\d[\d.]*px) [^;\"]*", r"font: \1\2 var(--font)", text)
    text = re.sub(r"(\d+\.\d\d)\d+", r"\1", text)
    text = re.sub(r"\n\s*", "\n", text)
    text = re.sub(
        r'<g id="[^"]*"', "<g", text
    )  # would repeat from chart to chart; nothing refers to it
    text = re.sub(
        r'<svg[^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', text, count=1
    )
    return text.replace(">", f"><title>{escape(label)}</title>", 1)


def margins(
    figure: Figure, left: float = 0.52, right: float = 0.06, top: float = 0.2, bottom: float = 0.2
) -> dict[str, float]:
    """Margins in inches as a grid specification wants them."""
    width, height = figure.get_size_inches()
    return {
        "left": left / width,
        "right": 1 - right / width,
        "bottom": bottom / height,
        "top": 1 - top / height,
    }


def spells(values: pd.Series) -> list[tuple[pd.Timestamp, pd.Timestamp, str]]:
    """Stretches of one label in an hourly series: start, end (exclusive), label.

    Unknown hours and absent rows end a stretch and are in none.
    """
    if values.empty:
        return []
    at = pd.DatetimeIndex(values.index)
    labels = values.to_numpy(dtype=object)
    known = pd.notna(labels)
    same = (labels[1:] == labels[:-1]) & known[1:] & known[:-1]
    same &= np.diff(at.asi8) == pd.Timedelta("1h").value // _per_unit(at)
    starts = np.flatnonzero(np.r_[True, ~same])
    ends = np.r_[starts[1:], len(labels)]
    return [
        (at[int(i)], at[int(j) - 1] + pd.Timedelta("1h"), str(labels[i]))
        for i, j in zip(starts, ends, strict=True)
        if known[i]
    ]


def _per_unit(index: pd.DatetimeIndex) -> int:
    """Nanoseconds of the index's unit."""
    return {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[index.unit]


def _shade(
    axes: Axes, values: pd.Series, alpha: float, low: float = 0.0, high: float = 1.0
) -> None:
    """Background in the colour of each label, between two heights in axes fractions."""
    import matplotlib.dates as mdates

    by_label: dict[str, list[tuple[float, float]]] = {}
    for start, end, label in spells(values):
        left, right = mdates.date2num([start, end])
        by_label.setdefault(label, []).append((left, right - left))
    for label, spans in by_label.items():
        axes.broken_barh(
            spans,
            (low, high - low),
            transform=axes.get_xaxis_transform(),
            facecolors=COLOURS[label_of(label).colour],
            alpha=alpha,
            linewidth=0,
            zorder=0,
        )


def _hatch_gaps(axes: Axes, values: pd.Series) -> None:
    """Hatched bands where a bucketed series has no value."""
    import matplotlib.dates as mdates

    if len(values) < 2:
        return
    null = values.isna().to_numpy()
    step = values.index[1] - values.index[0]
    edges = np.flatnonzero(np.diff(np.r_[False, null, False].astype(int)))
    spans = []
    for i, j in zip(edges[::2], edges[1::2], strict=True):
        left, right = mdates.date2num([values.index[i], values.index[j - 1] + step])
        spans.append((left, right - left))
    if spans:
        axes.broken_barh(
            spans,
            (0, 1),
            transform=axes.get_xaxis_transform(),
            facecolors="none",
            edgecolors=COLOURS["missing"],
            hatch="////",
            linewidth=0,
            zorder=1,
        )


def _dates(axes: Axes, window: Window) -> None:
    import matplotlib.dates as mdates

    locator = mdates.AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    formatter = mdates.ConciseDateFormatter(locator, show_offset=False)
    formatter.formats[1] = "%b"
    formatter.zero_formats[1] = "%Y"
    axes.xaxis.set_major_formatter(formatter)
    left, right = mdates.date2num([window.start, window.end])
    axes.set_xlim(float(left), float(right))


def _dollars(value: float, _: object = None) -> str:
    short, unit = scaled(abs(value))
    return f"{short:.3g}{unit}"


def _prices(value: float, _: object = None) -> str:
    if value >= 1e6:
        short, unit = scaled(value)
        return f"{short:.4g}{unit}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def symbol_chart(symbol: str, data: SymbolSeries, window: Window, params: dict[str, Any]) -> str:
    """Price with regimes, volatility ratio with borders, funding z, liquidations by side.

    Args:
        symbol: for the accessible title.
        data: the series.
        window: limits of the time axis.
        params: ``borders`` (three ratios), ``anomaly_z`` and ``extreme_z``.
    """
    from matplotlib.figure import Figure

    with drawing(symbol):
        # fixed margins: the panels of all symbols line up, and no layout has to be searched
        figure = Figure(figsize=(10.4, 7.6))
        panels = figure.subplots(
            4,
            1,
            sharex=True,
            gridspec_kw={
                "height_ratios": [2.7, 1.3, 1.1, 1.3],
                **margins(figure, left=0.66, top=0.26, bottom=0.28),  # for 100,000
                "hspace": 0.26,
            },
        )
        _price_panel(panels[0], data)
        _ratio_panel(panels[1], data, params["borders"])
        _funding_panel(panels[2], data, params["anomaly_z"], params["extreme_z"])
        _liquidation_panel(panels[3], data)
        for panel in panels:
            _dates(panel, window)
        return svg(figure, f"{symbol}: price, volatility, funding, liquidations")


def _nothing(axes: Axes, what: str) -> None:
    axes.text(
        0.5, 0.5, f"no {what} in this window", transform=axes.transAxes, ha="center", va="center",
        color=COLOURS["muted"],
    )  # fmt: skip
    axes.set_yticks([])


def _price_panel(axes: Axes, data: SymbolSeries) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_title("Price, log scale · background: primary regime")
    _shade(axes, data.primary, 0.30)
    _hatch_gaps(axes, data.price)
    if not data.price.notna().any():
        _nothing(axes, "price")
        return
    axes.plot(data.price.index, data.price.to_numpy(), color=COLOURS["line"], linewidth=1.3)
    axes.set_yscale("log")
    low, high = data.price.min(), data.price.max()
    axes.set_ylim(low / 1.03, high * 1.03)
    locator = MaxNLocator(5) if high / low < 4 else LogLocator(subs=(1, 2, 5))
    axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_major_formatter(FuncFormatter(_prices))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="minor", length=0)


def _ratio_panel(axes: Axes, data: SymbolSeries, borders: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_title("Volatility against its 30-day median · background: confirmed regime")
    _shade(axes, data.volatility, 0.30)
    if not data.vol_ratio.notna().any():
        _nothing(axes, "volatility ratio")
        return
    for border in borders:
        axes.axhline(border, color=COLOURS["muted"], linewidth=0.8, linestyle=(0, (4, 3)))
    axes.plot(data.vol_ratio.index, data.vol_ratio.to_numpy(), color=COLOURS["line"], linewidth=1.0)
    axes.set_yscale("log")
    top = max(float(data.vol_ratio.max()) * 1.15, borders[-1] * 1.3)
    axes.set_ylim(min(float(data.vol_ratio.min()) / 1.1, borders[0] / 2), top)
    ticks = [*borders, *(t for t in (0.5, 5.0, 10.0, 20.0) if t < top)]
    axes.yaxis.set_major_locator(FixedLocator(sorted(ticks)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}×")
    axes.grid(False)


def _funding_panel(axes: Axes, data: SymbolSeries, anomaly: float, extreme: float) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(
        f"Funding z by settlement · dots: |z| above {anomaly:g} · lines: ±{anomaly:g} and ±{extreme:g}"
    )
    if not data.funding_z.notna().any():
        _nothing(axes, "funding statistic")
        return
    for level, style in ((anomaly, (0, (4, 3))), (extreme, (0, (1, 2)))):
        for sign in (1, -1):
            axes.axhline(sign * level, color=COLOURS["muted"], linewidth=0.8, linestyle=style)
    axes.plot(data.funding_z.index, data.funding_z.to_numpy(), color=COLOURS["line"], linewidth=0.9)
    marks = data.anomalies
    axes.scatter(
        marks.index, marks.to_numpy(), s=14, zorder=3, linewidth=0,
        color=[COLOURS["longs"] if v > 0 else COLOURS["cooling"] for v in marks],
    )  # fmt: skip
    reach = max(extreme * 1.15, float(data.funding_z.abs().max()) * 1.1)
    axes.set_ylim(-reach, reach)
    # thresholds are drawn as lines: their labels would stand on one another beside a large z
    axes.yaxis.set_major_locator(MaxNLocator(4, symmetric=True, integer=True))
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:+g}" if v else "0")


def _liquidation_panel(axes: Axes, data: SymbolSeries) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title("Liquidations, USD · shorts up, longs down · triangles: announced cascades")
    if not (data.longs.notna().any() or data.shorts.notna().any()):
        _nothing(axes, "liquidations")
        return
    for values, sign, colour in ((data.shorts, 1, "shorts"), (data.longs, -1, "longs")):
        axes.fill_between(
            values.index, 0, sign * values.to_numpy(), step="post", color=COLOURS[colour],
            linewidth=0, alpha=0.9,
        )  # fmt: skip
    reach = float(np.nanmax([data.longs.max(), data.shorts.max(), 1.0])) * 1.25
    axes.set_ylim(-reach, reach)
    axes.axhline(0, color=COLOURS["muted"], linewidth=0.6)
    for side, height, marker in (("LONG", -0.93, "v"), ("SHORT", 0.93, "^")):
        at = data.cascades[data.cascades["dominance"].eq(side)].index
        axes.scatter(at, np.full(len(at), height * reach), s=16, marker=marker, linewidth=0,
                     color=COLOURS["ink"], zorder=3, alpha=0.75)  # fmt: skip
    other = data.cascades[~data.cascades["dominance"].isin(["LONG", "SHORT"])].index
    axes.scatter(other, np.full(len(other), 0.93 * reach), s=14, marker="D", linewidth=0,
                 color=COLOURS["ink"], zorder=3, alpha=0.75)  # fmt: skip
    axes.yaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_dollars))


def score_chart(scores: dict[str, pd.Series], window: Window, bounds: tuple[float, float]) -> str:
    """Small multiples of the futures score, one panel per symbol, with the signal borders."""
    from matplotlib.figure import Figure

    columns = min(4, len(scores))
    lines = -(-len(scores) // columns)
    known = pd.concat(list(scores.values())).dropna()
    bottom = min(15.0, known.min() - 2) if len(known) else 15.0
    top = max(85.0, known.max() + 2) if len(known) else 85.0
    with drawing("scores"):
        figure = Figure(figsize=(10.4, 1.75 * lines + 0.2))
        panels = figure.subplots(
            lines,
            columns,
            sharex=True,
            sharey=True,
            squeeze=False,
            gridspec_kw={
                **margins(figure, left=0.32, top=0.26, bottom=0.28),
                "hspace": 0.22,
                "wspace": 0.05,
            },
        )
        for panel in panels.flat[len(scores) :]:
            panel.set_visible(False)
        for panel, (symbol, values) in zip(panels.flat, scores.items(), strict=False):
            panel.set_title(symbol)
            low, high = bounds
            panel.axhspan(high, 100, color=COLOURS["shorts"], alpha=0.12, linewidth=0)
            panel.axhspan(0, low, color=COLOURS["longs"], alpha=0.12, linewidth=0)
            if values.notna().any():
                panel.plot(values.index, values.to_numpy(), color=COLOURS["line"], linewidth=1.0)
            else:
                panel.text(0.5, 0.5, "no score: coverage too low", transform=panel.transAxes,
                           ha="center", va="center", color=COLOURS["muted"], fontsize=8)  # fmt: skip
            panel.set_ylim(bottom, top)
            panel.set_yticks([low, 50, high])
            _dates(panel, window)
            panel.xaxis.get_major_locator().maxticks = dict.fromkeys(
                panel.xaxis.get_major_locator().maxticks, 4
            )
        return svg(figure, "Futures score by symbol")


def correlation_chart(mean: pd.Series, low: pd.Series, high: pd.Series, window: Window) -> str:
    """Mean correlation over all pairs, with the band from the weakest to the strongest pair."""
    from matplotlib.figure import Figure

    with drawing("correlation"):
        figure = Figure(figsize=(10.4, 2.3))
        axes = figure.subplots(gridspec_kw=margins(figure, left=0.36, top=0.26, bottom=0.28))
        axes.set_title(
            "Correlation of hourly returns over 7 days · mean, weakest and strongest pair"
        )
        axes.fill_between(mean.index, low.to_numpy(), high.to_numpy(), color=COLOURS["accent"],
                          alpha=0.18, linewidth=0)  # fmt: skip
        axes.plot(mean.index, mean.to_numpy(), color=COLOURS["accent"], linewidth=1.6)
        axes.set_ylim(min(0.0, float(low.min())) if low.notna().any() else 0, 1)
        _dates(axes, window)
        return svg(figure, "Mean correlation")


def event_chart(weekly: pd.DataFrame, window: Window) -> str:
    """Events by week, stacked by severity (columns CRITICAL, WARNING, INFO)."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with drawing("events"):
        figure = Figure(figsize=(10.4, 1.9))
        axes = figure.subplots(gridspec_kw=margins(figure, left=0.36, top=0.26, bottom=0.28))
        step = weekly.attrs.get("days", 7)
        axes.set_title(f"Events per {'week' if step == 7 else 'day'} by severity")
        base = np.zeros(len(weekly))
        for severity in SEVERITIES:
            counts = weekly[severity].to_numpy()
            axes.bar(weekly.index, counts, bottom=base, width=0.82 * step, align="edge",
                     color=COLOURS[label_of(severity).colour], linewidth=0)  # fmt: skip
            base = base + counts
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        _dates(axes, window)
        return svg(figure, "Events over time")
