from __future__ import annotations

import re

import numpy as np

from regime_pipeline.sparkline import line, thinned


def test_an_unknown_value_is_a_gap_in_the_line() -> None:
    path = line(np.array([1.0, 2.0, np.nan, 3.0, 1.0]), width=40, height=24, points=10)
    assert path == "M0.0 22.0L10.0 12.0M30.0 2.0L40.0 22.0"


def test_fewer_than_two_known_values_are_no_line() -> None:
    assert line(np.array([np.nan, 1.0, np.nan]), width=90, height=24, points=10) is None
    assert line(np.array([]), width=90, height=24, points=10) is None


def test_thinning_keeps_the_extremes_and_unknown_parts() -> None:
    values = np.zeros(1000)
    values[[333, 777]] = 9.0, -9.0
    values[500:520] = np.nan
    kept = thinned(values, 100)
    assert len(kept) == 100
    assert (np.nanmax(kept), np.nanmin(kept)) == (9.0, -9.0)
    assert np.isnan(kept[50:52]).all()


def test_a_flat_series_is_a_flat_line() -> None:
    path = line(np.full(5, 7.0), width=40, height=24, points=10)
    assert path is not None
    assert len({y for _, y in re.findall(r"(\S+) (\S+?)(?=[ML]|$)", path)}) == 1
