"""Ways to buy machines, side by side."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from lab_helpers.views import Machine, Purchase, side_by_side

FULL, HALF = Machine("m5.large", 1.93, 1.0, 0.4), Machine("c6a.2xlarge", 7.9, 0.5, 0.9)


def drawn(*purchases: Purchase) -> str:
    picture = side_by_side(purchases)
    ET.fromstring(picture.html)
    return picture.html


def test_one_scale_for_all_and_what_is_said():
    picture = side_by_side([Purchase("Karpenter", (HALF,), 0.31, True), Purchase("the loop", (FULL, FULL), 0.19, False)])
    assert picture.alt.splitlines()[1:] == [
        "Karpenter (happened): 1 machine, $0.31 an hour, 50% of CPU requested.",
        "the loop (worked out): 2 machines, $0.19 an hour, 100% of CPU requested.",
    ]
    assert "m5.large: 100% of CPU, 40% of memory" in drawn(Purchase("a", (FULL,), 0.1, True))


def test_more_than_fit_are_counted():
    html = drawn(Purchase("many", (FULL,) * 30, 3.0, False))
    assert "6 more machines not shown" in html and html.count("<title>m5.large") == 24


def test_nothing_and_hostile_words():
    assert "0 machines" in drawn(Purchase("<b>&", (), 0.0, True)) and "<svg" in drawn()
