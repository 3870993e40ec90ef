"""Pods and nodes over time: a row for each one where they are few, counts by state where they are many."""

from __future__ import annotations

import time
from collections import Counter

from lab_helpers.views import facts
from lab_helpers.views.areas import areas
from lab_helpers.views.axis import LEFT, RIGHT, WIDTH, Axis, Marks, draw_labels, place_labels, ticks
from lab_helpers.views.history import GONE, History, Lane
from lab_helpers.views.palette import GREY, INK, LINE, ORANGE, STATES, VERMILLION
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, count, faded, fit, hollow, solid, stroke, wide
from lab_helpers.views.tiles import legend

LANES, STEP = 30, 19
_BARS = 11  # pixels: how high a bar is


def timeline(
    history: History,
    marks: Marks = (),
    *,
    title: str = "",
    namespace: str | None = None,
    since: float | None = None,
    now: float | None = None,
) -> Picture:
    """Draw a history.

    Args:
        history: what was recorded.
        marks: (seconds since 1970, words): what the learner did, as vertical lines.
        title: what the picture shows; "Pods over time" if empty.
        namespace: only its Pods; None: all but the system's own.
        since: where the picture begins; default: where the history does.
        now: where it ends; default: now.
    """
    end = time.time() if now is None else now
    axis = Axis(min(history.began if since is None else since, end - 1), end)
    pods = [lane for lane in history.pods.values() if _wanted(lane, namespace) and _seen(lane, axis.start, end)]
    pods.sort(key=lambda lane: (lane.states[0][0], lane.name))
    nodes = sorted((lane for lane in history.nodes.values() if _moved(lane, axis.start, end)), key=lambda lane: lane.name)
    marks = sorted(mark for mark in marks if axis.start <= mark[0] <= end)
    canvas = Canvas(WIDTH, title or "Pods over time")
    summary = _summary(pods, axis)
    top = canvas.heading(summary)
    top, labels = place_labels(axis, marks, top + 2)
    few = len(pods) <= LANES
    bottom = _lanes(canvas, pods, axis, top) if few else areas(canvas, pods, axis.x, axis.start, axis.end, top, LEFT)
    if not pods:
        canvas.text(LEFT, bottom + 14, "No Pod in this time.", faint=True)
        bottom += 22
    if nodes:
        canvas.text(LEFT - 8, bottom + 19, "nodes", bold=True, anchor="end")
        bottom = _lanes(canvas, nodes[:LANES], axis, bottom + 24)
        if len(nodes) > LANES:
            canvas.text(LEFT, bottom + 13, f"{count(len(nodes) - LANES, 'more node')} not shown", faint=True)
            bottom += 18
    draw_labels(canvas, labels, bottom + 4)
    ticks(canvas, axis, bottom + 6)
    _legend(canvas, pods, nodes, axis, bottom + 46)
    return canvas.picture(_words(canvas.title, summary, pods, nodes, axis, marks))


def _wanted(lane: Lane, namespace: str | None) -> bool:
    return lane.namespace == namespace if namespace else lane.namespace not in facts.SYSTEM


def _seen(lane: Lane, start: float, end: float) -> bool:
    return lane.states[0][0] <= end and (lane.states[-1][1] != GONE or lane.states[-1][0] > start)


def _moved(lane: Lane, start: float, end: float) -> bool:
    """Whether a node changed, or came, since the start; those that are there at first are seen within two seconds."""
    came, later = lane.states[0][0], [at for at, _ in lane.states[1:]]
    return start + 2 < came <= end or any(start < at <= end for at in later)


def look(state: str) -> str:
    """How a bar of a state looks."""
    if state == "Pending":
        return hollow(STATES[state])
    if state == "Not ready":
        return f'{faded(STATES[state])} stroke-dasharray="3 2"'
    if state == "Terminating":
        return faded(STATES[state])
    if state == "cordoned":
        return hollow(ORANGE)
    if state == "NotReady":
        return solid(VERMILLION)
    return solid(GREY if state == "Ready" else STATES.get(state, GREY))


