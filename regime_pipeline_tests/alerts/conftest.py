"""Two receivers for the tests of delivery."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regime_pipeline_tests.alerts.receivers import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as box:
        yield box


@pytest.fixture
def other() -> Iterator[Receiver]:
    with receiving() as box:
        yield box
