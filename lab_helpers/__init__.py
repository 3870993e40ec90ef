"""EKS Lab: the few names that a notebook uses. Everything behind them is imported when it is first called.

from lab_helpers import open_lab
lab = open_lab("03-control-plane")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab_helpers.errors import CheckFailed, CommandFailed, KubernetesError, LabError, WaitTimeout

if TYPE_CHECKING:
    from lab_helpers.clusters import NodeShape
    from lab_helpers.teaching.lab import Lab

__all__ = [
    "CheckFailed",
    "CommandFailed",
    "KubernetesError",
    "Lab",
    "LabError",
    "NodeShape",
    "WaitTimeout",
    "check",
    "compare",
    "course_map",
    "hint",
    "open_lab",
    "predict",
    "preflight",
    "quiz",
    "scene",
    "setup_progress",
    "solution",
]


def open_lab(name: str, provider: str | None = None) -> Lab:
    """Open a lab: its cluster, the environment of its commands, its banner."""
    from lab_helpers.teaching import room

    return room.open_lab(name, provider)


def scene(name: str) -> None:
    """Bring an exercise to its start; run again, it begins anew."""
    from lab_helpers.teaching import exercises

    exercises.scene(name)


def check(name: str) -> None:
    """Check an exercise: a panel that says what was seen, or the debrief."""
    from lab_helpers.teaching import exercises

    exercises.check(name)


def hint(name: str) -> None:
    """The next hint of an exercise, one more each time."""
    from lab_helpers.teaching import exercises

    exercises.hint(name)


def solution(name: str) -> None:
    """One solution of an exercise."""
    from lab_helpers.teaching import exercises

    exercises.solution(name)


def predict(name: str, question: str, options: list[str]) -> None:
    """Ask what will happen, before it does. Never blocks."""
    from lab_helpers.teaching import quiz as questions

    questions.predict(_name(), name, question, options)


def compare(name: str, happened: str) -> None:
    """Say what happened beside what was predicted; `happened` is one of the prediction's options."""
    from lab_helpers.teaching import quiz as questions

    questions.compare(_name(), name, happened)


def quiz(name: str, question: str, options: dict[str, str], right: str, why: str) -> None:
    """Ask what was learned."""
    from lab_helpers.teaching import quiz as questions

    questions.quiz(_name(), name, question, options, right, why)


def course_map() -> None:
    """Every lab as a card to click, with minutes and progress."""
    from lab_helpers.teaching import panels

    panels.course_map()


def preflight() -> None:
    """What is here, what is missing, and the one command that fixes it."""
    from lab_helpers.teaching import panels

    panels.preflight()


def setup_progress() -> None:
    """Follow the preparation of the programs; returns at once, the bar goes on."""
    from lab_helpers.teaching import waiting

    waiting.setup_progress()


def _name() -> str:
    from lab_helpers.teaching import room

    return room.current().name


def __getattr__(name: str) -> Any:
    if name == "Lab":
        from lab_helpers.teaching.lab import Lab

        return Lab
    if name == "NodeShape":
        from lab_helpers.clusters import NodeShape

        return NodeShape
    raise AttributeError(f"module 'lab_helpers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
