"""Figures as a monitor reads them: the text format of Prometheus.

Belongs here: writing it. Does not belong here: which figures there are (``reporting.metrics``, ``api``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """One figure with all its series.

    Attributes:
        name: with the unit at its end.
        about: one line.
        samples: labels and value; a value that is not known has no sample.
        kind: ``gauge`` or ``counter``.
    """

    name: str
    about: str
    samples: tuple[tuple[Labels, float], ...]
    kind: str = "gauge"


def gauge(name: str, about: str, value: float | None) -> Family:
    """A figure of one series; None: not known, no sample."""
    return Family(name, about, () if value is None else (({}, float(value)),))


def text(families: Iterable[Family]) -> str:
    """The page; families without a sample are named all the same."""
    lines = []
    for family in families:
        lines.append(f"# HELP {family.name} {_escaped(family.about)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines += [f"{family.name}{_labels(labels)} {_number(v)}" for labels, v in family.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str, *, quotes: bool = False) -> str:
    out = value.replace("\\", "\\\\").replace("\n", "\\n")
    return out.replace('"', '\\"') if quotes else out


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)
