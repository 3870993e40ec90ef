"""The same Pods, bought for in several ways: what is there, what the loop would choose, Fargate, and a lower bound for all.

Nothing here buys anything: Pods, nodes, instance types and prices in, figures out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from lab_helpers.autoscaling import decisions, expanders
from lab_helpers.autoscaling.options import Options
from lab_helpers.autoscaling.room import Object, Room, holds, need
from lab_helpers.clusters import NodeShape, kwok
from lab_helpers.eks import prices, shapes
from lab_helpers.views import Machine

_TYPE = "node.kubernetes.io/instance-type"
_AWS = "karpenter.k8s.aws/instance"
_GIB = 2**30


@dataclass(frozen=True)
class Offer:
    """An instance type that may be bought.

    Attributes:
        kind: its name.
        price: dollars an hour, on demand.
        node: the Node that it would become.
    """

    kind: str
    price: float
    node: Object

    @property
    def room(self) -> Room:
        """What it leaves to Pods."""
        return Room(self.node)


@dataclass(frozen=True)
class Row:
    """One way to run the Pods.

    Attributes:
        who: chose the machines.
        nodes: how many, and of what; empty: none are bought.
        cpu, memory: the share of what the nodes offer that Pods request; None: there is none to speak of.
        hourly: dollars.
        seconds: from the first Pod's birth to the last one's start; None: it did not happen, it was worked out.
        machines: each of the nodes, with what is requested of it.
    """

    who: str
    nodes: str
    cpu: float | None
    memory: float | None
    hourly: float
    seconds: float | None = None
    machines: tuple[Machine, ...] = ()


def offers(rows: Iterable[Mapping[str, Any]]) -> list[Offer]:
    """The instance types that have a price.

    Args:
        rows: entries of EC2's DescribeInstanceTypes.
    """
    found = list[Offer]()
    for row in rows:
        kind, shape = str(row["InstanceType"]), shapes.shape(dict(row))
        name = re.match(r"([a-z]+)(\d+)[^.]*", kind)
        labels = {
            _TYPE: kind,
            "kubernetes.io/arch": shape.architecture,
            "karpenter.sh/capacity-type": "on-demand",
            f"{_AWS}-cpu": str(shape.cpu),
            **(dict(zip((f"{_AWS}-category", f"{_AWS}-generation"), name.groups(), strict=True)) if name else {}),
            **({f"{_AWS}-family": name[0]} if name else {}),
        }
        status = {"capacity": shape.capacity, "allocatable": shape.allocatable}
        price = prices.on_demand(kind)
        if price is not None:
            found.append(Offer(kind, price, kwok.node(NodeShape(f"a {kind}", labels=labels, status=status))))
    return found


def allowed(pool: Object, among: Iterable[Offer]) -> list[Offer]:
    """The types that a NodePool may buy on demand; of its requirements those count that are about the type."""
    asked = pool["spec"]["template"]["spec"]["requirements"]

    def fits(labels: Mapping[str, str]) -> bool:
        return all(holds(one, labels) for one in asked if one["key"] in labels)

    return [one for one in among if fits(one.node["metadata"]["labels"])]


def least(pods: Iterable[Object], among: Iterable[Offer]) -> float:
    """Dollars an hour below which no packing of these Pods can be, whoever makes it.

    Pods are poured into machines like water, and machines may be bought in parts: only the sums of cores and memory have
    to fit. That is the continuous relaxation, known as the bound L1 of bin packing (Martello and Toth, Knapsack Problems,
    1990, chapter 8), here with two resources and with bins of several sizes and prices. It is a linear program with two
    constraints, so one of its best solutions buys at most two types (Dantzig, Linear Programming and Extensions, 1963, on
    basic solutions): to look at all pairs finds it.
    """
    needs = [need(pod) for pod in pods]
    cpu, memory = float(sum(one for one, _ in needs)), float(sum(one for _, one in needs))
    sold = [(one.price, float(one.room.cpu), float(one.room.memory)) for one in among]
    best = min((price * max(cpu / cores, memory / room) for price, cores, room in sold), default=float("inf"))
    for (price, cores, room), (other, more, rest) in combinations(sold, 2):
        size = cores * rest - more * room
        if size:
            first, second = (cpu * rest - more * memory) / size, (cores * memory - cpu * room) / size
            if first >= 0 and second >= 0:
                best = min(best, price * first + other * second)
    return best


# -- the course's own loop, in thought --------------------------------------------------------------------------------


@dataclass
class _Group:
    """A group of one instance type that is empty at first, and stands in thought only."""

    name: str
    template: Object
    size: int = 0
    minimum: int = 0
    maximum: int = 1000

    def holds(self, node: Object) -> bool:
        return False

    def set_desired(self, size: int) -> None:
        self.size = size

    def delete(self, node: Object) -> None:
        self.size -= 1


def loop(who: str, pods: Sequence[Object], kinds: Sequence[Offer], expander: str = "least-waste") -> Row:
    """What the cluster autoscaler of lab 18 would buy: its own functions, scan after scan, no machine started.

    Args:
        kinds: the instance types of its groups, one group each, all at zero.
    """
    left, options, rooms = list(pods), Options(expander=(expander,)), list[Room]()
    groups = [_Group(one.kind, one.node) for one in kinds]
    while left:
        ways, _ = decisions.expansions(left, groups, 0, options)
        way = expanders.choose(ways, options)
        if way is None:
            raise ValueError(f"{len(left)} Pods fit no group of {', '.join(one.kind for one in kinds)}")
        way.group.set_desired(way.group.size + way.nodes)
        rooms += _packed(way.group.template, way.pods)
        taken = {id(pod) for pod in way.pods}
        left = [pod for pod in left if id(pod) not in taken]
    bought = [(one, group.size) for one, group in zip(kinds, groups, strict=True) if group.size]
    return _row(who, rooms, sum(one.price * number for one, number in bought))


def _packed(template: Object, pods: Iterable[Object]) -> list[Room]:
    """New nodes with these Pods in them, each in the first one with room: as `decisions.estimate` has counted them."""
    rooms = list[Room]()
    for pod in pods:
        room = next((room for room in rooms if room.fits(need(pod))), None)
        if room is None:
            rooms.append(room := Room(template))
        room.take(pod)
    return rooms


# -- rows -------------------------------------------------------------------------------------------------------------


def measured(
    who: str, nodes: Sequence[Object], pods: Sequence[Object], price: Callable[[Object], float | None], seconds: float
) -> Row:
    """What is there."""
    inside: dict[str, list[Object]] = {}
    for pod in pods:
        inside.setdefault(pod["spec"].get("nodeName", ""), []).append(pod)
    rooms = [Room(node, inside.get(node["metadata"]["name"], [])) for node in nodes]
    return _row(who, rooms, sum(price(node) or 0.0 for node in nodes), seconds)


def fargate(pods: Iterable[Object]) -> Row:
    """A machine for each Pod, of the size that Fargate bills; prices.yaml has what a vCPU and a GiB cost."""
    table, sizes = prices.table(), list[tuple[float, float]]()
    asked = [need(pod) for pod in pods]
    for cpu, memory in asked:
        sizes.append(shapes.fargate(cpu / 1000, memory / _GIB))
    vcpu, gib = sum(one for one, _ in sizes), sum(one for _, one in sizes)
    return Row(
        "Fargate",
        f"{len(sizes)}, one a Pod",
        sum(cpu for cpu, _ in asked) / 1000 / vcpu,
        sum(memory for _, memory in asked) / _GIB / gib,
        vcpu * table["fargate_vcpu"] + gib * table["fargate_gib"],
    )


def _row(who: str, rooms: Sequence[Room], hourly: float, seconds: float | None = None) -> Row:
    kinds = Counter(_kind(room) for room in rooms)
    said = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    machines, wholes = list[Machine](), [Room(room.node) for room in rooms]
    for room, whole in zip(rooms, wholes, strict=True):
        cpu, memory = (whole.cpu - room.cpu) / max(1, whole.cpu), (whole.memory - room.memory) / max(1, whole.memory)
        machines.append(Machine(_kind(room), whole.cpu / 1000, cpu, memory))
    cpu = sum(whole.cpu - room.cpu for room, whole in zip(rooms, wholes, strict=True)) / max(1, sum(one.cpu for one in wholes))
    memory = sum(whole.memory - room.memory for room, whole in zip(rooms, wholes, strict=True))
    memory /= max(1, sum(one.memory for one in wholes))
    return Row(who, f"{len(rooms)}: {said}" if rooms else "", cpu, memory, hourly, seconds, tuple(machines))


def _kind(room: Room) -> str:
    return str((room.node["metadata"].get("labels") or {}).get(_TYPE, "node"))
