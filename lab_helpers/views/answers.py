"""Requests over time: who answered them, and which were lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lab_helpers.views import facts
from lab_helpers.views.axis import LEFT, RIGHT, WIDTH, Axis, Marks, draw_labels, place_labels, round_values, ticks
from lab_helpers.views.palette import FAINT, LINE, VERMILLION, owners
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, count, solid, stroke
from lab_helpers.views.tiles import legend

_HIGH = 150.0  # pixels, of answered and lost together
_SLOTS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 10**9)
_MOST_SLOTS = 100


@dataclass(frozen=True)
class Answer:
    """One request, and what came of it.

    Attributes:
        at: when it was sent, in seconds since 1970.
        seconds: how long it took.
        status: the HTTP status; 0: there was none.
        lost: why it counts as lost, in a few words; empty: it was answered.
        said: what the answer said of who gave it: `pod`, `node`, `version`, `namespace`.
    """

    at: float
    seconds: float = 0.0
    status: int = 200
    lost: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


class _Slot(NamedTuple):
    begin: float
    end: float
    answered: Counter[str]
    lost: Counter[str]


def answers_over_time(
    answers: Sequence[Answer], marks: Marks = (), *, title: str = "", by: str = "version", end: float | None = None
) -> Picture:
    """Draw answered requests upwards, lost ones downwards.

    Args:
        answers: in any order.
        marks: (seconds since 1970, words).
        title: what the picture shows; "Requests over time" if empty.
        by: what tells the answered ones apart: `pod`, `node`, `version` or `namespace`.
        end: where the picture ends; default: with the last request.
    """
    canvas = Canvas(WIDTH, title or "Requests over time")
    answers = sorted(answers, key=lambda answer: answer.at)
    start = answers[0].at if answers else 0.0
    axis = Axis(start, max(start + 0.1, end or 0.0, *(answer.at + answer.seconds for answer in answers), start))
    marks = sorted(mark for mark in marks if axis.start <= mark[0] <= axis.end)
    summary = _summary(answers, axis)
    top = canvas.heading(summary)
    top, labels = place_labels(axis, marks, top + 2)
    slots = _slots(answers, axis, by)
    up = max((sum(slot.answered.values()) / (slot.end - slot.begin) for slot in slots), default=1.0)
    down = max((sum(slot.lost.values()) / (slot.end - slot.begin) for slot in slots), default=0.0)
    scale = _HIGH / max(up + down, 1.0)
    zero = top + up * scale + 4
    bottom = zero + max(down * scale, 6)
    looks = owners(_group(answer, by) for answer in answers if not answer.lost)
    for value in round_values(max(up, down)):
        for y in {zero - value * scale, zero + value * scale}:
            if top - 1 <= y <= bottom + 1:
                canvas.line(LEFT, y, WIDTH - RIGHT, y, stroke(LINE, 0.6), BACK)
                canvas.text(LEFT - 8, y + 4, f"{value} a second" if value else "0", size=11, anchor="end", faint=True)
    for slot in slots:
        _draw(canvas, axis, slot, zero, scale, {name: look.colour for name, look in looks.items()})
    canvas.line(LEFT, zero, WIDTH - RIGHT, zero, stroke(FAINT, 1), MARK)
    draw_labels(canvas, labels, bottom + 4)
    ticks(canvas, axis, bottom + 8)
    totals = Counter(_group(answer, by) for answer in answers if not answer.lost)
    lost = Counter(answer.lost for answer in answers if answer.lost)
    entries: list[tuple[str, object, str]] = [
        (f"{_named(name, by)}: {number:,} answered", solid(looks[name].colour), "") for name, number in totals.items()
    ]
    entries += [(f"lost, {why}: {number:,}", solid(VERMILLION), "") for why, number in lost.most_common()]
    legend(canvas, LEFT, bottom + 46, entries)  # type: ignore[arg-type]
    return canvas.picture(_words(canvas.title, summary, totals, lost, slots, axis, marks, by))


def _group(answer: Answer, by: str) -> str:
    return answer.said.get(by) or "?"


def _named(name: str, by: str) -> str:
    return f"version {name}" if by == "version" else name


def _slots(answers: Sequence[Answer], axis: Axis, by: str) -> list[_Slot]:
    """Stretches of time of equal length, with what was sent in each."""
    span = axis.end - axis.start
    step = next(step for step in _SLOTS if span / step <= _MOST_SLOTS)
    number = max(1, round(span / step))
    width = span / number
    slots = [_Slot(axis.start + n * width, axis.start + (n + 1) * width, Counter(), Counter()) for n in range(number)]
    for answer in answers:
        slot = slots[min(number - 1, int((answer.at - axis.start) / width))]
        if answer.lost:
            slot.lost[answer.lost] += 1
        else:
            slot.answered[_group(answer, by)] += 1
    return slots


def _draw(canvas: Canvas, axis: Axis, slot: _Slot, zero: float, scale: float, colours: Mapping[str, str]) -> None:
    x, wide = axis.x(slot.begin), max(0.5, axis.x(slot.end) - axis.x(slot.begin))
    per_second, y = slot.end - slot.begin, zero
    for name in (name for name in colours if slot.answered[name]):
        high = slot.answered[name] / per_second * scale
        y -= high
        canvas.rect(x, y, wide, high, solid(colours[name]))
    lost = sum(slot.lost.values())
    if lost:
        high = max(4.0, lost / per_second * scale)  # one lost request has to be seen
        canvas.rect(x, zero, max(wide, 2.0), high, solid(VERMILLION))
    if lost or slot.answered:
        said = [f"{number} from {name}" for name, number in slot.answered.items()]
        said += [f"{number} lost: {why}" for why, number in slot.lost.items()]
        when = f"{slot.begin - axis.start:.1f} to {slot.end - axis.start:.1f} s"
        canvas.hint(x, y, wide, zero - y + 8, f"{when}: {', '.join(said)}")


def _summary(answers: Sequence[Answer], axis: Axis) -> str:
    lost = sum(bool(answer.lost) for answer in answers)
    share = f" ({100 * lost / len(answers):.2g} %)" if lost else ""
    return f"{count(len(answers), 'request')} in {facts.lasting(axis.end - axis.start)}, {lost:,} lost{share}"


def _words(
    title: str,
    summary: str,
    totals: Counter[str],
    lost: Counter[str],
    slots: Sequence[_Slot],
    axis: Axis,
    marks: Marks,
    by: str,
) -> list[str]:
    said = [f"{title}: {summary}."]
    said += [f"{at - axis.start:.1f} s: {words}." for at, words in marks]
    said += [f"{_named(name, by)}: {number:,} answered." for name, number in totals.items()]
    said += [f"Lost, {why}: {number:,}." for why, number in lost.most_common()]
    bad = [slot for slot in slots if slot.lost]
    if bad:
        said.append(f"Lost between {bad[0].begin - axis.start:.1f} and {bad[-1].end - axis.start:.1f} s.")
    return said
