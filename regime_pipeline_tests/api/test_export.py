"""A whole mart as a file: every format holds what SQL says, with types, units and origin."""

from __future__ import annotations

import io

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
import pytest

from regime_pipeline.api import export
from regime_pipeline.storage.database import Database

pytestmark = pytest.mark.xdist_group("market")

SPAN = {"symbols": "BTC", "from": "2024-07-01T00:00:00Z"}


def table_of(answer: httpx.Response, shape: str) -> pa.Table:
    assert answer.status_code == 200, answer.text
    file = io.BytesIO(answer.content)
    if shape == "parquet":
        return pyarrow.parquet.read_table(file)
    if shape == "arrow":
        return pyarrow.ipc.open_stream(file).read_all()
    return pyarrow.csv.read_csv(file)


@pytest.mark.parametrize(
    "shape",
    ["parquet", *(pytest.param(s, marks=pytest.mark.slow) for s in ("arrow", "csv"))],
)
def test_a_file_holds_the_rows_of_sql_and_says_where_they_are_from(
    shape: str, client: httpx.Client, served_market: Database
) -> None:
    answer = client.get("/v1/export/volatility_1h", params=SPAN | {"format": shape})
    table = table_of(answer, shape)
    with served_market.connect() as connection:
        rows = connection.execute(
            "select ts, vol_ratio_gk, vol_regime from reporting.volatility_1h "
            "where symbol = 'BTC/USDT' and ts >= '2024-07-01' order by ts desc"
        ).fetchall()
    assert table.num_rows == len(rows) > 100
    assert table["vol_ratio_gk"].to_pylist() == [r[1] for r in rows]
    assert answer.headers["regime-data-origin"] == "live"
    assert answer.headers["regime-rows"] == str(len(rows))
    assert f'filename="volatility_1h.{shape}"' in answer.headers["content-disposition"]
    if shape != "csv":
        assert table["ts"].to_pylist() == [r[0] for r in rows]
        assert table["vol_regime"].to_pylist() == [r[2] for r in rows]
        assert table.schema.metadata[b"data_origin"] == b"live"
        assert b"description" in table.schema.field("vol_ratio_gk").metadata


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/export/nothing", 404),
        ("/v1/export/volatility_1h?limit=5", 422),
        ("/v1/export/volatility_1h?format=json", 422),
        ("/v1/export/volatility_1h?symbols=NOPE", 422),
    ],
)
def test_what_cannot_be_given_is_refused(path: str, status: int, client: httpx.Client) -> None:
    assert client.get(path).status_code == status


@pytest.mark.slow
def test_more_rows_than_a_file_may_have_are_refused_and_nothing_is_left(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export.params, "MOST_FILE_ROWS", 10)
    answer = client.get("/v1/export/volatility_1h", params=SPAN)
    assert answer.status_code == 422
    assert "narrow" in answer.json()["detail"]
