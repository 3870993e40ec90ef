"""Expanders: of several node groups that would help, which one grows (upstream: expander/, FAQ "What are Expanders?")."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import yaml

from lab_helpers.autoscaling.options import Group, Options
from lab_helpers.autoscaling.room import Object, need
from lab_helpers.views.facts import quantity


@dataclass
class Expansion:
    """One way to help: so many nodes more of a group, for these Pods."""

    group: Group
    nodes: int
    pods: list[Object]


def choose(ways: Sequence[Expansion], options: Options, priorities: str | None = None,
           draw: Callable[[Sequence[Expansion]], Expansion] = random.choice) -> Expansion | None:  # fmt: skip
    """The way that the expanders leave, one after the other; among equals one is drawn.

    Args:
        priorities: `priorities` of the ConfigMap cluster-autoscaler-priority-expander; None: there is none.
    """
    for name in options.expander:
        ways = EXPANDERS[name](ways, priorities)
    return draw(ways) if ways else None


def _least_waste(ways: Sequence[Expansion], _: str | None) -> Sequence[Expansion]:
    return _best(ways, lambda way: -waste(way))


def waste(way: Expansion) -> float:
    """The share of CPU that stays idle plus that of memory, of the new nodes' capacity: 0 to 2."""
    room = way.group.template["status"].get("capacity") or way.group.template["status"]["allocatable"]
    sizes = [need(pod) for pod in way.pods]
    cpu, memory = sum(cpu for cpu, _ in sizes), sum(memory for _, memory in sizes)
    return 2 - cpu / (quantity(room["cpu"]) * 1000 * way.nodes) - memory / (quantity(room["memory"]) * way.nodes)


def _priority(ways: Sequence[Expansion], priorities: str | None) -> Sequence[Expansion]:
    """The groups with the highest number whose pattern is found in their name; all of them where none is, or the ConfigMap
    is missing or cannot be read."""
    try:
        table = {
            int(number): [re.compile(one) for one in some] for number, some in (yaml.safe_load(priorities or "") or {}).items()
        }
    except (yaml.YAMLError, re.error, AttributeError, TypeError, ValueError):
        return ways
    rank = {way.group.name: max([n for n, some in table.items() if any(p.search(way.group.name) for p in some)], default=-inf)
            for way in ways}  # fmt: skip
    return _best(ways, lambda way: rank[way.group.name])


def _best(ways: Sequence[Expansion], worth: Callable[[Expansion], float]) -> list[Expansion]:
    worths = [worth(way) for way in ways]
    most = max(worths, default=0.0)
    return [way for way, its in zip(ways, worths, strict=True) if its == most]


EXPANDERS: dict[str, Callable[[Sequence[Expansion], str | None], Sequence[Expansion]]] = {
    "random": lambda ways, _: ways,
    "most-pods": lambda ways, _: _best(ways, lambda way: len(way.pods)),
    "least-waste": _least_waste,
    "priority": _priority,
}
