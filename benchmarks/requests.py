"""All sources, all datasets, all eight symbols, one day: how many requests, and how long they take.

The floor is what the same requests cost when a bare client makes them one after the other and throws
the replies away. Ours are made side by side, and the replies are read, checked, ordered and landed.
Once as quick as the loopback is, which shows what reading costs, and once with the way to a provider.
"""

from __future__ import annotations

import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.common import NOW, line, seconds
from regime_pipeline.settings import Settings
from regime_pipeline.windows import DAY, FixedClock, Window, floor_hour

WAYS = ((0.0, 3), (0.1, 1))
"""Delay of each reply (none, and that of a provider on another continent) and how often."""


class Noted:
    """A client that notes every request that it passes on."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.made: list[tuple[str, str, dict[str, str]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get(
        self, provider: str, base: str, path: str, params: Mapping[str, str], **more: Any
    ) -> Any:
        """Notes the request and makes it."""
        url = base.rstrip("/") + path + (f"?{urlencode(params)}" if params else "")
        self.made.append((provider, url, dict(more.get("headers") or {})))
        return self._client.get(provider, base, path, params, **more)


def run() -> None:
    """The whole of one day, three times in turn with its floor."""
    import httpx

    from regime_pipeline.providers.fetch.fetch import fetch
    from regime_pipeline.providers.http import HttpClient
    from regime_pipeline.providers.landing import LandingStore
    from regime_pipeline.providers.registry import datasets
    from regime_pipeline.simulator.server import SimulatorServer
    from regime_pipeline.simulator.tape import SyntheticTape

    clock = FixedClock(NOW)
    window = Window(floor_hour(NOW) - DAY, NOW)
    with (
        tempfile.TemporaryDirectory(prefix="regime-bench-") as folder,
        SimulatorServer(SyntheticTape(), clock, isolation="process") as server,
    ):
        settings = Settings(
            _env_file=None, home=Path(folder), origin="simulated", **server.settings_overrides()
        )
        rows: dict[str, int] = {}
        problems: Counter[str] = Counter()
        made: list[tuple[str, str, dict[str, str]]] = []

        def ours() -> None:
            rows.clear()
            problems.clear()
            made.clear()
            with HttpClient(settings, LandingStore.of(settings), clock) as client:
                noted = Noted(client)
                for dataset in datasets():
                    got = fetch(
                        dataset, window, settings=settings, client=noted, clock=clock,
                        symbols=settings.universe,
                    )  # fmt: skip
                    rows[dataset] = len(got.frame)
                    problems.update(got.log["error_class"].dropna())
                made.extend(noted.made)

        def floor() -> None:
            with httpx.Client(trust_env=False) as bare:
                for _, url, headers in made:
                    bare.get(url, headers=headers)

        ours()  # the simulator makes its market on first demand
        for way_s, times in WAYS:
            with httpx.Client(base_url=server.base_url) as control:
                control.post("/_control/faults", json={"path": "/", "delay_s": way_s})
            took, floors = [], []
            for _ in range(times):
                took.append(seconds(ours))
                floors.append(seconds(floor))
            line(
                "requests",
                f"{len(settings.universe)} symbols, {len(settings.sources)} sources, "
                f"{len(rows)} datasets, 1 day, {way_s * 1000:g} ms away",
                requests=len(made),
                ours_s=statistics.median(took),
                serial_floor_s=statistics.median(floors),
                ratio=statistics.median(a / b for a, b in zip(took, floors, strict=True)),
                rows=sum(rows.values()),
                errors=dict(problems),
            )
        for source, count in Counter(name for name, _, _ in made).most_common():
            line("requests", f"of {source}", requests=count)
