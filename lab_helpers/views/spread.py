"""How requests spread over those who answer, beside what chance alone would give."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from lab_helpers.views.palette import FAINT, HOLLOW, INK, LINE, owners
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, count, fit, solid, stroke

_WIDTH, _LEFT, _RIGHT, _ROW = 960, 250, 190, 26
_DEVIATIONS = 2.576  # of the normal distribution: 99 of 100 draws end inside


def band(total: int, ways: int) -> tuple[float, float, float]:
    """How many of `total` requests one of `ways` equal ways gets, if each request is given by lot.

    Returns:
        The expected number, and the lower and upper end of the band in which 99 of 100 such numbers lie (binomial
        distribution, in its normal approximation).
    """
    expected = total / ways
    reach = _DEVIATIONS * sqrt(total * (1 / ways) * (1 - 1 / ways))
    return expected, max(0.0, expected - reach), min(float(total), expected + reach)


def spread(counts: Mapping[str, int], *, title: str = "", what: str = "Pod") -> Picture:
    """Draw a bar for each of those who answered.

    Args:
        counts: name → requests answered; also those that got none.
        title: what the picture shows; "Requests per Pod" if empty.
        what: what the names are names of.
    """
    canvas = Canvas(_WIDTH, title or f"Requests per {what}")
    total, ways = sum(counts.values()), len(counts)
    expected, low, high = band(total, ways) if ways else (0.0, 0.0, 0.0)
    inside = sum(low <= number <= high for number in counts.values())
    summary = f"{count(total, 'request')}, {count(ways, what)}; by lot {expected:.0f} each, between {low:.0f} and {high:.0f}"
    top = canvas.heading(summary) + 8
    most = max([*counts.values(), high, 1.0])

    def x(number: float) -> float:
        return _LEFT + (_WIDTH - _RIGHT - _LEFT) * number / most

    bottom = top + max(1, ways) * _ROW
    looks = owners(counts)
    if ways > 1:
        canvas.rect(x(low), top, x(high) - x(low), bottom - top, solid(HOLLOW), BACK)
        canvas.line(x(expected), top - 3, x(expected), bottom + 3, stroke(INK, 1.5, "4 3"), MARK)
    for row, (name, number) in enumerate(counts.items()):
        y = top + row * _ROW
        canvas.text(_LEFT - 8, y + 17, fit(name, _LEFT - 12, 12), anchor="end")
        canvas.rect(_LEFT, y + 5, max(1.0, x(number) - _LEFT), _ROW - 10, f'{solid(looks[name].colour)} fill-opacity=".8"')
        share = f"{number:,} ({100 * number / total:.1f} %)" if total else "0"
        canvas.text(_WIDTH - _RIGHT + 12, y + 17, share)
        canvas.hint(0, y, _WIDTH, _ROW, f"{name}: {share}")
    canvas.line(_LEFT, top, _LEFT, bottom, stroke(LINE, 1), MARK)
    verdict = f"{inside} of {ways} inside the band"
    if ways > 1:
        words = f"dashed: the same for each ({expected:.0f}); grey band: where 99 of 100 bars end if each request goes by lot"
        canvas.text(_LEFT, bottom + 18, fit(words, _WIDTH - _LEFT, 11), size=11, faint=True)
        canvas.text(_LEFT, bottom + 34, verdict, size=12, colour=INK if inside == ways else FAINT)
    rows = [f"{name}: {number:,}." for name, number in counts.items()]
    return canvas.picture([f"{canvas.title}: {summary}.", *rows, f"{verdict}."])
