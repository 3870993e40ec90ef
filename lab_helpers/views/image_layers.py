"""Images as stacks of layers, a shared layer drawn once across all that stand on it: what a node really stores."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from lab_helpers.views.facts import size
from lab_helpers.views.palette import FAINT, HOLLOW, LINE, Owner, owners
from lab_helpers.views.picture import BACK, Canvas, Picture, count, fit, solid, stroke

WIDTH, MOST = 760, 6
LEFT, RIGHT, HIGH, GAP = 36, 170, 34, 8

Image = dict[str, Any]
"""`name`, and `layers` from the lowest: each with `digest`, `size` in bytes, and `title` (may be empty)."""


def image_layers(images: list[Image], *, title: str = "") -> Picture:
    """Draw at most six images side by side, the lowest layer at the bottom, each distinct layer as one row.

    Args:
        images: name and layers of each.
        title: what the picture shows; "Images and their layers" if empty.
    """
    shown, hidden = images[:MOST], images[MOST:]
    layers: dict[str, dict[str, Any]] = {}
    for image in shown:
        for layer in image["layers"]:
            layers.setdefault(layer["digest"], layer)
    whole = sum(layer["size"] for image in shown for layer in image["layers"])
    kept = sum(layer["size"] for layer in layers.values())
    canvas = Canvas(WIDTH, title or "Images and their layers")
    top = canvas.heading(f"{count(len(shown), 'image')}: {size(kept)} stored; {size(whole)} if nothing were shared") + 6
    column = (WIDTH - LEFT - RIGHT) / max(1, len(shown))
    names = {key: layer.get("title") or key.partition(":")[2][:7] for key, layer in layers.items()}
    looks = owners(names[key] for key in layers)
    y = top
    for key in _rows(shown, layers):
        _row(canvas, y, column, shown, layers[key], names[key], looks[names[key]])
        y += HIGH + GAP
    canvas.line(LEFT, y, LEFT + column * len(shown) - GAP, y, stroke(LINE, 1.5), BACK)
    for number, image in enumerate(shown):
        middle = LEFT + column * number + (column - GAP) / 2
        alone = sum(layer["size"] for layer in image["layers"])
        canvas.text(middle, y + 18, fit(image["name"], column - GAP, 12, True), bold=True, anchor="middle")
        canvas.text(middle, y + 34, f"{size(alone)} by itself", size=11, faint=True, anchor="middle")
    canvas.text(LEFT + column * len(shown) + 6, y + 18, f"{size(kept)} stored", bold=True)
    if hidden:
        canvas.text(LEFT, y + 52, f"{count(len(hidden), 'more image')} not shown", faint=True)
    return canvas.picture(_words(canvas.title, shown, layers, names, kept, whole, len(hidden)))


def _rows(images: list[Image], layers: dict[str, Any]) -> list[str]:
    """Distinct layers from the top: what stands lower in any image comes later."""
    depth = dict.fromkeys(layers, 0)
    for image in images:
        for height, layer in enumerate(image["layers"]):
            depth[layer["digest"]] = max(depth[layer["digest"]], height)
    order = list(layers)
    return sorted(layers, key=lambda key: (-depth[key], order.index(key)))


def _row(
    canvas: Canvas, y: float, column: float, images: list[Image], layer: dict[str, Any], name: str, look: Owner
) -> None:  # fmt: skip
    """One layer: a box below each run of neighbours that have it, a thin line where one between them has not."""
    having = [number for number, image in enumerate(images) if layer["digest"] in {one["digest"] for one in image["layers"]}]
    runs: list[list[int]] = []
    for number in having:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    canvas.text(2, y + 21, f"{len(having)} ×" if len(having) > 1 else "", size=12, faint=True)
    for run in runs:
        x, wide = LEFT + column * run[0], column * len(run) - GAP
        canvas.rect(x, y, wide, HIGH, solid(look.colour))
        canvas.text(x + wide / 2, y + 22, fit(name, wide - 8, 13, True), size=13, bold=True, anchor="middle", colour=look.ink)
    for before, after in pairwise(runs):
        start, end = LEFT + column * (before[-1] + 1) - GAP, LEFT + column * after[0]
        canvas.line(start, y + HIGH / 2, end, y + HIGH / 2, stroke(look.colour, 2, "4 3"), BACK)
    x = LEFT + column * len(images) + 6
    canvas.text(x, y + 15, size(layer["size"]), size=12)
    canvas.text(x, y + 29, f"{layer['digest'][:19]}…", size=11, faint=True)
    canvas.rect(x - 8, y, 2, HIGH, f'fill="{HOLLOW if len(having) < 2 else FAINT}"', BACK)


def _words(
    title: str, images: list[Image], layers: dict[str, Any], names: dict[str, str], kept: int, whole: int, hidden: int
) -> list[str]:
    said = [f"{title}. {size(kept)} stored; {size(whole)} if nothing were shared."]
    for image in images:
        parts = [f"{names[layer['digest']]} ({size(layer['size'])})" for layer in image["layers"]]
        said.append(f"{image['name']}, from the bottom: {', '.join(parts) or 'no layer'}.")
    for key, name in names.items():
        sharing = [image["name"] for image in images if key in {layer["digest"] for layer in image["layers"]}]
        if len(sharing) > 1:
            said.append(f"Shared: {name}, {layers[key]['digest'][:19]}…, by {', '.join(sharing)}.")
    if hidden:
        said.append(f"{count(hidden, 'more image')} not shown.")
    return said
