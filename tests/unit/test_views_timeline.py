"""Histories and timelines: what was recorded, what is drawn, what is said."""

from __future__ import annotations

import re

import pytest
from views_objects import NOW, Seen, node, pod

from lab_helpers.views import History, timeline
from lab_helpers.views.areas import counts
from lab_helpers.views.history import GONE
from lab_helpers.views.palette import STATES
from lab_helpers.views.timeline import LANES


def rollout():
    """One Pod comes, runs and goes; another one is never placed. Began a minute ago."""
    history = History(NOW - 60)
    history.feed("ADDED", pod(1), NOW - 50)
    history.feed("MODIFIED", pod(1, phase="Pending", on="node-1"), NOW - 49)
    history.feed("MODIFIED", pod(1, on="node-1"), NOW - 45)
    history.feed("MODIFIED", pod(1, on="node-1"), NOW - 40)
    history.feed("MODIFIED", pod(1, on="node-1", leaves=True), NOW - 20)
    history.feed("DELETED", pod(1, on="node-1", leaves=True), NOW - 15)
    history.feed("ADDED", pod(2, "api"), NOW - 30)
    return history


def many(number=200):
    history = History(NOW - 60)
    for n in range(number):
        history.feed("ADDED", pod(n), NOW - 50)
        history.feed("MODIFIED", pod(n, on="node-1"), NOW - 40 + 30 * n / number)
    return history


def test_a_history_keeps_changes_only():
    lane = rollout().pods["default/web/1"]
    assert [state for _, state in lane.states] == ["Pending", "Running", "Terminating", GONE]
    assert (lane.owner, lane.node, lane.namespace) == ("web", "node-1", "default")
    assert [lane.at(NOW - ago) for ago in (55, 50, 30, 16, 1)] == ["", "Pending", "Running", "Terminating", GONE]


def test_a_node_that_comes_back_is_one_lane():
    history = History(NOW)
    for event, item in [
        ("ADDED", node("n")), ("MODIFIED", node("n", ready=False)), ("MODIFIED", node("n", cordoned=True)),
        ("DELETED", node("n")), ("ADDED", node("n")),
    ]:  # fmt: skip
        history.feed(event, item, NOW)
    assert [state for _, state in history.nodes["n"].states] == ["Ready", "NotReady", "cordoned", GONE, "Ready"]


def test_few_pods_have_a_row_each():
    picture = timeline(rollout(), [(NOW - 50, "kubectl apply")], now=NOW)
    assert picture.alt.splitlines() == [
        "Pods over time: 2 Pods in 60 s; at the end 1 Pending, 1 gone.",
        "10.0 s: kubectl apply.",
        "web-5d9c7b8f6-1 on node-1: Pending at 10.0 s, Running at 15.0 s, Terminating at 40.0 s, gone at 45.0 s.",
        "api-5d9c7b8f6-2: Pending at 30.0 s.",
    ]
    seen = Seen(picture)
    assert {"web-5d9c7b8f6-1", "kubectl apply", "node-1", "gone", "0 s", "60 s", "Running"} <= set(seen.words)
    assert "web-5d9c7b8f6-1: Running for 25 s" in seen.hints


def test_a_bar_is_as_long_as_its_state_lasted():
    running = max(Seen(timeline(rollout(), now=NOW)).rects(fill=STATES["Running"]), key=lambda shape: shape[2])
    later = max(Seen(timeline(rollout(), now=NOW, since=NOW - 120)).rects(fill=STATES["Running"]), key=lambda shape: shape[2])
    assert running[2] == pytest.approx(2 * later[2], abs=1), "twice the time, half the length"


def test_many_pods_are_areas():
    seen = Seen(timeline(many(), now=NOW))
    assert not any(words.startswith("web-") for words in seen.words)
    assert {"200 Pods", "150 Pods", "0", "200 Running"} <= set(seen.words)
    assert "At 30 s: 67 Running, 133 Pending." in timeline(many(), now=NOW).alt


