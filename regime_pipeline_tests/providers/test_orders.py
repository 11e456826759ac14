"""No order is ever sent: paths for orders and accounts of every venue are refused before a packet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regime_pipeline.providers.documents import load
from regime_pipeline.providers.errors import GENERIC, OrderRefused
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.orders import QUESTIONS, refuse_orders
from regime_pipeline.providers.registry import ENDPOINTS
from regime_pipeline_tests.providers.loopback import Loopback, http

Make = Callable[..., HttpClient]
ORDERS = {
    "binance": (
        "/fapi/v1/order", "/fapi/v1/batchOrders", "/fapi/v1/allOpenOrders", "/fapi/v2/positionRisk",
        "/api/v3/order", "/api/v3/order/test", "/api/v3/account", "/dapi/v1/order", "/sapi/v1/margin/order",
        "/papi/v1/um/order/../../order", "/fapi/v1/%6Frder", "/fapi/v1//order", "/fapi/v1/listenKey",
    ),
    "bybit": ("/v5/order/create", "/v5/order/cancel-all", "/v5/position/set-leverage", "/v5/account/info"),
    "okx": ("/api/v5/trade/order", "/api/v5/trade/batch-orders", "/api/v5/account/balance"),
    "hyperliquid": ("/exchange", "/info/../exchange"),
    "deribit": ("/api/v2/private/buy", "/api/v2/private/sell", "/api/v2/private/get_positions"),
}  # fmt: skip


@pytest.mark.parametrize("provider", sorted(ORDERS))
def test_paths_for_orders_are_refused_before_a_packet(
    provider: str, make_settings, make_client: Make
) -> None:
    with Loopback(lambda a, s: http(b"{}")) as server:
        client = make_client(make_settings())
        for path in ORDERS[provider]:
            for posted in (None, b"{}"):
                with pytest.raises(OrderRefused):
                    client.get(
                        provider, server.url, path, {}, parse=load, errors=GENERIC, posted=posted
                    )
    assert server.asked == []


def test_nothing_is_posted_but_questions(make_settings, make_client: Make) -> None:
    with Loopback(lambda a, s: http(b"{}")) as server:
        client = make_client(make_settings())
        ask = {"parse": load, "errors": GENERIC, "posted": b"{}"}
        client.get("hyperliquid", server.url, "/info", {}, **ask)
        with pytest.raises(OrderRefused):
            client.get("bybit", server.url, "/v5/market/kline", {}, **ask)
    assert [one.target for one in server.asked] == ["/info"]


def test_every_declared_endpoint_may_be_asked() -> None:
    for endpoint in ENDPOINTS.values():
        refuse_orders(endpoint.path, None if endpoint.question is None else b"{}")
    assert {e.path for e in ENDPOINTS.values() if e.question is not None} == set(QUESTIONS)
