"""One palette for the whole course: Okabe and Ito's colours, which colour-blind eyes tell apart.

The same thing has the same colour in every picture. Nothing differs by colour alone: owners carry a letter, what waits
is hollow and dashed, what goes away is faded and struck through, what failed is crossed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

BLUE, ORANGE, GREEN, SKY, PINK, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#CC79A7", "#D55E00"
VIOLET, OLIVE, SAND, GREY = "#7A5195", "#B8A800", "#DDCC77", "#8A8A8A"

# JupyterLab's theme decides; the fallbacks are for VS Code and exported pages.
INK = "var(--jp-content-font-color1,currentColor)"
FAINT = "var(--jp-content-font-color2,#777)"
LINE = "var(--jp-border-color1,#999)"
PAPER = "var(--jp-layout-color1,rgba(128,128,128,.06))"
HOLLOW = "var(--jp-layout-color2,rgba(128,128,128,.18))"

STATES = {
    "Running": BLUE,
    "Not ready": SKY,
    "Pending": ORANGE,
    "Terminating": PINK,
    "Failed": VERMILLION,
    "Succeeded": GREEN,
    "Unknown": GREY,
}
"""Colour of a Pod's state, where Pods are not coloured by their owner; the order is that of legends."""

# Orange and vermillion are kept for what waits and what failed.
_OWNERS = (BLUE, GREEN, PINK, SKY, OLIVE, VIOLET, SAND)
_DARK_INK = (SKY, PINK, OLIVE, SAND)


@dataclass(frozen=True)
class Owner:
    """How an owner's Pods look: its colour, its letter, and the colour of the letter on it."""

    colour: str
    letter: str
    ink: str


def owners(names: Iterable[str]) -> dict[str, Owner]:
    """A look for each owner, the most frequent first.

    An owner's colour follows from its name, so that `web` is the same in every picture and every frame; where two names
    want the same one, the one that comes later takes the next. From the eighth owner on all are grey.

    Args:
        names: the owner of each Pod, oldest Pod first.
    """
    counts = Counter(names)
    ages = {name: age for age, name in enumerate(counts)}
    order = sorted(counts, key=lambda name: (-counts[name], name))
    looks: dict[str, Owner] = {}
    free, letters = list(_OWNERS), set()
    for name in sorted(order[: len(_OWNERS)], key=lambda name: ages[name]):
        wanted = crc32(name.encode()) % len(_OWNERS)
        colour = min(free, key=lambda colour: (_OWNERS.index(colour) - wanted) % len(_OWNERS))
        free.remove(colour)
        word = [letter for letter in name.rpartition("/")[2].lower() if letter.isalnum()]
        letter = next((letter for letter in [*word, *"0123456789"] if letter not in letters), "")
        letters.add(letter)
        looks[name] = Owner(colour, letter, "#000" if colour in _DARK_INK else "#fff")
    return {name: looks.get(name, Owner(GREY, "", "#fff")) for name in order}
