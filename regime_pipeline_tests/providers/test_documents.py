"""Documents are read strictly, however they are written."""

from __future__ import annotations

import orjson
import pytest

from regime_pipeline.providers.documents import load
from regime_pipeline.providers.errors import Malformed


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a": 1, "a": 1}',
        b'[{"a":1},{"b":{"c":1,"c":1}}]',
        b'{"price":"1","price":"1"}',
    ],
)
def test_a_key_twice_in_one_object_is_refused_whether_written_closely_or_not(body: bytes) -> None:
    with pytest.raises(Malformed, match="appears twice"):
        load(body)


@pytest.mark.parametrize("body", [b'{"a":1.0,"b":[{"a":2}]}', b'{ "a": 1e2 }', b'"{"', b"[1]"])
def test_documents_without_one_are_what_they_say(body: bytes) -> None:
    assert load(body) == orjson.loads(body)
