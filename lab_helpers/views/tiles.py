"""How one Pod looks, in every picture that shows Pods: the owner gives the colour and the letter, the state the shape."""

from __future__ import annotations

from lab_helpers.views.palette import GREY, INK, LINE, ORANGE, STATES, VERMILLION, Owner
from lab_helpers.views.picture import MARK, Canvas, faded, hollow, solid, stroke, wide

SAYS = {
    "Running": "Running",
    "Not ready": "half: Running, not ready",
    "Pending": "hollow: Pending",
    "Terminating": "struck through: Terminating",
    "Failed": "crossed: Failed",
    "Succeeded": "checked: Succeeded",
    "Unknown": "faded: Unknown",
}


def _cross(side: float) -> str:
    return f"l{side:.5g} {side:.5g}m0 {-side:.5g}l{-side:.5g} {side:.5g}"


def _tick(unit: float) -> str:
    return f"l{unit:.5g} {unit * 1.25:.5g}l{unit * 2:.5g} {-unit * 2.5:.5g}"


def tile(canvas: Canvas, x: float, y: float, side: float, look: Owner, state: str) -> None:
    """Draw a Pod as a square."""
    far_x, far_y, letter = x + side, y + side, look.ink
    small = side < 10
    if state == "Failed":
        canvas.rect(x, y, side, side, solid(VERMILLION))
        canvas.path(f"M{x + 1:.5g} {y + 1:.5g}{_cross(side - 2)}", stroke("#fff", 1.5), MARK)
        letter = ""
    elif state == "Pending":
        canvas.rect(x + 0.5, y + 0.5, side - 1, side - 1, stroke(look.colour, 1) if small else hollow(look.colour))
        letter = INK
    elif state == "Succeeded":
        canvas.rect(x + 0.5, y + 0.5, side - 1, side - 1, stroke(look.colour, 1))
        canvas.path(f"M{x + side * 0.2:.5g} {y + side * 0.5:.5g}{_tick(side * 0.2)}", stroke(look.colour, 1.5), MARK)
        letter = ""
    elif state == "Not ready":
        canvas.path(f"M{x:.5g} {y:.5g}V{far_y:.5g}H{far_x:.5g}z", solid(look.colour))
        canvas.rect(x + 0.5, y + 0.5, side - 1, side - 1, stroke(look.colour, 1))
        letter = ""
    elif state in ("Terminating", "Unknown"):
        canvas.rect(x + 0.5, y + 0.5, side - 1, side - 1, faded(look.colour))
        if state == "Terminating":
            canvas.line(x, far_y, far_x, y, stroke(look.colour, 1.5), MARK)
        letter = ""
    else:
        canvas.rect(x, y, side, side, solid(look.colour))
    if side >= 14 and look.letter and letter:
        canvas.letter(x + side / 2, y + side / 2 + 3.5, look.letter, letter)


def legend(canvas: Canvas, x: float, y: float, entries: list[tuple[str, Owner | str, str]]) -> float:
    """Rows of (words, the owner's look or an SVG look, state); wraps at the canvas's width. Returns the y below."""
    left = x
    for words, look, state in entries:
        needed = 20 + wide(words, 12) + 14
        if left + needed > canvas.width and left > x:
            left, y = x, y + 20
        if isinstance(look, str):
            canvas.rect(left + 1, y - 11, 12, 12, look)
        else:
            tile(canvas, left, y - 12, 14, look, state)
        canvas.text(left + 19, y, words, size=12)
        left += needed
    return y + 12


def states(seen: set[str]) -> list[tuple[str, Owner | str, str]]:
    """Legend entries for the states that are drawn; Running explains itself."""
    grey = Owner(GREY, "", "#fff")
    return [(SAYS[state], grey, state) for state in STATES if state in seen and state != "Running"]


def node_look(lost: bool, cordoned: bool, paper: str) -> str:
    """A node's box."""
    if lost:
        return f'fill="{paper}" stroke="{VERMILLION}" stroke-width="2" stroke-dasharray="6 3"'
    if cordoned:
        return f'fill="{paper}" stroke="{ORANGE}" stroke-width="2" stroke-dasharray="2 2"'
    return f'fill="{paper}" stroke="{LINE}"'
