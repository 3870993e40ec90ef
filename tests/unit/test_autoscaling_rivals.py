"""Figures about the same Pods, bought for in several ways: the bound holds for every packing, and the loop's is a packing."""

from __future__ import annotations

import itertools
import random

import pytest

from lab_helpers.autoscaling import rivals
from lab_helpers.clusters import NodeShape, kwok
from lab_helpers.eks import prices, shapes
from lab_helpers.teaching.shown import Rivals

GIB = 2**30


def pod(cpu, memory):
    requests = {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}
    return {
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {"containers": [{"resources": {"requests": requests}}]},
        "status": {"phase": "Running"},
    }


def offer(kind, price, cpu, memory, pods=110):
    labels = {"node.kubernetes.io/instance-type": kind}
    return rivals.Offer(kind, price, kwok.node(NodeShape(kind, cpu, f"{memory}Mi", pods, labels=labels)))


def facts(kind, cores, gib):
    """An entry of DescribeInstanceTypes, as far as it is read."""
    return {
        "InstanceType": kind,
        "VCpuInfo": {"DefaultVCpus": cores},
        "MemoryInfo": {"SizeInMiB": gib * 1024},
        "ProcessorInfo": {"SupportedArchitectures": ["arm64" if "g." in kind else "x86_64"]},
        "NetworkInfo": {"NetworkCards": [{"MaximumNetworkInterfaces": 4}], "Ipv4AddressesPerInterface": 15},
    }


@pytest.mark.parametrize(
    ("pods", "among", "cost"),
    [
        # one type, cores decide: 6 of its 4 cores, so one and a half machines
        ([pod(1000, 100)] * 6, [offer("a", 1.0, 4, 4000)], 1.5),
        # one type, memory decides: 5000 of 4000 MiB
        ([pod(100, 1000)] * 5, [offer("a", 1.0, 4, 4000)], 1.25),
        # the cheaper of two of a shape, however large the other is
        ([pod(1000, 1000)] * 4, [offer("a", 1.0, 4, 4000), offer("b", 1.8, 8, 8000)], 0.9),
        # a mix beats either: 10 cores and 10000 MiB are one c (8, 2000) and one r (2, 8000); alone it takes five of either
        ([pod(1000, 1000)] * 10, [offer("c", 1.0, 8, 2000), offer("r", 1.0, 2, 8000)], 2.0),
        # a type that has less of both for the same money is never bought
        ([pod(1000, 1000)] * 10, [offer("c", 1.0, 8, 2000), offer("r", 1.0, 2, 8000), offer("x", 1.0, 2, 2000)], 2.0),
        ([], [offer("a", 1.0, 4, 4000)], 0.0),
        ([pod(1000, 1000)], [], float("inf")),
    ],
)  # fmt: skip
def test_the_bound_of_cases_worked_out_by_hand(pods, among, cost):
    assert rivals.least(pods, among) == pytest.approx(cost)


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_is_the_best_of_the_dual_too(seed):
    """Another road to the same figure: the dearest prices of a core and a byte at which no machine is underpriced."""
    draw = random.Random(seed)
    among = [offer(f"t{n}", draw.uniform(0.1, 3), draw.randint(1, 64), draw.randint(1000, 200000)) for n in range(12)]
    pods = [pod(draw.randint(100, 4000), draw.randint(100, 16000)) for _ in range(40)]
    cpu = sum(rivals.need(one)[0] for one in pods)
    memory = sum(rivals.need(one)[1] for one in pods)
    edges = [(one.room.cpu, one.room.memory, one.price) for one in among] + [(1, 0, 0.0), (0, 1, 0.0)]
    best = 0.0
    for (a, b, p), (c, d, q) in itertools.combinations(edges, 2):
        if (size := a * d - b * c) == 0:
            continue
        core, byte = (p * d - b * q) / size, (a * q - p * c) / size
        if core >= -1e-15 and byte >= -1e-18 and all(x * core + y * byte <= cost * (1 + 1e-9) for x, y, cost in edges[:-2]):
            best = max(best, cpu * core + memory * byte)
    assert rivals.least(pods, among) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_what_the_loop_buys_holds_all_and_is_never_below_the_bound(seed):
    draw = random.Random(seed)
    sold = (("c", 0.306, 14000), ("m", 0.3456, 29000), ("r", 0.4536, 60000))
    among = [offer(kind, price, "7910m", memory) for kind, price, memory in sold]
    pods = [pod(draw.randint(100, 4000), draw.randint(100, 12000)) for _ in range(80)]
    one, three = rivals.loop("one", pods, among[1:2]), rivals.loop("three", pods, among)
    for row in (one, three):
        assert row.hourly >= rivals.least(pods, among) and 0 < row.cpu <= 1 and 0 < row.memory <= 1 and row.seconds is None
        assert len(row.machines) == int(row.nodes.partition(":")[0]) and all(0 < one.cpu <= 1 for one in row.machines)
        used = sum(one.cores * one.cpu for one in row.machines)
        assert used == pytest.approx(sum(rivals.need(one)[0] for one in pods) / 1000), "every Pod has a place"
    assert one.nodes.startswith(f"{round(one.hourly / 0.3456)}: ") and one.nodes.endswith(" m")


