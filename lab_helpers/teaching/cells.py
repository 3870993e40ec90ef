"""Which cells ran in this kernel: so that a check which fails can say that its exercise was never run."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from lab_helpers.teaching.lesson import Lesson

_HEADING = re.compile(r"(?m)^#{2,6} +(.+)$")
_ran: set[str] = set()
_count = 0
_has_ids = False


@dataclass(frozen=True)
class Place:
    """Where an exercise stands in the notebook: its cell's id, and the heading above it."""

    cell: str
    heading: str


def install(kernel: Any) -> None:
    """Count the cells of this kernel from now on."""
    if _note not in kernel.events.callbacks["pre_run_cell"]:
        kernel.events.register("pre_run_cell", _note)


def _note(info: Any) -> None:
    global _count, _has_ids
    _count += 1
    if cell := getattr(info, "cell_id", None):  # JupyterLab and VS Code send it; nbclient and nbval do not
        _has_ids = True
        _ran.add(cell)


def forget() -> None:
    """Begin anew: a lab was opened, reset or left."""
    global _count
    _ran.clear()
    _count = 0


def never_ran(lesson: Lesson, exercise: str) -> Place | None:
    """The place of an exercise whose cell has not run since the lab was opened; None if it has, or nobody can know."""
    place = find(lesson, exercise)
    if place is None:
        return None
    ran = place.cell in _ran if _has_ids else _count > 1  # one is the check itself
    return None if ran else place


def find(lesson: Lesson, exercise: str) -> Place | None:
    """The cell tagged `exercise` before the check of that name."""
    try:
        cells = json.loads(lesson.notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return None
    cell = heading = ""
    for entry in cells:
        source, tags = "".join(entry["source"]), entry.get("metadata", {}).get("tags", [])
        if entry["cell_type"] == "markdown" and (found := _HEADING.findall(source)):
            heading = found[-1]
        elif "exercise" in tags:
            cell = entry.get("id", "")
        elif "check" in tags and re.search(rf"""check\(\s*["']{re.escape(exercise)}["']""", source):
            return Place(cell, heading) if cell else None
    return None
