"""The cluster map and the nodes' fill: counts, states, reasons, levels of detail, words."""

from __future__ import annotations

import pytest
from views_objects import NOW, Seen, node, overlap, pod

from lab_helpers.views import cluster_map, node_fill
from lab_helpers.views.cluster_map import TALL
from lab_helpers.views.palette import STATES, VERMILLION, owners

TAINT = "1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }"
WHY = f"0/3 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable, {TAINT}. preemption: 0/3 nodes."


def three():
    nodes = [node("node-1"), node("node-2", zone="b", ready=False, since=NOW - 72), node("node-3", zone="c", cordoned=True)]
    pods = [pod(n, "web", f"node-{n % 3 + 1}") for n in range(6)] + [pod(n, "batch", why=WHY) for n in range(2)]
    return nodes, pods


def test_the_words_say_what_the_picture_shows():
    picture = cluster_map(*three(), now=NOW)
    assert picture.alt.splitlines() == [
        "Cluster: 3 nodes, 8 Pods: 6 Running, 2 Pending.",
        "node-1 (zone a, 4 cores, 16 GiB): 2 Pods (web 2).",
        "node-2 (NotReady for 72 s, zone b, 4 cores, 16 GiB): 2 Pods (web 2).",
        "node-3 (cordoned, zone c, 4 cores, 16 GiB): 2 Pods (web 2).",
        f"Pending without a node: 2 (Insufficient cpu on 1 node; 1 node(s) were unschedulable; {TAINT}).",
    ]
    assert "Pending, no node yet: 2" in Seen(picture).words
    assert {"node NotReady", "node cordoned", "hollow: Pending", "web (6)", "batch (2)"} <= set(Seen(picture).words)


def test_every_pod_is_drawn_above_its_node():
    """The boxes come first in the file, whatever state the nodes are in: a later box would hide the tiles."""
    html = cluster_map(*three(), now=NOW).html
    colour = owners(["web"])["web"].colour
    assert len(Seen(cluster_map(*three(), now=NOW)).tiles(colour)) == 6 + 1, "six Pods and the legend"
    assert html.index(f'fill="{colour}"') > max(html.index(dash) for dash in ('dasharray="6 3"', 'dasharray="2 2"'))


def test_each_state_has_a_shape_of_its_own():
    nodes = [node("node-1")]
    states = [
        pod(1, on="node-1"), pod(2, on="node-1", phase="Pending"), pod(3, on="node-1", phase="Failed"),
        pod(4, on="node-1", leaves=True), pod(5, on="node-1", phase="Succeeded"), pod(6, on="node-1", ready=False),
    ]  # fmt: skip
    picture = cluster_map(nodes, states, now=NOW)
    assert "1 Running, 1 Not ready, 1 Pending, 1 Terminating, 1 Failed, 1 Succeeded" in picture.alt
    pictures = [cluster_map(nodes, [one], now=NOW).html for one in states]
    drawn = [html.partition("</title>")[2].partition("<text")[0].replace(VERMILLION, "") for html in pictures]
    assert len(set(drawn)) == len(states)


