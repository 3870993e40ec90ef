"""One palette for the whole course: Okabe and Ito's colours, which colour-blind eyes tell apart.

The same thing has the same colour in every picture, and a state never differs by colour alone: pending is hollow and
dashed, failed is crossed, going away is faded.
"""

from __future__ import annotations

from collections.abc import Iterable

BLUE, ORANGE, GREEN, SKY, PURPLE, VERMILLION, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#56B4E9",
    "#CC79A7",
    "#D55E00",
    "#8A8A8A",
)

INK = "var(--jp-content-font-color1,currentColor)"
FAINT = "var(--jp-content-font-color2,#777)"
LINE = "var(--jp-border-color1,#999)"
FILL = "var(--jp-layout-color2,rgba(128,128,128,.12))"

STATES = {"Running": BLUE, "Pending": ORANGE, "Failed": VERMILLION, "Succeeded": GREY, "Terminating": PURPLE, "Unknown": GREY}
"""Colour of a Pod's state, where Pods are not coloured by their owner."""

_OWNERS = (BLUE, GREEN, PURPLE, SKY, "#B8A800", "#7A5195", "#4D8B8B", GREY)


def owner_colours(owners: Iterable[str]) -> dict[str, str]:
    """A colour for each owner, by alphabet: the same owners get the same colours in every frame."""
    return {owner: _OWNERS[number % len(_OWNERS)] for number, owner in enumerate(sorted(set(owners)))}
