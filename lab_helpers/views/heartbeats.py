"""Heartbeats of nodes on one time axis: leases renewed, status posted, and how long the controller would wait."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lab_helpers.views.axis import LEFT, RIGHT, WIDTH, Axis, Marks, draw_labels, place_labels, ticks
from lab_helpers.views.facts import lasting
from lab_helpers.views.palette import BLUE, LINE, ORANGE, VERMILLION
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, count, fit, hollow, solid, stroke
from lab_helpers.views.tiles import legend

STEP = 34


@dataclass
class Pulse:
    """One node's heartbeats, in seconds since 1970, oldest first.

    Attributes:
        node: its name.
        renewals: when its lease was renewed.
        posts: when its status was posted.
    """

    node: str
    renewals: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)

    def note(self, renewed: float, posted: float) -> None:
        """Write down what lease and node say now, where it is new."""
        for kept, at in ((self.renewals, renewed), (self.posts, posted)):
            if at and (not kept or kept[-1] < at):
                kept.append(at)

    def silence(self, now: float) -> float:
        """Seconds since the last renewal."""
        return max(0.0, now - self.renewals[-1]) if self.renewals else 0.0


def heartbeats(
    pulses: Sequence[Pulse],
    grace: float,
    *,
    since: float,
    now: float | None = None,
    marks: Marks = (),
    title: str = "",
) -> Picture:
    """Draw heartbeats.

    Args:
        pulses: one for each node.
        grace: the node controller's patience, in seconds: node-monitor-grace-period.
        since: where the picture begins, in seconds since 1970.
        now: the present; default: now. The axis goes on to where the patience with the last node would end.
        marks: (seconds since 1970, words), as vertical lines.
    """
    now = time.time() if now is None else now
    last = max((pulse.renewals[-1] for pulse in pulses if pulse.renewals), default=now)
    axis = Axis(since, max(now, last + grace, since + 1))
    canvas = Canvas(WIDTH, title or "Heartbeats")
    top = canvas.heading(_summary(pulses, axis, grace))
    marks = [*marks, (now, "now")] if axis.end - now > 1 else [*marks]
    top, labels = place_labels(axis, sorted(mark for mark in marks if since <= mark[0] <= axis.end), top + 2)
    for number, pulse in enumerate(pulses):
        _row(canvas, pulse, axis, grace, now, top + number * STEP)
    bottom = top + len(pulses) * STEP
    draw_labels(canvas, labels, bottom)
    ticks(canvas, axis, bottom + 4)
    entries = [("lease renewed", solid(BLUE), ""), ("status posted", solid(ORANGE), "")]
    legend(canvas, LEFT, bottom + 44, [*entries, (f"the controller waits: {grace:g} s", hollow(BLUE), "")])
    return canvas.picture(_words(canvas.title, pulses, axis, grace, now))


def _row(canvas: Canvas, pulse: Pulse, axis: Axis, grace: float, now: float, y: float) -> None:
    canvas.text(LEFT - 8, y + 18, fit(pulse.node, LEFT - 12, 12, True), bold=True, anchor="end")
    canvas.line(LEFT, y + 14, WIDTH - RIGHT, y + 14, stroke(LINE, 0.6), BACK)
    late = pulse.silence(now) > grace
    for at in _shown(pulse.renewals, axis):
        canvas.rect(axis.x(at) - 1.5, y + 4, 3, 20, solid(BLUE))
        canvas.hint(axis.x(at) - 4, y, 8, 28, f"{pulse.node}: lease renewed at {at - axis.start:.1f} s")
    for at in _shown(pulse.posts, axis):
        x = axis.x(at)
        canvas.path(f"M{x:.5g} {y + 22:.5g}l6 6l-6 6l-6 -6z", solid(ORANGE), MARK)
        canvas.hint(x - 6, y + 22, 12, 12, f"{pulse.node}: status posted at {at - axis.start:.1f} s")
    if pulse.renewals:
        start = axis.x(pulse.renewals[-1])
        width = axis.x(pulse.renewals[-1] + grace) - start
        canvas.rect(start, y + 9, max(2.0, width), 10, hollow(VERMILLION if late else BLUE))
    said = f"{'silent' if late else 'last'}: {lasting(pulse.silence(now))}" if pulse.renewals else "no lease"
    canvas.text(WIDTH - RIGHT + 8, y + 18, said, size=11, bold=late, faint=not late, colour=VERMILLION if late else "")


def _shown(moments: Sequence[float], axis: Axis) -> list[float]:
    return [at for at in moments if axis.start <= at <= axis.end]


def _gap(pulse: Pulse, axis: Axis) -> float:
    """The usual time between two renewals that are shown; 0 where there are not two."""
    gaps = sorted(b - a for a, b in pairwise(_shown(pulse.renewals, axis)))
    return gaps[len(gaps) // 2] if gaps else 0.0


def _summary(pulses: Sequence[Pulse], axis: Axis, grace: float) -> str:
    gaps = [gap for pulse in pulses if (gap := _gap(pulse, axis))]
    every = f"a renewal every {max(gaps):.0f} s, " if gaps else ""
    return f"{count(len(pulses), 'node')}: {every}and the controller waits {grace:g} s for the next"


def _words(title: str, pulses: Sequence[Pulse], axis: Axis, grace: float, now: float) -> list[str]:
    said = [f"{title}: {_summary(pulses, axis, grace)}."]
    for pulse in pulses:
        renewed = ", ".join(f"{at - axis.start:.1f}" for at in _shown(pulse.renewals, axis)) or "no"
        posted = ", ".join(f"{at - axis.start:.1f}" for at in _shown(pulse.posts, axis)) or "no"
        quiet = f"silent for {pulse.silence(now):.0f} s" if pulse.renewals else "it has no lease"
        said.append(f"{pulse.node}: lease renewed at {renewed} s; status posted at {posted} s; {quiet}.")
    return said
