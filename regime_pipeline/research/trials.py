"""The scores that are judged, and what counts as one trial of one of them.

Belongs here: the list of signals with the table and column of each, the specification of a trial and its
identity. Does not belong here: writing the ledger (``storage.trials``), statistics (``information``).

A trial is a distinct specification whose statistic against later returns was computed on real history.
Other thresholds, another sign, other symbols or another headline horizon are another trial; newer data are
the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from regime_pipeline.catalogue.fields.features import STRUCTURE_EVENTS
from regime_pipeline.catalogue.fields.signals import FACTORS, SINGLE_COMPONENTS

HORIZONS_H = (1, 4, 24, 72)
HEADLINE_H = 4
"""The horizon that a signal is judged by; looking at the others as well counts as trying them."""
TARGET = "log return of the perpetual's close"
PREPROCESSING = "ranks by symbol over 730 d"
CODE_VERSION = "passports/1"
"""Raised when what is computed of a trial changes."""


@dataclass(frozen=True)
class Signal:
    """One score from 0 to 100, 50 neutral.

    Attributes:
        name: as passports call it.
        table: ``schema.name`` of the table that it is a column of.
        column: the column.
        is_event: the column says what happens on a bar, 1 rising, -1 falling, 0 not; its score is 100,
            0 or 50. It has no weight in any score.
    """

    name: str
    table: str
    column: str
    is_event: bool = False


SIGNALS = (
    *(Signal(n, "signals.components", f"{n}_score") for n in SINGLE_COMPONENTS),
    Signal("confluence", "signals.confluence", "confluence_score"),
    Signal("futures", "signals.futures_scores", "futures_score"),
    *(Signal(f"{n}_factor", "signals.futures_scores", f"{n}_factor") for n in FACTORS),
    *(Signal(n, "features.price_structure", n, is_event=True) for n in STRUCTURE_EVENTS),
)
"""Everything that has a passport."""
SCORES = tuple(s for s in SIGNALS if not s.is_event)
"""Those that say something of every hour, and may stand for one another."""
BY_NAME = {s.name: s for s in SIGNALS}


def columns_of(table: str) -> tuple[str, ...]:
    """The scores that a table has."""
    return tuple(s.column for s in SIGNALS if s.table == table)


def canonical(value: object) -> str:
    """JSON with sorted keys and no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def identity(family: str, kind: str, spec: str) -> str:
    """By what the ledger knows a trial again: a digest of all that makes it another one."""
    return hashlib.sha256("\0".join((family, kind, spec)).encode()).hexdigest()


@dataclass(frozen=True)
class Trial:
    """What was tried.

    Attributes:
        family: the signal whose variants belong together.
        kind: ``pooled``, the only one that a verdict of a family is about.
        params: version of the scores, with the digest of their thresholds.
        universe: symbols, any order.
        sign: 1 as published, -1 turned round.
        headline_h: horizon that the trial is judged by.
        origin: the door that asked.
    """

    family: str
    params: str
    universe: tuple[str, ...]
    headline_h: int = HEADLINE_H
    sign: int = 1
    origin: str = "passport"
    kind: str = "pooled"

    @property
    def spec(self) -> str:
        """All that makes it another trial, as canonical JSON."""
        said = {
            "headline_h": self.headline_h,
            "horizons_h": list(HORIZONS_H),
            "params": self.params,
            "preprocessing": PREPROCESSING,
            "sign": self.sign,
            "target": TARGET,
            "universe": sorted(set(self.universe)),
        }
        return canonical(said)

    @property
    def trial_id(self) -> str:
        """Digest of family, kind and specification."""
        return identity(self.family, self.kind, self.spec)


@dataclass(frozen=True)
class SpecTrial:
    """Something else than a score that was tried: a model, a strategy.

    Attributes:
        family: what its variants belong to.
        kind: ``model`` or ``paper``.
        spec: all that makes it another trial, as canonical JSON.
        origin: the door that asked.
        headline_h: how far ahead it is judged.
    """

    family: str
    kind: str
    spec: str
    origin: str
    headline_h: int

    @property
    def trial_id(self) -> str:
        """Digest of family, kind and specification."""
        return identity(self.family, self.kind, self.spec)


def published(universe: Sequence[str], params: dict[str, str]) -> tuple[Trial, ...]:
    """The trials that passports themselves are.

    Args:
        universe: configured symbols.
        params: table of the scores -> version of their thresholds.
    """
    symbols = tuple(sorted(set(universe)))
    return tuple(Trial(s.name, params[s.table], symbols) for s in SIGNALS)
