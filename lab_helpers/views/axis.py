"""The time axis that pictures share: moments to pixels, ticks below, marks with their words above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab_helpers.views.palette import FAINT, INK
from lab_helpers.views.picture import MARK, Canvas, fit, stroke, wide

WIDTH, LEFT, RIGHT = 960, 210, 92
Marks = Sequence[tuple[float, str]]
"""(seconds since 1970, words): what the learner did, as vertical lines."""
Label = tuple[float, float, str]
"""x, y and words of a mark."""


@dataclass(frozen=True)
class Axis:
    """Seconds since 1970 to pixels."""

    start: float
    end: float

    def x(self, at: float) -> float:
        """Where a moment lies; what is outside lies on the edge."""
        share = (at - self.start) / (self.end - self.start)
        return LEFT + (WIDTH - RIGHT - LEFT) * max(0.0, min(1.0, share))


def place_labels(axis: Axis, marks: Marks, top: float) -> tuple[float, list[Label]]:
    """Where the marks' words stand: in as many lines as it takes that none covers another. The y below, and the labels."""
    ends: list[float] = []
    placed = []
    for at, said in marks:
        x, words = axis.x(at), fit(said, 260, 11)
        left = x if x + wide(words, 11) + 6 < WIDTH else x - wide(words, 11) - 8
        line = next((number for number, end in enumerate(ends) if end < left), len(ends))
        ends[line : line + 1] = [left + wide(words, 11) + 12]
        placed.append((x, top + 11 + 15 * line, words))
    return top + 15 * len(ends) + 3, placed


def draw_labels(canvas: Canvas, labels: Sequence[Label], bottom: float) -> None:
    """Draw marks down to y."""
    for x, y, words in labels:
        canvas.line(x, y - 9, x, bottom, stroke(INK, 1, "2 3"), MARK)
        fits = x + wide(words, 11) + 6 < WIDTH
        canvas.text(x + 4 if fits else x - 4, y, words, size=11, anchor="start" if fits else "end")


_STEPS = (0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400, 10**9)


def ticks(canvas: Canvas, axis: Axis, y: float) -> None:
    """Draw the axis itself, with the time since its start."""
    canvas.line(LEFT, y, WIDTH - RIGHT, y, stroke(FAINT, 1))
    span = axis.end - axis.start
    step = next(step for step in _STEPS if span / step <= 10)
    for number in range(int(span / step + 1e-6) + 1):
        x = axis.x(axis.start + number * step)
        canvas.line(x, y, x, y + 4, stroke(FAINT, 1))
        unit, name = (1, "s") if step < 60 else (60, "min") if step < 3600 else (3600, "h")
        canvas.text(x, y + 17, f"{number * step / unit:g} {name}", size=11, anchor="middle", faint=True)


def round_values(most: float) -> list[int]:
    """About four round values from 0 to the highest: where lines across a picture are drawn."""
    for power in range(12):
        for digit in (1, 2, 5):
            if most / (digit * 10**power) <= 5:
                return list(range(0, int(most) + 1, digit * 10**power))
    return [0, int(most)]
