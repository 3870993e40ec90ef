"""The cluster map: nodes as boxes, Pods as tiles coloured by their owner, pending ones aside with the scheduler's reasons."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from lab_helpers.views import facts
from lab_helpers.views.facts import Object
from lab_helpers.views.palette import FILL, LINE, ORANGE, VERMILLION, owner_colours
from lab_helpers.views.picture import Canvas, Picture, faded, hollow, short, solid, stroke

WIDTH = 960


@dataclass(frozen=True)
class _Scale:
    """How large things are drawn; the picture stays legible from 1 to 1,000 nodes."""

    tile: float
    gap: float
    columns: int  # tiles in a row of a node
    head: float  # height of a node's caption
    space: float  # between nodes


_LARGE = _Scale(16, 4, 8, 38, 12)
_MIDDLE = _Scale(8, 2, 8, 18, 8)
_SMALL = _Scale(4, 1, 5, 0, 3)


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
    pods = facts.visible(pods, namespace)
    nodes = sorted(nodes, key=lambda node: str(node["metadata"]["name"]))
    placed: dict[str, list[Object]] = defaultdict(list)
    for pod in pods:
        placed[pod.get("spec", {}).get("nodeName", "")].append(pod)
    waiting = placed.pop("", [])
    colours = owner_colours(facts.owner(pod) for pod in pods)
    alt = _words(nodes, placed, waiting, title or "Cluster", now)
    canvas = Canvas(WIDTH, title or "Cluster", alt)
    scale = _LARGE if len(nodes) <= 16 else _MIDDLE if len(nodes) <= 120 else _SMALL
    bottom = _nodes(canvas, nodes, placed, colours, scale, now)
    if waiting:
        bottom = _waiting(canvas, waiting, colours, bottom + 14)
    _legend(canvas, pods, colours, nodes, bottom + 16)
    return canvas.picture()


def _nodes(
    canvas: Canvas, nodes: list[Object], placed: dict[str, list[Object]], colours: dict[str, str], scale: _Scale, now: float
) -> float:
    """Draw every node in a grid; the y below them."""
    most = max((len(placed[node["metadata"]["name"]]) for node in nodes), default=0)
    columns = scale.columns
    if most > columns * columns and scale is not _SMALL:
        columns = min(20, round(most**0.5) + 1)
    step = scale.tile + scale.gap
    # Room for as many Pods as the fullest node has, so that full and empty are told apart at a glance.
    rows = max(1, -(-most // columns))
    wide, high = columns * step + scale.gap + 6, scale.head + rows * step + scale.gap + 6
    if scale is _LARGE:
        wide = max(wide, 176)
    across = max(1, int((WIDTH + scale.space) // (wide + scale.space)))
    y = 2.0
    for number, node in enumerate(nodes):
        x = 1 + (number % across) * (wide + scale.space)
        y = 2 + (number // across) * (high + scale.space)
        _node(canvas, node, x, y, wide, high, scale, now)
        mine = sorted(placed[node["metadata"]["name"]], key=lambda pod: (facts.owner(pod), pod["metadata"]["name"]))
        for place, pod in enumerate(mine):
            left = x + 3 + scale.gap + (place % columns) * step
            top = y + scale.head + 3 + scale.gap + (place // columns) * step
            _tile(canvas, pod, left, top, scale.tile, colours, words=scale is _LARGE)
    return y + high if nodes else 20.0


def _node(canvas: Canvas, node: Object, x: float, y: float, wide: float, high: float, scale: _Scale, now: float) -> None:
    name = node["metadata"]["name"]
    lost = facts.not_ready_since(node)
    cordoned = node.get("spec", {}).get("unschedulable", False)
    edge = VERMILLION if lost is not None else ORANGE if cordoned else LINE
    dash = ' stroke-dasharray="5 3"' if lost is not None or cordoned else ""
    canvas.rect(x, y, wide, high, f'fill="{FILL}" stroke="{edge}" stroke-width="{1 if edge == LINE else 2}"{dash}')
    if scale is _LARGE:
        canvas.text(x + 8, y + 16, short(name, int(wide / 7.6)), size=13, bold=True)
        canvas.text(x + 8, y + 31, short(_note(node, lost, now), int(wide / 6.6)), size=11, faint=edge == LINE)
    elif scale is _MIDDLE:
        canvas.text(x + 4, y + 13, short(name, int(wide / 6)), size=10)
    canvas.hint(x, y, wide, scale.head or high, f"{name}: {_note(node, lost, now)}")


def _note(node: Object, lost: float | None, now: float) -> str:
    labels = node["metadata"].get("labels", {})
    said = [f"NotReady {max(0, now - lost):.0f} s"] if lost is not None else []
    if node.get("spec", {}).get("unschedulable"):
        said.append("cordoned")
    if zone := labels.get("topology.kubernetes.io/zone"):
        said.append(f"zone {zone}")
    said += [f"taint {taint['key']}" for taint in _taints(node)]
    room = node.get("status", {}).get("allocatable", {})
    if room and lost is None:
        said.append(f"{facts.quantity(room.get('cpu', 0)):g} cores, {facts.size(facts.quantity(room.get('memory', 0)))}")
    return " · ".join(said)


def _taints(node: Object) -> list[Object]:
    # Those that say NotReady and cordoned once more are said already.
    return [t for t in node.get("spec", {}).get("taints", []) if not t["key"].startswith("node.kubernetes.io/")]


def _tile(canvas: Canvas, pod: Object, x: float, y: float, tile: float, colours: dict[str, str], words: bool) -> None:
    colour, state = colours[facts.owner(pod)], facts.state(pod)
    if state == "Failed":
        canvas.rect(x, y, tile, tile, solid(VERMILLION))
        canvas.cross(x, y, tile, tile, stroke("#fff", 1.2))
    elif state in ("Terminating", "Succeeded"):
        canvas.rect(x, y, tile, tile, faded(colour))
    elif state == "Pending":  # bound to a node, not running yet
        canvas.rect(x, y, tile, tile, hollow(colour))
    else:
        canvas.rect(x, y, tile, tile, solid(colour))
    if words:
        canvas.hint(x, y, tile, tile, f"{pod['metadata']['name']}: {state}")


def _waiting(canvas: Canvas, waiting: list[Object], colours: dict[str, str], y: float) -> float:
    """Draw the Pods that have no node, and why; the y below them."""
    tile, gap = (16.0, 4.0) if len(waiting) <= 120 else (6.0, 2.0)
    columns = int((WIDTH - 20) // (tile + gap))
    why = facts.reasons(waiting)[:4]
    rows = -(-len(waiting) // columns)
    high = 26 + rows * (tile + gap) + 16 * len(why) + 8
    canvas.rect(1, y, WIDTH - 2, high, f'fill="none" stroke="{ORANGE}" stroke-dasharray="5 3" stroke-width="1.5"')
    canvas.text(10, y + 17, f"Pending, no node yet: {len(waiting)}", size=13, bold=True)
    for place, pod in enumerate(sorted(waiting, key=facts.owner)):
        left, top = 10 + (place % columns) * (tile + gap), y + 26 + (place // columns) * (tile + gap)
        canvas.rect(left, top, tile, tile, hollow(colours[facts.owner(pod)]))
        if tile > 10:
            canvas.hint(left, top, tile, tile, f"{pod['metadata']['name']}: {facts.reason(pod) or 'Pending'}")
    for number, (words, count) in enumerate(why):
        line = y + 26 + rows * (tile + gap) + 14 + 16 * number
        canvas.text(10, line, short(f"{_count(count, 'Pod')}: {words}", 130), size=12)
    return y + high


def _legend(canvas: Canvas, pods: list[Object], colours: dict[str, str], nodes: list[Object], y: float) -> None:
    counts = Counter(facts.owner(pod) for pod in pods)
    entries = [(solid(colours[name]), f"{short(name, 28)} ({counts[name]})") for name, _ in counts.most_common(8)]
    if len(counts) > 8:
        entries.append((faded("#888"), f"{len(counts) - 8} more owners"))
    states = {facts.state(pod) for pod in pods}
    if "Pending" in states:
        entries.append((hollow("#888"), "dashed: Pending"))
    if states & {"Terminating", "Succeeded"}:
        entries.append((faded("#888"), "faded: ending or completed"))
    if "Failed" in states:
        entries.append((solid(VERMILLION), "crossed: failed"))
    if any(node["metadata"].get("annotations", {}).get("kwok.x-k8s.io/node") for node in nodes):
        entries.append((f'fill="{FILL}" stroke="{LINE}"', "nodes simulated by KWOK"))
    canvas.legend(2, y + 8, entries)


def _words(nodes: list[Object], placed: dict[str, list[Object]], waiting: list[Object], title: str, now: float) -> str:
    """The picture in words."""
    total = sum(len(some) for some in placed.values())
    said = [f"{title}: {_count(len(nodes), 'node')}, {_count(total + len(waiting), 'Pod')}."]
    for node in nodes if len(nodes) <= 30 else []:
        name = node["metadata"]["name"]
        owners = Counter(facts.owner(pod) for pod in placed[name])
        inside = ", ".join(f"{who} {count}" for who, count in owners.most_common(6)) or "empty"
        lost = facts.not_ready_since(node)
        state = f" NotReady {max(0, now - lost):.0f} s," if lost is not None else ""
        state += " cordoned," if node.get("spec", {}).get("unschedulable") else ""
        said.append(f"{name}:{state} {_count(len(placed[name]), 'Pod')} ({inside}).")
    if len(nodes) > 30:
        lost_count = sum(facts.not_ready_since(node) is not None for node in nodes)
        fullest = max(len(placed[node["metadata"]["name"]]) for node in nodes)
        said.append(f"The fullest node holds {_count(fullest, 'Pod')}; {lost_count} nodes are not Ready.")
    if waiting:
        why = "; ".join(words for words, _ in facts.reasons(waiting)[:4])
        said.append(f"Pending without a node: {len(waiting)} ({why}).")
    return " ".join(said)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