def test_what_a_container_waits_for_is_said():
    stuck = pod(1, on="node-1", phase="Pending")
    stuck["status"]["containerStatuses"] = [{"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    picture = cluster_map([node("node-1")], [stuck], now=NOW)
    assert "In trouble: 1 ImagePullBackOff." in picture.alt
    assert any(hint.endswith("Pending (ImagePullBackOff)") for hint in Seen(picture).hints)


def test_a_pod_the_scheduler_has_not_seen():
    """With the scheduler stopped a Pod has no condition at all."""
    assert "1 (the scheduler has not looked at it yet)" in cluster_map([node("node-1")], [pod(1)], now=NOW).alt


def test_system_namespaces_are_left_out_unless_asked_for():
    pods = [pod(1, on="node-1"), pod(2, "coredns", on="node-1", namespace="kube-system")]
    assert "1 Pod:" in cluster_map([node("node-1")], pods, now=NOW).alt
    assert "coredns 1" in cluster_map([node("node-1")], pods, namespace="kube-system", now=NOW).alt


def test_equal_names_in_two_namespaces_are_two_owners():
    pods = [pod(1, on="node-1", namespace="dev"), pod(2, on="node-1", namespace="prod")]
    assert "(dev/web 1, prod/web 1)" in cluster_map([node("node-1")], pods, now=NOW).alt


def test_places_that_are_free_are_seen_where_a_node_holds_few():
    taken = [pod(n, on="node-1") for n in range(3)]
    dotted = {"fill": "none", "stroke_dasharray": "1 2"}
    assert len(Seen(cluster_map([node("node-1", pods="4")], taken, now=NOW)).rects(**dotted)) == 1
    assert not Seen(cluster_map([node("node-1", pods="110")], taken, now=NOW)).rects(**dotted)


@pytest.mark.parametrize(
    ("count", "each", "named", "small"),
    [
        (0, 0, 0, 0), (1, 0, 1, 0), (3, 3, 3, 0), (16, 30, 16, 0), (30, 7, 0, 30), (120, 10, 0, 120), (1000, 10, 0, 0),
        (4, 900, 0, 4),
    ],
)  # fmt: skip
def test_level_of_detail(count, each, named, small):
    """Names while there is room for them; the whole fits a screen; no two nodes overlap; no box leaves the picture."""
    nodes = [node(f"node-{number:04d}") for number in range(count)]
    pods = [pod(f"{number}-{n}", f"app-{n % 3}", f"node-{number:04d}") for number in range(count) for n in range(each)]
    picture = cluster_map(nodes, pods, now=NOW)
    seen = Seen(picture)
    bold = [words for words in seen.words if words.startswith("node-0")]
    assert len(bold) == named + small
    assert sum("zone a" in words for words in seen.words) == named
    boxes = seen.boxes()
    assert len(boxes) == count
    assert not overlap(boxes)
    assert all(x >= 0 and x + w <= seen.width and y + h <= seen.height for x, y, w, h in boxes)
    assert max((y + h for _, y, _, h in boxes), default=0) - min((y for _, y, _, _ in boxes), default=0) <= max(TALL, 1)


def test_a_thousand_nodes_stay_small_and_linear():
    nodes = [node(f"node-{number:04d}", ready=number != 7) for number in range(1000)]
    pods = [pod(number, f"app-{number % 4}", f"node-{number // 10:04d}") for number in range(9900)]
    pods += [pod(f"w{number}", "web", why="0/1000 nodes are available: 1000 Insufficient memory.") for number in range(100)]
    picture = cluster_map(nodes, pods, now=NOW)
    assert len(picture.html) < 700 * 1024
    assert "1,000 nodes, 10,000 Pods: 9,900 Running, 100 Pending" in picture.alt
    assert "1 NotReady" in picture.alt and "10 are empty" in picture.alt
    assert "100 (Insufficient memory on 1000 nodes)" in picture.alt
    assert len(picture.alt) < 1000, "words, not a list of a thousand nodes"


def test_long_node_names_keep_what_tells_them_apart():
    nodes = [node(f"ip-192-168-{n}-12.eu-central-1.compute.internal") for n in range(30)]
    words = Seen(cluster_map(nodes, [], now=NOW)).words
    assert len({word for word in words if word.endswith("-12")}) == 30


def test_an_owner_keeps_its_colour_when_others_come():
    alone = owners(["web"])["web"]
    names = ["api", "batch", "cache", "db", "queue", "mail"]
    for number in range(len(names) + 1):
        assert owners(["web", *names[:number]])["web"] == alone
    looks = owners(["web", *names])
    assert len({look.colour for look in looks.values()}) == len({look.letter for look in looks.values()}) == 7
    assert not {look.colour for look in looks.values()} & {STATES["Failed"], STATES["Pending"]}


def test_more_owners_than_colours_are_one_entry():
    pods = [pod(n, f"team-{n}", "node-1") for n in range(12)]
    assert "5 more owners (5)" in Seen(cluster_map([node("node-1")], pods, now=NOW)).words


def test_fill_says_requests_of_allocatable():
    nodes = [node("node-1"), node("node-2", memory="8Gi", pods="4")]
    pods = [pod(n, "web", "node-1", cpu="1500m") for n in range(2)] + [pod(3, "big", cpu="6", memory="1Gi")]
    picture = node_fill(nodes, pods)
    assert picture.alt.splitlines() == [
        "Requests against allocatable. 2 nodes, the fullest first.",
        "node-1: 3 of 4 cores; 1 of 16 GiB; 2 of 110 Pods.",
        "node-2: 0 of 4 cores; 0 B of 8 GiB; 0 of 4 Pods.",
        "all nodes: 3 of 8 cores; 1 of 24 GiB; 2 of 114 Pods.",
        "No node yet: 1 Pod (6 cores, 1 GiB).",
    ]
    assert "no node yet: 1 Pod" in Seen(picture).words


def test_fill_shows_what_is_over():
    picture = node_fill([node("node-1", pods="2")], [pod(n, "web", "node-1") for n in range(3)])
    assert "3 of 2 Pods (over)" in picture.alt
    assert "3 of 2 Pods ▲" in Seen(picture).words
    assert "▲" not in "".join(Seen(node_fill([node("node-1", pods="3")], [pod(n, "web", "node-1") for n in range(3)])).words)


def test_a_node_that_is_exactly_full_is_not_over():
    picture = node_fill([node("node-1")], [pod(n, "web", "node-1", cpu="100m", memory="64Mi") for n in range(40)])
    assert "4 of 4 cores;" in picture.alt and "over" not in picture.alt


def test_fill_counts_no_pod_that_has_ended():
    pods = [pod(1, "job", "node-1", phase="Succeeded"), pod(2, "job", "node-1", phase="Failed"), pod(3, "web", "node-1")]
    assert "1 of 110 Pods" in node_fill([node("node-1")], pods).alt


def test_fill_of_many_nodes_shows_the_fullest():
    nodes = [node(f"node-{n:03d}") for n in range(100)]
    picture = node_fill(nodes, [pod(n, "web", "node-077") for n in range(5)])
    assert "70 emptier nodes not shown" in picture.alt
    assert picture.alt.splitlines()[1].startswith("node-077: 2.5 of 4 cores")


@pytest.mark.parametrize("draw", [cluster_map, node_fill])
def test_nothing_at_all(draw):
    assert "no node" in " ".join(Seen(draw([], [])).words)
