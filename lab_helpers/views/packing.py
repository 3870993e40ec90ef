"""How Pods are packed: a row for each node, as long as the node is large, with its Pods inside, what is empty, and its price.

It shows all that eks-node-viewer (awslabs) does: nodes by type, requests against allocatable, Pods, dollars, spot, states.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lab_helpers.views import facts
from lab_helpers.views.facts import Object
from lab_helpers.views.palette import GREY, HOLLOW, LINE, ORANGE, PINK, SKY, VERMILLION, Owner, owners
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, count, fit, hatched, hollow, labels, solid, stroke
from lab_helpers.views.tiles import legend

WIDTH, ROWS, HIGH = 960, 24, 38
LEFT, BAR, RIGHT = 150, 420, 586
MONTH = 730.0  # hours
TYPE = "node.kubernetes.io/instance-type"
_SPOT = ("eks.amazonaws.com/capacityType", "karpenter.sh/capacity-type")
_LEAVING = ("ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted")


@dataclass(frozen=True)
class Coming:
    """A node that was asked for and is no Node yet.

    Attributes:
        name: of its group, or of the claim for it.
        kind: its instance type.
        cpu: cores that it will have; 0: not known.
        since: when it was asked for, in seconds since 1970.
    """

    name: str
    kind: str
    cpu: float
    since: float


@dataclass
class _Row:
    node: Object
    pods: list[tuple[str, Object]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @property
    def kind(self) -> str:
        return str((self.node["metadata"].get("labels") or {}).get(TYPE, ""))

    def room(self, resource: str) -> float:
        there = self.node.get("status", {}).get("allocatable") or {}
        return facts.quantity(there.get(resource, "0"))

    def used(self, resource: str) -> float:
        return round(sum(facts.requests(pod, resource) for _, pod in self.pods), 6)


def packing(
    nodes: list[Object], pods: list[Object], *, prices: Mapping[str, float] | None = None, coming: Sequence[Coming] = (),
    title: str = "", namespace: str | None = None, now: float | None = None,
) -> Picture:  # fmt: skip
    """Draw it: CPU as the bar's length, Pods as parts of it, what is empty hatched; below it a thin bar of memory.

    Args:
        nodes, pods: objects as the API lists them.
        prices: instance type → dollars an hour; a node's own name → its price, where that is another one (spot).
        coming: nodes that were asked for and have not joined.
        title: what the picture shows; "Nodes and their Pods" if empty.
        namespace: only its Pods wait below; what nodes hold is always all of it.
        now: seconds since 1970.
    """
    at, prices = time.time() if now is None else now, prices or {}
    counted = [pod for pod in pods if not facts.ended(pod)]
    rows = {str(node["metadata"]["name"]): _Row(node) for node in nodes}
    waiting, placed = list[tuple[str, Object]](), list[str]()
    for who, pod in zip(facts.owners(facts.visible(counted, None)), facts.visible(counted, None), strict=True):
        placed.append(who)
        where = rows.get(pod.get("spec", {}).get("nodeName", ""))
        if where:
            where.pods.append((who, pod))
        elif not pod["spec"].get("nodeName") and (not namespace or pod["metadata"].get("namespace") == namespace):
            waiting.append((who, pod))
    for pod in counted:
        where = rows.get(pod.get("spec", {}).get("nodeName", ""))
        if where and pod["metadata"].get("namespace") in facts.SYSTEM:
            where.pods.append((_SYSTEM, pod))
    looks = {**owners(placed), _SYSTEM: Owner(GREY, "", "#fff")}
    canvas = Canvas(WIDTH, title or "Nodes and their Pods")
    order = sorted(rows.values(), key=lambda row: row.name)
    summary = _summary(order, waiting, coming, prices)
    top = canvas.heading(summary) + 6
    largest = max([*(row.room("cpu") for row in order), *(one.cpu for one in coming), 0.001])
    short = labels([row.name for row in order], LEFT - 12, 12)
    for row in order[:ROWS]:
        _node(canvas, row, short[row.name], top, BAR / largest, looks, prices, at)
        top += HIGH
    if len(order) > ROWS:
        canvas.text(2, top + 12, f"{count(len(order) - ROWS, 'more node')} not shown", faint=True)
        top += 20
    for one in coming[:ROWS]:
        _coming(canvas, one, top, BAR / largest, prices, at)
        top += HIGH
    if waiting:
        _waiting(canvas, waiting, top, BAR / largest, looks)
        top += HIGH
    _legend(canvas, top + 16, looks, bool(waiting))
    return canvas.picture(_words(canvas.title, summary, order, waiting, coming, at))


_SYSTEM = "the system's own"


def state(node: Object, now: float) -> str:
    """What is to be said of a node beside Ready: `NotReady 12 s`, `being drained`, `cordoned`; empty: nothing."""
    taints = {taint["key"] for taint in node.get("spec", {}).get("taints") or []}
    lost = facts.not_ready_since(node)
    if lost is not None:
        return f"NotReady {facts.lasting(max(0.0, now - lost))}"
    if taints & set(_LEAVING):
        return "being drained"
    return "cordoned" if node.get("spec", {}).get("unschedulable") else ""


def _cost(name: str, kind: str, prices: Mapping[str, float]) -> float | None:
    return prices.get(name, prices.get(kind))


def _price(name: str, kind: str, prices: Mapping[str, float]) -> str:
    price = _cost(name, kind, prices)
    return f"${price:.4g}/h" if price is not None else "no price known" if kind else ""


def _about(row: _Row, prices: Mapping[str, float]) -> str:
    there = row.node["metadata"].get("labels") or {}
    spot = " spot" if any(there.get(key, "").lower() == "spot" for key in _SPOT) else ""
    pods = f"{len(row.pods)} of {row.room('pods'):g} Pods" if row.room("pods") else count(len(row.pods), "Pod")
    return " · ".join(part for part in (f"{row.kind}{spot}", _price(row.name, row.kind, prices), pods) if part)


def _node(
    canvas: Canvas, row: _Row, name: str, y: float, scale: float, looks: dict[str, Owner], prices: Mapping[str, float],
    now: float,
) -> None:  # fmt: skip
    said = state(row.node, now)
    canvas.text(2, y + 14, name, bold=True)
    canvas.text(2, y + 28, said or "Ready", size=11, faint=not said, colour=VERMILLION if said.startswith("NotReady") else "")
    whole = row.room("cpu") * scale
    hatched(canvas, LEFT, y + 2, whole, 18)
    edge = {"being drained": stroke(PINK, 2, "4 2"), "cordoned": stroke(ORANGE, 2, "2 2"), "": stroke(LINE, 1)}
    canvas.rect(LEFT, y + 2, whole, 18, edge.get(said, stroke(VERMILLION, 2, "6 3")), MARK)
    x = float(LEFT)
    for who, pod in sorted(row.pods, key=lambda pair: (pair[0] == _SYSTEM, pair[0], pair[1]["metadata"]["name"])):
        x += _part(canvas, x, y + 2, facts.requests(pod, "cpu") * scale, who, looks, facts.state(pod), pod)
    share = row.used("memory") / row.room("memory") if row.room("memory") else 0.0
    canvas.rect(LEFT, y + 23, whole, 4, f'fill="{HOLLOW}"', BACK)
    canvas.rect(LEFT, y + 23, whole * min(1.0, share), 4, solid(SKY))
    use = row.used("cpu") / row.room("cpu") if row.room("cpu") else 0.0
    canvas.text(RIGHT, y + 14, f"{use:.0%} of CPU, {share:.0%} of memory", size=12)
    canvas.text(RIGHT, y + 28, fit(_about(row, prices), WIDTH - RIGHT - 4, 11), size=11, faint=True)


def _part(
    canvas: Canvas, x: float, y: float, width: float, who: str, looks: dict[str, Owner], state: str, pod: Object
) -> float:  # fmt: skip
    look = looks.get(who, looks[_SYSTEM])
    inside = max(0.8, width - (1.5 if width > 4 else 0))
    if state == "Terminating":
        canvas.rect(x, y, inside, 18, f'fill="{look.colour}" fill-opacity=".3"')
    else:
        canvas.rect(x, y, inside, 18, solid(look.colour))
        if width > 12 and look.letter:
            canvas.letter(x + inside / 2, y + 13, look.letter, look.ink)
    canvas.hint(x, y, max(3.0, inside), 18, f"{pod['metadata']['name']}: {facts.requests(pod, 'cpu'):g} cores, {state}")
    return width


def _coming(canvas: Canvas, one: Coming, y: float, scale: float, prices: Mapping[str, float], now: float) -> None:
    canvas.text(2, y + 14, fit(one.name, LEFT - 12, 12, True), bold=True)
    canvas.text(2, y + 28, f"asked for {facts.lasting(max(0.0, now - one.since))} ago", size=11)
    canvas.rect(LEFT, y + 2, max(24.0, one.cpu * scale), 18, hollow(ORANGE))
    canvas.text(RIGHT, y + 14, "no Node yet", size=12)
    said = " · ".join(part for part in (one.kind, _price(one.name, one.kind, prices)) if part)
    canvas.text(RIGHT, y + 28, fit(said, WIDTH - RIGHT - 4, 11), size=11, faint=True)


def _waiting(canvas: Canvas, waiting: list[tuple[str, Object]], y: float, scale: float, looks: dict[str, Owner]) -> None:
    asked = sum(facts.requests(pod, "cpu") for _, pod in waiting)
    scale = min(scale, (RIGHT - LEFT - 10) / asked) if asked else scale
    canvas.text(2, y + 14, "no node", bold=True)
    canvas.text(2, y + 28, f"{count(len(waiting), 'Pod')} Pending", size=11)
    x = float(LEFT)
    for who, pod in waiting:
        width = facts.requests(pod, "cpu") * scale
        canvas.rect(x + 0.7, y + 2.7, max(1.0, width - 2.4), 16.6, hollow(looks[who].colour))
        x += width
    canvas.text(RIGHT, y + 14, f"{asked:.4g} cores asked for", size=12)


def _summary(
    rows: list[_Row], waiting: list[tuple[str, Object]], coming: Sequence[Coming], prices: Mapping[str, float]
) -> str:  # fmt: skip
    kinds = Counter(row.kind or "node" for row in rows)
    said = [", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) or "no node"]
    said += [f"{len(coming)} coming"] if coming else []
    there, used = sum(row.room("cpu") for row in rows), sum(row.used("cpu") for row in rows)
    said += [f"{used / there:.0%} of CPU requested"] if there else []
    said.append(f"{sum(len(row.pods) for row in rows)} Pods placed, {len(waiting)} waiting")
    costs = [cost for row in rows if (cost := _cost(row.name, row.kind, prices)) is not None]
    if costs:
        hourly = sum(costs)
        said.append(f"${hourly:.4g} an hour, ${hourly * MONTH:,.0f} a month")
    return "; ".join(said)


def _legend(canvas: Canvas, y: float, looks: dict[str, Owner], waiting: bool) -> None:
    entries: list[tuple[str, Owner | str, str]] = [
        (fit(name, 200, 12), look, "Running") for name, look in looks.items() if look.colour != GREY or name == _SYSTEM
    ]
    entries += [("empty: paid for, holds nothing", f'fill="{HOLLOW}" stroke="{LINE}"', ""), ("memory", solid(SKY), "")]
    entries += [("hollow: waits", hollow(ORANGE), "")] if waiting else []
    legend(canvas, 2, y, entries)


def _words(
    title: str, summary: str, rows: list[_Row], waiting: list[tuple[str, Object]], coming: Sequence[Coming], now: float
) -> list[str]:  # fmt: skip
    said = [f"{title}: {summary}."]
    for row in rows[:ROWS]:
        inside = ", ".join(f"{who} {number}" for who, number in Counter(who for who, _ in row.pods).most_common(6)) or "empty"
        use = row.used("cpu") / row.room("cpu") if row.room("cpu") else 0.0
        about = ", ".join(part for part in (row.kind, state(row.node, now)) if part)
        said.append(f"{row.name}{f' ({about})' if about else ''}: {inside}; {use:.0%} of CPU requested.")
    said += [f"{count(len(rows) - ROWS, 'more node')} not shown."] if len(rows) > ROWS else []
    said += [f"{one.name} ({one.kind}): asked for, no Node yet." for one in coming]
    groups: dict[str, int] = defaultdict(int)
    for who, _ in waiting:
        groups[who] += 1
    said += [f"Waiting: {', '.join(f'{who} {number}' for who, number in groups.items())}."] if waiting else []
    return said
