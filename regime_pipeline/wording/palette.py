"""The colours of pages and reports, by name, for a light and a dark page.

Belongs here: one table of colours and the style sheet's variables made of it. Does not belong here: which
label has which colour (``labels``), layout (the style sheets).

Each text colour has a contrast of 4.5 or more on ``page`` and ``surface`` of its theme.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif'
COLOURS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "page": ("#f5f6f8", "#10141b"),
        "surface": ("#ffffff", "#181e28"),
        "ink": ("#1b2330", "#e7ebf2"),
        "muted": ("#515c6b", "#a3aebf"),
        "grid": ("#d5dae2", "#2c3543"),
        "line": ("#22304a", "#d5deed"),
        "ignition": ("#0b6b45", "#35c48c"),
        "cooling": ("#1f57a8", "#77aaff"),
        "chop": ("#8a3a7e", "#dc92d0"),
        "neutral": ("#55606f", "#9aa6b8"),
        "stable": ("#1f6a62", "#56bdb1"),
        "highvol": ("#7a5600", "#e8bb4d"),
        "explosive": ("#9a4510", "#f39654"),
        "extreme": ("#a81a30", "#ff7088"),
        "longs": ("#a8283b", "#f4808f"),
        "shorts": ("#0f6a5d", "#3cc4af"),
        "accent": ("#36459f", "#9aa6ff"),
        "missing": ("#6c7684", "#6f7a8a"),
        "warn-page": ("#fff1c2", "#3a2f10"),
        "warn-ink": ("#5c3f00", "#ffdf8f"),
        "warn-edge": ("#b98a12", "#e8bb4d"),
    }
)
"""Name of the variable -> its value on a light page and on a dark one."""


def variables(*, dark: bool) -> str:
    """The variables of one theme as declarations of a style sheet."""
    return " ".join(f"--{name}: {pair[dark]};" for name, pair in COLOURS.items())


def by_system() -> str:
    """A style sheet of the variables whose theme is the reader's system's."""
    return (
        f":root {{ color-scheme: light dark; --font: {FONT}; {variables(dark=False)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {variables(dark=True)} }} }}\n"
    )


def by_choice() -> str:
    """A style sheet of the variables: dark, and light where ``data-theme`` says so."""
    return (
        f":root {{ color-scheme: dark; --font: {FONT}; {variables(dark=True)} }}\n"
        f'[data-theme="light"] {{ color-scheme: light; {variables(dark=False)} }}\n'
    )