def test_an_area_ends_where_its_state_ends():
    """No outline is drawn along a stretch in which nothing was Pending."""
    html = timeline(many(), now=NOW).html
    (pending,) = re.findall(rf'fill="{STATES["Pending"]}" fill-opacity=[^>]* d="([^"]*)"', html)
    (running,) = re.findall(rf'<path fill="{STATES["Running"]}" d="(M[^"]*?)M[^"]*"/>', html)
    right = max(float(x) for x in re.findall(r"H([\d.]+)", running))
    assert max(float(x) for x in re.findall(r"H([\d.]+)", pending)) < right - 50


def test_counts_are_those_of_a_naive_count():
    history = many(50)
    lanes = [*history.pods.values(), *rollout().pods.values()]
    steps = counts(lanes, NOW - 60, NOW, lambda at: at * 1000)
    for at, found in steps:
        states = [lane.at(at) for lane in lanes]
        assert found == {state: states.count(state) for state in STATES if state in states}


def test_the_switch_between_rows_and_areas():
    for number, rows in ((LANES, LANES), (LANES + 1, 0)):
        words = Seen(timeline(many(number), now=NOW)).words
        assert sum(word.startswith("web-") for word in words) == rows


def test_nodes_have_rows_when_something_happens_to_them():
    history = rollout()
    history.feed("ADDED", node("quiet"), NOW - 59.5)
    history.feed("ADDED", node("lost"), NOW - 59.5)
    history.feed("MODIFIED", node("lost", ready=False), NOW - 30)
    history.feed("ADDED", node("new"), NOW - 25)
    for since in (None, NOW - 35):  # also where the node's first state is older than the picture
        words = Seen(timeline(history, now=NOW, since=since)).words
        assert {"lost", "new", "node NotReady"} <= set(words)
        assert "quiet" not in words


def test_marks_do_not_cover_each_other():
    marks = [(NOW - 30 + n / 10, f"something that takes some words, number {n}") for n in range(6)]
    seen = Seen(timeline(rollout(), marks, now=NOW))
    tops = [text.get("y") for text in seen._all("text") if "number" in (text.text or "")]
    assert len(tops) == len(set(tops)) == 6


def test_only_what_belongs_to_the_picture():
    history = rollout()
    history.feed("ADDED", pod(1, "coredns", on="node-1", namespace="kube-system"), NOW - 20)
    history.feed("ADDED", pod(1, "shop", on="node-1", namespace="prod"), NOW - 20)
    assert "coredns" not in timeline(history, now=NOW).alt
    assert "2 Pods" not in timeline(history, now=NOW, namespace="prod").alt
    assert "web-" not in timeline(history, now=NOW, since=NOW - 10).alt, "gone before the picture begins"
    assert "too early" not in timeline(history, [(NOW - 99, "too early")], now=NOW).alt


def test_what_came_later_is_not_in_the_picture():
    picture = timeline(rollout(), now=NOW - 35)
    assert picture.alt.splitlines() == [
        "Pods over time: 1 Pod in 25 s; at the end 1 Running.",
        "web-5d9c7b8f6-1 on node-1: Pending at 10.0 s, Running at 15.0 s.",
    ]
    assert "gone" not in Seen(picture).words


def test_nothing_happened():
    assert "No Pod in this time." in Seen(timeline(History(NOW), now=NOW)).words


@pytest.mark.parametrize("span", [0.0, 0.4, 5, 60, 400, 4000, 90_000])
def test_the_axis_has_units_at_every_length(span):
    history = History(NOW - span)
    history.feed("ADDED", pod(1, on="node-1"), NOW - span)
    ticks = [words for words in Seen(timeline(history, now=NOW)).words if re.fullmatch(r"[\d.]+ (s|min|h)", words)]
    assert 2 <= len(ticks) <= 12


def test_ten_thousand_pods_stay_small():
    history = many(10_000)
    picture = timeline(history, now=NOW)
    assert len(picture.html) < 100 * 1024
    assert len(picture.alt) < 1000
