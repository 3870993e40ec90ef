"""What a picture is, and the few strokes that all of them are drawn with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import Any

from lab_helpers.views.palette import FAINT, HOLLOW, INK

BACK, BODY, MARK = 0, 1, 2
"""Layers of a canvas: what is drawn in a later one covers the earlier ones. Words are above all of them."""


@dataclass(frozen=True)
class Picture:
    """A picture for notebooks.

    Attributes:
        html: inline SVG, which follows JupyterLab's theme.
        alt: the same content in words.
    """

    html: str
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.alt}

    def __str__(self) -> str:
        return self.alt


@dataclass
class Canvas:
    """An SVG being drawn. Lengths are in CSS pixels.

    Shapes of one look become one path: a browser draws 10,000 rectangles of it in 50 ms, single ones take 100 times as
    long. No class names and no ids, so that two pictures on one page cannot clash.
    """

    width: float
    title: str
    height: float = 0.0
    _paths: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    _letters: dict[str, list[str]] = field(default_factory=dict)
    _parts: list[str] = field(default_factory=list)

    def heading(self, summary: str) -> float:
        """The title and what is to be seen, in one or two lines. Returns the y below."""
        title = fit(self.title, self.width - 4, 14, True)
        self.text(2, 15, title, size=14, bold=True)
        left = 2 + wide(title, 14, True) + 12
        beside = left + wide(summary, 12) < self.width
        self.text(left if beside else 2, 15 if beside else 32, fit(summary, self.width - 4, 12), faint=True)
        return 24.0 if beside else 40.0

    def rect(self, x: float, y: float, w: float, h: float, look: str, layer: int = BODY) -> None:
        """A rectangle; `look` is a list of SVG attributes."""
        self.path(f"M{x:.5g} {y:.5g}h{w:.5g}v{h:.5g}h{-w:.5g}z", look, layer)
        self.height = max(self.height, y + h)

    def line(self, x1: float, y1: float, x2: float, y2: float, look: str = "", layer: int = BODY) -> None:
        """A line."""
        self.path(f"M{x1:.5g} {y1:.5g}L{x2:.5g} {y2:.5g}", look or stroke(FAINT, 1), layer)
        self.height = max(self.height, y1, y2)

    def path(self, strokes: str, look: str, layer: int = BODY) -> None:
        """Any other shape, as SVG path data."""
        self._paths.setdefault((layer, look), []).append(strokes)

    def text(
        self, x: float, y: float, words: str, *, size: int = 12, bold: bool = False, faint: bool = False, anchor: str = "start",
        colour: str = "",
    ) -> None:  # fmt: skip
        """A line of text whose baseline is at y."""
        style = f"fill:{colour or (FAINT if faint else INK)}"
        weight = ' font-weight="600"' if bold else ""
        place = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self._parts.append(
            f'<text x="{x:.5g}" y="{y:.5g}" style="{style}" font-size="{size}"{weight}{place}>{_safe(words)}</text>'
        )
        self.height = max(self.height, y + 4)

    def letter(self, x: float, y: float, letter: str, colour: str) -> None:
        """One small letter around x."""
        self._letters.setdefault(colour, []).append(f'<text x="{x:.5g}" y="{y:.5g}">{_safe(letter)}</text>')

    def hint(self, x: float, y: float, w: float, h: float, words: str) -> None:
        """An invisible rectangle that shows its words under the mouse."""
        box = f'<path d="M{x:.5g} {y:.5g}h{w:.5g}v{h:.5g}h{-w:.5g}z" fill="transparent">'
        self._parts.append(f"{box}<title>{_safe(words)}</title></path>")

    def picture(self, words: list[str]) -> Picture:
        """The finished picture; `words` are its text alternative, a line each."""
        alt = "\n".join(words)
        paths = "".join(
            f'<path {look} d="{"".join(strokes)}"/>' for (_, look), strokes in sorted(self._paths.items(), key=_layer)
        )
        letters = "".join(
            f'<g style="fill:{colour}" font-size="10" font-weight="600" text-anchor="middle">{"".join(some)}</g>'
            for colour, some in self._letters.items()
        )
        high = self.height + 6
        # JupyterLab typesets what lies between two dollars as mathematics, but not in elements of this class.
        svg = (
            f'<svg role="img" class="mathjax_ignore" aria-label="{_safe(" ".join(words))}" '
            f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {high:.5g}" '
            f'style="width:100%;max-width:{self.width:g}px;height:auto;display:block" '
            f'font-family="var(--jp-content-font-family,sans-serif)">'
            f"<title>{_safe(self.title)}</title>{paths}{letters}{''.join(self._parts)}</svg>"
        )
        return Picture(svg, alt)


def _layer(entry: tuple[tuple[int, str], list[str]]) -> int:
    return entry[0][0]


def _safe(words: str) -> str:
    # The API server takes control characters in some strings; XML takes none but these.
    return escape("".join(letter if letter.isprintable() or letter in "\t\n" else " " for letter in words))


_WIDTHS = {
    letter: width
    for letters, width in (("'ijlIJ,.·/:;\\| f-", 0.35), ('t()[]!r"*_`', 0.43), ("szckFL?", 0.57), ("m%W@…", 1.0))
    for letter in letters
} | dict.fromkeys("OQDGHNw#+<=>^~→×&CUARVXBM▲", 0.8)


def wide(words: str, size: float, bold: bool = False) -> float:
    """About how many pixels a line of text takes, in DejaVu Sans: other systems' fonts are narrower."""
    return size * sum(_WIDTHS.get(letter, 0.635) for letter in words) * (1.12 if bold else 1.0)


