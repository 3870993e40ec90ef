"""What a picture is, and the few strokes that all of them are drawn with."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

from lab_helpers.views.palette import FAINT, INK


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


@dataclass
class Canvas:
    """An SVG being drawn. Lengths are in CSS pixels.

    Rectangles of one look become one path: a browser draws 10,000 of them in 50 ms, single ones take 100 times as long.
    """

    width: float
    title: str
    alt: str
    height: float = 0.0
    _paths: dict[str, list[str]] = field(default_factory=dict)
    _parts: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, w: float, h: float, look: str) -> None:
        """A rectangle; `look` is a list of SVG attributes."""
        self._paths.setdefault(look, []).append(f"M{x:g} {y:g}h{w:g}v{h:g}h{-w:g}z")
        self.height = max(self.height, y + h)

    def cross(self, x: float, y: float, w: float, h: float, look: str) -> None:
        """The two diagonals of a rectangle."""
        self._paths.setdefault(look, []).append(f"M{x:g} {y:g}l{w:g} {h:g}M{x + w:g} {y:g}l{-w:g} {h:g}")

    def line(self, x1: float, y1: float, x2: float, y2: float, look: str = "") -> None:
        """A line."""
        self._paths.setdefault(look or f'stroke="{FAINT}" fill="none"', []).append(f"M{x1:g} {y1:g}L{x2:g} {y2:g}")
        self.height = max(self.height, y1, y2)

    def text(
        self, x: float, y: float, words: str, *, size: int = 12, bold: bool = False, faint: bool = False, anchor: str = "start"
    ) -> None:
        """A line of text whose baseline is at y."""
        weight = ' font-weight="600"' if bold else ""
        colour = FAINT if faint else INK
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" style="fill:{colour}" font-size="{size}"{weight} text-anchor="{anchor}">'
            f"{_safe(words)}</text>"
        )
        self.height = max(self.height, y + 4)

    def hint(self, x: float, y: float, w: float, h: float, words: str) -> None:
        """An invisible rectangle that shows its words under the mouse."""
        box = f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" fill="transparent">'
        self._parts.append(f"{box}<title>{_safe(words)}</title></rect>")

    def raw(self, svg: str) -> None:
        """Any other SVG."""
        self._parts.append(svg)

    def legend(self, x: float, y: float, entries: list[tuple[str, str]]) -> float:
        """A row of (look, words); wraps at the canvas's width. Returns the y below it."""
        left = x
        for look, words in entries:
            wide = 22 + 7 * len(words)
            if left + wide > self.width and left > x:
                left, y = x, y + 18
            self.rect(left, y - 9, 10, 10, look)
            self.text(left + 15, y, words, size=12)
            left += wide + 10
        self.height = max(self.height, y + 6)
        return y + 18

    def picture(self) -> Picture:
        """The finished picture."""
        paths = "".join(f'<path {look} d="{"".join(strokes)}"/>' for look, strokes in self._paths.items())
        high = self.height + 6
        svg = (
            f'<svg role="img" aria-label="{escape(self.alt, quote=True)}" xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {self.width:g} {high:g}" style="width:100%;max-width:{self.width:g}px;height:auto;display:block" '
            f'font-family="var(--jp-content-font-family,sans-serif)">'
            f"<title>{escape(self.title)}</title>{paths}{''.join(self._parts)}</svg>"
        )
        return Picture(svg, self.alt)


def _safe(words: str) -> str:
    # JupyterLab typesets what lies between two dollars as mathematics: a zero-width mark after each one keeps it from that.
    return escape(words).replace("$", "$\u2060")


def short(words: str, letters: int) -> str:
    """At most so many letters; the middle goes, because ends tell names apart."""
    if len(words) <= letters:
        return words
    head = (letters - 1) // 2
    return f"{words[:head]}…{words[len(words) - (letters - 1 - head) :]}"


def solid(colour: str) -> str:
    """The look of something that is there."""
    return f'fill="{colour}"'


def hollow(colour: str) -> str:
    """The look of something that waits: dashed and empty."""
    return f'fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="3 2"'


def faded(colour: str) -> str:
    """The look of something that goes away."""
    return f'fill="{colour}" fill-opacity=".35" stroke="{colour}"'


def stroke(colour: str, width: float = 1.5) -> str:
    """A line's look."""
    return f'fill="none" stroke="{colour}" stroke-width="{width:g}"'
