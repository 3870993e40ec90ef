"""Counts what ran, and says it at the end of the run: .ci/run compares the numbers with the lab folders.

A plugin of every run, because with several workers (`pytest -n 2`) each counts its own and the first process, which
runs no test itself, adds them up.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields

import pytest

from lab_helpers.clusters import engine

Key = tuple[str, str]
"""(provider, lab)"""


@dataclass
class Tally:
    """What the journeys did.

    Attributes:
        planned: (provider, lab) → how many steps its journey has.
        steps: names of the steps that were as they had to be.
        labs: (provider, lab) → (seconds of wall time, seconds in cells).
        clean: those of which nothing was left.
        notebooks: notebooks that nbval ran, `lab (stored)` and `lab (solved)`.
    """

    planned: dict[Key, int] = field(default_factory=dict)
    steps: dict[Key, list[str]] = field(default_factory=dict)
    labs: dict[Key, tuple[float, float]] = field(default_factory=dict)
    clean: list[Key] = field(default_factory=list)
    notebooks: list[str] = field(default_factory=list)

    def plan(self, provider: str, lab: str, steps: int) -> None:
        self.planned[provider, lab] = steps

    def step(self, provider: str, lab: str, step) -> None:
        self.steps.setdefault((provider, lab), []).append(step.name)

    def lab(self, journey) -> None:
        self.labs[journey.provider, journey.folder.name] = (journey.wall, journey.cells)

    def left_nothing(self, provider: str, lab: str) -> None:
        self.clean.append((provider, lab))

    def passed(self, key: Key) -> bool:
        """Whether every step of a journey ran as it had to, and nothing was left."""
        return key in self.clean and len(self.steps.get(key, [])) == self.planned[key]

    def lines(self) -> list[str]:
        said = []
        for provider in dict.fromkeys(provider for provider, _ in self.planned):
            mine = [key for key in self.planned if key[0] == provider]
            checks = [name for key in mine for name in self.steps.get(key, []) if name.endswith("· check")]
            solved = sum("· solution ·" in name for name in checks)
            wrong = sum("· wrong: " in name for name in checks)
            untouched = sum("· untouched ·" in name for name in checks)
            said.append(
                f"journeys on {provider}: {sum(map(self.passed, mine))} labs, {solved} exercises solved, "
                f"{wrong} wrong answers refused, {untouched} untouched exercises refused"
            )
        if "kind" not in dict(self.planned):
            why = engine.why_not()
            reason = why.headline if why else "the node image is not here: lab setup kind"
            said.append(f"not run: journeys and tests on kind ({os.environ.get('LAB_JOURNEYS') or reason})")
        said.append(f"nbval: {len(self.notebooks)} notebooks")
        said.append(f"order of LAB_SEED={os.environ.get('LAB_SEED', '')}: {', '.join(lab for _, lab in self.labs)}")
        for (provider, lab), (wall, cells) in sorted(self.labs.items(), key=lambda item: item[0][::-1]):
            result = "passed" if self.passed((provider, lab)) else "FAILED"
            ratio = wall / max(cells, 0.1)
            said.append(f"{lab:<22} {provider:<9} {result}  {wall:6.1f} s, {cells:.1f} s of it in cells, ratio {ratio:.2f}")
        return said

    def packed(self) -> list[object]:
        """As plain lists, which is what workers can send."""
        counted = (getattr(self, part.name) for part in fields(self))
        return [[[list(key), value] for key, value in part.items()] if isinstance(part, dict) else part for part in counted]

    def add(self, packed: list[list]) -> None:
        """What another worker counted; a journey is one worker's alone."""
        for part, other in zip(fields(self), packed, strict=True):
            mine = getattr(self, part.name)
            if isinstance(mine, dict):
                mine.update({tuple(key): value for key, value in other})
            else:
                mine.extend(tuple(entry) if isinstance(entry, list) else entry for entry in other)


_tally = Tally()


@pytest.fixture(scope="session")
def tally() -> Tally:
    return _tally


def pytest_sessionfinish(session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = _tally.packed()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """A worker ends: one that died has counted nothing, and .ci/run sees the gap."""
    _tally.add(getattr(node, "workeroutput", {}).get("tally", []) or Tally().packed())


def pytest_terminal_summary(terminalreporter) -> None:
    if _tally.planned or _tally.notebooks:
        terminalreporter.section("labs")
        for line in _tally.lines():
            terminalreporter.write_line(line)
