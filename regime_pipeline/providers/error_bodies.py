"""Error replies on their own: a body that some provider sent instead of data, as the error it means.

Recorded ones are named ``<provider>_<what>``, often with the status they came with inside. Does not
belong here: errors inside the replies of an endpoint, which its parser raises itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

from regime_pipeline.providers.decode import Context, load
from regime_pipeline.providers.errors import ContractViolation, classify, excerpt

PROVIDERS = (
    "binance_futures", "binance_us", "binance", "bybit", "okx", "coinglass", "coinapi",
    "lunarcrush", "whale_alert", "alternative_me", "liquidation_service", "sentiment", "news",
    "dashboard",
)  # fmt: skip
NAMES = (
    "binance_451_restricted_location",
    "binance_ticker_error_sample",
    "bybit_10001_not_supported_symbols",
    "bybit_10006_too_many_visits",
    "bybit_10016_request_timeout",
    "bybit_403_cloudfront_geo",
    "coinapi_missing_key",
    "coinglass_30001_api_key_missing_v2",
    "coinglass_400_api_key_missing",
    "coinglass_401_upgrade_plan",
    "okx_50014_missing_param",
    "okx_51001_unknown_instrument",
    "whale_alert_invalid_key",
)
"""Error bodies that are documented under these names."""

_STATUS = re.compile(r"_(4\d\d|5\d\d)(?=_|$)")
_IN_ENVELOPE = frozenset({"coinglass"})  # their code is no status: errors come with 200


def raiser(name: str) -> Callable[..., pd.DataFrame]:
    """The parser of an error body: it raises what the body means and never gives rows.

    Raises:
        KeyError: the name begins with no provider.
    """
    provider = next((p for p in PROVIDERS if name == p or name.startswith(f"{p}_")), None)
    if provider is None:
        raise KeyError(f"errors/{name}")
    coded = _STATUS.search(name)
    status = int(coded.group(1)) if coded and provider not in _IN_ENVELOPE else 200

    def parse(body: bytes, ctx: Context | None = None) -> pd.DataFrame:
        """Raises the typed error that the body reports."""
        if status == 200:
            load(body)
        error = classify(status, {}, body, provider, now=(ctx or Context()).now)
        if error is None:
            error = ContractViolation(f"the body reports no error: {excerpt(body)}")
        raise error

    parse.__name__ = name
    return parse
