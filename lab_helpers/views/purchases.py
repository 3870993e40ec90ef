"""Ways to buy machines for the same Pods, side by side: each machine as long as it has cores, what is empty hatched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab_helpers.views.palette import BLUE, HOLLOW, LINE, SKY, Owner
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, count, fit, hatched, solid, stroke
from lab_helpers.views.tiles import legend

WIDTH, GAP, ROWS, HIGH, NAME = 960, 28, 24, 23, 86


@dataclass(frozen=True)
class Machine:
    """A machine that somebody buys.

    Attributes:
        kind: its instance type.
        cores: what it leaves to Pods.
        cpu, memory: the share of it that Pods request, 0 to 1.
    """

    kind: str
    cores: float
    cpu: float
    memory: float


@dataclass(frozen=True)
class Purchase:
    """One way to buy.

    Attributes:
        who: chose the machines.
        machines: all of them.
        hourly: dollars.
        happened: it was done; otherwise it was worked out.
    """

    who: str
    machines: tuple[Machine, ...]
    hourly: float
    happened: bool


def side_by_side(purchases: Sequence[Purchase], title: str = "The same Pods, bought for in several ways") -> Picture:
    """Draw them, a column each, all in one scale: of a machine's CPU what is requested is full, below it a bar of memory."""
    canvas = Canvas(WIDTH, title)
    wide = (WIDTH - GAP * (len(purchases) - 1)) / max(1, len(purchases))
    top = canvas.heading("machines in one scale: as long as they have cores") + 8
    largest = max([machine.cores for one in purchases for machine in one.machines] or [1.0])
    low = top
    for number, one in enumerate(purchases):
        low = max(low, _column(canvas, one, number * (wide + GAP), top, wide, (wide - NAME - 4) / largest))
    looks: list[tuple[str, Owner | str, str]] = [
        ("CPU requested", solid(BLUE), ""),
        ("memory requested", solid(SKY), ""),
        ("empty: paid for, holds nothing", f'fill="{HOLLOW}" stroke="{LINE}"', ""),
    ]
    legend(canvas, 2, low + 14, looks)
    return canvas.picture([f"{title}.", *(_words(one) for one in purchases)])


def _column(canvas: Canvas, one: Purchase, x: float, y: float, wide: float, scale: float) -> float:
    canvas.text(x + 2, y + 12, fit(one.who, wide - 4, 13, True), size=13, bold=True)
    said = f"{count(len(one.machines), 'machine')} · ${one.hourly:.2f} an hour · {_how(one)}"
    canvas.text(x + 2, y + 28, fit(said, wide - 4, 11), size=11, faint=True)
    y, before = y + 38, ""
    order = sorted(one.machines, key=lambda machine: (machine.kind, -machine.cpu))
    for machine in order[:ROWS]:
        if machine.kind != before:
            canvas.text(x + 2, y + 12, fit(machine.kind, NAME - 6, 11), size=11)
        whole, before = machine.cores * scale, machine.kind
        hatched(canvas, x + NAME, y, whole, 12)
        canvas.rect(x + NAME, y, whole * min(1.0, machine.cpu), 12, solid(BLUE))
        canvas.rect(x + NAME, y, whole, 12, stroke(LINE, 1), MARK)
        canvas.rect(x + NAME, y + 14, whole, 4, f'fill="{HOLLOW}"', BACK)
        canvas.rect(x + NAME, y + 14, whole * min(1.0, machine.memory), 4, solid(SKY))
        canvas.hint(x + NAME, y, whole, 18, f"{machine.kind}: {machine.cpu:.0%} of CPU, {machine.memory:.0%} of memory")
        y += HIGH
    if len(order) > ROWS:
        canvas.text(x + 2, y + 12, f"{count(len(order) - ROWS, 'more machine')} not shown", size=11, faint=True)
        y += HIGH
    return y


def _how(one: Purchase) -> str:
    return "happened" if one.happened else "worked out"


def _words(one: Purchase) -> str:
    cores = sum(machine.cores for machine in one.machines)
    cpu = sum(machine.cores * machine.cpu for machine in one.machines)
    full = f", {cpu / cores:.0%} of CPU requested" if cores else ""
    return f"{one.who} ({_how(one)}): {count(len(one.machines), 'machine')}, ${one.hourly:.2f} an hour{full}."
