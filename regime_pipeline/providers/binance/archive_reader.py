"""Getting what is missing out of a bulk archive: from a folder, or over HTTP, checksums verified.

Belongs here: which series lack what, the order of asking, when to stop asking. Does not belong here:
file formats (``archive``), what becomes of the rows (``fetch``).

A file is accepted whole or not at all: its bytes must have the sha256 of the ``.CHECKSUM`` file beside
it, and only then they are read and kept. Over HTTP every file has one; in a folder, where people keep
what they downloaded with other tools, a zip without one is accepted on its own sums. What a month's file
lacks is asked for by day: the month may be absent or refused, or lack days of which there are files.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from regime_pipeline.net.files import UnreadableFileError, barred, read_stable
from regime_pipeline.providers.binance.archive import (
    ARCHIVE_FEEDS,
    PROVIDER,
    ArchiveFeed,
    ArchiveFile,
    checksum_of,
    files,
    missing_days,
    verify,
)
from regime_pipeline.providers.binance.errors import ARCHIVE_ERRORS
from regime_pipeline.providers.errors import (
    ContractViolation,
    NotPublished,
    ProviderError,
    TooLarge,
)
from regime_pipeline.providers.http import HttpClient, Reply
from regime_pipeline.providers.landing import LandingError
from regime_pipeline.providers.symbols import VenueSymbol, names_over
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, Clock, Window

CHECKSUM = ".CHECKSUM"
STOP_AFTER = timedelta(days=92)
"""So long a stretch without a single file, going back, is taken for the time before the listing."""
_BATCH = 16

Parse = Callable[[bytes], pd.DataFrame]
Pages = list[Reply[pd.DataFrame]]


@dataclass
class Harvest:
    """What the archive gave of one series of one symbol.

    Attributes:
        series: which series.
        symbol: under the venue's name.
        window: the part of the wanted window that the archive can be asked for.
        pages: parsed files, and checksum files as pages without rows.
        requests: files asked for.
        error: the first failure that cost hours.
        note: what was refused without costing any.
        is_whole: nothing was missing, so nothing was asked for.
        seconds: time spent.
        started: when the first file was asked for.
    """

    series: ArchiveFeed
    symbol: VenueSymbol
    window: Window
    pages: Pages = field(default_factory=list)
    requests: int = 0
    error: ProviderError | None = None
    note: str | None = None
    is_whole: bool = True
    seconds: float = 0.0
    started: datetime | None = None


def collect(
    dataset: str,
    window: Window,
    *,
    settings: Settings,
    client: HttpClient,
    clock: Clock,
    symbols: Sequence[str],
    have: pd.DataFrame,
    progress: Callable[[int, int], None] | None = None,
) -> list[Harvest]:
    """What the archive has of a dataset in a window and ``have`` has not.

    Whole files are parsed, so rows that are there already come again; the caller settles that.

    Args:
        dataset: raw table without its schema.
        window: wanted time.
        settings: where the archive is.
        client: does the requests, and keeps bytes.
        clock: says which files should be there.
        symbols: canonical symbols.
        have: rows that are there, at least ``source``, ``market``, ``symbol``, ``ts``, and
            ``metric`` for positioning.
        progress: told files done and planned.
    """
    now = clock.now()
    shop = _shop(settings, client, clock)
    todo: list[tuple[Harvest, list[datetime], list[ArchiveFile]]] = []
    for series in (a for a in ARCHIVE_FEEDS if a.feed.dataset == dataset):
        reach = series.reach(window, now)
        if reach.is_empty:
            continue
        mine = have.loc[(have["source"] == series.source) & (have["market"] == series.feed.market)]
        if series.metric is not None:
            mine = mine.loc[mine["metric"] == series.metric]
        for symbol in symbols:
            for name, part in names_over(symbol, series.feed.venue, series.feed.market, reach):
                days = missing_days(
                    mine.loc[mine["symbol"] == symbol, "ts"],
                    part,
                    hourly=dataset != "funding_rates",
                )
                todo.append(
                    (Harvest(series, name, part), days, files(series, name.name, days, now))
                )
    tell = _Progress(progress, sum(len(wanted) for _, _, wanted in todo))
    down: ProviderError | None = None
    with ThreadPoolExecutor(client.concurrency_per_host, thread_name_prefix="archive") as pool:
        for harvest, days, wanted in todo:
            harvest.is_whole = not wanted
            if wanted and down is not None:
                harvest.error = type(down)(str(down))
            elif wanted:
                down = _gather(harvest, set(days), wanted, shop, pool, clock, tell)
    tell.end()
    return [h for h, _, _ in todo]


class _Progress:
    def __init__(self, told: Callable[[int, int], None] | None, total: int) -> None:
        self._told, self._total, self._done = told, max(1, total), 0

    def more(self, count: int) -> None:
        self._done = min(self._done + count, self._total)
        if self._told is not None:
            self._told(self._done, self._total)

    def end(self) -> None:
        self.more(self._total - self._done)


def _gather(
    harvest: Harvest,
    days: set[datetime],
    wanted: list[ArchiveFile],
    shop: _Shop,
    pool: ThreadPoolExecutor,
    clock: Clock,
    tell: _Progress,
) -> ProviderError | None:
    """Gets files from new to old; the failure that says the whole archive cannot be had, or None."""
    harvest.started = clock.now()
    begun = time.monotonic()
    absent = timedelta(0)
    down: ProviderError | None = None
    queue = deque(wanted)
    refused: list[tuple[ArchiveFile, ProviderError]] = []
    while queue and down is None and absent < STOP_AFTER:
        batch = [queue.popleft() for _ in range(min(_BATCH, len(queue)))]
        by_day: list[ArchiveFile] = []
        for file, got in zip(
            batch, pool.map(lambda file: _one(harvest, file, shop, days), batch), strict=True
        ):
            harvest.requests += got.requests
            harvest.pages += got.pages
            lacking = [] if got.is_absent else _lacking(got.pages, file.period)
            instead = _by_day(harvest, file, days.intersection(lacking))
            by_day += instead
            absent = absent + got.span if got.is_absent else timedelta(0)
            # one bad file says nothing about the others; an archive out of reach does
            if got.error is None:
                continue
            if not isinstance(got.error, ContractViolation | TooLarge):
                down = got.error
            if instead and down is None:
                refused.append((file, got.error))
            else:
                harvest.error = harvest.error or got.error
        queue.extendleft(sorted(by_day, key=lambda f: f.period.start))  # the newest comes first
        tell.more(len(batch))
    for file, error in refused:
        if days & set(_lacking(harvest.pages, file.period)):
            harvest.error = harvest.error or error
        else:
            harvest.note = harvest.note or f"{file.path}: {error}; its days were asked for instead"
    harvest.seconds = time.monotonic() - begun
    return down


def _lacking(pages: Pages, period: Window) -> list[datetime]:
    """Days of a period that lack a sound hour in all pages together."""
    sound = [p.parsed.loc[p.parsed["reason"].isna(), "ts"] for p in pages if "ts" in p.parsed]
    stamps = pd.concat(sound) if sound else pd.DatetimeIndex([], tz="UTC")
    return missing_days(stamps, period, hourly=True)


def _by_day(harvest: Harvest, file: ArchiveFile, days: Iterable[datetime]) -> list[ArchiveFile]:
    """The files of single days in place of a month's file; none where the series has none."""
    series = harvest.series
    if not series.daily or file.period.end - file.period.start <= DAY:
        return []
    name = harvest.symbol.name
    return [
        ArchiveFile(series.path(name, day, month=False), Window(day, day + DAY))
        for day in sorted(days)
    ]


