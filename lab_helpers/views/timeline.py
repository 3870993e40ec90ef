"""Pods and nodes over time: a row for each one where they are few, counts by state where they are many."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from lab_helpers.views import facts
from lab_helpers.views.history import GONE, History, Lane
from lab_helpers.views.palette import GREY, LINE, ORANGE, STATES, VERMILLION
from lab_helpers.views.picture import Canvas, Picture, faded, hollow, short, solid, stroke

Scale = Callable[[float], float]
"""Seconds since 1970 to pixels."""

WIDTH, LEFT, LANES = 960, 210, 24
_ORDER = ("Running", "Pending", "Terminating", "Failed", "Succeeded", "Unknown")


def timeline(
    history: History,
    marks: Sequence[tuple[float, str]] = (),
    *,
    title: str = "",
    namespace: str | None = None,
    since: float | None = None,
    now: float | None = None,
) -> Picture:
    """Draw a history.

    Args:
        marks: (seconds since 1970, words): what the learner did, as vertical lines.
        namespace: only its Pods; None: all but the system's own.
        since: where the picture begins; default: where the history does.
        now: where it ends; default: now.
    """
    end = time.time() if now is None else now
    start = min(history.began if since is None else since, end - 1)
    pods = [lane for lane in history.pods.values() if _wanted(lane, namespace) and _seen(lane, start)]
    pods.sort(key=lambda lane: (lane.states[0][0], lane.name))
    nodes = [lane for lane in history.nodes.values() if len({state for at, state in lane.states if at >= start}) > 1]
    title = title or "Pods over time"
    canvas = Canvas(WIDTH, title, _words(title, pods, nodes, start, end, marks))

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - 12) * max(0.0, min(1.0, (at - start) / (end - start)))

    top = 8.0 + 15 * min(3, len(marks))
    bottom = _lanes(canvas, pods, x, start, end, top) if len(pods) <= LANES else _counts(canvas, pods, x, start, end, top)
    if nodes:
        canvas.text(2, bottom + 18, "nodes", bold=True)
        bottom = _lanes(canvas, sorted(nodes, key=lambda lane: lane.name)[:LANES], x, start, end, bottom + 24)
    for number, (at, words) in enumerate(marks):
        if start <= at <= end:
            canvas.line(x(at), 4, x(at), bottom, f'stroke="{VERMILLION}" stroke-width="1" stroke-dasharray="2 3" fill="none"')
            edge = x(at) > WIDTH - 7 * len(words)
            canvas.text(
                x(at) - 3 if edge else x(at) + 3, 14 + 15 * (number % 3), words, size=11, anchor="end" if edge else "start"
            )
    _axis(canvas, x, start, end, bottom + 6)
    seen = {state for lane in pods for _, state in lane.states}
    look = _look if len(pods) <= LANES else _area
    entries = [(look(state), state) for state in _ORDER if state in seen]
    if nodes:
        entries += [(_look("Ready"), "node Ready"), (_look("NotReady"), "node NotReady")]
    canvas.legend(LEFT, bottom + 46, entries)
    return canvas.picture()


def _wanted(lane: Lane, namespace: str | None) -> bool:
    return lane.namespace == namespace if namespace else lane.namespace not in facts.SYSTEM


def _seen(lane: Lane, start: float) -> bool:
    return bool(lane.states) and (lane.states[-1][1] != GONE or lane.states[-1][0] > start)


def _look(state: str) -> str:
    if state == "Pending":
        return hollow(ORANGE)
    if state in ("Terminating", "cordoned"):
        return faded(STATES["Terminating"])
    if state == "NotReady":
        return solid(VERMILLION)
    return solid(GREY if state == "Ready" else STATES.get(state, GREY))


def _area(state: str) -> str:
    # Dashed outlines of many narrow rectangles would look like noise.
    return f'fill="{ORANGE}" fill-opacity=".4"' if state == "Pending" else _look(state)


def _lanes(canvas: Canvas, lanes: list[Lane], x: Scale, start: float, end: float, top: float) -> float:
    for number, lane in enumerate(lanes):
        y = top + number * 18
        canvas.text(LEFT - 8, y + 11, short(lane.name, 30), size=11, anchor="end")
        for (at, state), until in zip(lane.states, [*(at for at, _ in lane.states[1:]), end], strict=True):
            if state == GONE or until < start:
                continue
            canvas.rect(x(at), y + 2, max(2.0, x(until) - x(at)), 11, _look(state))
            canvas.hint(x(at), y, max(2.0, x(until) - x(at)), 16, f"{lane.name}: {state} for {until - max(at, start):.1f} s")
    return top + len(lanes) * 18


def _counts(canvas: Canvas, lanes: list[Lane], x: Scale, start: float, end: float, top: float) -> float:
    """Stacked counts by state, in 120 steps; the y below."""
    high, steps = 200.0, 120
    scale = high / max(1, len(lanes))
    for step in range(steps):
        moment = start + (end - start) * (step + 0.5) / steps
        counts = Counter(lane.at(moment) for lane in lanes)
        y = top + high
        for state in _ORDER:
            if counts[state]:
                y -= counts[state] * scale
                left = x(start + (end - start) * step / steps)
                wide = (WIDTH - LEFT - 12) / steps
                canvas.rect(left, y, wide + 0.3, counts[state] * scale, _area(state))
    canvas.line(LEFT, top, LEFT, top + high, stroke(LINE, 1))
    canvas.text(LEFT - 8, top + 11, f"{len(lanes)} Pods", size=11, anchor="end")
    canvas.text(LEFT - 8, top + high, "0", size=11, anchor="end")
    return top + high


def _axis(canvas: Canvas, x: Scale, start: float, end: float, y: float) -> None:
    canvas.line(LEFT, y, WIDTH - 12, y, stroke(LINE, 1))
    span = end - start
    step = next(step for step in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 10**9) if span / step <= 10)
    tick = 0.0
    while tick <= span:
        canvas.line(x(start + tick), y, x(start + tick), y + 4, stroke(LINE, 1))
        canvas.text(x(start + tick), y + 17, f"{tick:g} s", size=11, anchor="middle", faint=True)
        tick += step


def _words(
    title: str, pods: list[Lane], nodes: list[Lane], start: float, end: float, marks: Sequence[tuple[float, str]]
) -> str:
    last = Counter(lane.at(end) for lane in pods)
    said = [
        f"{title}, {end - start:.0f} s: {len(pods)} Pods; at the end {', '.join(f'{n} {state}' for state, n in last.items())}."
    ]
    for lane in [*pods[:LANES], *nodes[:LANES]]:
        story = ", ".join(f"{state} at {max(0.0, at - start):.1f} s" for at, state in lane.states)
        said.append(f"{lane.name}: {story}.")
    said += [f"Mark at {at - start:.1f} s: {words}." for at, words in marks if start <= at <= end]
    return " ".join(said)
