"""One node of the cluster map: its caption, its fill, its words."""

from __future__ import annotations

from collections import Counter

from lab_helpers.views import facts
from lab_helpers.views.facts import Object
from lab_helpers.views.palette import VERMILLION, Owner
from lab_helpers.views.picture import Canvas, count, fit, solid, wide


def draw_node(
    canvas: Canvas, node: Object, x: float, y: float, width: float, label: str, taken: int, now: float, named: bool
) -> None:
    """A node's caption: its name and, where there is room, its state, zone, taints and size."""
    name = str(node["metadata"]["name"])
    troubled = facts.not_ready_since(node) is not None or bool(node.get("spec", {}).get("unschedulable"))
    room = facts.quantity(node.get("status", {}).get("allocatable", {}).get("pods", "0"))
    if named:
        places = f"{taken} of {room:g} Pods" if room else ""
        canvas.text(x + width - 7, y + 16, places, size=11, faint=True, anchor="end")
        canvas.text(x + 7, y + 16, fit(label, width - 24 - wide(places, 11), 13, True), size=13, bold=True)
        canvas.text(x + 7, y + 32, _fitting(notes(node, now), width - 14), size=11, faint=not troubled)
    else:
        canvas.text(x + 5, y + 12, fit(label, width - 8, 10, True), size=10, bold=troubled)
    canvas.hint(x, y, width, 36 if named else 16, " · ".join([name, *notes(node, now), f"{taken} of {room:g} Pods"]))


def _fitting(parts: list[str], pixels: float) -> str:
    """As many whole notes as there is room for: the first ones matter most."""
    while len(parts) > 1 and wide(" · ".join(parts), 11) > pixels:
        parts = parts[:-1]
    return fit(" · ".join(parts), pixels, 11)


def notes(node: Object, now: float) -> list[str]:
    """What is to be said of a node, the most important first."""
    lost = facts.not_ready_since(node)
    said = [f"NotReady for {facts.lasting(max(0.0, now - lost))}"] if lost is not None else []
    if node.get("spec", {}).get("unschedulable"):
        said.append("cordoned")
    if zone := (node["metadata"].get("labels") or {}).get("topology.kubernetes.io/zone"):
        said.append(f"zone {zone}")
    # Taints that say NotReady and cordoned once more are said already.
    taints = [taint for taint in node.get("spec", {}).get("taints") or [] if not taint["key"].startswith("node.kubernetes.io/")]
    said += [f"taint {taint['key']}" for taint in taints]
    room = node.get("status", {}).get("allocatable") or {}
    if "cpu" in room and "memory" in room:
        cores = facts.quantity(room["cpu"])
        said.append(f"{cores:g} core{'' if cores == 1 else 's'}, {facts.size(facts.quantity(room['memory']))}")
    return said


def gauge(
    canvas: Canvas, x: float, y: float, side: float, pods: list[tuple[str, str]], looks: dict[str, Owner], full: int
) -> None:
    """A node's Pods as one fill from below, a band for each owner; `full` Pods, or more, fill the box."""
    bands = Counter("" if state == "Failed" else owner for owner, state in pods)
    bottom = y + side - 1
    for owner, number in bands.items():
        high = (side - 2) * number / max(full, len(pods))
        bottom -= high
        canvas.rect(x + 1, bottom, side - 2, high, solid(looks[owner].colour if owner else VERMILLION))


def node_words(node: Object, owners: list[str], now: float) -> str:
    """A node in words: `node-1 (zone a, 4 cores, 16 GiB): 5 Pods (web 3, api 2).`"""
    about = ", ".join(notes(node, now))
    inside = ", ".join(f"{who} {number}" for who, number in Counter(owners).most_common(6))
    name = f"{node['metadata']['name']}{f' ({about})' if about else ''}"
    return f"{name}: {count(len(owners), 'Pod')}{f' ({inside})' if inside else ''}."
