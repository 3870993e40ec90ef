"""Load, CPU and replicas on one time axis: what a HorizontalPodAutoscaler sees and does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab_helpers.views import facts
from lab_helpers.views.axis import LEFT, RIGHT, WIDTH, Axis, Marks, draw_labels, place_labels, round_values, ticks
from lab_helpers.views.palette import BLUE, GREEN, INK, LINE, ORANGE, SKY
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, faded, solid, stroke
from lab_helpers.views.tiles import legend

_HIGH, _GAP = 76.0, 18.0


@dataclass(frozen=True)
class Sample:
    """One look.

    Attributes:
        at: seconds since 1970.
        rate: requests answered per second.
        use: CPU per Pod in per cent of what it requests, as the autoscaler last read it; None: not known yet.
        wanted: replicas that the workload is to have.
        ready: replicas that are ready.
    """

    at: float
    rate: float
    use: float | None
    wanted: int
    ready: int


def scaling(samples: Sequence[Sample], target: float, marks: Marks = (), *, title: str = "") -> Picture:
    """Draw what was seen.

    Args:
        samples: oldest first.
        target: the use that the autoscaler aims at, in per cent.
        marks: (seconds since 1970, words).
        title: what the picture shows; "Load and replicas" if empty.
    """
    canvas = Canvas(WIDTH, title or "Load and replicas")
    start = samples[0].at if samples else 0.0
    axis = Axis(start, max(start + 1.0, samples[-1].at if samples else start))
    marks = sorted(mark for mark in marks if axis.start <= mark[0] <= axis.end)
    summary = _summary(samples, axis)
    top, labels = place_labels(axis, marks, canvas.heading(summary) + 2)
    moments = [*(sample.at for sample in samples), axis.end]
    rates = [sample.rate for sample in samples]
    uses = [sample.use or 0.0 for sample in samples]
    wanted, ready = [float(sample.wanted) for sample in samples], [float(sample.ready) for sample in samples]

    y = _scale(canvas, top, max([*rates, 1.0]), "requests a second", "")
    _steps(canvas, axis, moments, rates, y, f'fill="{SKY}" fill-opacity=".6"', True)
    top += _HIGH + _GAP
    y = _scale(canvas, top, max([*uses, target * 1.2]), "CPU of a Pod, of its request", " %")
    _steps(canvas, axis, moments, uses, y, f'fill="{ORANGE}" fill-opacity=".45"', True)
    canvas.line(LEFT, y(target), WIDTH - RIGHT, y(target), stroke(INK, 1.2, "4 3"), MARK)
    canvas.text(WIDTH - RIGHT + 6, y(target) + 4, f"target {target:g} %", size=11)
    top += _HIGH + _GAP
    y = _scale(canvas, top, max([*wanted, *ready, 1.0]), "replicas", "")
    _steps(canvas, axis, moments, ready, y, faded(BLUE), True)
    _steps(canvas, axis, moments, wanted, y, stroke(GREEN, 2.5), False)
    bottom = top + _HIGH
    draw_labels(canvas, labels, bottom + 4)
    ticks(canvas, axis, bottom + 8)
    entries = [
        ("requests answered", f'fill="{SKY}" fill-opacity=".6"', ""),
        ("CPU as the autoscaler read it", f'fill="{ORANGE}" fill-opacity=".45"', ""),
    ]
    legend(canvas, LEFT, bottom + 46, [*entries, ("replicas wanted", solid(GREEN), ""), ("replicas ready", faded(BLUE), "")])
    return canvas.picture([f"{canvas.title}: {summary}.", *_story(samples, axis, marks)])


def _scale(canvas: Canvas, top: float, most: float, words: str, unit: str) -> Callable[[float], float]:
    """Lines across one panel, its name in the margin; returns what turns values into y."""
    bottom = top + _HIGH

    def y(value: float) -> float:
        return bottom - _HIGH * value / most

    for value in round_values(most):
        canvas.line(LEFT, y(value), WIDTH - RIGHT, y(value), stroke(LINE, 0.6), BACK)
        canvas.text(LEFT - 8, y(value) + 4, f"{value}{unit}", size=11, anchor="end", faint=True)
    canvas.text(2, top + _HIGH / 2 + 4, words, size=12)
    return y


def _steps(
    canvas: Canvas,
    axis: Axis,
    moments: Sequence[float],
    values: Sequence[float],
    y: Callable[[float], float],
    look: str,
    filled: bool,
) -> None:
    if not values:
        return
    strokes = f"M{axis.x(moments[0]):.5g} {y(0):.5g}V{y(values[0]):.5g}" if filled else ""
    strokes = strokes or f"M{axis.x(moments[0]):.5g} {y(values[0]):.5g}"
    for until, value in zip(moments[1:], values, strict=True):
        strokes += f"V{y(value):.5g}H{axis.x(until):.5g}"
    canvas.path(f"{strokes}V{y(0):.5g}z" if filled else strokes, look)
    canvas.height = max(canvas.height, y(0))


def _summary(samples: Sequence[Sample], axis: Axis) -> str:
    if not samples:
        return "nothing was seen yet"
    most = max(sample.wanted for sample in samples)
    first, last = samples[0], samples[-1]
    use = "?" if last.use is None else f"{last.use:.0f} %"
    return (
        f"{first.wanted} replicas at first, {most} at most, {last.wanted} after {facts.lasting(axis.end - axis.start)}; "
        f"now {last.rate:.0f} requests a second, CPU {use}"
    )


def _story(samples: Sequence[Sample], axis: Axis, marks: Marks) -> list[str]:
    said = [(at, words) for at, words in marks]
    before: Sample | None = None
    for sample in samples:
        if before is None or before.wanted != sample.wanted:
            use = "CPU not known" if sample.use is None else f"CPU {sample.use:.0f} %"
            said.append(
                (sample.at, f"{sample.wanted} replicas wanted, {sample.ready} ready, {sample.rate:.0f} a second, {use}")
            )
        before = sample
    return [f"{at - axis.start:.0f} s: {words}." for at, words in sorted(said)]
