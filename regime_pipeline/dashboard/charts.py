"""Charts as SVG text: lines with gaps, bands behind them, bars, sparklines.

Belongs here: geometry, as pure functions. Colours are classes of the stylesheet (``c-extreme`` ...), since
nothing inline is allowed on a page. A value that is not known is a gap, hatched where it lasts, never a
line drawn across. Does not belong here: which data are drawn (``pages``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from markupsafe import Markup

from regime_pipeline.wording.formats import stamp

Place = Callable[[float], float]

LEFT = 4
TOP, BOTTOM = 8, 20
LABEL, LARGE_LABEL = 12, 30
"""Heights of a label of the scale, on a screen and on a phone: values nearer than that share one."""
WIDE = 800
"""Charts of this width are shrunk on a phone, their labels are not."""


MOST_ROWS = 24
"""Rows of the table behind a chart; all of them are in the file that the page leads to."""


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: what it is, in words.
        values: by time; None is a gap.
        colour: class without its ``c-``.
    """

    name: str
    values: tuple[float | None, ...]
    colour: str = "line"


@dataclass(frozen=True)
class Band:
    """A span behind the lines."""

    start: datetime
    end: datetime
    colour: str
    word: str


@dataclass(frozen=True)
class Chart:
    """A chart of hours.

    Attributes:
        title: what is drawn, with its unit.
        times: the axis, in order, evenly spaced.
        lines: each as long as ``times``.
        bands: behind the lines.
        bars: whether the lines are drawn as bars from zero, the second one downwards.
        marks: values at which a dashed line is drawn.
        digits: after the point, of values that are told.
        height: of the picture.
        width: of the picture, in the same units.
    """

    title: str
    times: tuple[datetime, ...]
    lines: tuple[Line, ...]
    bands: tuple[Band, ...] = ()
    bars: bool = False
    marks: tuple[float, ...] = ()
    digits: int = 2
    height: int = 150
    width: int = 1000

    @property
    def right(self) -> int:
        """Room for the labels of the scale."""
        return 58 if self.width >= WIDE else 34


