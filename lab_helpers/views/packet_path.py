"""The path of one request to a Service: who sent it, who changed its addresses, who got it, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab_helpers.views.palette import BLUE, FAINT, GREEN, GREY, HOLLOW, LINE, ORANGE
from lab_helpers.views.picture import BACK, BODY, MARK, Canvas, Picture, fit, solid, stroke

WIDTH = 960
_BOX, _STEP = 190, 58
_X = (16, 360, 744)  # left edges of the three columns: client, rules, endpoints


@dataclass(frozen=True)
class Leg:
    """One stretch of the way: the addresses that the packet carries there, as `ip:port`."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


@dataclass(frozen=True)
class Party:
    """Somebody on the way.

    Attributes:
        name: for instance `Pod client`.
        place: where it is: a node's name, or this machine.
        note: a line below, for instance its address.
    """

    name: str
    place: str
    note: str = ""


@dataclass(frozen=True)
class Way:
    """The four stretches: as the client sent it, as it arrived, as it was answered, as the answer came back."""

    sent: Leg
    arrived: Leg
    answered: Leg
    returned: Leg


def packet_path(client: Party, rules: Party, endpoints: Sequence[Party], chosen: int, way: Way, *, title: str = "") -> Picture:
    """Draw one request.

    Args:
        client: who asked.
        rules: what chooses an endpoint and rewrites addresses.
        endpoints: everybody who could have got it.
        chosen: which of them did, counted from 0.
        way: the packet's addresses on each stretch.
    """
    canvas = Canvas(WIDTH, title or "The path of one request")
    top = canvas.heading(f"{way.sent.target} becomes {way.arrived.target}") + 8
    # The chosen one first, so that the thick line is the straight one.
    others = [party for number, party in enumerate(endpoints) if number != chosen]
    rows = [endpoints[chosen], *others[:5]]
    middle = top + 48
    for x, party in zip(_X[:2], (client, rules), strict=True):
        _box(canvas, party, x, middle - 32, BLUE if x == _X[0] else ORANGE)
    for number, party in enumerate(rows):
        y = middle + number * _STEP + (28 if number else 0)
        _box(canvas, party, _X[2], y - 32, GREEN if not number else GREY)
        if number:
            canvas.line(_X[1] + _BOX / 2, y - 6, _X[2], y - 6, stroke(LINE, 1, "2 3"), BACK)
    if len(rows) > 1:
        lowest = middle + (len(rows) - 1) * _STEP + 22
        canvas.line(_X[1] + _BOX / 2, middle + 20, _X[1] + _BOX / 2, lowest, stroke(LINE, 1, "2 3"), BACK)
        canvas.text(_X[1] + _BOX / 2 + 8, lowest - 6, "might have been chosen", size=11, faint=True)
        if len(others) > 5:
            canvas.text(_X[2], lowest + 44, f"and {len(others) - 5} more", faint=True)
    _legs(canvas, way, middle)
    return canvas.picture(_words(canvas.title, client, rules, rows, way))


def _box(canvas: Canvas, party: Party, x: float, y: float, colour: str) -> None:
    canvas.rect(x, y, _BOX, 52, f'fill="{HOLLOW}" stroke="{colour}" stroke-width="2"', BODY)
    canvas.text(x + 10, y + 17, fit(party.name, _BOX - 16, 12, True), bold=True)
    canvas.text(x + 10, y + 32, fit(party.place, _BOX - 16, 11), size=11)
    canvas.text(x + 10, y + 46, fit(party.note, _BOX - 16, 11), size=11, faint=True)


def _legs(canvas: Canvas, way: Way, middle: float) -> None:
    gaps = ((_X[0] + _BOX, _X[1]), (_X[1] + _BOX, _X[2]))
    for (left, right), there, back in zip(gaps, (way.sent, way.arrived), (way.returned, way.answered), strict=True):
        _arrow(canvas, left, right, middle - 14)
        _says(canvas, (left + right) / 2, middle - 42, there)
        _arrow(canvas, right, left, middle + 12, "5 3")
        _says(canvas, (left + right) / 2, middle + 28, back)


def _arrow(canvas: Canvas, start: float, end: float, y: float, dash: str = "") -> None:
    side = 1 if end > start else -1
    canvas.line(start + side * 4, y, end - side * 9, y, stroke(BLUE, 2, dash))
    canvas.path(f"M{end - side * 3:.5g} {y:.5g}l{-side * 9} -4.5v9z", solid(BLUE), MARK)


def _says(canvas: Canvas, x: float, y: float, leg: Leg) -> None:
    canvas.text(x, y, f"from {leg.source}", size=10, anchor="middle", colour=FAINT)
    canvas.text(x, y + 14, f"to {leg.target}", size=10, anchor="middle", bold=True)


def _words(title: str, client: Party, rules: Party, rows: Sequence[Party], way: Way) -> list[str]:
    said = [
        f"{title}.",
        f"{client.name} ({client.place}) sends {way.sent}.",
        f"{rules.name} ({rules.place}) makes of it {way.arrived}.",
        f"{rows[0].name} ({rows[0].place}) answers {way.answered}.",
        f"{rules.name} turns it back: {way.returned}.",
    ]
    if len(rows) > 1:
        said.append(f"It could have been: {', '.join(f'{row.name} ({row.note})' for row in rows[1:])}.")
    return said
