"""The cluster map: nodes as boxes, Pods as tiles coloured by their owner, pending ones aside with the scheduler's reasons."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from lab_helpers.views import facts
from lab_helpers.views.facts import Object
from lab_helpers.views.node_box import draw_node, gauge, node_words
from lab_helpers.views.palette import GREY, ORANGE, PAPER, Owner, owners
from lab_helpers.views.picture import BACK, Canvas, Picture, count, fit, labels, stroke
from lab_helpers.views.tiles import SAYS, legend, node_look, states, tile

WIDTH, TALL = 960, 720  # pixels: the map should fit a screen
SLOTS = 32  # nodes with room for at most so many Pods show their free places


class Drawn(NamedTuple):
    """A Pod as it is drawn."""

    owner: str
    name: str
    state: str
    node: str
    pod: Object


@dataclass(frozen=True)
class Level:
    """A level of detail: how large things are, and for how many nodes at most."""

    name: str
    nodes: int
    tile: float
    gap: float
    head: float  # height of a node's caption
    space: float  # between nodes
    narrow: float  # a node is at least so wide


LEVELS = (Level("named", 16, 16, 4, 40, 12, 190), Level("small", 150, 8, 2, 17, 7, 86), Level("dense", 10**9, 0, 0, 0, 2, 0))


def cluster_map(
    nodes: list[Object], pods: list[Object], *, title: str = "", namespace: str | None = None, now: float | None = None
) -> Picture:
    """Draw a cluster.

    Args:
        nodes, pods: objects as the API lists them.
        title: what the picture shows; "Cluster" if empty.
        namespace: only its Pods; None: all but the system's own.
        now: seconds since 1970, for how long a node is NotReady.
    """
    now = time.time() if now is None else now
    shown = facts.visible(pods, namespace)
    drawn = [
        Drawn(who, pod["metadata"]["name"], facts.state(pod), pod.get("spec", {}).get("nodeName", ""), pod)
        for who, pod in zip(facts.owners(shown), shown, strict=True)
    ]
    looks = owners(one.owner for one in sorted(drawn, key=lambda one: str(one.pod["metadata"].get("creationTimestamp", ""))))
    drawn.sort(key=lambda one: one[:2])
    nodes = sorted(nodes, key=lambda node: str(node["metadata"]["name"]))
    placed: dict[str, list[Drawn]] = defaultdict(list)
    for one in drawn:
        placed[one.node].append(one)
    waiting = placed.pop("", [])
    taken = Counter(pod.get("spec", {}).get("nodeName", "") for pod in pods if not facts.ended(pod))
    canvas = Canvas(WIDTH, title or "Cluster")
    summary = _summary(nodes, drawn)
    bottom = canvas.heading(summary)
    bottom = _Grid(canvas, nodes, placed, taken, looks, now).draw(bottom)
    if waiting:
        bottom = _waiting(canvas, waiting, looks, bottom + 12)
    _legend(canvas, drawn, looks, nodes, bottom + 20)
    return canvas.picture(_words(canvas.title, summary, nodes, placed, waiting, now))


class _Grid:
    """The nodes, in the finest level of detail that fits a screen."""

    def __init__(
        self, canvas: Canvas, nodes: list[Object], placed: dict[str, list[Drawn]], taken: Counter[str], looks: dict[str, Owner],
        now: float,
    ) -> None:  # fmt: skip
        self.canvas, self.nodes, self.placed, self.taken, self.looks, self.now = canvas, nodes, placed, taken, looks, now
        self.names = [str(node["metadata"]["name"]) for node in nodes]
        self.most = max((len(placed.get(name, ())) for name in self.names), default=0)
        self.mean = sum(len(placed.get(name, ())) for name in self.names) / max(1, len(nodes))
        self.labels: dict[str, str] = {}

    def draw(self, top: float) -> float:
        """Returns the y below."""
        for level in LEVELS:
            columns, wide, high, across = self._measure(level)
            rows = -(-len(self.nodes) // across)
            if len(self.nodes) <= level.nodes and (rows * (high + level.space) <= TALL or level.name == "dense"):
                break
        if level.name != "dense":
            self.labels = labels(self.names, wide - 8, 10 if level.name == "small" else 13)
        for number, node in enumerate(self.nodes):
            x, y = 1 + (number % across) * (wide + level.space), top + (number // across) * (high + level.space)
            self._one(node, x, y, wide, high, columns, level)
        if not self.nodes:
            self.canvas.text(2, top + 16, "There is no node.", faint=True)
            return top + 20
        bottom = top + rows * (high + level.space) - level.space
        if level.name == "dense" and self.most:
            more = " or more" if self._full() < self.most else ""
            say = f"Each box is a node; its fill: its Pods. A full box: {count(self._full(), 'Pod')}{more}."
            self.canvas.text(2, bottom + 16, say, faint=True)
            bottom += 20
        return bottom

    def _measure(self, level: Level) -> tuple[int, float, float, int]:
        """Columns of tiles in a node, a node's width and height, nodes in a row."""
        if level.name == "dense":
            side = max(6.0, min(20.0, (WIDTH * TALL / max(1, len(self.nodes))) ** 0.5 - level.space))
            return 0, side, side, int(WIDTH // (side + level.space))
        step = level.tile + level.gap
        room = max(self.most, max((self._slots(node) for node in self.nodes), default=0) if level.name == "named" else 0)
        across = max(1, min(len(self.nodes), int((WIDTH + level.space) // (level.narrow + level.space))))
        wide = min(312.0, (WIDTH - 2 + level.space) / across - level.space)
        columns = int((wide - 10 + level.gap) // step)
        return columns, wide, level.head + max(1, -(-room // columns)) * step + 6, across

    def _full(self) -> int:
        """How many Pods fill a box of the dense level: one node that holds a hundred must not hide what the others hold."""
        return max(1, min(self.most, max(4, round(2 * self.mean))))

    def _slots(self, node: Object) -> int:
        room = int(facts.quantity(node.get("status", {}).get("allocatable", {}).get("pods", "0")))
        return room if room <= SLOTS else 0

    def _one(self, node: Object, x: float, y: float, wide: float, high: float, columns: int, level: Level) -> None:
        name = str(node["metadata"]["name"])
        mine = self.placed.get(name, [])
        lost, cordoned = facts.not_ready_since(node) is not None, bool(node.get("spec", {}).get("unschedulable"))
        self.canvas.rect(x, y, wide, high, node_look(lost, cordoned, PAPER), BACK)
        if level.name == "dense":
            gauge(self.canvas, x, y, wide, [(one.owner, one.state) for one in mine], self.looks, self._full())
            self.canvas.hint(x, y, wide, high, f"{name}: {count(len(mine), 'Pod')}{', NotReady' if lost else ''}")
            return
        draw_node(self.canvas, node, x, y, wide, self.labels[name], self.taken[name], self.now, level.name == "named")
        step = level.tile + level.gap

        def place(number: int) -> tuple[float, float]:
            return x + 6 + (number % columns) * step, y + level.head + (number // columns) * step

        for number, one in enumerate(mine):
            tile(self.canvas, *place(number), level.tile, self.looks[one.owner], one.state)
            if level.name == "named":
                self.canvas.hint(*place(number), level.tile, level.tile, _about(one))
        if level.name == "named":
            for number in range(len(mine), self._slots(node) - self.taken[name] + len(mine)):
                left, top = place(number)
                self.canvas.rect(left + 1, top + 1, level.tile - 2, level.tile - 2, _FREE)


_FREE = 'fill="none" stroke="var(--jp-border-color2,rgba(128,128,128,.5))" stroke-dasharray="1 2"'


def _about(one: Drawn) -> str:
    trouble = facts.trouble(one.pod)
    return f"{one.name}: {one.state}{f' ({trouble})' if trouble else ''}"


def _waiting(canvas: Canvas, waiting: list[Drawn], looks: dict[str, Owner], y: float) -> float:
    """Draw the Pods that have no node, and why; the y below them."""
    side, gap = (16.0, 4.0) if len(waiting) <= 90 else (6.0, 2.0)
    columns = int((WIDTH - 20) // (side + gap))
    why = facts.reasons([one.pod for one in waiting])
    rows = -(-len(waiting) // columns)
    high = 26 + rows * (side + gap) + 17 * min(5, len(why)) + 6
    canvas.rect(1, y, WIDTH - 2, high, stroke(ORANGE, 1.5, "5 3"), BACK)
    canvas.text(10, y + 17, f"Pending, no node yet: {len(waiting):,}", size=13, bold=True)
    for place, one in enumerate(waiting):
        left, top = 10 + (place % columns) * (side + gap), y + 26 + (place // columns) * (side + gap)
        tile(canvas, left, top, side, looks[one.owner], one.state)
        if side > 10:
            canvas.hint(left, top, side, side, f"{one.name}: {facts.reason(one.pod) or one.state}")
    lines = [f"{count(number, 'Pod')}: {words}" for words, number in why]
    lines = lines if len(lines) <= 5 else [*lines[:4], f"{len(lines) - 4} more reasons"]
    for number, line in enumerate(lines):
        canvas.text(10, y + 26 + rows * (side + gap) + 13 + 17 * number, fit(line, WIDTH - 24, 12))
    return y + high


def _legend(canvas: Canvas, drawn: list[Drawn], looks: dict[str, Owner], nodes: list[Object], y: float) -> None:
    counts = Counter(one.owner for one in drawn)
    entries: list[tuple[str, Owner | str, str]] = []
    for name in [name for name, look in looks.items() if look.colour != GREY]:
        entries.append((f"{fit(name, 200, 12)} ({counts[name]:,})", looks[name], "Running"))
    if rest := [name for name, look in looks.items() if look.colour == GREY]:
        words = f"{count(len(rest), 'more owner')} ({sum(counts[name] for name in rest):,})"
        entries.append((words, looks[rest[0]], "Running"))
    entries += states({one.state for one in drawn})
    if any(facts.not_ready_since(node) is not None for node in nodes):
        entries.append(("node NotReady", node_look(True, False, PAPER), ""))
    if any(node.get("spec", {}).get("unschedulable") for node in nodes):
        entries.append(("node cordoned", node_look(False, True, PAPER), ""))
    if any((node["metadata"].get("annotations") or {}).get("kwok.x-k8s.io/node") for node in nodes):
        entries.append(("nodes simulated by KWOK", node_look(False, False, PAPER), ""))
    legend(canvas, 2, y, entries)


def _summary(nodes: list[Object], drawn: list[Drawn]) -> str:
    found = Counter(one.state for one in drawn)
    parts = ", ".join(f"{found[state]:,} {state}" for state in SAYS if found[state])
    return f"{count(len(nodes), 'node')}, {count(len(drawn), 'Pod')}{f': {parts}' if parts else ''}"


def _words(
    title: str, summary: str, nodes: list[Object], placed: dict[str, list[Drawn]], waiting: list[Drawn], now: float
) -> list[str]:
    """The picture in words."""
    said = [f"{title}: {summary}."]
    if len(nodes) <= 30:
        said += [node_words(node, [one.owner for one in placed.get(node["metadata"]["name"], [])], now) for node in nodes]
    else:
        lost = sum(facts.not_ready_since(node) is not None for node in nodes)
        cordoned = sum(bool(node.get("spec", {}).get("unschedulable")) for node in nodes)
        most = max(len(placed.get(node["metadata"]["name"], ())) for node in nodes)
        empty = sum(not placed.get(node["metadata"]["name"]) for node in nodes)
        said.append(f"The fullest node holds {count(most, 'Pod')}; {empty} are empty, {lost} NotReady, {cordoned} cordoned.")
    if waiting:
        why = "; ".join(words for words, _ in facts.reasons([one.pod for one in waiting])[:5])
        said.append(f"Pending without a node: {len(waiting)} ({why}).")
    troubles = Counter(filter(None, (facts.trouble(one.pod) for some in placed.values() for one in some)))
    if troubles:
        said.append(f"In trouble: {', '.join(f'{number} {why}' for why, number in troubles.most_common(5))}.")
    return said
