"""Counts by state as stacked areas: a timeline of more Pods than there are rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from lab_helpers.views.axis import round_values
from lab_helpers.views.history import GONE, Lane
from lab_helpers.views.palette import LINE, STATES
from lab_helpers.views.picture import BACK, Canvas, faded, solid, stroke

HIGH = 210.0
Step = tuple[float, dict[str, int]]


def areas(
    canvas: Canvas, lanes: list[Lane], x: Callable[[float], float], start: float, end: float, top: float, left: float
) -> float:
    """Draw them; the y below."""
    steps = counts(lanes, start, end, x)
    most = max(1, max(sum(now.values()) for _, now in steps))
    scale, bottom, right = HIGH / most, top + HIGH, x(end)
    for value in round_values(most):
        y = bottom - value * scale
        canvas.line(left, y, right, y, stroke(LINE, 0.6), BACK)
        canvas.text(left - 8, y + 4, f"{value:,} Pods" if value else "0", size=11, anchor="end", faint=True)
    moments = [*(at for at, _ in steps), end]
    below = [0] * len(steps)
    for state in STATES:
        above = [base + now.get(state, 0) for base, (_, now) in zip(below, steps, strict=True)]
        for first, last in _runs(above, below):  # an empty stretch must draw no outline
            there = [f"M{x(moments[first]):.5g} {bottom - below[first] * scale:.5g}"]
            for step in range(first, last):
                there.append(f"V{bottom - above[step] * scale:.5g}H{x(moments[step + 1]):.5g}")
            for step in reversed(range(first, last)):
                there.append(f"V{bottom - below[step] * scale:.5g}H{x(moments[step]):.5g}")
            canvas.path("".join([*there, "z"]), _area(state))
        if above[-1] - below[-1] and (above[-1] - below[-1]) * scale > 11:
            middle = bottom - (above[-1] + below[-1]) / 2 * scale
            canvas.text(right + 6, middle + 4, f"{above[-1] - below[-1]:,} {state}", size=11)
        below = above
    canvas.height = max(canvas.height, bottom)
    return bottom


def _runs(above: list[int], below: list[int]) -> list[tuple[int, int]]:
    """Stretches of steps in which there is something: (first, one past the last)."""
    runs: list[tuple[int, int]] = []
    for step, (high, low) in enumerate(zip(above, below, strict=True)):
        if high > low and runs and runs[-1][1] == step:
            runs[-1] = (runs[-1][0], step + 1)
        elif high > low:
            runs.append((step, step + 1))
    return runs


def counts(lanes: list[Lane], start: float, end: float, x: Callable[[float], float]) -> list[Step]:
    """(moment, how many in each state from then on); changes within half a pixel are one step. One pass over all changes."""
    changes = []
    for lane in lanes:
        last = ""
        for at, state in lane.states:
            changes.append((max(at, start), last, state))
            last = state
    changes.sort(key=lambda change: change[0])
    now: Counter[str] = Counter()
    steps: list[Step] = []
    begun = start
    for at, old, new in changes:
        if at > end:
            break
        if x(at) - x(begun) >= 0.5:
            steps.append((begun, _there(now)))
            begun = at
        now[old] -= 1
        now[new] += 1
    return [*steps, (begun, _there(now))]


def _there(now: Counter[str]) -> dict[str, int]:
    return {state: number for state, number in now.items() if number > 0 and state not in ("", GONE)}


def _area(state: str) -> str:
    if state in ("Pending", "Not ready"):
        opacity = ".22" if state == "Pending" else ".6"
        edge = f'stroke="{STATES[state]}" stroke-width="1.5" stroke-dasharray="4 2"'
        return f'fill="{STATES[state]}" fill-opacity="{opacity}" {edge}'
    return faded(STATES[state]) if state == "Terminating" else solid(STATES[state])
