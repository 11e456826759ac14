"""What the collector asks over HTTP: every venue's time, and books whose changes go on from them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from regime_pipeline.collect.asking import Asker
from regime_pipeline.collect.plan import lines_of
from regime_pipeline.collect.present import Present
from regime_pipeline.collect.store import instant_ns
from regime_pipeline.collect.venues import CLOCKS, CONNECTIONS
from regime_pipeline.collect.watch import S
from regime_pipeline.providers.errors import ProviderError
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.settings import Settings
from regime_pipeline.simulator.faults import Fault
from regime_pipeline.simulator.server import SimulatorServer
from regime_pipeline.simulator.tape import SyntheticTape
from regime_pipeline.windows import DAY, FixedClock, utc

AT = utc("2024-06-20T10:00:00")
SYMBOLS = ("BTC/USDT",)


def test_times_and_books_of_the_venues_are_asked_for(tmp_path: Path) -> None:
    tape = SyntheticTape(seed=7, symbols=SYMBOLS, end=AT + DAY)
    with SimulatorServer(tape, FixedClock(AT)) as server:
        settings = Settings(
            **server.settings_overrides(), home=tmp_path, symbols=SYMBOLS, _env_file=None
        )
        lines = lines_of(CONNECTIONS, settings, SYMBOLS, list(CLOCKS))
        assert {line.source.name for line in lines} == set(CLOCKS)
        with HttpClient(settings, LandingStore.of(settings), FixedClock(AT)) as client:
            asker = Asker(settings, client)
            behind = instant_ns(AT - timedelta(seconds=3))
            for line in lines:
                offset = asker.clock_offset_s(line.source, lambda: behind)
                assert offset == pytest.approx(3.0, abs=1e-6)
            asked = 0
            for line in lines:
                present = Present(line)
                for topic, book in present.books.items():
                    if book.rules.is_asked_for:
                        asked += 1
                        assert present.take_whole(topic, asker.book(line, topic))
                        levels = book.levels()
                        assert levels is not None
                        assert len(levels.bids) > 100
            assert asked == 2
            for line in lines:
                for topic, subscription in line.subscriptions.items():
                    if subscription.channel.has_trades:
                        newest = asker.newest_trade(line, topic, b"")
                        assert newest is not None
                        assert instant_ns(AT) - 300 * S < newest.at_ns <= instant_ns(AT)
                        assert not newest.is_heard
            server.app.state.faults["/bybit/v5/market/time"] = Fault(body=b'{"retCode":0}')
            with pytest.raises(ProviderError):
                asker.clock_offset_s(lines[0].source, lambda: behind)
