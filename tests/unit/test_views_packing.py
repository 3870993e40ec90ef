"""How Pods are packed: what is drawn, what is said, what eks-node-viewer shows and this must."""

from __future__ import annotations

from views_objects import NOW, Seen, node, pod

from lab_helpers.views import Coming, packing
from lab_helpers.views.packing import TYPE, state
from lab_helpers.views.palette import GREY, ORANGE, SKY

PRICES = {"m5.large": 0.096, "m5.2xlarge": 0.384}


def typed(name, kind="m5.large", cpu="2", **more):
    made = node(name, cpu=cpu, memory="8Gi", pods="29", **more)
    made["metadata"]["labels"][TYPE] = kind
    return made


def web(number, on):
    return [pod(f"{on or 'none'}-{n}", on=on, cpu="450m", memory="1Gi") for n in range(number)]


def test_nodes_pods_and_the_bill_are_said():
    nodes = [typed("workers-1"), typed("workers-2"), typed("large-1", "m5.2xlarge", "8")]
    picture = packing(nodes, [*web(4, "workers-1"), *web(1, "workers-2"), *web(2, "")], prices=PRICES, now=NOW)
    assert picture.alt.splitlines() == [
        "Nodes and their Pods: 1 m5.2xlarge, 2 m5.large; 19% of CPU requested; 5 Pods placed, 2 waiting; "
        "$0.576 an hour, $420 a month.",
        "large-1 (m5.2xlarge): empty; 0% of CPU requested.",
        "workers-1 (m5.large): web 4; 90% of CPU requested.",
        "workers-2 (m5.large): web 1; 22% of CPU requested.",
        "Waiting: web 2.",
    ]
    words = " ".join(Seen(picture).words)
    assert "4 of 29 Pods" in words and "$0.096/h" in words and "2 Pods Pending" in words
    assert "90% of CPU, 50% of memory" in words


def test_a_node_may_have_a_price_of_its_own():
    """A spot machine costs what its zone's market says, not what its type does."""
    own = Coming("default-1", "m5.2xlarge", 8.0, NOW - 7)
    picture = packing([typed("a"), typed("b")], [], coming=[own], prices={**PRICES, "b": 0.03, "default-1": 0.111}, now=NOW)
    words = " ".join(Seen(picture).words)
    assert "$0.096/h" in words and "$0.03/h" in words and "$0.111/h" in words
    assert "$0.126 an hour" in picture.alt


def test_bars_are_to_scale():
    seen = Seen(packing([typed("a"), typed("b", "m5.2xlarge", "8")], web(1, "a"), prices=PRICES, now=NOW))
    bars = sorted(shape[2] for shape in seen.rects(fill="none") if shape[3] == 18)
    assert bars == [105, 420], "eight cores are four times as long as two"
    memory = [shape for shape in seen.rects(fill=SKY) if shape[3] == 4]
    assert memory[0][2] == 105 / 8, "1 of 8 GiB"


def test_a_node_that_is_coming_is_drawn_before_it_is_there():
    picture = packing([typed("a")], [], coming=[Coming("workers", "m5.large", 2.0, NOW - 7)], prices=PRICES, now=NOW)
    assert "workers (m5.large): asked for, no Node yet." in picture.alt
    words = Seen(picture).words
    assert "asked for 7 s ago" in words and "no Node yet" in words
    assert f'stroke="{ORANGE}"' in picture.html


def test_states_of_a_node():
    assert state(typed("a"), NOW) == ""
    assert state(typed("a", ready=False, since=NOW - 12), NOW) == "NotReady 12 s"
    assert state(typed("a", cordoned=True), NOW) == "cordoned"
    assert state(typed("a", taints=["ToBeDeletedByClusterAutoscaler"]), NOW) == "being drained"
    assert state(typed("a", taints=["karpenter.sh/disrupted"]), NOW) == "being drained"


def test_spot_and_a_type_without_a_price_are_said():
    spot, unknown = typed("a"), typed("b", "x9.huge")
    spot["metadata"]["labels"]["eks.amazonaws.com/capacityType"] = "SPOT"
    words = " ".join(Seen(packing([spot, unknown], [], prices=PRICES, now=NOW)).words)
    assert "m5.large spot" in words and "x9.huge · no price known" in words


def test_the_systems_own_pods_are_grey_and_counted():
    own = pod("proxy", "kube-proxy", "a", namespace="kube-system", cpu="100m")
    picture = packing([typed("a")], [own, *web(1, "a")], now=NOW)
    assert "the system's own 1" in picture.alt and "web 1" in picture.alt
    assert [shape for shape in Seen(picture).rects(fill=GREY) if shape[3] == 18]


def test_no_node_and_many_nodes():
    assert "no node" in packing([], [], now=NOW).alt
    picture = packing([typed(f"n{number:02d}") for number in range(40)], [], now=NOW)
    assert "16 more nodes not shown" in " ".join(Seen(picture).words)
