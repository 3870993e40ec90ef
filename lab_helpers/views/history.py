"""What happened to Pods and nodes over time: a pure reducer of watch events."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab_helpers.views import facts
from lab_helpers.views.facts import Object

GONE = "gone"


@dataclass
class Lane:
    """One object's states.

    Attributes:
        name: the object's name.
        owner: who made it; empty for a node.
        namespace: a Pod's; empty for a node.
        node: where a Pod was placed; empty before.
        states: (seconds since 1970, state), oldest first; the last one may be `gone`.
        starts: when a container of a Pod was started, in seconds since 1970; all but the first are restarts.
    """

    name: str
    owner: str = ""
    namespace: str = ""
    states: list[tuple[float, str]] = field(default_factory=list)
    node: str = ""
    starts: list[float] = field(default_factory=list)

    def note(self, at: float, state: str) -> None:
        """Write a state down where it differs from the last one."""
        if not self.states or self.states[-1][1] != state:
            self.states.append((at, state))

    def at(self, moment: float) -> str:
        """The state at a moment; empty before the object was."""
        return next((state for at, state in reversed(self.states) if at <= moment), "")


@dataclass
class History:
    """Everything that was seen since `began` (seconds since 1970)."""

    began: float
    pods: dict[str, Lane] = field(default_factory=dict)
    nodes: dict[str, Lane] = field(default_factory=dict)

    def feed(self, event: str, item: Object, at: float) -> None:
        """Take in one watch event (`ADDED`, `MODIFIED`, `DELETED`) of a Pod or a node."""
        meta = item["metadata"]
        if item.get("kind") == "Node":
            lane = self.nodes.setdefault(meta["name"], Lane(meta["name"]))
            ready = "NotReady" if facts.not_ready_since(item) is not None else "Ready"
            if ready == "Ready" and item.get("spec", {}).get("unschedulable"):
                ready = "cordoned"
            lane.note(at, GONE if event == "DELETED" else ready)
        else:
            lane = self.pods.setdefault(meta["uid"], Lane(meta["name"], facts.owner(item), meta.get("namespace", "")))
            lane.node = item.get("spec", {}).get("nodeName", "") or lane.node
            lane.note(at, GONE if event == "DELETED" else facts.state(item))
            lane.starts = sorted({*lane.starts, *facts.starts(item)})
