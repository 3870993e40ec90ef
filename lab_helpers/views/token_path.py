"""The way of one request into an EKS cluster: from the program that asks to the name that the API server writes down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab_helpers.views.palette import BLUE, GREEN, HOLLOW, LINE, ORANGE, SKY, VERMILLION, VIOLET
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, fit, solid, stroke

WIDTH, CLOCK, SOURCE, STEP = 960, 66, 138, 34
PARTIES = ("kubectl", "aws eks get-token", "API server", "authenticator", "STS")
_COLOURS = dict(zip(PARTIES, (BLUE, SKY, VIOLET, GREEN, ORANGE), strict=True))
_SECOND = {"aws eks get-token": "the exec plugin", "authenticator": "the API server's webhook", "STS": "AWS"}


@dataclass(frozen=True)
class Message:
    """One arrow.

    Attributes:
        source, target: two of PARTIES, or twice the same: what somebody does alone.
        words: what is said.
        log: where it is written.
        at: seconds since the API server received the request; None where no log has the moment.
        refused: it says no.
    """

    source: str
    target: str
    words: str
    log: str
    at: float | None = None
    refused: bool = False


def token_path(messages: Sequence[Message], *, title: str = "", summary: str = "") -> Picture:
    """Draw one request's way, message by message.

    Args:
        messages: in their order.
        title: what was asked.
        summary: how it ended.
    """
    canvas = Canvas(WIDTH, title or "The way of one request")
    top = canvas.heading(summary) + 6
    places = {name: CLOCK + 66 + number * 166.0 for number, name in enumerate(PARTIES)}
    bottom = top + 38 + STEP * len(messages) + 10
    for name, x in places.items():
        canvas.line(x, top + 38, x, bottom, stroke(LINE, 1, "2 3"), BACK)
        canvas.rect(x - 64, top, 128, 38, f'fill="{HOLLOW}" stroke="{_COLOURS[name]}" stroke-width="1.5"', BACK)
        second = _SECOND.get(name, "")
        canvas.text(x, top + (16 if second else 23), fit(name, 122, 12, True), bold=True, anchor="middle")
        canvas.text(x, top + 31, second, size=10, faint=True, anchor="middle")
    for number, message in enumerate(messages):
        y = top + 38 + STEP * (number + 1) - 6
        _arrow(canvas, message, y, places)
        if message.at is not None:
            canvas.text(CLOCK - 8, y + 3, f"{message.at * 1000:.0f} ms", size=10, faint=True, anchor="end")
        canvas.text(WIDTH - 2, y + 3, fit(message.log, SOURCE, 10), size=10, faint=True, anchor="end")
    return canvas.picture(_words(canvas.title, summary, messages))


def _arrow(canvas: Canvas, message: Message, y: float, places: dict[str, float]) -> None:
    start, end = places[message.source], places[message.target]
    colour = VERMILLION if message.refused else _COLOURS[message.source]
    left, side = min(start, end), 1 if end > start else -1
    if start == end:
        canvas.path(f"M{start - 4:.5g} {y - 4:.5g}h8v8h-8z", solid(colour), MARK)
    else:
        canvas.line(start, y, end - side * 9, y, stroke(colour, 1.8, "5 3" if message.refused else ""))
        canvas.path(f"M{end - side * 2:.5g} {y:.5g}l{-side * 9} -4.5v9z", solid(colour), MARK)
    if message.refused:
        x = (start + end) / 2 if start != end else start + 12
        canvas.path(f"M{x - 4:.5g} {y - 4:.5g}l8 8M{x + 4:.5g} {y - 4:.5g}l-8 8", stroke(VERMILLION, 2.5), MARK)
    room = WIDTH - SOURCE - left - 14
    shown = fit(message.words, room, 11, message.refused)
    canvas.text(left + 8, y - 7, shown, size=11, bold=message.refused)
    if shown != message.words:
        canvas.hint(left, y - 18, room, 16, message.words)


def _words(title: str, summary: str, messages: Sequence[Message]) -> list[str]:
    said = [f"{title}: {summary}" if summary else f"{title}."]
    for number, message in enumerate(messages, 1):
        who = message.source if message.source == message.target else f"{message.source} → {message.target}"
        when = "" if message.at is None else f" after {message.at * 1000:.0f} ms"
        said.append(f"{number}. {who}{when}: {message.words} ({message.log})")
    return said
