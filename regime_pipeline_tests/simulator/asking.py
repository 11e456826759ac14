"""How each registered endpoint is asked: its path, its documented parameters, its key."""

from __future__ import annotations

import re
from typing import Any

import httpx

from regime_pipeline.providers.registry import ENDPOINTS
from regime_pipeline.windows import utc

NOW = utc("2024-08-06T00:30")
NOW_S = int(NOW.timestamp())

NOT_ASKED = {
    "hyperliquid/node_fills_by_block": "a file of an hour, in somebody's folder",
    "coinglass/ws_liquidationOrders": "a push channel: the venue speaks first",
    **dict.fromkeys(
        (
            "binance_archive/klines",
            "binance_archive/klines_takers",
            "binance_archive/fundingRate",
            "binance_archive/metrics_open_interest",
            "binance_archive/metrics_positioning",
        ),
        "a zip by its month or day, with a checksum beside it; fetched as such in its own tests",
    ),
}
"""Endpoints that are no request with an answer, and why."""

_PLACES = {
    "coin": "BTC",
    "topic": "btc",
    "base": "BTC",
    "quote": "USDT",
    "symbol_id": "BINANCE_SPOT_BTC_USDT",
    "symbol": "BTCUSDT",
}
_BTC = {"symbol": "BTCUSDT"}
_BARS = _BTC | {"interval": "1h", "limit": 5}
_STATISTICS = _BTC | {"period": "1h", "limit": 5}
_LINEAR = _BTC | {"category": "linear"}
_LINEAR_BARS = _LINEAR | {"interval": "60", "limit": 5}
_SWAP = {"instId": "BTC-USDT-SWAP"}
_SWAPS = _SWAP | {"instType": "SWAP"}
_BY_CONTRACT = _SWAP | {"period": "1H"}
_BY_COIN = {"ccy": "BTC", "period": "1H"}
_OPTIONS = {"ccy": "BTC", "period": "8H"}
_PAIR = _BTC | {"exchange": "Binance", "interval": "1h", "limit": 5}
_COIN = {"symbol": "BTC", "interval": "1h", "limit": 5}
_COINS = _COIN | {"exchange_list": "Binance,OKX"}
_MAP_PAIR = _BTC | {"exchange": "Binance", "range": "12h"}
_MAP_COIN = {"symbol": "BTC", "range": "12h"}
_SPOT: dict[str, dict[str, Any]] = {
    "api_v3_klines": _BARS,
    "api_v3_depth": _BTC,
    "api_v3_aggTrades": _BTC,
    "api_v3_trades": _BTC,
    "api_v3_historicalTrades": _BTC,
    "api_v3_ticker_24hr": _BTC,
    "api_v3_avgPrice": _BTC,
    "api_v3_exchangeInfo": {},
    "api_v3_time": {},
}
_RATIOS = (
    "globalLongShortAccountRatio",
    "topLongShortAccountRatio",
    "topLongShortPositionRatio",
    "takerlongshortRatio",
)