def svg(chart: Chart) -> Markup:
    """The chart; without a single value, a sentence that says so."""
    known = [v for line in chart.lines for v in line.values if v is not None]
    if not chart.times or not known:
        return _safe(f'<p class="null">{escape(chart.title)}: nothing known in this span</p>')
    low, high = _bounds(chart, known)
    inner = chart.height - TOP - BOTTOM
    step = (chart.width - LEFT - chart.right) / max(1, len(chart.times))

    def x(n: float) -> float:
        return LEFT + n * step

    def y(value: float) -> float:
        return TOP + inner * (high - value) / (high - low)

    parts = [*_bands(chart, step, inner), *_gaps(chart, step, inner)]
    parts += _scale(chart, (*chart.marks, *_ticks(low, high)), low, high, y)
    for n, line in enumerate(chart.lines):
        if chart.bars:
            parts.append(_bars(line, x, y, step, down=n == 1))
        else:
            parts.append(f'<path class="c-{line.colour}" d="{_path(line.values, x, y, step)}"/>')
    for n, text in _dates(chart.times, chart.width // 160):
        parts.append(f'<text x="{x(n):.1f}" y="{chart.height - 5}">{text}</text>')
    return _safe(
        f'<svg class="chart{" wide" if chart.width >= WIDE else ""}" '
        f'viewBox="0 0 {chart.width} {chart.height}" role="img" '
        f'aria-label="{escape(told(chart))}" tabindex="0" data-left="{LEFT}" data-width="{chart.width}" '
        f'data-right="{chart.right}">{"".join(parts)}<line class="cross" x1="-9" x2="-9" y1="{TOP}" '
        f'y2="{chart.height - BOTTOM}"/></svg>'
        f'<script type="application/json">{_data(chart)}</script>'
    )


def table(chart: Chart) -> Markup:
    """The numbers behind a chart, evenly taken and the newest among them; empty without a single one."""
    known = [v for line in chart.lines for v in line.values if v is not None]
    if not chart.times or not known:
        return _safe("")
    step = max(1, -(-len(chart.times) // MOST_ROWS))
    heads = "".join(f'<th scope="col" class="num">{escape(line.name)}</th>' for line in chart.lines)
    rows = []
    for n in range(len(chart.times) - 1, -1, -step):
        cells = "".join(
            '<td class="num"><span class="null">not known</span></td>'
            if (value := line.values[n]) is None
            else f'<td class="num">{escape(_number(value, chart.digits))}</td>'
            for line in chart.lines
        )
        rows.append(f'<tr><th scope="row">{stamp(chart.times[n])}</th>{cells}</tr>')
    return _safe(
        f'<details><summary>data<span class="hidden">: {escape(chart.title)}</span></summary>'
        f'<div class="scroll" tabindex="0"><table><thead><tr><th scope="col">UTC</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _scale(chart: Chart, values: Sequence[float], low: float, high: float, y: Place) -> list[str]:
    """The lines of the scale with their labels; ``near`` is what a phone has no room for."""
    parts: list[str] = []
    heights: list[float] = []
    far: list[float] = []
    for n, value in enumerate(values):
        at = y(value)
        if not low <= value <= high or any(abs(at - h) < LABEL for h in heights):
            continue
        heights.append(at)
        is_near = any(abs(at - h) < LARGE_LABEL for h in far)
        if not is_near:
            far.append(at)
        kind = "mark" if n < len(chart.marks) else "grid"
        parts.append(
            f'<line class="{kind}" x1="{LEFT}" x2="{chart.width - chart.right}" y1="{at:.1f}" '
            f'y2="{at:.1f}"/><text class="tick{" near" if is_near else ""}" x="{chart.width - 2}" '
            f'y="{at + 3.5:.1f}">{escape(_number(value, chart.digits))}</text>'
        )
    return parts


def legend(chart: Chart) -> Markup:
    """What the colours of a chart stand for, in words; empty where there is nothing to tell apart."""
    keys = [(line.colour, line.name) for line in chart.lines] if len(chart.lines) > 1 else []
    keys += list(dict.fromkeys((band.colour, band.word) for band in chart.bands))
    return _safe(
        "".join(
            f'<span class="legend"><span class="key c-{colour}"></span> {escape(word)}</span> '
            for colour, word in keys
        )
    )


def told(chart: Chart) -> str:
    """The chart in words: its title and the newest known value of each line."""
    words = []
    for line in chart.lines:
        last = next(
            (n for n in range(len(line.values) - 1, -1, -1) if line.values[n] is not None), None
        )
        if last is not None:
            value = _number(line.values[last], chart.digits)
            words.append(f"{line.name} {value} at {stamp(chart.times[last])} UTC")
    return f"{chart.title}: {'; '.join(words)}"


def spark(values: Sequence[float | None], label: str) -> Markup:
    """A small line without axes."""
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return _safe('<span class="null">no history</span>')
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    step = 96 / max(1, len(values) - 1)
    path = _path(values, lambda n: 2 + n * step, lambda v: 22 - 20 * (v - low) / span, 0)
    return _safe(
        f'<svg class="spark" viewBox="0 0 100 24" role="img" aria-label="{escape(label)}">'
        f'<path class="c-line" d="{path}"/></svg>'
    )


def sides(longs: float | None, shorts: float | None, most: float) -> Markup:
    """Longs plain, shorts striped, on one scale."""
    if longs is None or shorts is None or most <= 0:
        return _safe('<span class="null">not observed</span>')
    one, two = 200 * longs / most, 200 * shorts / most
    stripes = "".join(f"M{one + n} 11l4 -10" for n in range(0, max(0, int(two) - 4), 6))
    return _safe(
        '<svg class="sides" viewBox="0 0 200 12" role="img" aria-label="longs and shorts">'
        f'<rect class="c-longs" x="0" y="1" width="{one:.1f}" height="10"/>'
        f'<rect class="c-shorts" x="{one:.1f}" y="1" width="{two:.1f}" height="10"/>'
        f'<path class="stripes" d="{stripes}"/></svg>'
    )


def thinned(values: Sequence[float | None], most: int) -> tuple[float | None, ...]:
    """At most ``most`` values: of each stretch the smallest and the largest, in their order."""
    if len(values) <= most:
        return tuple(values)
    out: list[float | None] = []
    for first, end in _stretches(len(values), most):
        part = values[first:end]
        known = [(v, n) for n, v in enumerate(part) if v is not None]
        if not known:
            out += [None, None]
            continue
        low, high = min(known), max(known)
        out += [v for v, _ in sorted((low, high), key=lambda pair: pair[1])]
    return tuple(out)


def _safe(markup: str) -> Markup:
    """Markup made here, in which every text from outside has been escaped."""
    return Markup(markup)  # noqa: S704


def thinned_times(times: Sequence[datetime], most: int) -> tuple[datetime, ...]:
    """The instants of :func:`thinned` values: begin and middle of each stretch."""
    if len(times) <= most:
        return tuple(times)
    found = []
    for first, end in _stretches(len(times), most):
        found += [times[first], times[first + (end - first) // 2]]
    return tuple(found)


def _stretches(count: int, most: int) -> list[tuple[int, int]]:
    """Begin and end of the stretches of which two values each are kept."""
    size = -(-count * 2 // most)
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def _bounds(chart: Chart, known: list[float]) -> tuple[float, float]:
    if chart.bars:
        second = chart.lines[1].values if len(chart.lines) > 1 else ()
        first = [v for v in chart.lines[0].values if v is not None]
        low = -max((v for v in second if v is not None), default=0.0)
        return (low, max(first, default=0.0) or 1.0) if low < max(first, default=0.0) else (-1, 1)
    low, high = min(known), max(known)
    room = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _path(values: Sequence[float | None], x: Place, y: Place, step: float) -> str:
    out, is_pen_down = [], False
    for n, value in enumerate(values):
        if value is None:
            is_pen_down = False
            continue
        out.append(f"{'L' if is_pen_down else 'M'}{x(n) + step / 2:.1f} {y(value):.1f}")
        is_pen_down = True
    return "".join(out)


def _bars(line: Line, x: Place, y: Place, step: float, *, down: bool) -> str:
    out = []
    for n, value in enumerate(line.values):
        if value:
            end = y(-value if down else value)
            top, size = min(end, y(0)), abs(end - y(0))
            out.append(
                f"M{x(n):.1f} {top:.1f}h{max(step * 0.8, 0.6):.1f}v{size:.1f}h-{max(step * 0.8, 0.6):.1f}z"
            )
    return f'<path class="fill c-{line.colour}" d="{"".join(out)}"/>'


def _bands(chart: Chart, step: float, inner: int) -> list[str]:
    if not chart.times:
        return []
    begin = chart.times[0]
    width = chart.times[1] - begin if len(chart.times) > 1 else timedelta(hours=1)
    out = []
    for band in chart.bands:
        first = max(0.0, (band.start - begin) / width)
        last = min(float(len(chart.times)), (band.end - begin) / width)
        if last > first:
            out.append(
                f'<rect class="band c-{band.colour}" x="{LEFT + first * step:.1f}" y="{TOP}" '
                f'width="{(last - first) * step:.1f}" height="{inner}"><title>{escape(band.word)}'
                "</title></rect>"
            )
    return out


def _gaps(chart: Chart, step: float, inner: int) -> list[str]:
    out, began = [], None
    values = chart.lines[0].values
    for n in range(len(values) + 1):
        is_gap = n < len(values) and values[n] is None
        if is_gap and began is None:
            began = n
        if not is_gap and began is not None:
            out.append(
                f'<rect class="gap" x="{LEFT + began * step:.1f}" y="{TOP}" '
                f'width="{(n - began) * step:.1f}" height="{inner}"><title>not known</title></rect>'
            )
            began = None
    return out


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 3
    size = 10.0 ** len(str(int(rough))) / 10 if rough >= 1 else 1.0
    while size > rough:
        size /= 10
    step = next(s * size for s in (10, 5, 2, 1) if s * size <= rough or s == 1)
    first = int(low / step) * step
    return [round(first + n * step, 10) for n in range(6) if low < first + n * step < high]


def _dates(times: Sequence[datetime], most: int) -> list[tuple[int, str]]:
    count = min(most, len(times))
    is_long = times[-1] - times[0] > timedelta(days=3)
    out = []
    for k in range(count):
        n = round(k * (len(times) - 1) / max(1, count))
        out.append((n, f"{times[n]:%d %b}" if is_long else f"{times[n]:%d %H:%M}"))
    return out


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return "?"
    size = abs(value)
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / limit:,.1f}{unit}" if unit != "k" else f"{value:,.0f}"
    return f"{value:,.{digits}f}"


def _data(chart: Chart) -> str:
    """What the script shows under the pointer."""
    content = {
        "from": chart.times[0].isoformat(),
        "to": chart.times[-1].isoformat(),
        "n": len(chart.times),
        "digits": chart.digits,
        "lines": [
            {
                "name": line.name,
                "values": [None if v is None else float(f"{v:.7g}") for v in line.values],
            }
            for line in chart.lines
        ],
    }
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
