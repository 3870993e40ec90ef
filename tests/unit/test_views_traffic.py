"""Pictures of requests: over time, spread over Pods, and load beside replicas."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from views_objects import NOW, Seen

from lab_helpers.views import Answer, Sample, answers_over_time, scaling, spread
from lab_helpers.views.axis import round_values
from lab_helpers.views.palette import VERMILLION
from lab_helpers.views.spread import band


def rollout(lost=()):
    """Ten seconds, twenty a second; 1.0 answers the first half, 1.1 the second."""
    return [
        Answer(
            NOW + number / 20,
            lost="refused" if number in lost else "",
            said={"version": "1.0" if number < 100 else "1.1", "pod": f"web-{number % 3}"},
        )
        for number in range(200)
    ]


def test_requests_over_time_say_who_answered_and_what_was_lost():
    picture = answers_over_time(rollout(lost={99, 100, 101}), [(NOW + 5, "set image")], title="A rollout")
    assert picture.alt.splitlines() == [
        "A rollout: 200 requests in 10 s, 3 lost (1.5 %).",
        "5.0 s: set image.",
        "version 1.0: 99 answered.",
        "version 1.1: 98 answered.",
        "Lost, refused: 3.",
        "Lost between 4.9 and 5.1 s.",
    ]
    words = Seen(picture).words
    assert {"set image", "version 1.0: 99 answered", "lost, refused: 3", "20 a second"} <= set(words)


def test_lost_requests_are_drawn_downwards_and_one_is_seen():
    whole, broken = (Seen(answers_over_time(rollout(lost))) for lost in ((), {40}))
    small = 12  # the legend's squares
    assert [shape for shape in whole.rects(fill=VERMILLION) if shape[3] != small] == []
    lost = [shape for shape in broken.rects(fill=VERMILLION) if shape[3] != small]
    answered = [y + high for _, y, _, high in broken.rects(fill="#0072B2") if high != small] or [0]
    assert len(lost) == 1 and lost[0][3] >= 4 and lost[0][2] >= 2
    assert lost[0][1] >= max(answered) - 0.01
    assert any("1 lost: refused" in hint for hint in broken.hints)


def test_bars_of_one_moment_stand_on_each_other():
    picture = Seen(answers_over_time(rollout(), by="pod"))
    bars = {}
    for colour in {path.get("fill") for path in picture.svg.iter() if path.get("fill", "").startswith("#")}:
        for x, y, _, high in picture.rects(fill=colour):
            if high != 12:
                bars.setdefault(x, []).append((y, y + high))
    assert len(bars) > 50
    for stack in bars.values():
        stack.sort()
        assert all(low[1] == pytest.approx(high[0], abs=0.1) for low, high in pairwise(stack))


def test_no_request_at_all_is_a_picture_too():
    assert answers_over_time([]).alt == "Requests over time: 0 requests in 0 s, 0 lost."
    assert spread({}).alt.startswith("Requests per Pod: 0 requests, 0 Pods")


def test_the_time_axis_ends_where_it_is_told():
    early, late = (Seen(answers_over_time(rollout(), end=end)) for end in (None, NOW + 100))
    assert "9 s" in early.words and "10 s" not in early.words and "100 s" in late.words


def test_the_band_holds_what_chance_gives():
    """Thrown ten thousand times: about one in a hundred bars lies outside."""
    dice = random.Random(7)
    expected, low, high = band(300, 3)
    assert expected == 100
    outside = 0
    for _ in range(10_000):
        outside += not low <= sum(dice.random() < 1 / 3 for _ in range(300)) <= high
    assert 50 < outside < 150


def test_a_bar_outside_of_the_band_is_counted():
    fair, unfair = {"a": 330, "b": 335, "c": 335}, {"a": 100, "b": 450, "c": 450}
    assert spread(fair).alt.endswith("3 of 3 inside the band.")
    assert spread(unfair).alt.endswith("0 of 3 inside the band.")
    picture = Seen(spread({"web-a": 600, "web-b": 400, "web-c": 0}))
    assert {"web-a", "600 (60.0 %)", "0 (0.0 %)"} <= set(picture.words)
    one = spread({"web-a": 600})
    assert "1 Pod" in one.alt


def test_a_bar_is_as_long_as_its_share():
    counts = Counter({"web-a": 600, "web-b": 300})
    picture = Seen(spread(counts))
    lengths = {}
    for path in picture.svg.iter():
        if path.get("fill-opacity") == ".8":
            for x, y, width, _ in picture.rects(fill=path.get("fill"), fill_opacity=".8"):
                lengths[y] = (x, width)
    first, second = (lengths[y] for y in sorted(lengths))
    assert first[1] == pytest.approx(2 * second[1], rel=0.02) and first[0] == second[0]


def ramp():
    looks = [(0, 0.0, None, 2, 2), (5, 16, 40, 2, 2), (15, 16, 180, 5, 2), (20, 16, 180, 5, 5), (40, 0, 2, 2, 2)]
    return [Sample(NOW + at, rate, use, wanted, ready) for at, rate, use, wanted, ready in looks]


def test_load_and_replicas_tell_one_story():
    picture = scaling(ramp(), 50, [(NOW + 5, "load on")])
    assert picture.alt.splitlines() == [
        "Load and replicas: 2 replicas at first, 5 at most, 2 after 40 s; now 0 requests a second, CPU 2 %.",
        "0 s: 2 replicas wanted, 2 ready, 0 a second, CPU not known.",
        "5 s: load on.",
        "15 s: 5 replicas wanted, 2 ready, 16 a second, CPU 180 %.",
        "40 s: 2 replicas wanted, 2 ready, 0 a second, CPU 2 %.",
    ]
    seen = Seen(picture)
    assert {"target 50 %", "replicas", "load on", "replicas wanted", "replicas ready"} <= set(seen.words)
    assert "nothing was seen yet" in scaling([], 50).alt


def test_round_values():
    assert round_values(5) == [0, 1, 2, 3, 4, 5]
    assert round_values(20) == [0, 5, 10, 15, 20]
    assert round_values(17.3) == [0, 5, 10, 15]
    assert round_values(0.5) == [0]
