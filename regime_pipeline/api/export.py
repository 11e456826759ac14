"""Whole marts as files: Parquet, Arrow or CSV, written by a process that ends with its file.

Belongs here: starting that process, how many there may be, giving its file away. Does not belong here:
writing (``exporter``, which alone imports Arrow, so that the server stays small).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from regime_pipeline.api import params, query
from regime_pipeline.api.answers import Served
from regime_pipeline.api.endpoints import export_of
from regime_pipeline.api.formats import MEDIA_TYPES, json_bytes
from regime_pipeline.api.problems import Problem

AT_ONCE = 2
LONGEST_S = 60.0
VARIABLE = "REGIME_EXPORT"


class Exports:
    """The exports of one server process.

    Args:
        served: what requests share.
        conninfo: libpq connection string of the role ``regime_api``.
    """

    def __init__(self, served: Served, conninfo: str) -> None:
        self._served = served
        self._conninfo = conninfo
        self._free = AT_ONCE

    async def __call__(self, request: Request) -> Response:
        """The file that a request asks for.

        Raises:
            Problem: no such mart, a wrong parameter, too many rows or exports, too long.
        """
        mart = request.path_params["mart"]
        endpoint = export_of(mart)
        if endpoint is None:
            raise Problem("not-found", f"no mart {mart[:40]!r}; see /v1/catalogue")
        asked = params.read(
            endpoint,
            request.query_params.multi_items(),
            {},
            known=self._served.symbols,
            now=self._served.clock.now(),
        )
        origin, _ = await query.newest(self._served.pool)
        if not self._free:
            raise Problem("busy", f"{AT_ONCE} exports at once; try again", retry_after_s=10)
        self._free -= 1
        handle, name = tempfile.mkstemp(suffix=f".{asked.shape}", prefix="regime-export-")
        os.close(handle)
        path = Path(name)
        try:
            rows = await self._write(asked, origin, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            self._free += 1
        mark = "" if origin == "live" else f"{origin}-"
        return FileResponse(
            path,
            media_type=MEDIA_TYPES[asked.shape],
            filename=f"{mark}{mart}.{asked.shape}",
            headers={
                "regime-data-origin": origin,
                "regime-rows": str(rows),
                "cache-control": "private, no-store",
            },
            background=BackgroundTask(path.unlink, missing_ok=True),
        )

    async def _write(self, asked: params.Query, origin: str, path: Path) -> int:
        statement, values, names = query.statement(asked)
        told: dict[str, Any] = {
            "conninfo": self._conninfo,
            "statement": statement.decode(),
            "values": values,
            "columns": list(names[: len(asked.columns)]),
            "mart": asked.endpoint.mart,
            "origin": origin,
            "as_of": asked.as_of,
            "shape": asked.shape,
            "path": str(path),
            "most_rows": params.MOST_FILE_ROWS,
            "seconds": LONGEST_S,
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "regime_pipeline.api.exporter",
            env={**os.environ, VARIABLE: json_bytes(told).decode()},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            said, _ = await asyncio.wait_for(child.communicate(), LONGEST_S + 10)
        except TimeoutError:
            raise Problem("slow", "ask for a shorter span or fewer fields") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        report = json.loads(said) if said else {}
        if "problem" in report:
            raise Problem(report["problem"], report["detail"])
        if child.returncode or "rows" not in report:
            raise Problem("internal", "the export ended before its file was whole")
        return int(report["rows"])
