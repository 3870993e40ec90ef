"""A sequence diagram from the API server's audit log: who asked it for what, and what it answered."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab_helpers.views import facts
from lab_helpers.views.facts import Object
from lab_helpers.views.palette import BLUE, FAINT, FILL, GREEN, LINE, ORANGE, PURPLE, SKY, VERMILLION
from lab_helpers.views.picture import Canvas, Picture, short, stroke

WIDTH, ROWS, STEP = 960, 40, 26
SERVER = "API server"
_COLOURS = (BLUE, GREEN, PURPLE, ORANGE, SKY, "#7A5195", "#4D8B8B")


@dataclass
class _Row:
    actor: str
    words: str
    code: int
    at: float
    times: int = 1


def actor(event: Object) -> str:
    """Who sent a request, in the field's words: `kubectl`, `replicaset-controller`, `scheduler`, `kwok`."""
    agent = str(event.get("userAgent", ""))
    program, _, rest = agent.partition("/")
    if program == "kube-controller-manager":
        return rest.rpartition("/")[2] if rest.count("/") > 2 else program
    if program == "kube-apiserver":
        return "API server itself"
    name = {"kube-scheduler": "scheduler", "kwok-controller": "KWOK (as kubelet)", "lab": "the lab"}.get(program, program)
    who = event.get("impersonatedUser", {}).get("username")
    return f"{name} as {who}" if who else name or "unknown"


def sequence(events: list[Object], *, title: str = "") -> Picture:
    """Draw audit events, oldest first; at most 40 rows, repeated ones folded into one.

    Args:
        events: audit events of the stage ResponseComplete (audit.k8s.io/v1).
        title: what the picture shows.
    """
    rows = _rows(events)
    hidden = max(0, len(rows) - ROWS)
    rows = rows[:ROWS]
    title = title or "Requests to the API server"
    actors = list(dict.fromkeys(row.actor for row in rows))
    canvas = Canvas(WIDTH, title, _words(title, rows, hidden))
    # People's programs stand left of the API server, the control loops right of it.
    left = [name for name in actors if name.split()[0] in ("kubectl", "the", "curl", "python-requests", "unknown", "Python")]
    order = [*left, SERVER, *(name for name in actors if name not in left)]
    middle = {name: 78 + (WIDTH - 150) * (number + 0.5) / len(order) for number, name in enumerate(order)}
    bottom = 40 + STEP * len(rows) + 6
    for name in order:
        canvas.line(middle[name], 34, middle[name], bottom, f'stroke="{LINE}" fill="none" stroke-dasharray="2 3"')
        wide = min(150.0, (WIDTH - 160) / len(order) - 4)
        canvas.rect(middle[name] - wide / 2, 2, wide, 32, f'fill="{FILL}" stroke="{LINE}"')
        first, _, second = name.rpartition("-") if name.endswith("-controller") else name.partition(" as ")
        second = f"as {second}" if " as " in name else second
        for line, words in enumerate(filter(None, (first, second))):
            y = 16 + 13 * line if second else 22
            canvas.text(middle[name], y, short(words, int(wide / 6.3)), size=12, bold=name == SERVER, anchor="middle")
        canvas.hint(middle[name] - wide / 2, 2, wide, 32, name)
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(actors)}
    for number, row in enumerate(rows):
        _arrow(canvas, row, 40 + STEP * number + 18, middle, colours[row.actor])
    if hidden:
        canvas.text(WIDTH / 2, bottom + 14, f"… and {hidden} more requests", faint=True, anchor="middle")
    return canvas.picture()


def _rows(events: list[Object]) -> list[_Row]:
    if not events:
        return []
    first = facts.seconds(min(event["requestReceivedTimestamp"] for event in events))
    rows: list[_Row] = []
    for event in sorted(events, key=lambda event: str(event["requestReceivedTimestamp"])):
        row = _Row(
            actor(event),
            _request(event),
            int(event.get("responseStatus", {}).get("code", 0)),
            facts.seconds(event["requestReceivedTimestamp"]) - first,
        )
        alike = next((old for old in rows[-6:] if (old.actor, old.words, old.code) == (row.actor, row.words, row.code)), None)
        if alike:
            alike.times += 1
        else:
            rows.append(row)
    return rows


def _request(event: Object) -> str:
    """`create pods/binding web-1`: verb, resource, subresource, name."""
    target = event.get("objectRef", {})
    if not target:
        return f"{event.get('verb', '?')} {event.get('requestURI', '').partition('?')[0]}"
    what = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
    name = target.get("name") or event.get("responseObject", {}).get("metadata", {}).get("name", "")
    if what == "events":  # their names end in a number that tells nobody anything
        name = re.sub(r"\.[0-9a-f]{12,}$", "", name)
    return f"{event.get('verb', '?')} {what} {name}".strip()


def _arrow(canvas: Canvas, row: _Row, y: float, middle: dict[str, float], colour: str) -> None:
    refused = row.code >= 400
    colour = VERMILLION if refused else colour
    start, end = middle[row.actor], middle[SERVER]
    side = 1 if end > start else -1
    look = stroke(colour, 1.6) + (' stroke-dasharray="5 3"' if refused else "")
    canvas.line(start, y, end - side * 7, y, look)
    tip = f"M{end:g} {y:g}l{-side * 8:g} -4v8z"
    canvas.raw(f'<path d="{tip}" fill="{colour}"/>')
    if refused:
        canvas.cross(end - side * 20 - 4, y - 4, 8, 8, stroke(VERMILLION, 2))
    times = f" ×{row.times}" if row.times > 1 else ""
    answer = f"  → {row.code}" if row.code else ""
    words = f"{row.words}{times}{answer}"
    room = int(abs(end - start) / 5.6)
    # A label longer than its arrow goes on beyond the actor's end of it, never over the API server's line.
    anchor = "middle" if len(words) <= room else ("start" if side < 0 else "end")
    place = (start + end) / 2 if anchor == "middle" else end - side * 8 if side < 0 else end - 8
    canvas.text(place, y - 5, short(words, 90), size=11, anchor=anchor)
    canvas.raw(f'<text x="4" y="{y:g}" font-size="10" style="fill:{FAINT}">{row.at * 1000:.0f} ms</text>')


def _words(title: str, rows: list[_Row], hidden: int) -> str:
    said = [f"{title}, {len(rows) + hidden} rows."]
    for row in rows:
        times = f", {row.times} times" if row.times > 1 else ""
        said.append(f"{row.at * 1000:.0f} ms: {row.actor} asks: {row.words}; answer {row.code}{times}.")
    if hidden:
        said.append(f"{hidden} more.")
    return " ".join(said)
