"""Receivers on this machine that answer as told, and events to send them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
from pydantic import SecretStr

from regime_pipeline.alerts.outbox import enqueue
from regime_pipeline.settings import Settings
from regime_pipeline.windows import FixedClock, utc

NOW = utc("2024-08-05T01:02:00Z")


@dataclass
class Receiver:
    """A receiver that records what arrives and answers as told."""

    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    drip_s: float = 0.0
    reply: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    url: str = ""
    judge: Callable[[dict[str, str], bytes], int] | None = None


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on this machine, up while the block runs."""
    box = Receiver()
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {k.lower(): v for k, v in self.headers.items()}
            box.requests.append(({**headers, "x-path": self.path}, body))
            if box.drip_s:
                stop.wait(box.drip_s)
            status = box.statuses.pop(0) if box.statuses else 204
            if box.judge is not None:
                status = box.judge(*box.requests[-1])
            self.send_response_only(status)
            if status == 302:
                self.send_header("location", "http://127.0.0.1:9/")
            for name, value in {"Date": self.date_time_string(), **box.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(box.reply)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # who heard enough hangs up
                self.wfile.write(box.reply)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    box.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield box
    stop.set()
    server.shutdown()
    server.server_close()


def settings_for(receiver: Receiver, tmp_path, **more: object) -> Settings:
    return Settings(_env_file=None, home=tmp_path, webhooks_all=SecretStr(receiver.url), **more)


def event(**changes: object) -> pd.DataFrame:
    row = {
        "event_id": "a" * 64,
        "ts": pd.Timestamp("2024-08-05T00:00Z"),
        "event_type": "LIQUIDATION_CASCADE",
        "instrument": "BTC/USDT",
        "kind": "start",
        "ordinal": 0,
        "alert_severity": "CRITICAL",
        "level": "5",
        "episode_start": pd.Timestamp("2024-08-05T00:00Z"),
        "known_at": pd.Timestamp("2024-08-05T01:00Z"),
        "title": "BTC/USDT liquidation cascade",
        "details": '{"severity":5}',
        "source_tier": 1,
        "method_version": "cascades/1",
    }
    return pd.DataFrame([row | changes])


def put(database, settings, frame, clock=None, suppress=None) -> int:
    with database.connect() as conn, conn.transaction():
        return enqueue(
            conn,
            frame,
            settings=settings,
            clock=clock or FixedClock(NOW),
            suppress_reason=suppress,
        )


def outbox(database) -> list[tuple]:
    with database.connect() as conn:
        return conn.execute(
            "SELECT event_id, state, attempts, reason FROM alerts.outbox ORDER BY ts, event_id"
        ).fetchall()
