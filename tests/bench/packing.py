"""The autoscaler's loop in thought, no cluster: how long a scan takes, and how well and how dearly it packs."""

from __future__ import annotations

import math
import random
import time
from datetime import UTC, datetime
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from lab_helpers.autoscaling import decisions, rivals
from lab_helpers.autoscaling.expanders import choose
from lab_helpers.autoscaling.options import Options

Row = tuple[str, str, str, bool]
PODS, NODES = 1000, 100
TYPES = (
    *("c5.large", "c5.xlarge", "c5.2xlarge", "m5.large", "m5.xlarge"),
    *("m5.2xlarge", "m5.4xlarge", "r5.large", "r5.xlarge", "t3.large"),
)
_BORN = datetime.fromtimestamp(0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
_REFUSED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


def pod(number: int, cpu: int, memory: int, **spec: Any) -> dict[str, Any]:
    """A Pod that the scheduler has refused: thousandths of a core, MiB."""
    owner = {"kind": "ReplicaSet", "name": "web", "controller": True}
    meta = {"name": f"web-{number:04d}", "namespace": "default", "creationTimestamp": _BORN, "ownerReferences": [owner]}
    container = {"name": "web", "resources": {"requests": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}}}
    return {"metadata": meta, "spec": {"containers": [container], **spec}, "status": {"conditions": [_REFUSED]}}


def mixed(seed: int = 18) -> list[dict[str, Any]]:
    """1,000 Pods of sizes as they come: a quarter of a core and half a GiB are common, four cores are rare."""
    dice = random.Random(seed)
    sizes = [(100, 128), (250, 512), (500, 512), (500, 2048), (1000, 1024), (1000, 4096), (2000, 4096), (4000, 8192)]
    return [pod(number, *dice.choices(sizes, (20, 25, 15, 12, 12, 8, 5, 3))[0]) for number in range(PODS)]


def unlike(seed: int = 18) -> list[dict[str, Any]]:
    """1,000 Pods of which no two are alike, so that nothing that is found out about one holds for another."""
    dice = random.Random(seed)
    return [pod(number, 100 + number, dice.randint(128, 6000)) for number in range(PODS)]


def offered() -> list[rivals.Offer]:
    """The ten types of the groups, from EC2's own table of instance types; each has a price."""
    found = rivals.offers(INSTANCE_TYPES[kind] for kind in TYPES)
    assert len(found) == len(TYPES), "a type has no price"
    return found


def scan(pods: list[dict[str, Any]]) -> tuple[float, int]:
    """Seconds of one scan beside 100 full nodes, and how many Pods it would buy room for."""
    kinds, options = offered(), Options(expander=("least-waste",))
    groups = [rivals._Group(one.kind, one.node) for one in kinds]
    # As many nodes as would hold the Pods, and each has just too little left for the smallest.
    nodes = [{**kinds[0].node, "metadata": {**kinds[0].node["metadata"], "name": f"n-{number}"}} for number in range(NODES)]
    for node in nodes:
        node["status"] = {**node["status"], "conditions": [{"type": "Ready", "status": "True"}]}
    room = round(kinds[0].room.cpu) // 10 - 5
    there = [pod(5000 + number, room, 64, nodeName=f"n-{number % NODES}") for number in range(10 * NODES)]
    began = time.perf_counter()
    places = decisions.rooms(nodes, there, options)
    left = decisions.without_room(decisions.unschedulable([*there, *pods], options, time.time()), places)
    ways, _ = decisions.expansions(left, groups, len(nodes), options)
    way = choose(ways, options)
    took = time.perf_counter() - began
    assert way and len(left) == len(pods), "the nodes were to be full"
    return took, len(way.pods)


def rows() -> list[Row]:
    """Every figure of it."""
    found = list[Row]()
    for what, pods in (("mixed", mixed()), ("no two alike", unlike())):
        took = min(scan(pods)[0] for _ in range(3))
        found.append((f"one scan, {PODS:,} pending Pods ({what}), {len(TYPES)} groups", f"{took:.2f} s", "≤ 1 s", took <= 1))
    kinds, pods = offered(), mixed()
    bound = rivals.least(pods, kinds)
    for expander in ("least-waste", "most-pods"):
        random.seed(18)  # among equals one is drawn
        row = rivals.loop("the loop", pods, kinds, expander)
        number = int(row.nodes.partition(":")[0])
        share = max(row.cpu or 0.0, row.memory or 0.0)
        # All nodes of a scale-up are of one type, so the mean over nodes is the sum over all; and no packing into nodes of
        # that type needs fewer than the scarcer resource does (L1: Martello and Toth, Knapsack Problems, 1990, chapter 8).
        fewest = math.ceil(round(number * share, 6))
        said = f"{row.nodes}, CPU {row.cpu:.0%}, memory {row.memory:.0%}, ${row.hourly:.2f} an hour"
        good = number >= fewest and row.hourly >= bound
        found.append((f"{PODS:,} mixed Pods, {expander}", said, f"bounds: {fewest} nodes of that type, ${bound:.2f}", good))
    return found
