from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from regime_pipeline.providers.documents import load
from regime_pipeline.providers.errors import (
    GENERIC,
    AuthError,
    Banned,
    ContractViolation,
    DeadlineExceeded,
    GeoBlocked,
    Malformed,
    ProviderError,
    RateLimited,
    TooLarge,
    Transient,
)
from regime_pipeline.providers.http import Call, HttpClient
from regime_pipeline.providers.landing import LandingStore
from regime_pipeline.providers.registry import PARSERS
from regime_pipeline_tests.providers.loopback import Asked, Loopback, http

GOOD = b'[{"a":"1"}]'
Make = Callable[..., HttpClient]


def get(client: HttpClient, url: str, **more: object) -> object:
    return client.get(
        "binance", url, "/x", {"symbol": "BTCUSDT"}, parse=load, errors=GENERIC, **more
    )  # type: ignore[arg-type]


def test_reply_is_parsed_and_landed_byte_for_byte(
    make_settings, make_client: Make, landing
) -> None:
    date = "Tue, 06 Aug 2024 00:00:01 GMT"
    with Loopback(lambda a, s: http(GOOD, headers={"Date": date})) as server:
        reply = get(make_client(make_settings()), server.url + "/prefix")
    assert reply.parsed == [{"a": "1"}]
    assert landing.get(reply.landed.payload_id) == GOOD
    assert reply.http_date == datetime(2024, 8, 6, 0, 0, 1, tzinfo=UTC)
    assert server.asked[0].target == "/prefix/x?symbol=BTCUSDT"
    assert reply.attempts == 1


def test_gzip_is_decoded(make_settings, make_client: Make) -> None:
    packed = gzip.compress(GOOD)
    with Loopback(lambda a, s: http(packed, headers={"Content-Encoding": "gzip"})) as server:
        assert get(make_client(make_settings()), server.url).parsed == [{"a": "1"}]


@pytest.mark.parametrize("where", ["head", "body"])
def test_fault_10_drip_is_cut_at_the_total_deadline(
    where: str, make_settings, make_client: Make
) -> None:
    """Row 10: each byte comes in time, the whole reply does not."""

    def drip(asked: Asked, sock: socket.socket) -> None:
        data = http(b"[" + b" " * 500 + b"]")
        if where == "body":
            head, _, data = data.partition(b"\r\n\r\n")
            sock.sendall(head + b"\r\n\r\n")
        for byte in data:
            sock.sendall(bytes([byte]))
            time.sleep(0.05)

    with Loopback(drip) as server:
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            get(make_client(make_settings(http_deadline_s=0.4, http_attempts=1)), server.url)
        assert time.monotonic() - begun < 0.9


def test_fault_11_silence_after_accept_is_cut_at_the_deadline(
    make_settings, make_client: Make
) -> None:
    """Row 11."""
    done = threading.Event()
    with Loopback(lambda a, s: done.wait(3) and None) as server:
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            get(make_client(make_settings(http_deadline_s=0.3, http_attempts=1)), server.url)
        done.set()
        assert time.monotonic() - begun < 0.8


@pytest.mark.parametrize("fault", ["cut", "length_long", "length_short", "chunked_cut", "gzip_cut"])
def test_fault_12_incomplete_reply_is_rejected_whole_and_asked_for_again(
    fault: str, make_settings, make_client: Make, landing: LandingStore, tmp_path
) -> None:
    """Row 12: nothing of it is stored, the next attempt is, and the pool is not poisoned."""
    body = b'[{"a":"1"},{"a":"2"}]'
    packed = gzip.compress(body)
    faults = {
        "cut": http(body[:9], length=len(body)),
        "length_long": http(body, length=len(body) + 7),
        "length_short": http(body, length=len(body) - 7),
        "chunked_cut": http(
            b"5\r\n" + body[:5] + b"\r\n", headers={"Transfer-Encoding": "chunked"}
        ).replace(b"Content-Length: 10\r\n", b""),
        "gzip_cut": http(packed[:-9], headers={"Content-Encoding": "gzip"}),
    }
    closing = fault in ("cut", "length_long", "chunked_cut")

    def answer(asked: Asked, sock: socket.socket) -> bytes | None:
        if len(server.asked) > 1:
            return http(body)
        sock.sendall(faults[fault])
        return None if closing else b""

    with Loopback(answer) as server:
        client = make_client(make_settings())
        reply = get(client, server.url)
        again = get(client, server.url)
    assert reply.attempts == 2
    assert reply.parsed == again.parsed == [{"a": "1"}, {"a": "2"}]
    assert [p.name for p in (tmp_path / "landing").rglob("*.zst")] == [
        f"{reply.landed.payload_id}.zst"
    ]


