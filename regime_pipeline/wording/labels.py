"""Every label that people see: its word, its colour on pages and in charts, its style in a terminal.

Belongs here: regimes, signals, severities, states of a source and of an hour. Does not belong here:
numbers (``formats``), which label a row has (the tables).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from regime_pipeline.wording.formats import words


@dataclass(frozen=True, slots=True)
class Label:
    """How one label is shown.

    Attributes:
        word: as a person reads it.
        colour: name of a colour (``palette``); charts draw with the same names.
        style: of rich, for a terminal.
        glyph: a sign beside the word, so that nothing is told by colour alone.
    """

    word: str
    colour: str
    style: str
    glyph: str = ""


LABELS: Mapping[str, Label] = MappingProxyType(
    {
        "SPOT_IGNITION": Label("IGNITION", "ignition", "green", "▲"),
        "SPOT_COOLING": Label("COOLING", "cooling", "cyan", "▼"),
        "SPOT_CHOP": Label("CHOP", "chop", "magenta", "≈"),
        "SPOT_NEUTRAL": Label("NEUTRAL", "neutral", "white", "·"),
        "STABLE": Label("STABLE", "stable", "green", "▁"),
        "HIGH_VOL": Label("HIGH VOL", "highvol", "yellow", "▃"),
        "EXPLOSIVE": Label("EXPLOSIVE", "explosive", "dark_orange", "▅"),
        "EXTREME": Label("EXTREME", "extreme", "bold red", "█"),
        "LONG": Label("LONG", "shorts", "green", "↑"),
        "SHORT": Label("SHORT", "longs", "red", "↓"),
        "NEUTRAL": Label("NEUTRAL", "neutral", "white", "·"),
        "VALID": Label("VALID", "stable", "green", "✓"),
        "INVERTED": Label("INVERTED", "extreme", "red", "⇄"),
        "UNDECIDED": Label("UNDECIDED", "neutral", "white", "?"),
        "UNPROVEN": Label("UNPROVEN", "neutral", "dim", "…"),
        "CRITICAL": Label("CRITICAL", "extreme", "bold red", "‼"),
        "WARNING": Label("WARNING", "highvol", "yellow", "!"),
        "INFO": Label("INFO", "neutral", "dim", "i"),
        "BLOCK": Label("BLOCK", "extreme", "bold red"),
        "WARN": Label("WARN", "highvol", "yellow"),
        "ok": Label("ok", "stable", "green"),
        "partial": Label("partial", "highvol", "yellow"),
        "empty": Label("empty", "highvol", "yellow"),
        "skipped": Label("skipped", "neutral", "dim"),
        "failing": Label("failing", "extreme", "bold red"),
        "withheld": Label("withheld", "highvol", "yellow"),
        "quarantined": Label("quarantined", "extreme", "red"),
        "missed": Label("missed", "extreme", "red"),
        "venue_had_none": Label("the venue had none", "highvol", "yellow"),
    }
)

SEVERITIES = ("CRITICAL", "WARNING", "INFO")
"""Of an alert, the worst first."""

BANNERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "simulated": (
            "Simulated data",
            "These numbers come from a generator, not from any market. Do not act on them.",
        ),
        "tape": (
            "Replayed history",
            "These numbers are of the past, replayed from a recording; they say nothing about today.",
        ),
    }
)
"""Title and text above data of an origin that is not live."""


def label_of(value: Any) -> Label:
    """The label of a value; one that is not listed is shown by its own name, neutrally."""
    return LABELS.get(str(value)) or Label(words(value), "neutral", "default")


def styled(value: str, text: str | None = None) -> str:
    """A label, or ``text`` in its style, as markup for a terminal."""
    found = label_of(value)
    return f"[{found.style}]{text or found.word}[/]"


def quality_label(blocks: bool, failing: bool) -> str:
    """The label of a data-quality score: by the worst of its failed checks."""
    return "BLOCK" if blocks else "WARN" if failing else "ok"
