"""``regime why`` and ``regime restatements``: where a number comes from, and what became of numbers."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from regime_pipeline.cli.options import DataOption, JsonOption, UsageError
from regime_pipeline.cli.origins import open_data
from regime_pipeline.cli.terminal import out
from regime_pipeline.windows import DAY, clock_from_text


def why(
    mart: Annotated[str, typer.Argument(help="Name of a mart, as `hourly`.")],
    symbol: Annotated[
        str, typer.Argument(help="BTC/USDT; A|B of a pair; `-` for the whole market.")
    ],
    ts: Annotated[str, typer.Argument(help="Time of the row in UTC, as 2024-07-15T23:00.")],
    column: Annotated[
        str | None, typer.Argument(help="Column; without one, the whole row.")
    ] = None,
    bytes_shown: Annotated[
        int, typer.Option("--bytes", min=0, help="Bytes shown of each provider's reply.")
    ] = 300,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Where a published number comes from: the rows below it, down to the bytes of providers' replies.

    Of each series that is read, its newest row is shown and followed, beside the number of rows that are
    read. The same answer in SQL: `select * from reporting.why('hourly', 'BTC/USDT', '...', 'price')`.

    Examples:
        regime why hourly BTC/USDT 2024-07-15T23:00 funding_rate_8h

        regime why correlation_pairs_1h 'BTC/USDT|ETH/USDT' 2024-07-15T23:00 corr_7d
    """
    from regime_pipeline.catalogue.lineage import stored
    from regime_pipeline.providers.landing import LandingStore
    from regime_pipeline.reporting import why as answers

    known = stored().marts
    if mart not in known:
        raise UsageError(f"no mart {mart!r} whose lineage is known: {', '.join(sorted(known))}")
    if column is not None and column not in known[mart]:
        raise UsageError(f"{mart} has no column {column!r}: {', '.join(known[mart])}")
    at = _instant(ts)
    settings, database = open_data(data)
    steps = answers.why(database, mart, None if symbol == "-" else symbol, at, column)
    if not steps:
        raise UsageError(f"{mart} has no row of {symbol} at {at:%Y-%m-%dT%H:%MZ}")
    replies = answers.payloads(database, LandingStore.of(settings), steps, bytes_shown=bytes_shown)
    if as_json:
        texts = [r | {"begin": r["begin"].decode("utf-8", "replace")} for r in replies]
        sys.stdout.write(json.dumps({"steps": steps, "payloads": texts}, default=str) + "\n")
        return
    for line in answers.tree_lines(steps):
        out.print(line, markup=False, soft_wrap=True)
    for reply in replies:
        told = reply["error"] or reply["begin"].decode("utf-8", "replace")
        asked = f"{reply.get('url', '')} ({reply.get('byte_count')} bytes)"
        out.print(f"\npayload {reply['payload_id']}\n{asked}", markup=False, soft_wrap=True)
        out.print(told, markup=False, soft_wrap=True, style="dim")


def restatements(
    days: Annotated[int, typer.Option(min=1, help="How far back, in days.")] = 7,
    most: Annotated[int, typer.Option(min=1, help="Lines of each list at most.")] = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was restated: rows that said something else before, and alerts that this takes back or adds.

    Raw rows change when a provider corrects them; what is computed from them follows by itself. Each
    replaced version is in the mart `restatements`, each past answer in `<mart>_as_of(t)`.
    """
    from regime_pipeline.reporting import why as answers

    settings, database = open_data(data)
    now = clock_from_text(settings.clock).now()
    found = answers.restatements(database, now - days * DAY, most=most)
    if as_json:
        sys.stdout.write(json.dumps(found, default=str) + "\n")
        return
    if not found["restated"]:
        out.print(f"nothing was restated in the last {days} days")
    for row in found["restated"]:
        out.print(
            f"{row['restated_at']:%Y-%m-%d %H:%M:%S}  {row['table_name']}: {row['versions']} versions "
            f"replaced, {row['first_ts']:%Y-%m-%d %H:%M} .. {row['last_ts']:%Y-%m-%d %H:%M}",
            markup=False,
            soft_wrap=True,
        )
    for row in found["announcements"]:
        then, today = row["announced_then"] or "nothing", row["announced_now"] or "nothing"
        out.print(
            f"{row['restated_at']:%Y-%m-%d %H:%M:%S}  {row['symbol']} at {row['ts']:%Y-%m-%d %H:%M}: "
            f"{row['table_name']} announced {then} then, {today} now",
            markup=False,
            soft_wrap=True,
        )


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no instant: write it as 2024-07-15T23:00") from error
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
