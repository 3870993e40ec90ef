"""A sequence diagram from the API server's audit log: who asked it for what, and what it answered."""

from __future__ import annotations

from collections import Counter

from lab_helpers.views.audit_rows import SERVER, Row, is_loop, rows_of
from lab_helpers.views.facts import Object
from lab_helpers.views.palette import BLUE, GREEN, GREY, HOLLOW, LINE, OLIVE, PINK, SKY, VERMILLION, VIOLET
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, count, fit, solid, stroke, wide

WIDTH, ROWS, STEP = 960, 40, 27
CLOCK = 62  # the column of times
LOOPS = 6  # more control loops than these are drawn as one
_COLOURS = (BLUE, GREEN, PINK, SKY, VIOLET, OLIVE, GREY)


def sequence(events: list[Object], *, title: str = "") -> Picture:
    """Draw audit events, oldest first; at most 40 rows, repeated ones folded into one.

    People's programs stand left of the API server, the control loops right of it: all of them speak with it alone.

    Args:
        events: audit events (audit.k8s.io/v1) as the API server's log writes them.
        title: what the picture shows.
    """
    rows = rows_of(events, ROWS)
    hidden = sum(row.times for row in rows[ROWS:])
    rows = rows[:ROWS]
    canvas = Canvas(WIDTH, title or "Requests to the API server")
    refused = sum(row.times for row in rows if row.refused)
    summary = f"{count(sum(row.times for row in rows), 'request')}, {refused} refused" if rows else "There is no request."
    top = canvas.heading(summary)
    if rows:
        _draw(canvas, rows, top + 6, hidden)
    return canvas.picture(_words(canvas.title, summary, rows, hidden))


def _draw(canvas: Canvas, rows: list[Row], top: float, hidden: int) -> None:
    busy = Counter(row.actor for row in rows if is_loop(row.actor))
    kept = [name for name, _ in busy.most_common(LOOPS if len(busy) <= LOOPS else LOOPS - 1)]
    others = f"{len(busy) - len(kept)} others"
    stand = {row.actor: row.actor if not is_loop(row.actor) or row.actor in kept else others for row in rows}
    order = list(dict.fromkeys(stand[row.actor] for row in rows))
    left = [name for name in order if not is_loop(name) and name != others]
    right = [name for name in order if name not in left]
    middle = _places(rows, left, right)
    bottom = top + 36 + STEP * len(rows) + 8
    for name, x in middle.items():
        _head(canvas, name, x, top, bottom, middle)
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(order)}
    for number, row in enumerate(rows):
        y = top + 36 + STEP * (number + 1) - 3
        _arrow(canvas, row, y, middle[stand[row.actor]], middle[SERVER], colours[stand[row.actor]])
        canvas.text(CLOCK - 10, y + 3, _clock(row.at), size=10, faint=True, anchor="end")
    if hidden:
        canvas.text(WIDTH / 2, bottom + 14, f"{count(hidden, 'more request')} not shown", faint=True, anchor="middle")


def _places(rows: list[Row], left: list[str], right: list[str]) -> dict[str, float]:
    """Where everybody stands. The left side is as wide as its longest label, which must not run into the times."""
    longest = max((wide(row.label, 11, row.refused) for row in rows if row.actor in left), default=0.0)
    reach = min(430.0, max(190.0, longest + 66)) if left else 70.0
    server = CLOCK + reach
    places = {name: CLOCK + 52 + (reach - 62) * number / max(1, len(left)) for number, name in enumerate(left)}
    places[SERVER] = server
    step = (WIDTH - 62 - server) / max(1, len(right))
    return {**places, **{name: server + step * (number + 1) for number, name in enumerate(right)}}


def _head(canvas: Canvas, name: str, x: float, top: float, bottom: float, middle: dict[str, float]) -> None:
    gaps = [abs(x - other) for other in middle.values() if other != x]
    width = min(118.0, max(60.0, min(gaps, default=118.0) - 4))
    canvas.line(x, top + 36, x, bottom, stroke(LINE, 3) if name == SERVER else stroke(LINE, 1, "2 3"), BACK)
    canvas.rect(x - width / 2, top, width, 36, f'fill="{HOLLOW}" stroke="{LINE}"', BACK)
    at = name.find(" (") if " (" in name else len(name)
    first, _, second = name.rpartition("-") if name.endswith("-controller") else (name[:at].strip(), "", name[at:])
    lines = [name] if wide(name, 12) <= width - 8 else [part for part in (first, second) if part]
    for number, words in enumerate(lines):
        y = top + (22 if len(lines) == 1 else 15 + 14 * number)
        size = 11 if wide(words, 11) <= width - 4 else 10
        canvas.text(x, y, fit(words, width - 4, size), size=size, bold=name == SERVER, anchor="middle")
    canvas.hint(x - width / 2, top, width, 36, name)


def _arrow(canvas: Canvas, row: Row, y: float, start: float, server: float, colour: str) -> None:
    side = 1 if server > start else -1
    colour = VERMILLION if row.refused else colour
    end = server - side * (13 if row.refused else 2)
    canvas.line(start, y, end - side * 7, y, stroke(colour, 1.8, "5 3" if row.refused else ""))
    if row.refused:  # it does not come through
        x = end - side * 2
        canvas.path(f"M{x - 4:.5g} {y - 4:.5g}l8 8M{x + 4:.5g} {y - 4:.5g}l-8 8", stroke(VERMILLION, 2.5), MARK)
    else:
        canvas.path(f"M{end:.5g} {y:.5g}l{-side * 9} -4.5v9z", solid(colour), MARK)
    canvas.path(f"M{start - 3:.5g} {y:.5g}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", solid(colour), MARK)
    # Labels begin, or end, at the API server: there they stand in one column and can be read from top to bottom.
    room = (server - CLOCK - 12) if side > 0 else (WIDTH - server - 12)
    label = fit(row.label, room, 11, row.refused)
    canvas.text(server - side * 9, y - 6, label, size=11, bold=row.refused, anchor="end" if side > 0 else "start")
    if row.message:
        canvas.hint(min(start, server), y - 14, abs(start - server), 18, row.message)


def _clock(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def _words(title: str, summary: str, rows: list[Row], hidden: int) -> list[str]:
    said = [f"{title}: {summary.rstrip('.')}."]
    for row in rows:
        why = f" ({row.message.rstrip('.')})" if row.refused and row.message else ""
        said.append(f"{_clock(row.at)}: {row.actor} to the API server: {row.label}{why}.")
    if hidden:
        said.append(f"{count(hidden, 'more request')} not shown.")
    return said
