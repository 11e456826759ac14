"""The numbered faults that tests are named after, and the page that says which tests cover which.

Belongs here: one line per number, and the map in ``docs/faults.md``, which is checked in; after a change
of a test's name run ``python -m regime_pipeline.catalogue.faults``. Does not belong here: the tests.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "regime_pipeline_tests"
FAULTS_PATH = ROOT / "docs" / "faults.md"
"""Where people read which faults are tested."""

_TEST = re.compile(r"^\s*(?:async )?def (test_fault_(\d+)_\w+)", re.MULTILINE)

FAULTS: dict[int, str] = {
    1: "A provider asks for a wait in seconds (429).",
    2: "The wait is a date, lies in the past, is absurdly long or is no time.",
    3: "A throttle says nothing about how long, or answers with a web page.",
    4: "The address is banned by a venue.",
    5: "A country block or a firewall refuses the request.",
    6: "A key has expired.",
    7: "The provider is down for minutes and comes back.",
    8: "An error comes as status 200.",
    9: "The host cannot be found, refuses, resets, or breaks TLS.",
    10: "A reply drips byte by byte.",
    11: "A connection is accepted and never answered.",
    12: "A reply is cut, or its length is another one than announced.",
    13: "A web page comes where data should.",
    14: "A reply is empty, or empty of rows.",
    15: "A reply is huge, packed or plain.",
    16: "A body is no strict JSON, or hostile JSON.",
    17: "A redirect leads a request with a key elsewhere.",
    18: "Pages repeat, overlap, skip rows or never end.",
    19: "A cache serves old data with a fresh date.",
    20: "Two sources disagree by percents.",
    21: "No source answers at all.",
    22: "A source fails every other time.",
    23: "A price or volume is no finite number.",
    24: "Numbers of a row cannot be: signs, or a high below its low.",
    25: "Numbers are written unusually: exponents, commas, many digits.",
    26: "One candle is a hundred times its neighbours.",
    27: "A feed repeats itself for a day without trade.",
    28: "A row comes twice, alike or with other values.",
    29: "Rows come in any order.",
    30: "The last candle still runs.",
    31: "A closed candle is restated later.",
    32: "Hours are missing: the venue's maintenance, or our outage.",
    33: "Timestamps lie off the hourly grid.",
    34: "Times come in other units, or without a zone.",
    35: "A clock is wrong or jumps.",
    36: "The host changes between summer and winter time.",
    37: "Odd instants: leap seconds and days, ends of years and of ranges.",
    38: "A reply has fields nobody expects.",
    39: "A field is renamed, retyped or moved.",
    40: "A symbol is unknown, renamed, multiplied or delisted.",
    41: "A symbol has next to no history.",
    42: "A gap lies inside an indicator's window.",
    43: "A sentiment value is out of range, absent or of a new word.",
    44: "A transfer is absurd, repeated or relabelled.",
    45: "Units of a series change.",
    46: "Later rows reach back into earlier results.",
    47: "A writer is killed at any point of a write.",
    48: "The database server is killed and restarted under a run.",
    49: "A dead server leaves files that look alive.",
    50: "The database is read-only, full of connections, or drops idle ones.",
    51: "The disk is full.",
    52: "The folder of landed bytes is full or cannot be written.",
    53: "Two backfills write the same days.",
    54: "A backfill and live rows meet at the edge.",
    55: "A writer wakes up after its run was given up.",
    56: "One batch has a key twice.",
    57: "Foreign texts hold control characters, code or a megabyte.",
    58: "A migration is killed, or code and schema are of other versions.",
    59: "A transaction cannot be serialised or waits too long for a lock.",
    60: "A landed file is half written or damaged.",
    61: "A backup is restored into an empty server.",
    62: "A receiver fails a few times, then accepts.",
    63: "A receiver hangs, drips or breaks the connection.",
    64: "A receiver acts on a message and answers too late.",
    65: "A receiver redirects, perhaps inwards.",
    66: "A receiver's address is gone for good.",
    67: "A receiver asks for a wait, in any of the channels' ways.",
    68: "A message is longer than its channel takes.",
    69: "A receiver's answer is huge or packed.",
    70: "The dispatcher is killed between any two of its steps.",
    71: "Two dispatchers run, or a lease runs out under a slow one.",
    72: "Thousands of alerts come within a minute.",
    73: "One receiver is dead for days.",
    74: "Signing keys are rotated, or clocks differ.",
    75: "An alert address points into a private network.",
    76: "Markup or mentions are hidden in a symbol's name.",
    77: "A chat moves to another identifier.",
    78: "The sensor daemon is killed around a launch.",
    79: "A run's worker, or the machine, goes away.",
    80: "Two daemons run by mistake.",
    81: "Code is reloaded or an asset renamed under a run.",
    82: "Schedules were missed for hours.",
    83: "A blocking check fails.",
    84: "One raw asset of many fails.",
    85: "Dagster's own records grow without end.",
    86: "An old file is cut, mixed, torn or wrongly encoded.",
    87: "An old file is well-formed and wrong.",
    88: "A path leads elsewhere, to a device, or to a file that changes.",
    89: "An error path could show a key.",
    90: "A key is missing, blank, torn or a placeholder.",
    91: "Foreign text tries to break a log line.",
    92: "A reader of reports tries to do more than read.",
    93: "The state is asked for while parts are down.",
    94: "Metrics grow with the number of symbols.",
    95: "Random faults for a day.",
    96: "The feed of known weaknesses cannot be reached.",
}
"""What each number stands for; a number is never given again."""


def tests_by_number(folder: Path = TESTS) -> dict[int, list[str]]:
    """Per fault the tests that carry its number, as ``file::test``, in the order of files.

    Raises:
        KeyError: a test carries a number that no fault has.
    """
    found: dict[int, list[str]] = {number: [] for number in FAULTS}
    for path in sorted(folder.rglob("test_*.py")):
        for test, number in _TEST.findall(path.read_text(encoding="utf-8")):
            found[int(number)].append(f"{path.relative_to(folder).as_posix()}::{test}")
    return found


def faults_page() -> str:
    """The map in Markdown: every fault and the tests that are named after it."""
    lines = [
        "# Faults",
        "",
        "<!-- Generated from regime_pipeline/catalogue/faults.py and the tests' names by `make docs`. -->",
        "",
        "What goes wrong outside and inside, and the tests in `regime_pipeline_tests` that carry its "
        "number. A fault without one may be met in tests of other names; nothing here vouches for it.",
        "",
        "| # | fault | tests |",
        "| --- | --- | --- |",
    ]
    for number, tests in tests_by_number().items():
        named = "<br>".join(f"`{test}`" for test in tests) or "not covered yet"
        lines.append(f"| {number} | {FAULTS[number]} | {named} |")
    return "\n".join(lines) + "\n"


def write_faults(path: Path = FAULTS_PATH) -> None:
    """Write the map."""
    path.write_text(faults_page(), encoding="utf-8")


if __name__ == "__main__":
    write_faults()
