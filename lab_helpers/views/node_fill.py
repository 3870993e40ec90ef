"""How full nodes are: what Pods request against what a node has to give, for CPU, memory and Pods."""

from __future__ import annotations

from collections import defaultdict

from lab_helpers.views import facts
from lab_helpers.views.facts import Object
from lab_helpers.views.palette import BLUE, FILL, LINE, ORANGE, VERMILLION
from lab_helpers.views.picture import Canvas, Picture, short, solid

WIDTH, ROWS = 960, 30
_RESOURCES = ("cpu", "memory", "pods")


def node_fill(nodes: list[Object], pods: list[Object], *, title: str = "", namespace: str | None = None) -> Picture:
    """Draw a row of three bars for each node, the fullest nodes first (at most 30).

    Args:
        nodes, pods: objects as the API lists them.
        title: what the picture shows; "Requests against allocatable" if empty.
        namespace: count only its Pods; None: all of them, as the scheduler does.
    """
    title = title or "Requests against allocatable"
    placed: dict[str, list[Object]] = defaultdict(list)
    for pod in pods if namespace is None else facts.visible(pods, namespace):
        if facts.state(pod) not in ("Succeeded", "Failed"):
            placed[pod.get("spec", {}).get("nodeName", "")].append(pod)
    rows = [(str(node["metadata"]["name"]), _shares(node, placed[node["metadata"]["name"]])) for node in nodes]
    rows.sort(key=lambda row: (-max(used / max(room, 1e-9) for used, room in row[1].values()), row[0]))
    said = [f"{name}: {'; '.join(_text(kind, *shares[kind]) for kind in _RESOURCES)}." for name, shares in rows[:ROWS]]
    more = f" {len(rows) - ROWS} more nodes are not shown." if len(rows) > ROWS else ""
    canvas = Canvas(WIDTH, title, f"{title}. {' '.join(said)}{more}")
    column, left = 262, 166
    for number, kind in enumerate(("CPU (cores)", "memory", "Pods")):
        canvas.text(left + number * column, 14, kind, size=12, bold=True)
    for line, (name, shares) in enumerate(rows[:ROWS]):
        y = 24 + line * 26
        canvas.text(2, y + 14, short(name, 22), size=12, bold=True)
        for number, kind in enumerate(_RESOURCES):
            _bar(canvas, left + number * column, y, *shares[kind], kind)
    bottom = 24 + min(len(rows), ROWS) * 26 + 16
    entries = [(solid(BLUE), "requested"), (solid(ORANGE), "over 90 %"), (f'fill="{FILL}" stroke="{LINE}"', "free")]
    canvas.legend(2, bottom, entries)
    if more:
        canvas.text(WIDTH - 4, bottom, more.strip(), faint=True, anchor="end")
    return canvas.picture()


def _shares(node: Object, pods: list[Object]) -> dict[str, tuple[float, float]]:
    """resource → (requested, allocatable), in cores, bytes and Pods."""
    room = node.get("status", {}).get("allocatable", {})
    used = {kind: sum(facts.requests(pod, kind) for pod in pods) for kind in ("cpu", "memory")}
    used["pods"] = float(len(pods))
    return {kind: (used[kind], facts.quantity(room.get(kind, "0"))) for kind in _RESOURCES}


def _bar(canvas: Canvas, x: float, y: float, used: float, room: float, kind: str) -> None:
    wide = 130
    share = used / room if room else 0.0
    canvas.rect(x, y + 3, wide, 14, f'fill="{FILL}" stroke="{LINE}"')
    colour = VERMILLION if share > 1 else ORANGE if share > 0.9 else BLUE
    if share > 0:
        canvas.rect(x, y + 3, max(1.0, wide * min(1.0, share)), 14, solid(colour))
    canvas.text(x + wide + 6, y + 14, _text(kind, used, room), size=11)


def _text(kind: str, used: float, room: float) -> str:
    if kind == "memory":
        return f"{facts.size(used)} of {facts.size(room)}"
    unit = "cores" if kind == "cpu" else "Pods"
    return f"{used:.3g} of {room:g} {unit}"