def fit(words: str, pixels: float, size: float, bold: bool = False) -> str:
    """As much of a text as the pixels hold; the middle goes, because ends tell names apart."""
    shorter, kept = words, min(len(words), 400)
    while wide(shorter, size, bold) > pixels and kept:
        kept -= 1
        head = (kept + 1) // 2
        shorter = f"{words[:head]}…{words[len(words) - (kept - head) :] if kept > head else ''}"
    return shorter


def labels(names: list[str], pixels: float, size: float) -> dict[str, str]:
    """Names that fit: what all end with goes first (`.eu-central-1.compute.internal`), then what all begin with."""
    tails = {name.partition(".")[2] for name in names}
    tail = f".{tails.pop()}" if len(names) > 1 and len(tails) == 1 and "" not in tails else ""
    short = {name: name.removesuffix(tail) for name in names}
    if len(names) > 1 and any(wide(name, size, True) > pixels for name in short.values()):
        head = re.sub(r"[^-.]*$", "", shared_start(list(short.values())))
        short = {name: f"…{text.removeprefix(head)}" if len(head) > 2 else text for name, text in short.items()}
    return {name: fit(text, pixels, size, True) for name, text in short.items()}


def shared_start(names: list[str]) -> str:
    """What all of the names begin with, letter by letter."""
    first, last = min(names), max(names)
    return first[: next((place for place, letter in enumerate(first) if last[place : place + 1] != letter), len(first))]


def solid(colour: str) -> str:
    """The look of something that is there."""
    return f'fill="{colour}"'


def hollow(colour: str) -> str:
    """The look of something that waits: dashed and empty."""
    return f'fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="3 2"'


def faded(colour: str) -> str:
    """The look of something that goes away."""
    return f'fill="{colour}" fill-opacity=".3" stroke="{colour}"'


def stroke(colour: str, width: float = 1.5, dash: str = "") -> str:
    """A line's look."""
    return f'fill="none" stroke="{colour}" stroke-width="{width:g}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def hatched(canvas: Canvas, x: float, y: float, w: float, h: float) -> None:
    """Empty space: what is paid for and holds nothing."""
    canvas.rect(x, y, w, h, f'fill="{HOLLOW}"', BACK)
    strokes = "".join(f"M{x + at:.5g} {y + h:.5g}l{h:.5g} {-h:.5g}" for at in range(2, int(w - h), 9))
    canvas.path(strokes, stroke(FAINT, 0.5), BACK)


def count(number: int, what: str) -> str:
    """`1 Pod`, `2 Pods`, `1,000 Pods`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