PARAMETERS: dict[str, dict[str, Any]] = {
    **{f"{house}/{name}": p for house in ("binance", "binance_us") for name, p in _SPOT.items()},
    "binance_futures/fapi_v1_klines": _BARS,
    "binance_futures/fapi_v1_markPriceKlines": _BARS,
    "binance_futures/fapi_v1_indexPriceKlines": {"pair": "BTCUSDT", "interval": "1h", "limit": 5},
    "binance_futures/fapi_v1_fundingRate": _BTC,
    "binance_futures/fapi_v1_fundingInfo": {},
    "binance_futures/fapi_v1_depth": _BTC,
    "binance_futures/fapi_v1_aggTrades": _BTC,
    "binance_futures/fapi_v1_trades": _BTC,
    "binance_futures/fapi_v1_historicalTrades": _BTC,
    "binance_futures/fapi_v1_premiumIndex": _BTC,
    "binance_futures/fapi_v1_openInterest": _BTC,
    "binance_futures/fapi_v1_ticker_24hr": _BTC,
    "binance_futures/fapi_v1_time": {},
    "binance_futures/fapi_v1_exchangeInfo": {},
    "binance_futures/futures_data_openInterestHist": _STATISTICS,
    **{f"binance_futures/futures_data_{name}": _STATISTICS for name in _RATIOS},
    "binance_futures/futures_data_basis": {
        "pair": "BTCUSDT",
        "contractType": "PERPETUAL",
        "period": "1h",
        "limit": 5,
    },
    "binance_futures/futures_data_takerBuySellVol": {
        "pair": "BTCUSD",
        "contractType": "ALL",
        "period": "1h",
        "limit": 5,
    },
    "okx/market_candles": _SWAP | {"bar": "1H"},
    "okx/market_history-candles": _SWAP | {"bar": "1H"},
    "okx/market_books": _SWAP | {"sz": 5},
    "okx/market_trades": _SWAP,
    "okx/market_history-trades": _SWAP,
    "okx/market_ticker": _SWAP,
    "okx/market_tickers": {"instType": "SWAP"},
    "okx/market_index-tickers": {"instId": "BTC-USDT"},
    "okx/public_instruments": {"instType": "SWAP"},
    "okx/public_funding-rate": _SWAP,
    "okx/public_funding-rate-history": _SWAP,
    "okx/public_mark-price": _SWAPS,
    "okx/public_open-interest": _SWAPS,
    "okx/public_liquidation-orders": {"instType": "SWAP", "uly": "BTC-USDT", "state": "filled"},
    "okx/rubik_stat_contracts_open-interest-history": _BY_CONTRACT,
    "okx/rubik_stat_contracts_long-short-account-ratio-contract": _BY_CONTRACT,
    "okx/rubik_stat_contracts_long-short-account-ratio-contract-top-trader": _BY_CONTRACT,
    "okx/rubik_stat_contracts_long-short-position-ratio-contract-top-trader": _BY_CONTRACT,
    "okx/rubik_stat_taker-volume-contract": _BY_CONTRACT | {"unit": "0"},
    "okx/rubik_stat_contracts_long-short-account-ratio": _BY_COIN,
    "okx/rubik_stat_contracts_open-interest-volume": _BY_COIN,
    "okx/rubik_stat_taker-volume": _BY_COIN | {"instType": "CONTRACTS"},
    "okx/rubik_stat_margin_loan-ratio": _BY_COIN,
    "okx/rubik_stat_trading-data_support-coin": {},
    "okx/rubik_stat_option_open-interest-volume": _OPTIONS,
    "okx/rubik_stat_option_open-interest-volume-ratio": _OPTIONS,
    "okx/rubik_stat_option_open-interest-volume-expiry": _OPTIONS,
    "okx/rubik_stat_option_open-interest-volume-strike": _OPTIONS | {"expTime": "20240809"},
    "okx/rubik_stat_option_taker-block-volume": _OPTIONS,
    "bybit/v5_market_kline": _LINEAR_BARS,
    "bybit/v5_market_mark-price-kline": _LINEAR_BARS,
    "bybit/v5_market_index-price-kline": _LINEAR_BARS,
    "bybit/v5_market_premium-index-price-kline": _LINEAR_BARS,
    "bybit/v5_market_funding_history": _LINEAR,
    "bybit/v5_market_open-interest": _LINEAR | {"intervalTime": "1h"},
    "bybit/v5_market_account-ratio": _LINEAR | {"period": "1h"},
    "bybit/v5_market_orderbook": _LINEAR,
    "bybit/v5_market_recent-trade": _LINEAR,
    "bybit/v5_market_tickers": _LINEAR,
    "bybit/v5_market_instruments-info": {"category": "linear", "limit": 1000},
    "bybit/v5_market_time": {},
    "hyperliquid/info_candleSnapshot": {
        "type": "candleSnapshot",
        "coin": "BTC",
        "interval": "1h",
        "startTime": (NOW_S - 86400) * 1000,
        "endTime": NOW_S * 1000,
    },
    "hyperliquid/info_fundingHistory": {
        "type": "fundingHistory",
        "coin": "BTC",
        "startTime": (NOW_S - 86400) * 1000,
    },
    "hyperliquid/info_predictedFundings": {"type": "predictedFundings"},
    "hyperliquid/info_metaAndAssetCtxs": {"type": "metaAndAssetCtxs"},
    "hyperliquid/info_l2Book": {"type": "l2Book", "coin": "BTC"},
    "hyperliquid/info_meta": {"type": "meta"},
    "deribit/public_get_volatility_index_data": {
        "currency": "BTC",
        "resolution": 3600,
        "start_timestamp": (NOW_S - 86400) * 1000,
        "end_timestamp": NOW_S * 1000,
    },
    "deribit/public_get_funding_rate_history": {
        "instrument_name": "BTC-PERPETUAL",
        "start_timestamp": (NOW_S - 86400) * 1000,
        "end_timestamp": NOW_S * 1000,
    },
    "deribit/public_get_book_summary_by_currency": {"currency": "BTC", "kind": "option"},
    "deribit/public_ticker": {"instrument_name": "BTC-PERPETUAL"},
    "coinglass/futures_liquidation_history": _PAIR,
    "coinglass/futures_liquidation_aggregated-history": _COINS,
    "coinglass/futures_open-interest_history": _PAIR,
    "coinglass/futures_open-interest_aggregated-history": _COIN,
    "coinglass/futures_funding-rate_history": _PAIR,
    "coinglass/futures_funding-rate_oi-weight-history": _COIN,
    "coinglass/futures_funding-rate_vol-weight-history": _COIN,
    "coinglass/futures_funding-rate_exchange-list": {"symbol": "BTC"},
    "coinglass/futures_global-long-short-account-ratio_history": _PAIR,
    "coinglass/futures_top-long-short-account-ratio_history": _PAIR,
    "coinglass/futures_top-long-short-position-ratio_history": _PAIR,
    "coinglass/futures_aggregated-taker-buy-sell-volume_history": _COINS,
    "coinglass/futures_orderbook_aggregated-ask-bids-history": _COINS | {"interval": "1d"},
    "coinglass/futures_price_history": _PAIR,
    "coinglass/futures_coins-markets": {},
    "coinglass/futures_supported-coins": {},
    "coinglass/futures_supported-exchange-pairs": {},
    "coinglass/futures_open-interest_exchange-list": {"symbol": "BTC"},
    "coinglass/futures_liquidation_coin-list": {},
    "coinglass/futures_liquidation_exchange-list": {"symbol": "BTC", "range": "24h"},
    "coinglass/futures_liquidation_order": {"symbol": "BTC", "exchange": "Binance"},
    **{
        f"coinglass/futures_liquidation_{kind}heatmap_model{number}": params
        for kind, params in (("", _MAP_PAIR), ("aggregated-", _MAP_COIN))
        for number in (1, 2, 3)
    },
    "coinglass/futures_liquidation_map": _MAP_PAIR,
    "coinglass/futures_liquidation_aggregated-map": _MAP_COIN,
    "coinglass/index_fear-greed-history": {},
    "coinglass/chain_v2_whale-transfer": {},
    "coinglass/article_list": {},
    "alternative_me/fng": {"limit": 3},
    "coinapi/v1_assets": {},
    "coinapi/v1_exchangerate_base": {},
    "coinapi/v1_exchangerate_base_quote": {},
    "coinapi/v1_exchangerate_base_quote_history": {"period_id": "1HRS"},
    "coinapi/v1_ohlcv_history": {"period_id": "1HRS"},
    "coinapi/v1_ohlcv_latest": {"period_id": "1DAY"},
    "lunarcrush/coins_list_v1": {},
    "lunarcrush/coins_list_v2": {"limit": 1},
    "lunarcrush/coins_coin_v1": {},
    "lunarcrush/coins_meta_v1": {},
    "lunarcrush/coins_time-series_v1": {"bucket": "hour"},
    "lunarcrush/coins_time-series_v2": {"bucket": "hour"},
    "lunarcrush/topic_v1": {},
    "lunarcrush/topic_time-series_v1": {},
    "lunarcrush/topic_time-series_v2": {"bucket": "day"},
    "lunarcrush/topic_news_v1": {},
    "lunarcrush/topic_posts_v1": {},
    "lunarcrush/system_changes": {},
    "whale_alert/v1_transactions": {"start": NOW_S - 86400, "min_value": 1_000_000},
    "whale_alert/v1_transaction_by_hash": {},
    "sentiment/social": _BTC | {"timeframe": "24h"},
    "sentiment/news": _BTC | {"timeframe": "24h"},
    "sentiment/trader": _BTC | {"timeframe": "24h"},
    "liquidation_service/liquidations": _BTC | {"start_time": (NOW_S - 86400) * 1000},
    "news/posts": {"currencies": "BTC"},
    "dashboard/signals": {},
}
"""Documented parameters by ``provider/endpoint``."""