def test_a_pod_that_fits_no_group_is_said():
    with pytest.raises(ValueError, match="1 Pods fit no group of a"):
        rivals.loop("one", [pod(9000, 10)], [offer("a", 1.0, 4, 4000)])


def test_offers_are_the_types_with_a_price_and_a_nodepool_chooses_among_them():
    rows = [facts(kind, 2, 4) for kind in ("c6a.large", "m5.large", "t3.medium", "c6g.large", "zz9.large")]
    found = rivals.offers(rows)
    assert [one.kind for one in found] == ["c6a.large", "m5.large", "t3.medium", "c6g.large"]
    assert found[0].price == prices.on_demand("c6a.large") and found[0].room.cpu == 1930
    pool = {"spec": {"template": {"spec": {"requirements": [
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
        {"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["c", "m", "r"]},
        {"key": "karpenter.k8s.aws/instance-generation", "operator": "Gt", "values": ["2"]},
        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-east-1a"]},
    ]}}}}  # fmt: skip
    assert [one.kind for one in rivals.allowed(pool, found)] == ["c6a.large", "m5.large"]


def test_fargate_bills_each_pod_at_a_size_that_is_sold():
    row = rivals.fargate([pod(250, 256)] * 2 + [pod(1100, 4096)])
    # 0.25 vCPU and 0.5 GiB each; 1.1 cores and 4.25 GiB are 2 vCPU and 5 GiB
    table = prices.table()
    assert row.hourly == pytest.approx(2.5 * table["fargate_vcpu"] + 6 * table["fargate_gib"])
    assert row.nodes == "3, one a Pod" and row.cpu == pytest.approx(1.6 / 2.5) and row.memory == pytest.approx(4.5 / 6)


@pytest.mark.parametrize(
    ("cpu", "gib", "sold"),
    [(0.1, 0.1, (0.25, 0.5)), (0.25, 0.5, (0.25, 1)), (0.25, 2, (0.5, 3)), (1, 0.5, (1, 2)), (3, 8, (4, 9)), (6, 30, (8, 32))],
)
def test_fargates_sizes(cpu, gib, sold):
    assert shapes.fargate(cpu, gib) == sold


def test_what_is_there_is_priced_by_the_node_and_shown_as_a_table():
    one = offer("c6a.large", 0.0765, "1930m", 3000)
    two = [{**one.node, "metadata": {**one.node["metadata"], "name": name}} for name in ("first", "second")]
    placed = pod(1930, 1500)
    placed["spec"]["nodeName"] = "second"
    row = rivals.measured("Karpenter", two, [placed], lambda node: 0.05, 7.4)
    assert [round(machine.cpu, 2) for machine in row.machines] == [0, 1]
    assert (row.nodes, row.cpu, row.memory, row.hourly) == ("2: 2 c6a.large", 0.5, 0.25, 0.1)
    table = Rivals([row, rivals.Row("lower bound", "", None, None, 0.04)])
    assert table.rows()[0] == ("Karpenter", "2: 2 c6a.large", "50%", "25%", "0.100", "73", "7")
    assert table.rows()[1][1:4] == ("–", "–", "–") and "lower bound" in repr(table) and "<td" in table._repr_html_()
    assert "<svg" in table._repr_html_() and "Karpenter (happened): 2 machines, $0.10 an hour, 50% of CPU requested." in repr(
        table
    )
