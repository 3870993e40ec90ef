"""Counts what ran, and says it at the end of the run: .ci/run compares the numbers with the lab folders."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@dataclass
class Tally:
    """What the journeys did.

    Attributes:
        steps: (lab, step name) of every step that was as it had to be.
        labs: lab → (seconds of wall time, seconds in cells).
        notebooks: notebooks that nbval ran, `lab (stored)` and `lab (solved)`.
    """

    steps: list[tuple[str, str]] = field(default_factory=list)
    labs: dict[str, tuple[float, float]] = field(default_factory=dict)
    notebooks: list[str] = field(default_factory=list)

    def step(self, lab: str, step) -> None:
        self.steps.append((lab, step.name))

    def lab(self, journey) -> None:
        self.labs[journey.folder.name] = (journey.wall, journey.cells)

    def lines(self) -> list[str]:
        checks = [name for _, name in self.steps if name.endswith("· check")]
        solved = sum("· solution ·" in name for name in checks)
        wrong = sum("· wrong: " in name for name in checks)
        untouched = sum("· untouched ·" in name for name in checks)
        said = [
            f"journeys: {len(self.labs)} labs, {solved} exercises solved, {wrong} wrong answers refused, "
            f"{untouched} untouched exercises refused, {len(self.steps)} steps, provider embedded",
            f"nbval: {len(self.notebooks)} notebooks",
            f"order of LAB_SEED={os.environ.get('LAB_SEED', '')}: {', '.join(self.labs)}",
        ]
        for lab, (wall, cells) in sorted(self.labs.items()):
            said.append(f"journey {lab}: {wall:.1f} s, {cells:.1f} s of it in cells, ratio {wall / max(cells, 0.1):.2f}")
        return said


_tally = Tally()


@pytest.fixture(scope="session")
def tally() -> Tally:
    return _tally


def pytest_terminal_summary(terminalreporter) -> None:
    if _tally.steps or _tally.notebooks:
        terminalreporter.section("labs")
        for line in _tally.lines():
            terminalreporter.write_line(line)