@dataclass
class _Got:
    span: timedelta
    pages: Pages = field(default_factory=list)
    requests: int = 0
    is_absent: bool = False
    error: ProviderError | None = None


def _one(harvest: Harvest, file: ArchiveFile, shop: _Shop, days: set[datetime]) -> _Got:
    """One file; of a month that is absent the first and the last wanted day tell whether its days are."""
    got = _Got(file.period.end - file.period.start)
    context = replace(harvest.series.feed.context, now=shop.now)

    def parse(body: bytes) -> pd.DataFrame:
        frame = harvest.series.feed.endpoint.parse(body, context)
        return _of_period(frame, file.period, on_border=harvest.series.kind == "metrics")

    try:
        got.requests, got.pages = shop.get(file.path, parse)
    except NotPublished as error:
        got.is_absent, got.requests = True, max(1, error.attempts)
        ends = _by_day(harvest, file, (d for d in days if file.period.start <= d < file.period.end))
        for end in ends[:1] + ends[1:][-1:]:
            found = _one(harvest, end, shop, days)
            got.requests += found.requests
            got.pages += found.pages
            got.error = got.error or found.error
            got.is_absent = got.is_absent and found.is_absent
    except ProviderError as error:
        got.error, got.requests = error, max(1, error.attempts)
    return got


