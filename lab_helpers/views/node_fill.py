"""How full nodes are: what Pods request against what a node has to give, for CPU, memory and Pods."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from lab_helpers.views import facts
from lab_helpers.views.facts import Object
from lab_helpers.views.palette import GREY, HOLLOW, LINE, PAPER, VERMILLION, Owner, owners
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, count, fit, hollow, labels, solid, stroke
from lab_helpers.views.tiles import legend

WIDTH, ROWS, HIGH = 960, 30, 27
LEFT, COLUMN, BAR = 172, 264, 142
PARTS = 60  # a bar of more Pods than these is not divided
_RESOURCES = {"cpu": "CPU", "memory": "memory", "pods": "Pods"}

Share = tuple[str, dict[str, float]]
"""One Pod: its owner and what it requests, in cores, bytes and Pods."""


@dataclass
class _Row:
    name: str
    shares: list[Share]
    room: dict[str, float]
    used: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        # Forty times 0.1 cores are 4 cores, not 4.000000000000002.
        self.used = {kind: round(sum(amounts[kind] for _, amounts in self.shares), 6) for kind in _RESOURCES}

    def fullness(self) -> float:
        return max(self.used[kind] / self.room[kind] if self.room[kind] else 0.0 for kind in _RESOURCES)


def node_fill(nodes: list[Object], pods: list[Object], *, title: str = "", namespace: str | None = None) -> Picture:
    """Draw three bars for each node, divided by Pod, the fullest nodes first (at most 30); below, what waits for a node.

    Args:
        nodes, pods: objects as the API lists them.
        title: what the picture shows; "Requests against allocatable" if empty.
        namespace: count only its Pods; None: all of them, as the scheduler does.
    """
    counted = [pod for pod in pods if not namespace or pod["metadata"].get("namespace") == namespace]
    counted = [pod for pod in counted if not facts.ended(pod)]
    placed: dict[str, list[Share]] = defaultdict(list)
    pairs = list(zip(facts.owners(counted), counted, strict=True))
    looks = owners(who for who, pod in sorted(pairs, key=lambda pair: str(pair[1]["metadata"].get("creationTimestamp", ""))))
    for who, pod in sorted(pairs, key=lambda pair: pair[0]):
        amounts = {"cpu": facts.requests(pod, "cpu"), "memory": facts.requests(pod, "memory"), "pods": 1.0}
        placed[pod.get("spec", {}).get("nodeName", "")].append((who, amounts))
    waiting = placed.pop("", [])
    rows = [_Row(str(node["metadata"]["name"]), placed.get(node["metadata"]["name"], []), _room(node)) for node in nodes]
    rows.sort(key=lambda row: (-row.fullness(), row.name))
    total = _Row("all nodes", [share for row in rows for share in row.shares], _sum([row.room for row in rows]))
    canvas = Canvas(WIDTH, title or "Requests against allocatable")
    over = sum(row.fullness() > 1 for row in rows)
    top = canvas.heading(_summary(rows, total, over))
    shown = [*([total] if len(rows) > 1 else []), *rows[:ROWS]]
    short = labels([row.name for row in rows], LEFT - 10, 12) | {total.name: total.name}
    for number, kind in enumerate(_RESOURCES.values()):
        canvas.text(LEFT + number * COLUMN, top + 14, kind, bold=True)
    for line, row in enumerate(shown):
        y = top + 20 + line * HIGH
        canvas.text(2, y + 14, short[row.name], bold=row is not total, faint=row is total)
        for number, kind in enumerate(_RESOURCES):
            _bar(canvas, LEFT + number * COLUMN, y, row, kind, looks)
    bottom = top + 20 + len(shown) * HIGH
    if len(rows) > ROWS:
        canvas.text(2, bottom + 12, f"{count(len(rows) - ROWS, 'emptier node')} not shown", faint=True)
        bottom += 20
    if waiting:
        _waiting(canvas, bottom + 4, waiting, rows, looks)
        bottom += HIGH + 4
    _legend(canvas, bottom + 20, looks, over)
    return canvas.picture(_words(canvas.title, rows, total, waiting))


def _room(node: Object) -> dict[str, float]:
    room = node.get("status", {}).get("allocatable") or {}
    return {kind: facts.quantity(room.get(kind, "0")) for kind in _RESOURCES}


def _sum(many: list[dict[str, float]]) -> dict[str, float]:
    return {kind: sum(one[kind] for one in many) for kind in _RESOURCES}


def _bar(canvas: Canvas, x: float, y: float, row: _Row, kind: str, looks: dict[str, Owner]) -> None:
    used, room = row.used[kind], row.room[kind]
    canvas.rect(x, y + 3, BAR, 15, f'fill="{HOLLOW}" stroke="{LINE}"', BACK)
    # What is over goes past the bar's end; the whole is shrunk where it would leave the column.
    scale = BAR / room if room and used <= room * 1.1 else BAR * 1.1 / used if used else 0.0
    _parts(canvas, x, y + 3, row.shares, kind, scale, looks)
    if used > room:
        end = x + room * scale
        canvas.line(end, y, end, y + 21, stroke(VERMILLION, 2), MARK)
    words = amount(kind, used, room)
    place = x + max(BAR, used * scale) + 6
    canvas.text(place, y + 15, f"{words} ▲" if used > room else words, size=11, bold=used > room)


def _parts(
    canvas: Canvas, x: float, y: float, shares: list[Share], kind: str, scale: float, looks: dict[str, Owner],
    waits: bool = False,
) -> None:  # fmt: skip
    """A bar's inside: one part for each Pod, so that one sees what would still fit."""
    if len(shares) > PARTS:
        joined: dict[str, float] = defaultdict(float)
        for who, amounts in shares:
            joined[who] += amounts[kind]
        parts = list(joined.items())
    else:
        parts = [(who, amounts[kind]) for who, amounts in shares]
    for who, size in parts:
        width = size * scale
        if waits:
            outline = hollow(looks[who].colour) if width > 8 else stroke(looks[who].colour, 0.8)
            canvas.rect(x + 0.7, y + 0.7, max(1.0, width - 1.4), 13.6, outline)
        elif width:
            canvas.rect(x, y, max(0.5, width - (1 if width > 3 else 0)), 15, solid(looks[who].colour))
            if width > 12 and looks[who].letter:
                canvas.letter(x + width / 2 - 0.5, y + 11, looks[who].letter, looks[who].ink)
        x += width


