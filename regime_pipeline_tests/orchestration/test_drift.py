"""Which fields of a reply count as new."""

from __future__ import annotations

from regime_pipeline.orchestration.drift import field_names, unlike


def told(body: bytes) -> set[tuple[str, str, str]]:
    return {("venue", "/prints", name) for name in field_names(body)}


def test_the_first_record_of_a_list_that_was_empty_is_no_news_and_a_further_field_is() -> None:
    nothing, first = b'{"code": 0, "data": []}', b'{"code": 0, "data": [{"rate": 1}]}'
    more = b'{"code": 0, "page": 1, "data": [{"rate": 1, "premium": 2}]}'
    seen = told(nothing)
    assert unlike(told(first) - seen, seen) == []
    seen |= told(first)
    found = unlike(sorted(told(more) - seen), seen)
    assert [name for _, _, name in found] == ["data[].premium", "page"]


def test_records_that_are_lists_are_new_when_they_have_another_width() -> None:
    seen = told(b'{"data": [[1, 2]]}')
    assert [f[2] for f in unlike(told(b'{"data": [[1, 2, 3]]}') - seen, seen)] == ["data[].[3]"]


def test_another_endpoint_is_known_by_its_own_first_reply() -> None:
    assert unlike([("venue", "/books", "bids")], told(b'{"code": 0}')) == []