def test_fault_13_html_with_status_200_is_never_data(make_settings, make_client: Make) -> None:
    """Row 13."""
    page = b"<!DOCTYPE html><title>Just a moment...</title>"
    with Loopback(lambda a, s: http(page)) as server, pytest.raises(Malformed, match="HTML"):
        get(make_client(make_settings()), server.url)
    assert len(server.asked) == 3


def test_fault_15_compressed_bomb_stops_at_the_cap(make_settings, make_client: Make) -> None:
    """Row 15: 50 MB behind 50 kB, with a cap of 1 MB."""
    bomb = gzip.compress(b" " * 50_000_000, compresslevel=9)
    with Loopback(lambda a, s: http(bomb, headers={"Content-Encoding": "gzip"})) as server:
        with pytest.raises(TooLarge):
            get(make_client(make_settings()), server.url)
        assert len(server.asked) == 1


def test_fault_15_plain_flood_stops_at_the_cap(make_settings, make_client: Make) -> None:
    """Row 15: the announced half gigabyte is not read to its end."""
    sent = 0

    def flood(asked: Asked, sock: socket.socket) -> None:
        nonlocal sent
        sock.sendall(http(b"", length=500_000_000))
        for _ in range(500):
            sent += sock.send(b" " * 1_000_000)

    with Loopback(flood) as server, pytest.raises(TooLarge):
        get(make_client(make_settings()), server.url)
    assert sent < 50_000_000


def test_fault_17_redirect_is_not_followed_and_no_key_travels(
    make_settings, make_client: Make
) -> None:
    """Row 17."""
    with Loopback(lambda a, s: http(GOOD)) as elsewhere:
        away = {"Location": f"{elsewhere.url}/y?k=1"}
        with Loopback(lambda a, s: http(b"", status="302 Found", headers=away)) as server:
            with pytest.raises(ContractViolation, match="redirect"):
                get(make_client(make_settings()), server.url, headers={"CG-API-KEY": "canary-key"})
            assert len(server.asked) == 1
        assert elsewhere.asked == []


def test_fault_01_retry_after_is_waited_for(make_settings, make_client: Make) -> None:
    """Row 1."""

    def answer(asked: Asked, sock: socket.socket) -> bytes:
        if len(server.asked) == 1:
            return http(b"{}", status="429 Too Many", headers={"Retry-After": "0.4"})
        return http(GOOD)

    with Loopback(answer) as server:
        begun = time.monotonic()
        assert get(make_client(make_settings()), server.url).attempts == 2
        assert time.monotonic() - begun >= 0.4


@pytest.mark.parametrize(
    "wait",
    ["7200", format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True)],
    ids=["seconds", "date"],
)
def test_fault_02_long_retry_after_is_deferred_at_once(
    wait: str, make_settings, make_client: Make
) -> None:
    """Row 2: no thread sleeps for hours; seconds and HTTP dates."""
    date = format_datetime(datetime.now(UTC), usegmt=True)
    headers = {"Retry-After": wait, "Date": date}
    with Loopback(lambda a, s: http(b"{}", status="429 X", headers=headers)) as server:
        with pytest.raises(RateLimited) as caught:
            get(make_client(make_settings()), server.url)
        assert caught.value.retry_after > 3600
        assert len(server.asked) == 1


@pytest.mark.parametrize("wait", ["abc", "-5", "", "1e9", "Tue, 99 Foo 2024"])
def test_fault_03_nonsense_retry_after_falls_back_to_own_backoff(
    wait: str, make_settings, make_client: Make
) -> None:
    """Rows 2 and 3: HTML in the body does not matter either."""

    def answer(asked: Asked, sock: socket.socket) -> bytes:
        if len(server.asked) < 3:
            return http(b"<html>", status="429 X", headers={"Retry-After": wait})
        return http(GOOD)

    with Loopback(answer) as server:
        assert get(make_client(make_settings()), server.url).attempts == 3


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("451 Blocked", b'{"code":0,"msg":"restricted location"}', GeoBlocked),
        ("403 Forbidden", b"<html>", GeoBlocked),
        ("418 Teapot", b'{"code":-1003,"msg":"banned"}', Banned),
        ("401 No", b"{}", AuthError),
    ],
)
def test_fault_05_refusals_are_not_retried(
    status: str, body: bytes, kind: type[ProviderError], make_settings, make_client: Make
) -> None:
    """Rows 4, 5 and 6: one request, then the typed refusal."""
    with Loopback(lambda a, s: http(body, status=status)) as server:
        with pytest.raises(kind):
            get(make_client(make_settings()), server.url)
        assert len(server.asked) == 1