def _waiting(canvas: Canvas, y: float, waiting: list[Share], rows: list[_Row], looks: dict[str, Owner]) -> None:
    """What Pods without a node ask for, on the scale of the largest node: what does not fit is seen."""
    canvas.text(2, y + 14, f"no node yet: {count(len(waiting), 'Pod')}", bold=True)
    for number, kind in enumerate(_RESOURCES):
        largest = max((row.room[kind] for row in rows), default=0.0)
        asked = sum(amounts[kind] for _, amounts in waiting)
        x = LEFT + number * COLUMN
        scale = min(BAR / largest, BAR * 1.1 / asked) if largest and asked else BAR / asked if asked else 0.0
        _parts(canvas, x, y + 3, waiting, kind, scale, looks, waits=True)
        canvas.text(x + max(BAR, asked * scale) + 6, y + 15, _asked(kind, asked), size=11)


def _legend(canvas: Canvas, y: float, looks: dict[str, Owner], over: int) -> None:
    entries: list[tuple[str, Owner | str, str]] = [
        (fit(name, 200, 12), look, "Running") for name, look in looks.items() if look.colour != GREY
    ]
    if rest := [look for look in looks.values() if look.colour == GREY]:
        entries.append((count(len(rest), "more owner"), rest[0], "Running"))
    entries.append(("free", f'fill="{HOLLOW}" stroke="{LINE}"', ""))
    if over:
        entries.append(("▲ over: more than there is", f'fill="{PAPER}" stroke="{VERMILLION}" stroke-width="2"', ""))
    legend(canvas, 2, y, entries)


def amount(kind: str, used: float, room: float) -> str:
    """`2 of 4 cores`, `1.5 of 16 GiB`, `3 of 110 Pods`."""
    if kind == "memory":
        whole, mine = facts.size(room), facts.size(used)
        number, _, unit = mine.partition(" ")
        return f"{number} of {whole}" if whole.endswith(f" {unit}") else f"{mine} of {whole}"
    return f"{used:.4g} of {room:.6g} {'cores' if kind == 'cpu' else 'Pods'}"


def _asked(kind: str, asked: float) -> str:
    return facts.size(asked) if kind == "memory" else f"{asked:.4g} {'cores' if kind == 'cpu' else 'Pods'}"


def _summary(rows: list[_Row], total: _Row, over: int) -> str:
    if not rows:
        return "There is no node."
    parts = [f"{total.used[kind] / total.room[kind]:.0%} of {name}" for kind, name in _RESOURCES.items() if total.room[kind]]
    return f"{count(len(rows), 'node')}: {', '.join(parts)}" + (f"; {count(over, 'node')} over" if over else "")


def _words(title: str, rows: list[_Row], total: _Row, waiting: list[Share]) -> list[str]:
    said = [f"{title}. {count(len(rows), 'node')}, the fullest first."]
    for row in [*rows[:ROWS], *([total] if len(rows) > 1 else [])]:
        parts = [amount(kind, row.used[kind], row.room[kind]) + (" (over)" if row.used[kind] > row.room[kind] else "")
                 for kind in _RESOURCES]  # fmt: skip
        said.append(f"{row.name}: {'; '.join(parts)}.")
    if len(rows) > ROWS:
        said.append(f"{count(len(rows) - ROWS, 'emptier node')} not shown.")
    if waiting:
        asked = [_asked(kind, sum(amounts[kind] for _, amounts in waiting)) for kind in ("cpu", "memory")]
        said.append(f"No node yet: {count(len(waiting), 'Pod')} ({', '.join(asked)}).")
    return said
