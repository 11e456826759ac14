"""Running estimates of the coming funding settlement, as every venue shows them beside its state.

Belongs here: the feed of ``raw.funding_predictions`` and its columns from the state replies of the
exchanges. Does not belong here: wire formats (the venues' modules), settled prints.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from regime_pipeline.providers.readings import Context
from regime_pipeline.providers.source import Endpoint, Feed, state_of_all
from regime_pipeline.windows import HOUR

DATASET = "funding_predictions"


def estimates(
    endpoint: Endpoint, venue: str, params: Mapping[str, str], context: Context | None = None
) -> Feed:
    """The feed of a venue's estimates: one request for the state of all its perpetuals.

    Args:
        endpoint: lists every contract with ``predicted_funding_rate`` and ``venue_symbol``.
        venue: exchange.
        params: what makes the endpoint list all of them.
        context: what the parser must know.
    """
    return state_of_all(DATASET, endpoint, venue, params, context=context, shape=running_estimates)


def running_estimates(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of a state reply as rows of ``raw.funding_predictions``.

    A contract without an estimate (no funding, or none computed yet) gives no row. The settlement
    that the estimate is about is ``funding_at`` where the venue also tells the one after
    (``next_funding_at``), which then tells the interval; else it is ``next_funding_at``.
    """
    out = frame[frame["predicted_funding_rate"].notna() | frame["reason"].notna()].copy()
    coming = out["next_funding_at"]
    if "funding_at" in out:
        hours = (coming - out["funding_at"]).dt.total_seconds() / HOUR.total_seconds()
        whole = (hours >= 1) & (hours <= 24) & (hours % 1 == 0)
        out["interval_hours"] = hours.where(whole).astype("Int64")
        coming = out["funding_at"]
    return out.rename(columns={"predicted_funding_rate": "predicted_rate"}).assign(
        predicted_for=coming
    )