def _lanes(canvas: Canvas, lanes: list[Lane], axis: Axis, top: float) -> float:
    for number, lane in enumerate(lanes):
        y = top + number * STEP
        canvas.text(LEFT - 8, y + 12, fit(lane.name, LEFT - 12, 11), size=11, anchor="end")
        canvas.line(LEFT, y + 8.5, WIDTH - RIGHT, y + 8.5, stroke(LINE, 0.4), BACK)
        for (at, state), until in zip(lane.states, [*(at for at, _ in lane.states[1:]), axis.end], strict=True):
            if state != GONE and until >= axis.start and at <= axis.end:
                _bar(canvas, lane, state, axis.x(at), axis.x(until), y + 3)
                lasted = facts.lasting(until - at) if until - at >= 10 else f"{until - at:.1f} s"
                canvas.hint(axis.x(at), y, max(3.0, axis.x(until) - axis.x(at)), STEP, f"{lane.name}: {state} for {lasted}")
        for at in _restarts(lane, axis):
            canvas.rect(axis.x(at) - 1.5, y + 1, 3, _BARS + 4, solid(INK), MARK)
            canvas.hint(axis.x(at) - 4, y, 8, STEP, f"{lane.name}: container started again")
        canvas.text(WIDTH - RIGHT + 8, y + 12, lane.at(axis.end), size=11, faint=True)
    return top + len(lanes) * STEP


def _restarts(lane: Lane, axis: Axis) -> list[float]:
    return [at for at in lane.starts[1:] if axis.start <= at <= axis.end]


def _bar(canvas: Canvas, lane: Lane, state: str, x: float, until: float, y: float) -> None:
    width = max(2.0, until - x - 0.5)
    canvas.rect(x, y, width, _BARS, look(state))
    if state in ("Failed", "NotReady"):  # hatched, for eyes that see no red
        strokes = "".join(f"M{x + at:.5g} {y + _BARS:.5g}l{_BARS} {-_BARS}" for at in range(2, int(width) - _BARS, 8))
        canvas.path(strokes, stroke("#fff", 1.2), MARK)
    if state == "Running" and lane.node and wide(lane.node, 9) + 8 < width:
        canvas.letter(x + 4 + wide(lane.node, 10) / 2, y + 9, lane.node, "#fff")


def _legend(canvas: Canvas, pods: list[Lane], nodes: list[Lane], axis: Axis, y: float) -> None:
    end = axis.end
    seen = {state for lane in pods for at, state in lane.states if at <= end}
    shown = {state for lane in nodes for at, state in lane.states if at <= end}
    entries = [(state, look(state), "") for state in STATES if state in seen]
    entries += [(f"node {state}", look(state), "") for state in ("Ready", "NotReady", "cordoned") if state in shown]
    if len(pods) <= LANES and any(_restarts(lane, axis) for lane in pods):
        entries.append(("container started again", solid(INK), ""))
    legend(canvas, LEFT, y, [*entries])


def _summary(pods: list[Lane], axis: Axis) -> str:
    last = Counter(lane.at(axis.end) for lane in pods)
    parts = ", ".join(f"{last[state]} {state}" for state in (*STATES, GONE) if last[state])
    return f"{count(len(pods), 'Pod')} in {facts.lasting(axis.end - axis.start)}{f'; at the end {parts}' if parts else ''}"


def _words(title: str, summary: str, pods: list[Lane], nodes: list[Lane], axis: Axis, marks: Marks) -> list[str]:
    said = [f"{title}: {summary}."]
    said += [f"{at - axis.start:.1f} s: {words}." for at, words in marks]
    for lane in [*(pods if len(pods) <= LANES else []), *nodes[:LANES]]:
        story = ", ".join(f"{state} at {max(0.0, at - axis.start):.1f} s" for at, state in lane.states if at <= axis.end)
        again = ", ".join(f"{at - axis.start:.0f}" for at in _restarts(lane, axis))
        more = f"; its container was started again at {again} s" if again else ""
        said.append(f"{lane.name}{f' on {lane.node}' if lane.node else ''}: {story}{more}.")
    if len(pods) > LANES:
        for quarter in range(1, 4):
            moment = axis.start + (axis.end - axis.start) * quarter / 4
            then = Counter(lane.at(moment) for lane in pods)
            parts = ", ".join(f"{then[state]} {state}" for state in STATES if then[state]) or "no Pod"
            said.append(f"At {moment - axis.start:.0f} s: {parts}.")
    return said
