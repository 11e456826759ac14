"""Pages and reports take their colours from one table, readable in both themes."""

from __future__ import annotations

from itertools import product

import pytest

from regime_pipeline.wording.labels import LABELS
from regime_pipeline.wording.palette import COLOURS, by_choice, by_system


def luminance(colour: str) -> float:
    """Of a colour as ``#rrggbb``, by WCAG 2."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_of_a_label_can_be_read_on_both_grounds_of_its_theme(dark: bool) -> None:
    used = {"ink", "muted", "accent", *(label.colour for label in LABELS.values())}
    for name, ground in product(used, ("page", "surface")):
        found = contrast(COLOURS[name][dark], COLOURS[ground][dark])
        assert found >= 4.5, (name, ground, found)


def test_both_style_sheets_have_every_colour_in_both_themes() -> None:
    for sheet in (by_choice(), by_system()):
        for name, values in COLOURS.items():
            for value in values:
                assert f"--{name}: {value};" in sheet
