"""The scheduler's score table: a row for each node that passed the filters, a column for each plugin, and the sum."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab_helpers.views.palette import BLUE, GREY, HOLLOW, LINE
from lab_helpers.views.picture import BACK, MARK, Canvas, Picture, count, fit, solid, stroke, wide

_WIDTH, _LEFT, _SUM, _ROW, _BAR = 960, 150, 170, 34, 5
_WIDEST = 150
_LEGEND = "grey: the same for every node, so it decides nothing; plugins that gave nobody a point are left out"


def scores(
    pod: str,
    table: Mapping[str, Mapping[str, int]],
    totals: Mapping[str, int],
    node: str,
    *,
    evaluated: int = 0,
    feasible: int = 0,
    said: str = "",
) -> Picture:
    """Draw what each plugin gave each node.

    Args:
        pod: its name.
        table: node → plugin → points.
        totals: node → the sum.
        node: where the Pod went; empty: nowhere.
        evaluated, feasible: how many nodes were looked at, and how many passed every filter.
        said: why it went nowhere.
    """
    canvas = Canvas(_WIDTH, f"Where {pod} goes")
    summary = _summary(totals, node, evaluated, feasible, said)
    top = canvas.heading(summary)
    if not totals:
        return canvas.picture([f"{canvas.title}: {summary}."])
    order = sorted(totals, key=lambda name: (-totals[name], name != node, name))
    plugins = _plugins(table)
    column = min(_WIDEST, (_WIDTH - _LEFT - _SUM) / max(1, len(plugins)))
    heads = {plugin: _wrapped(plugin, column - 10) for plugin in plugins}
    lines = max([len(head) for head in heads.values()], default=1)
    base = top + 14 * lines
    at_sum = _LEFT + column * len(plugins)
    for number, plugin in enumerate(plugins):
        for line, words in enumerate(heads[plugin]):
            y = base - 14 * (len(heads[plugin]) - 1 - line)
            canvas.text(_LEFT + number * column, y, words, size=11, faint=_same(table, plugin), bold=not _same(table, plugin))
    canvas.text(at_sum, base, "sum", size=12, bold=True)
    for row, name in enumerate(order):
        y = base + 6 + row * _ROW
        if name == node:
            canvas.rect(0, y, at_sum + _SUM - 8, _ROW - 3, solid(HOLLOW), BACK)
        canvas.text(6, y + 16, fit(name, _LEFT - 14, 13, name == node), size=13, bold=name == node)
        for number, plugin in enumerate(plugins):
            points = table.get(name, {}).get(plugin, 0)
            most = max(one.get(plugin, 0) for one in table.values())
            colour = GREY if _same(table, plugin) else BLUE
            _points(canvas, _LEFT + number * column, y, points, most, column - 16, colour, _same(table, plugin))
        _points(canvas, at_sum, y, totals[name], max(totals.values()), 100, BLUE, False, bold=True)
        if name == node:
            canvas.text(at_sum + 46, y + 16, "◀ chosen", size=12, bold=True)
    bottom = base + 6 + len(order) * _ROW
    canvas.line(0, bottom, at_sum + _SUM - 8, bottom, stroke(LINE, 1), MARK)
    canvas.text(2, bottom + 18, _LEGEND, size=11, faint=True)
    return canvas.picture(_words(canvas.title, summary, order, plugins, table, totals, node))


def _points(
    canvas: Canvas, x: float, y: float, points: int, most: int, width: float, colour: str, faint: bool, bold: bool = False
) -> None:
    canvas.text(x, y + 16, f"{points}", size=13, faint=faint, bold=bold)
    canvas.rect(x, y + 22, width, _BAR, f'fill="none" stroke="{LINE}" stroke-width="0.6"', BACK)
    if points and most:
        canvas.rect(x, y + 22, max(1.0, width * points / most), _BAR, solid(colour))


def _plugins(table: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Those that gave somebody a point, first those that make a difference."""
    named = sorted({plugin for points in table.values() for plugin in points})
    given = [plugin for plugin in named if any(points.get(plugin) for points in table.values())]
    return sorted(given, key=lambda plugin: (_same(table, plugin), plugin))


def _same(table: Mapping[str, Mapping[str, int]], plugin: str) -> bool:
    return len({points.get(plugin, 0) for points in table.values()}) == 1


def _wrapped(plugin: str, pixels: float) -> list[str]:
    """A plugin's name in lines that fit, cut where a new word begins: `NodeResources` / `BalancedAllocation`."""
    lines = [""]
    for word in re.findall(r"[A-Z][a-z]*", plugin):
        if lines[-1] and wide(lines[-1] + word, 11, True) > pixels:
            lines.append("")
        lines[-1] += word
    return lines


def _summary(totals: Mapping[str, int], node: str, evaluated: int, feasible: int, said: str) -> str:
    if not node:
        return f"to no node: {said}" if said else "not decided yet"
    passed = f"{feasible} of {count(evaluated, 'node')} passed the filters"
    if not totals:
        return f"{passed}: {node}. With one left there is nothing to score"
    best = [name for name, points in totals.items() if points == max(totals.values())]
    how = f"{len(best)} have the highest sum, one of them is drawn by lot" if len(best) > 1 else "the highest sum wins"
    return f"{passed}; {how}"


def _words(
    title: str, summary: str, order: list[str], plugins: list[str],
    table: Mapping[str, Mapping[str, int]], totals: Mapping[str, int], node: str,
) -> list[str]:  # fmt: skip
    rows = [f"{title}: {summary}."]
    for name in order:
        parts = ", ".join(f"{plugin} {table.get(name, {}).get(plugin, 0)}" for plugin in plugins)
        rows.append(f"{name}{' (chosen)' if name == node else ''}: {totals[name]} = {parts}.")
    return rows
