"""What a process has to say about itself, as one JSON line each, in a file a day that all processes share.

Belongs here: the form of a line, the ids that tie lines together, free of secrets, removing old files. Does
not belong here: which libraries say what, events of runs (``orchestration`` hands them over).

A line has ``at`` (UTC), ``level``, ``logger``, ``text``, ``process``; ``error`` where there was one; and of
the ids what is known: ``run_id``, ``job``, ``step``, ``request_id`` (a payload's), ``event_id`` (an
alert's). It is written by one call that appends, so that lines of several processes never mix.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import traceback
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from regime_pipeline.net.redact import Redactor

LONGEST_BYTES = 16_000
IDS = ("run_id", "job", "step", "request_id", "event_id")
_known: ContextVar[Mapping[str, str]] = ContextVar("regime_log_ids", default=MappingProxyType({}))
_installed: JsonLines | None = None


class JsonLines(logging.Handler):
    """Appends each record to ``<folder>/<day>.jsonl``.

    Args:
        folder: made when the first line is written.
        redactor: applied last, to every text.
    """

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        super().__init__(logging.INFO)
        self.folder = folder
        self._redactor = redactor

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; what cannot be written goes to ``handleError`` and breaks nothing."""
        try:
            line = self.line(record)
            path = self.folder / f"{_day(record):%Y-%m-%d}.jsonl"
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        except (OSError, ValueError, TypeError):
            self.handleError(record)

    def line(self, record: logging.LogRecord) -> bytes:
        """The line of a record, with its line break."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        out: dict[str, object] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "text": self._redactor.text(record.getMessage()),
            "process": os.getpid(),
        }
        ids = {**_known.get(), **{k: v for k in IDS if (v := getattr(record, k, None))}}
        out |= {k: self._redactor.text(v) for k, v in ids.items()}
        if record.exc_info and record.exc_info[0] is not None:
            error = "".join(traceback.format_exception(*record.exc_info))
            out["error"] = self._redactor.text(error[-4 * LONGEST_BYTES :])
        elif told := getattr(record, "error", None):
            out["error"] = self._redactor.text(told)
        line = json.dumps(out, ensure_ascii=False).encode("utf-8", "replace")
        return line + b"\n" if len(line) < LONGEST_BYTES else _cut(out)


def _cut(out: dict[str, object]) -> bytes:
    """A line that is too long, with as much of its texts as fits."""
    short = {k: v[: LONGEST_BYTES // 16] if isinstance(v, str) else v for k, v in out.items()}
    return json.dumps(short, ensure_ascii=True).encode() + b"\n"


def _day(record: logging.LogRecord) -> date:
    return datetime.fromtimestamp(record.created, UTC).date()


def install(folder: Path, redactor: Redactor) -> JsonLines:
    """From now on warnings of all libraries become lines of a folder; once a process and folder."""
    global _installed
    if _installed is None or _installed.folder != folder:
        remove()
        _installed = JsonLines(folder, redactor)
        logging.getLogger().addHandler(_installed)
        logging.captureWarnings(True)
    return _installed


def remove() -> None:
    """Undo :func:`install`."""
    global _installed
    if _installed is not None:
        logging.getLogger().removeHandler(_installed)
        logging.captureWarnings(False)
        _installed = None


def tell(
    level: int, text: str, *, logger: str, error: str | None = None, **ids: str | None
) -> None:
    """Write a line past all loggers, where lines are installed.

    Args:
        level: of :mod:`logging`; below INFO nothing is written.
        text: what there is to say.
        logger: who says it.
        error: what went wrong.
        ids: some of :data:`IDS`.
    """
    if _installed is None or level < _installed.level:
        return
    record = logging.LogRecord(logger, level, "", 0, text, None, None)
    for name, value in ids.items():
        setattr(record, name, value)
    record.error = error
    _installed.handle(record)


@contextlib.contextmanager
def bound(**ids: str) -> Iterator[None]:
    """Lines that are written meanwhile carry these ids."""
    token = _known.set({**_known.get(), **ids})
    try:
        yield
    finally:
        _known.reset(token)


def bind(**ids: str) -> None:
    """Lines of this context carry these ids from now on."""
    _known.set({**_known.get(), **ids})


def remove_old(folder: Path, now: datetime, days: int) -> int:
    """Remove the files of days that ended more than so many days ago; how many went."""
    gone = 0
    for path in folder.glob("????-??-??.jsonl"):
        with contextlib.suppress(ValueError, FileNotFoundError):
            if date.fromisoformat(path.stem) < (now - timedelta(days=days)).date():
                path.unlink()
                gone += 1
    return gone
