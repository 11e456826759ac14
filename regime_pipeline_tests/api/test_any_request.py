"""Requests that nobody thought of: none makes the server fail, every answer fits its own description."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from regime_pipeline.api.endpoints import ENDPOINTS, VERSION
from regime_pipeline.api.openapi import document
from regime_pipeline.catalogue.marts import MARTS
from regime_pipeline.storage.database import Database
from regime_pipeline_tests.reporting.conftest import CLOCK, SYMBOLS, WINDOW

pytestmark = pytest.mark.xdist_group("market")

CASES = 10_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_generated_requests_never_fail_and_answers_fit_the_document(
    address: str,
) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    schema = schemathesis.openapi.from_dict(document(SYMBOLS))
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [o for o in operations if not o.path.startswith("/v1/export")]  # a process each
    checks = (
        not_a_server_error,
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )
    done = 0
    for operation in operations:

        @settings(
            max_examples=-(-CASES // len(operations)),
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal done
            done += 1
            response = case.call(base_url=address)
            case.validate_response(response, checks=checks)

        ask()
    assert done >= CASES * 0.9  # small parameter spaces are exhausted before


@pytest.mark.slow
def test_a_hundred_pasts_are_those_of_the_stored_versions(
    address: str, served_market: Database
) -> None:
    draw = random.Random(7)
    past = [e for e in ENDPOINTS if e.has_past and "{event_id}" not in e.path]
    with (
        httpx.Client(base_url=address, trust_env=False, timeout=60) as client,
        served_market.connect() as connection,
    ):
        stored = CLOCK.now()
        for _ in range(100):
            endpoint = draw.choice(past)
            mart = MARTS[endpoint.mart]
            at = draw.choice(
                [stored, WINDOW.start + (stored - WINDOW.start) * draw.random()]
            ).replace(microsecond=0)
            asked = {"as_of": at.isoformat(), "limit": 50, "fields": ",".join(mart.key)}
            answer = client.get(VERSION + endpoint.path.format(symbol="ETH"), params=asked)
            assert answer.status_code == 200, answer.text
            key = ", ".join(f'"{k}"' for k in mart.key)
            newest = [f'"{mart.time_column}" desc'] if mart.time_column else []
            order = ", ".join(newest + [f'"{k}"' for k in mart.key if k != mart.time_column])
            of = "symbol = 'ETH/USDT'" if "{symbol}" in endpoint.path else "true"
            known = "known_at <= %s" if "known_at" in mart.names else "true"
            rows = connection.execute(
                f"select {key} from reporting.{mart.name}_as_of(%s) where {known} and {of} "
                f"order by {order} limit 50",
                (at, at) if "known_at" in mart.names else (at,),
            ).fetchall()
            found = [tuple(row[k] for k in mart.key) for row in answer.json()["data"]]
            assert found == [tuple(_json(v) for v in row) for row in rows], (endpoint.path, at)


def _json(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def test_an_instant_ahead_of_the_clock_has_no_past(address: str) -> None:
    ahead = CLOCK.now() + timedelta(seconds=1)
    answer = httpx.get(
        f"{address}/v1/volatility", params={"as_of": ahead.isoformat()}, trust_env=False
    )
    assert answer.status_code == 422
