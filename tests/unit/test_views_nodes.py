"""Heartbeats, the path of a packet, restarts on a timeline: what is drawn, what is said."""

from __future__ import annotations

import pytest
from views_objects import NOW, Seen, pod, stamp

from lab_helpers.views import History, timeline
from lab_helpers.views.heartbeats import Pulse, heartbeats
from lab_helpers.views.packet_path import Leg, Party, Way, packet_path
from lab_helpers.views.palette import BLUE, GREEN, GREY, INK, ORANGE, VERMILLION

WAY = Way(
    Leg("10.244.1.5:41234", "10.96.120.201:80"),
    Leg("10.244.1.5:41234", "10.244.2.13:8080"),
    Leg("10.244.2.13:8080", "10.244.1.5:41234"),
    Leg("10.96.120.201:80", "10.244.1.5:41234"),
)
CLIENT, RULES = Party("Pod client", "node-1", "10.244.1.5"), Party("iptables", "node-1", "written by kube-proxy")


def endpoints(number):
    return [Party(f"web-{n}", f"node-{n % 2 + 1}", f"10.244.2.{n + 12}:8080") for n in range(number)]


def test_a_pulse_keeps_what_is_new():
    pulse = Pulse("node-1")
    for renewed, posted in ((1.0, 0.5), (1.0, 0.5), (11.0, 0.5), (0.0, 0.0)):
        pulse.note(renewed, posted)
    assert (pulse.renewals, pulse.posts) == ([1.0, 11.0], [0.5])
    assert pulse.silence(15.0) == 4.0
    assert Pulse("new").silence(15.0) == 0.0


def test_heartbeats_are_drawn_and_said():
    pulse = Pulse("node-1", [NOW - 5, NOW + 5, NOW + 15], [NOW + 7])
    picture = heartbeats([pulse], 20, since=NOW, now=NOW + 18)
    assert picture.alt.splitlines() == [
        "Heartbeats: 1 node: a renewal every 10 s, and the controller waits 20 s for the next.",
        "node-1: lease renewed at 5.0, 15.0 s; status posted at 7.0 s; silent for 3 s.",
    ]
    seen = Seen(picture)
    assert len([bar for bar in seen.rects(fill=BLUE) if bar[2] == 3]) == 2, "the renewal before the picture is not drawn"
    assert "now" in seen.words and "last: 3 s" in seen.words
    assert any(path.get("fill") == ORANGE for path in seen._all("path"))


def test_a_node_that_is_silent_for_too_long_is_seen():
    picture = heartbeats([Pulse("node-2", [NOW + 1])], 20, since=NOW, now=NOW + 30)
    assert "silent: 29 s" in Seen(picture).words
    assert f'stroke="{VERMILLION}"' in picture.html
    assert f'stroke="{VERMILLION}"' not in heartbeats([Pulse("n", [NOW + 1])], 20, since=NOW, now=NOW + 9).html


def test_a_node_without_a_lease():
    picture = heartbeats([Pulse("node-3")], 20, since=NOW, now=NOW + 5)
    assert "it has no lease" in picture.alt and "no lease" in Seen(picture).words


def test_a_packets_path_is_drawn_and_said():
    picture = packet_path(CLIENT, RULES, endpoints(3), 1, WAY, title="One request")
    assert picture.alt.splitlines() == [
        "One request.",
        "Pod client (node-1) sends 10.244.1.5:41234 → 10.96.120.201:80.",
        "iptables (node-1) makes of it 10.244.1.5:41234 → 10.244.2.13:8080.",
        "web-1 (node-2) answers 10.244.2.13:8080 → 10.244.1.5:41234.",
        "iptables turns it back: 10.96.120.201:80 → 10.244.1.5:41234.",
        "It could have been: web-0 (10.244.2.12:8080), web-2 (10.244.2.14:8080).",
    ]
    words = Seen(picture).words
    assert "might have been chosen" in words and "to 10.96.120.201:80" in words
    assert picture.html.count(f'stroke="{GREEN}"') == 1 and f'stroke="{GREY}"' in picture.html


@pytest.mark.parametrize(("number", "more"), [(1, False), (6, False), (9, True)])
def test_few_and_many_endpoints(number, more):
    picture = packet_path(CLIENT, RULES, endpoints(number), 0, WAY)
    words = Seen(picture).words
    assert ("might have been chosen" in words) == (number > 1)
    assert (f"and {number - 6} more" in words) == more
    assert Seen(picture).height < 500


def restarted(count, started):
    item = pod(1, "crash", on="node-1")
    status = {"restartCount": count, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    item["status"]["containerStatuses"] = [{**status, "lastState": {"terminated": {"startedAt": stamp(started)}}}]
    return item


def test_restarts_stand_on_the_timeline():
    history = History(NOW - 60)
    for count, ago in ((0, 50), (1, 49), (1, 49), (2, 39)):
        history.feed("MODIFIED", restarted(count, NOW - ago), NOW - ago)
    picture = timeline(history, now=NOW)
    assert "its container was started again at 11, 21 s." in picture.alt
    seen = Seen(picture)
    assert len([bar for bar in seen.rects(fill=INK) if bar[2] == 3]) == 2
    assert "container started again" in seen.words
    assert "container started again" not in Seen(timeline(History(NOW - 60), now=NOW)).words