def test_fault_07_server_errors_are_retried_within_bounds(make_settings, make_client: Make) -> None:
    """Row 7."""
    with Loopback(lambda a, s: http(b"", status="503 Down")) as server:
        with pytest.raises(Transient) as caught:
            get(make_client(make_settings()), server.url)
        assert len(server.asked) == caught.value.attempts == 3


def test_fault_08_throttle_inside_status_200_is_waited_out(
    make_settings, make_client: Make
) -> None:
    """Row 8."""

    def answer(asked: Asked, sock: socket.socket) -> bytes:
        if len(server.asked) == 1:
            return http(b'{"code":"50011","msg":"Too Many Requests","data":[]}')
        return http(b'{"code":"0","data":[]}')

    with Loopback(answer) as server:
        client = make_client(make_settings())
        reply = client.get(
            "okx", server.url, "/x", {}, parse=PARSERS["okx/market_candles"], errors=GENERIC
        )
    assert (reply.attempts, len(reply.parsed)) == (2, 0)


def test_fault_09_refused_and_reset_connections_are_transient(
    make_settings, make_client: Make
) -> None:
    """Row 9."""
    client = make_client(make_settings(http_attempts=1))
    with pytest.raises(Transient):
        get(client, "http://127.0.0.1:9")

    def reset(asked: Asked, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        sock.sendall(http(b"[", length=100))
        sock.close()

    with Loopback(reset) as server, pytest.raises((Transient, Malformed)):
        get(client, server.url)


def test_fault_89_no_secret_in_errors_tracebacks_or_logs(
    make_settings, make_client: Make, caplog
) -> None:
    """Row 89: the key is in the header, in the body the provider echoes, and in a query."""
    canary = "canary-7f3a9c41d2"
    settings = make_settings(coinglass_api_key=SecretStr(canary))
    echo = b'{"code":"400","msg":"bad key ' + canary.encode() + b'"}'
    client = make_client(settings)
    caplog.set_level(logging.DEBUG)
    with Loopback(lambda a, s: http(echo, status="400 Bad")) as server:
        with pytest.raises(ProviderError) as caught:
            client.get(
                "coinglass",
                server.url,
                "/x",
                {"k": canary},
                parse=load,
                errors=GENERIC,
                headers={"CG-API-KEY": canary},
            )
        assert server.asked[0].headers["cg-api-key"] == canary
    text = "".join(traceback.format_exception(caught.value))
    assert canary not in text + str(caught.value) + repr(caught.value)
    loud = [r for r in caplog.records if r.levelno >= logging.INFO]
    assert canary not in "\n".join(r.getMessage() for r in loud)


def test_environment_proxies_are_ignored(make_settings, make_client: Make, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Loopback(lambda a, s: http(GOOD)) as server:
        assert get(make_client(make_settings()), server.url).status == 200


def test_concurrency_per_host_is_bounded(make_settings, make_client: Make) -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def answer(asked: Asked, sock: socket.socket) -> bytes:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.03)
        with lock:
            busy -= 1
        return http(GOOD)

    with Loopback(answer) as server:
        client = make_client(make_settings(http_concurrency_per_host=2))
        threads = [threading.Thread(target=get, args=(client, server.url)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 2
    assert len(server.asked) == 8


def test_gate_is_asked_before_and_told_after_each_request(make_settings, make_client: Make) -> None:
    seen: list[object] = []

    class Gate:
        def enter(self, call: Call):
            from contextlib import nullcontext

            seen.append((call.provider, call.path, call.weight))
            return nullcontext()

        def observe(self, call: Call, *, status, headers, error) -> None:
            seen.append((status, headers.get("x-mbx-used-weight-1m"), type(error)))

    def answer(asked: Asked, sock: socket.socket) -> bytes:
        if len(server.asked) == 1:
            return http(b"", status="500 X")
        return http(GOOD, headers={"X-MBX-USED-WEIGHT-1M": "12"})

    with Loopback(answer) as server:
        get(make_client(make_settings(), gate=Gate()), server.url, weight=2)
    assert seen == [
        ("binance", "/x", 2),
        (500, None, Transient),
        ("binance", "/x", 2),
        (200, "12", type(None)),
    ]
