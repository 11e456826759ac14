"""Charts: gaps stay gaps, thinning keeps extremes, texts are escaped, what is drawn is told in words."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from regime_pipeline.dashboard.charts import Band, Chart, Line, sides, spark, svg, thinned, told
from regime_pipeline.windows import utc

BEGIN = utc("2024-06-01")


def chart(values: tuple[float | None, ...], **more: object) -> Chart:
    times = tuple(BEGIN + timedelta(hours=n) for n in range(len(values)))
    return Chart("Price", times, (Line("price", values),), **more)  # type: ignore[arg-type]


def test_no_line_is_drawn_over_a_gap_and_the_gap_is_hatched() -> None:
    drawn = svg(chart((1.0, 2.0, None, None, 3.0, 4.0)))
    path = re.search(r'<path class="c-line" d="([^"]*)"', drawn)
    assert path is not None
    assert path[1].count("M") == 2
    assert drawn.count('class="gap"') == 1


def test_a_chart_without_a_value_says_so_and_draws_nothing() -> None:
    assert svg(chart((None, None))) == '<p class="null">Price: nothing known in this span</p>'
    assert "no history" in spark([None, 1.0], "x")
    assert "not observed" in sides(None, 1.0, 5.0)


def test_thinning_keeps_the_smallest_and_the_largest_in_their_order() -> None:
    values = [float(n % 100) for n in range(5000)]
    values[1234], values[4321] = 999.0, -999.0
    kept = thinned(values, 400)
    assert len(kept) <= 402
    assert 999.0 in kept and -999.0 in kept
    assert kept.index(999.0) < kept.index(-999.0)
    assert thinned([None] * 1000, 100) == (None,) * 100


def test_what_is_drawn_stands_in_words_and_in_data() -> None:
    it = chart((1.0, 2.5, None), digits=1)
    assert told(it) == "Price: price 2.5 at 2024-06-01 01:00 UTC"
    data = json.loads(re.search(r'json">(.*)</script>', svg(it))[1])  # type: ignore[index]
    assert data["lines"] == [{"name": "price", "values": [1.0, 2.5, None]}]


def test_texts_cannot_become_markup() -> None:
    band = Band(BEGIN, BEGIN + timedelta(hours=2), "stable", "<b>")
    it = Chart(
        "<i>", (BEGIN, BEGIN + timedelta(hours=1)), (Line("</script>", (1.0, 2.0)),), (band,)
    )
    drawn = svg(it)
    assert "<b>" not in drawn and "<i>" not in drawn
    assert drawn.count("</script>") == 1


def test_data_that_are_not_live_are_named_in_the_title_and_in_a_landmark_of_the_page() -> None:
    from regime_pipeline.api.problems import Problem
    from regime_pipeline.dashboard.markup import rendered
    from regime_pipeline.wording.labels import BANNERS

    shared = {"newest": None, "age": "", "is_stale": False, "theme": "dark", "path": "/"}
    shared |= {"symbols": (), "title": "No answer", "problem": Problem("slow", "later")}
    for origin, (title, text) in BANNERS.items():
        page = rendered("problem.html", origin=origin, banner=BANNERS[origin], **shared)
        assert f"<title>{title.upper()} · No answer" in page
        aside = page.partition("<aside")[2].partition("</aside>")[0]
        assert title.upper() in aside and text in aside
    assert "<aside" not in rendered("problem.html", origin="live", banner=None, **shared)