_BEARER = {"Authorization": "Bearer k"}
KEYS: dict[str, dict[str, str]] = {
    "coinglass": {"CG-API-KEY": "simulated-key-professional"},
    "coinapi": {"X-CoinAPI-Key": "k"},
    "whale_alert": {"X-WA-API-KEY": "k"},
    **dict.fromkeys(("lunarcrush", "sentiment", "liquidation_service", "dashboard"), _BEARER),
    "news": {},
}
"""Headers with the key of a provider that wants one; the news take it as ``auth_token``."""


def ask(
    web: httpx.Client, key: str, headers: dict[str, str] | None = None, **changed: Any
) -> httpx.Response:
    """The simulator's answer; ``headers`` take the place of those with the provider's key."""
    provider = key.split("/")[0]
    params = PARAMETERS[key] | changed
    if provider == "news" and headers is None:
        params |= {"auth_token": "k"}
    path = ENDPOINTS[key].path
    places = dict(_PLACES)
    if "{hash}" in path:
        moved = ask(web, "whale_alert/v1_transactions").json()["transactions"][0]
        places |= {"blockchain": moved["blockchain"], "hash": moved["hash"]}
    path = re.sub(r"\{(\w+)\}", lambda place: places[place[1]], path)
    keyed = KEYS.get(provider, {}) if headers is None else headers
    if (question := ENDPOINTS[key].question) is not None:
        document = question({name: str(value) for name, value in params.items()})
        return web.post(f"/{provider}{path}", json=document, headers=keyed)
    return web.get(f"/{provider}{path}", params=params, headers=keyed)