def _of_period(frame: pd.DataFrame, period: Window, *, on_border: bool) -> pd.DataFrame:
    """Rows of another time than the file's: the neighbour's closing snapshot goes, others are bad."""
    ts = frame["ts"]
    outside = ((ts < period.start) | (ts >= period.end)).to_numpy(bool)
    if not outside.any():
        return frame
    if on_border:
        near = outside & ((period.start - ts).abs() <= timedelta(hours=1)).to_numpy(bool)
        frame, outside = frame.loc[~near].reset_index(drop=True), outside[~near]
    why = f"ts: outside {period.start:%Y-%m-%d} .. {period.end:%Y-%m-%d}, which the file is about"
    old = frame.loc[outside, "reason"]
    frame.loc[outside, "reason"] = np.where(old.isna(), why, old + "; " + why)
    return frame


# --- where the files are --------------------------------------------------------------------------


class _Shop:
    """Gives files of the archive, or says that there is none."""

    def __init__(self, client: HttpClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self.now = clock.now()

    def get(self, path: str, parse: Parse) -> tuple[int, Pages]:
        """Requests made, and the parsed file with its checksum file.

        Raises:
            NotPublished: there is no such file.
            ProviderError: it cannot be had, or is not what it should be.
        """
        raise NotImplementedError

    def _kept(self, digest: str, url: str, parse: Parse) -> Reply[pd.DataFrame] | None:
        """The file from the landing store, where its exact bytes may lie since an earlier fetch."""
        try:
            body = self._client.landing.get(digest)
        except LandingError:
            return None
        return self._reply(body, url, parse)

    def _reply(self, body: bytes, url: str, parse: Parse) -> Reply[pd.DataFrame]:
        parsed = parse(body)
        return Reply(
            parsed=parsed,
            landed=self._client.landing.put(body),
            url=url,
            status=200,
            fetched_at=self._clock.now(),
            http_date=None,
            attempts=1,
        )


class _WebShop(_Shop):
    def __init__(self, client: HttpClient, clock: Clock, base_url: str) -> None:
        super().__init__(client, clock)
        self._base = base_url

    def get(self, path: str, parse: Parse) -> tuple[int, Pages]:
        name = path.rsplit("/", 1)[1]
        digest = ""

        def read_checksum(body: bytes) -> pd.DataFrame:
            nonlocal digest
            digest = checksum_of(body, name)
            return pd.DataFrame()

        def read_file(body: bytes) -> pd.DataFrame:
            verify(body, digest)
            return parse(body)

        told = self._ask(f"/{path}{CHECKSUM}", read_checksum)
        url = told.url.removesuffix(CHECKSUM)
        kept = self._kept(digest, url, parse)
        if kept is not None:
            return told.attempts, [told, kept]
        got = self._ask(f"/{path}", read_file)
        return told.attempts + got.attempts, [told, got]

    def _ask(self, path: str, parse: Parse) -> Reply[pd.DataFrame]:
        return self._client.get(PROVIDER, self._base, path, {}, parse=parse, errors=ARCHIVE_ERRORS)


class _FolderShop(_Shop):
    def __init__(self, client: HttpClient, clock: Clock, root: Path) -> None:
        super().__init__(client, clock)
        self._root = root

    def get(self, path: str, parse: Parse) -> tuple[int, Pages]:
        body = self._read(path)
        try:
            digest: str | None = checksum_of(self._read(path + CHECKSUM), path.rsplit("/", 1)[1])
        except NotPublished:
            digest = None
        if digest is not None:
            verify(body, digest)
        return 1, [self._reply(body, f"file:{path}", parse)]

    def _read(self, path: str) -> bytes:
        full = self._root / path
        try:
            if not full.exists() and not full.is_symlink():
                raise NotPublished(f"no file {path}")
            why = barred(full)
            if why is not None:
                raise ContractViolation(f"{path}: {why}")
            return read_stable(full)
        except UnreadableFileError as error:
            raise ContractViolation(f"{path}: {error}") from None


def _shop(settings: Settings, client: HttpClient, clock: Clock) -> _Shop:
    place = (settings.url_of(PROVIDER) or "").rstrip("/")
    if urlsplit(place).scheme in ("http", "https"):
        return _WebShop(client, clock, place.removesuffix("/data"))
    root = Path(place.removeprefix("file://")).expanduser()
    if not root.is_dir():
        return _NoShop(client, clock, f"REGIME_BINANCE_ARCHIVE_URL: {root} is no folder")
    is_data = root.name == "data" and not (root / "data").is_dir()
    return _FolderShop(client, clock, root.parent if is_data else root)


class _NoShop(_Shop):
    def __init__(self, client: HttpClient, clock: Clock, why: str) -> None:
        super().__init__(client, clock)
        self._why = why

    def get(self, path: str, parse: Parse) -> tuple[int, Pages]:  # noqa: ARG002
        raise ProviderError(self._why)
