"""From the rows of a reply to typed columns: exact numbers, times told apart by magnitude.

Belongs here: reading values, which every provider's parser shares. Does not belong here: the document
that the rows come in (``documents``), what a parser gives (``readings``). Pure: no clock, no network, no
settings. A parser built from this returns rows or raises a
:class:`~regime_pipeline.providers.errors.ProviderError`, never anything else.

Null policy: a value that cannot be read becomes NaN / NaT and its row gets a text in ``reason``, so
that the row can be quarantined while its neighbours stay. A reply in which *no* row has a field is
a broken contract and raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Final, cast

import numpy as np
import orjson
import pandas as pd

from regime_pipeline.providers.documents import kind_of
from regime_pipeline.providers.errors import ContractViolation
from regime_pipeline.providers.readings import LATEST_S, Context, Reading, texts_at

EARLIEST_S = 1_230_768_000  # 2009-01-01, before any coin traded

_CHARSET = re.compile(r"[0-9.eE+-]*")
_LISTED = re.compile(r"[0-9.eE+,-]*")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_DIGITS = re.compile(r"[0-9]*")
_EPOCH = re.compile(r"[0-9]{9,17}")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING: Final = _Missing()


def _show(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, bool | int | float):
        return str(value)[:40]
    return "missing" if value is MISSING else kind_of(value)


class Columns:
    """The rows of one reply as raw columns, and what is wrong with each row."""

    def __init__(self, raw: dict[str, Sequence[object]], count: int) -> None:
        self._raw = raw
        self.count = count
        self._reasons: dict[int, list[str]] = {}

    @classmethod
    def arrays(cls, rows: list[object], names: Sequence[str | None]) -> Columns:
        """Rows that are JSON arrays; ``names`` by position, None for a field nobody reads.

        More fields than names are a harmless addition; fewer make a bad row.

        Raises:
            ContractViolation: every row is too short or no array at all.
        """
        width = len(names)
        fails: list[tuple[int, str]] = []
        if rows and (set(map(type, rows)) != {list} or min(map(len, rows)) < width):  # type: ignore[arg-type]
            fixed: list[object] = []
            for i, row in enumerate(rows):
                if isinstance(row, list) and len(row) >= width:
                    fixed.append(row)
                    continue
                has = f"{len(row)} fields" if isinstance(row, list) else kind_of(row)
                fails.append((i, f"the row has {has}, {width} were expected"))
                fixed.append([MISSING] * width)
            if len(fails) == len(rows):
                raise ContractViolation(f"every row is broken: {fails[0][1]} ({_names(names)})")
            rows = fixed
        cut: list[tuple[object, ...]] = list(zip(*rows)) if rows else []  # type: ignore[arg-type]  # noqa: B905
        raw = {n: cut[i] if cut else () for i, n in enumerate(names) if n is not None}
        out = cls(cast("dict[str, Sequence[object]]", raw), len(rows))
        for i, why in fails:
            out.fail(i, why)
        return out

    @classmethod
    def objects(
        cls, rows: list[object], names: Sequence[str], optional: Sequence[str] = ()
    ) -> Columns:
        """Rows that are JSON objects; further members are harmless additions.

        Raises:
            ContractViolation: no row is an object, or none has the member ``names[i]``.
        """
        wanted = [*names, *optional]
        fails: list[tuple[int, str]] = []
        try:
            picked = list(map(itemgetter(*wanted), rows)) if rows else []  # type: ignore[arg-type]
            if len(wanted) == 1:
                picked = [(v,) for v in picked]
            columns: list[Sequence[object]] = list(zip(*picked)) if picked else [()] * len(wanted)  # noqa: B905
        except (KeyError, TypeError, IndexError):
            for i, row in enumerate(rows):
                if not isinstance(row, dict):
                    fails.append((i, f"the row is {kind_of(row)}, an object was expected"))
            if len(fails) == len(rows):
                raise ContractViolation(f"every row is broken: {fails[0][1]}") from None
            whole = [row if isinstance(row, dict) else {} for row in rows]
            columns = [[row.get(name, MISSING) for row in whole] for name in wanted]
            for name, column in zip(names, columns, strict=False):
                if all(v is MISSING for v in column):
                    raise ContractViolation(f"no row has the field {name!r}") from None
        out = cls(dict(zip(wanted, columns, strict=True)), len(rows))
        for i, why in fails:
            out.fail(i, why)
        return out

    def fail(self, row: int, why: str) -> None:
        """Notes that a row is bad, and why."""
        self._reasons.setdefault(row, []).append(why)

    def fail_where(self, mask: np.ndarray, why: str) -> None:
        """Notes the same reason for every row of a mask."""
        for i in np.flatnonzero(mask):
            self.fail(int(i), why)

    def apart(self) -> Columns:
        """The same rows with the reasons so far: what is read from here on judges a cell of its own.

        For replies whose rows hold several values that stand for themselves: a bad one costs itself,
        not its neighbours.
        """
        other = Columns(self._raw, self.count)
        other._reasons = {row: list(whys) for row, whys in self._reasons.items()}
        return other

    def reasons(self) -> list[str]:
        """Everything that is wrong with any row, in row order."""
        return [why for row in sorted(self._reasons) for why in self._reasons[row]]

    def put(self, name: str, values: Sequence[object]) -> None:
        """Adds a field that every row gets from the message around it."""
        self._raw[name] = values

    def raw(self, name: str) -> Sequence[object]:
        """The values of a field as they came."""
        return self._raw[name]

    def number(self, name: str, *, optional: bool = False) -> np.ndarray:
        """A field as float64, exactly as ``float`` reads the decimal text.

        Plain numbers, decimal texts and exponents are read; blank, ``-``, ``None``, a comma,
        underscores, white space, NaN and infinity are refused. ``optional``: absent, null and the
        empty text are a null without a reason.
        """
        values = self._raw[name]
        kinds = set(map(type, values))
        try:
            if kinds == {str}:
                texts = cast("Sequence[str]", values)
                if (plain := _plain_numbers(texts)) is not None:
                    return plain
                if _CHARSET.fullmatch("".join(texts)):
                    return self._finite(np.array(list(map(float, texts))), name)
            elif kinds and kinds <= {int, float}:
                return self._finite(np.array(values, dtype="float64"), name)
        except (ValueError, OverflowError):
            pass  # at least one value is no number: find out which, below
        out = np.full(self.count, np.nan)
        for i, value in enumerate(values):
            if optional and (value is None or value is MISSING or value == ""):
                continue
            parsed = _one_number(value)
            if parsed is None:
                if i not in self._reasons or value is not MISSING:
                    self.fail(i, f"{name}: {_show(value)} is no decimal number")
            else:
                out[i] = parsed
        return self._finite(out, name, known=~np.isnan(out))

    def numbers(self, *names: str, optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Several fields as :meth:`number` reads each, quicker where all are plain decimal texts."""
        wanted = [*names, *optional]
        values = [v for name in wanted for v in self._raw[name]]
        plain = _plain_numbers(values) if set(map(type, values)) == {str} else None  # type: ignore[arg-type]
        if plain is not None:
            return dict(zip(wanted, plain.reshape(len(wanted), self.count), strict=True))
        return {name: self.number(name, optional=name in optional) for name in wanted}

    def _finite(self, out: np.ndarray, name: str, known: np.ndarray | None = None) -> np.ndarray:
        finite = np.isfinite(out)
        if not finite.all():
            beyond = ~finite if known is None else ~finite & known
            self.fail_where(beyond, f"{name}: beyond what a number can hold")
            out = np.where(finite, out, np.nan)
        return out + 0.0  # -0.0 and 0.0 are one value and must stay one in a hash

    def price(self, name: str, *, optional: bool = False) -> np.ndarray:
        """A field of numbers above zero, see :meth:`number`."""
        return self._above_zero(name, self.number(name, optional=optional))

    def traded(self, name: str, *, optional: bool = False) -> np.ndarray:
        """A price that is blank or 0 as long as nothing was traded: a null without a reason then."""
        values = self._raw[name]
        never = np.array([v == "" or (_one_number(v) == 0) for v in values], dtype=bool)
        self._raw[name] = ["1" if n else v for n, v in zip(never, values, strict=True)]
        return np.where(never, np.nan, self.price(name, optional=optional))

    def amount(self, name: str, *, optional: bool = False) -> np.ndarray:
        """A field of numbers not below zero, see :meth:`number`."""
        return self._not_below_zero(name, self.number(name, optional=optional))

    def amounts(self, *names: str, optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Several fields as :meth:`amount` reads each."""
        told = self.numbers(*names, optional=optional)
        return {name: self._not_below_zero(name, out) for name, out in told.items()}

    def bar(self, names: Sequence[str] = ("open", "high", "low", "close")) -> dict[str, np.ndarray]:
        """The prices of a bar by our names; the highest and the lowest one must be just that."""
        told = self.numbers(*names)
        opened, high, low, close = (self._above_zero(name, told[name]) for name in names)
        most, least = np.fmax(opened, close), np.fmin(opened, close)
        odd = (high < np.fmax(most, low)) | (low > least)
        if odd.any():
            self.fail_where(odd, f"{names[1]}, {names[2]}: do not hold the other prices")
        return {"open": opened, "high": high, "low": low, "close": close}

    def _above_zero(self, name: str, values: np.ndarray) -> np.ndarray:
        if (values <= 0).any():
            self.fail_where(values <= 0, f"{name}: not above zero")
        return values

    def _not_below_zero(self, name: str, values: np.ndarray) -> np.ndarray:
        if (values < 0).any():
            self.fail_where(values < 0, f"{name}: below zero")
        return values

    def integer(self, name: str, *, optional: bool = False) -> np.ndarray:
        """A field of whole numbers as float64 (NaN null); a fraction is refused."""
        out = self.number(name, optional=optional)
        with np.errstate(invalid="ignore"):
            broken = np.isfinite(out) & ((out != np.floor(out)) | (np.abs(out) >= 2.0**53))
        if broken.any():
            self.fail_where(broken, f"{name}: no whole number")
            out = np.where(broken, np.nan, out)
        return out

    def time(self, name: str, ctx: Context, *, optional: bool = False) -> pd.DatetimeIndex:
        """A field of epoch numbers as UTC times, see :meth:`stamps`."""
        stamps = self.stamps(name, ctx, optional=optional)
        return pd.DatetimeIndex(stamps).tz_localize("UTC")

    def stamps(self, name: str, ctx: Context, *, optional: bool = False) -> np.ndarray:
        """A field of epoch numbers as ``M8[us]`` in UTC; seconds, ms and µs are told apart by size.

        The three ranges from 2009 to 2100 do not touch. A time later than ``ctx.now`` + 1 day is
        refused, as is anything that is no whole number.
        """
        values = self._raw[name]
        kinds = set(map(type, values))
        whole: np.ndarray | None = None
        try:
            if kinds == {int}:
                whole = np.array(values, dtype="int64")
            elif kinds == {str} and _DIGITS.fullmatch("".join(cast("Sequence[str]", values))):
                whole = np.array(list(map(int, cast("Sequence[str]", values))), dtype="int64")
        except (ValueError, OverflowError):
            whole = None  # at least one is no epoch number: one by one, below
        if whole is None:
            whole = np.zeros(self.count, dtype="int64")
            unread = np.zeros(self.count, dtype=bool)
            for i, value in enumerate(values):
                if optional and (value is None or value is MISSING or value == ""):
                    unread[i] = True
                    continue
                parsed = _one_epoch(value)
                if parsed is None:
                    unread[i] = True
                    if i not in self._reasons or value is not MISSING:
                        self.fail(i, f"{name}: {_show(value)} is no epoch number")
                else:
                    whole[i] = parsed
            return self._stamps(whole, unread, name, ctx)
        return self._stamps(whole, np.zeros(self.count, dtype=bool), name, ctx)

    def _stamps(self, whole: np.ndarray, unread: np.ndarray, name: str, ctx: Context) -> np.ndarray:
        micros = np.zeros(len(whole), dtype="int64")
        known = np.zeros(len(whole), dtype=bool)
        for scale in (1_000, 1, 1_000_000):
            mask = (whole >= EARLIEST_S * scale) & (whole < LATEST_S * scale)
            micros[mask] = whole[mask] * (1_000_000 // scale)
            known |= mask
            if known.all():
                break
        late = known & (micros >= ctx.latest_s * 1_000_000)
        odd = ~known & ~unread
        for i in np.flatnonzero(odd):
            self.fail(int(i), f"{name}: {whole[i]} is no time since 2009 in s, ms or µs")
        for i in np.flatnonzero(late):
            self.fail(int(i), f"{name}: {whole[i]} lies in the future")
        stamps = micros.view("M8[us]")
        stamps[~known | late] = np.datetime64("NaT")
        return stamps

    def iso(self, name: str, ctx: Context, *, optional: bool = False) -> pd.DatetimeIndex:
        """A field of ISO-8601 texts with a zone as UTC times, whatever the number of decimals.

        Epoch numbers are taken too, as :meth:`time` takes them. A text without a zone is refused:
        it may be anybody's local time.
        """
        values = self._raw[name]
        given = [v for v in values if not (v is None or v is MISSING or v == "")]
        if given and all(map(_is_epoch, given)):
            return self.time(name, ctx, optional=optional)
        texts: list[str | None] = []
        for i, value in enumerate(values):
            good = isinstance(value, str) and _ISO.fullmatch(value) is not None
            absent = value is None or value is MISSING or value == ""
            told = i in self._reasons and value is MISSING
            if not (good or told or (optional and absent)):
                self.fail(i, f"{name}: {_show(value)} is no time with a zone")
            texts.append(value if good else None)  # type: ignore[arg-type]
        stamps = pd.DatetimeIndex(
            pd.to_datetime(
                pd.Series(texts, dtype="object"), format="ISO8601", utc=True, errors="coerce"
            )
        ).as_unit("us")
        read = np.array([t is not None for t in texts], dtype=bool)
        micros = np.array(stamps.asi8)
        unreal = read & np.asarray(stamps.isna())
        out = read & ~unreal
        out &= (micros < EARLIEST_S * 1_000_000) | (micros >= ctx.latest_s * 1_000_000)
        self.fail_where(unreal, f"{name}: no real date")
        self.fail_where(out, f"{name}: before 2009 or in the future")
        return pd.DatetimeIndex(stamps.where(~(out | unreal)))

    def label(self, name: str, *, optional: bool = False, longest: int = 200) -> pd.Series:
        """A field of short printable texts, as names and hashes are; whole numbers count as such.

        A longer one is refused. ``optional``: absent, null and blank are a null without a reason.
        """
        out: list[str | None] = []
        for i, value in enumerate(self._raw[name]):
            text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
            if isinstance(text, str) and 0 < len(text) <= longest and text.isprintable():
                out.append(text)
                continue
            out.append(None)
            if optional and (text is None or text is MISSING or text == ""):
                continue
            if i not in self._reasons or value is not MISSING:
                self.fail(i, f"{name}: {_show(value)} is no short text")
        return pd.Series(out, dtype="str")

    def prose(self, name: str, *, longest: int = 500) -> pd.Series:
        """A field of free text for people: one printable line, cut; anything else is null."""
        return pd.Series(
            [one_line(v, longest) if isinstance(v, str) else None for v in self._raw[name]],
            dtype="str",
        )

    def text(self, name: str) -> pd.Series:
        """A field of texts; anything else is null."""
        values = [v if isinstance(v, str) else None for v in self._raw[name]]
        return pd.Series(values, dtype="str")

    def reading(self, columns: Mapping[str, np.ndarray]) -> Reading:
        """The given columns, not yet a frame."""
        return Reading(columns, self.count, self._told())

    def frame(self, columns: Mapping[str, object]) -> pd.DataFrame:
        """The frame of the given columns plus ``reason`` (null for a good row)."""
        values = dict(enumerate([*columns.values(), texts_at(self._told(), self.count)]))
        out = pd.DataFrame(values, index=pd.RangeIndex(self.count))
        out.columns = _header((*columns, "reason"))
        return out

    def _told(self) -> dict[int, str]:
        return {i: "; ".join(why) for i, why in self._reasons.items()}


def _plain_numbers(texts: Sequence[str]) -> np.ndarray | None:
    """Decimal texts as JSON writes numbers, each read to the nearest float64; None if any is not."""
    whole = ",".join(texts)
    if not _LISTED.fullmatch(whole):
        return None
    try:
        numbers = orjson.loads(f"[{whole}]")
    except orjson.JSONDecodeError:
        return None
    # a comma inside a text makes more numbers than texts
    return np.array(numbers, dtype="float64") + 0.0 if len(numbers) == len(texts) else None


@lru_cache(maxsize=256)
def _header(names: tuple[str, ...]) -> pd.Index:
    """Column names as one index for all pages: looking a name up builds a table of it once."""
    return pd.Index(names)


def one_line(text: str, longest: int = 500) -> str | None:
    """Text on one printable line of at most ``longest`` characters; null when nothing is left."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return line[:longest] or None


def _is_epoch(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or (
        isinstance(value, str) and _EPOCH.fullmatch(value) is not None
    )


def _names(names: Iterable[str | None]) -> str:
    return ", ".join(n or "-" for n in names)


def _one_number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str) and len(value) <= 400 and _NUMBER.fullmatch(value):
        return float(value)
    return None


def _one_epoch(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value < 2**63 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and 0 <= value < 2**53 else None
    if isinstance(value, str) and _EPOCH.fullmatch(value):
        return int(value)
    return None
