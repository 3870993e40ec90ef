"""Exercises: set the scene, check, hint, solution. A check looks at the cluster, never at the text that was typed."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab_helpers import settings
from lab_helpers.errors import CheckFailed, LabError, LessonError
from lab_helpers.teaching import cells, cloud, lesson, panels, progress, room
from lab_helpers.teaching.lab import Lab
from lab_helpers.teaching.lesson import Exercise

_scenes: set[tuple[str, str]] = set()


def scene(name: str) -> None:
    """Bring an exercise to its start; run again, it begins anew.

    Raises:
        LessonError: there is no such exercise or scene, or the scene is broken.
    """
    lab, exercise = _named(name)
    function = lab.lesson.function(f"scene-{name}")
    if function is None:
        step = f"def scene_{name.replace('-', '_')}(lab) in checks.py"
        raise LessonError(f"The exercise {name} has no scene.", next_step=step)
    _run(lab, function, f"The scene of {exercise.id}")
    _mark(lab, name)
    print("The scene is set. Run this cell again to begin anew.")


def check(name: str) -> None:
    """Check an exercise: a panel that says what was seen, or the debrief.

    Raises:
        CheckFailed: it is not solved yet.
        LessonError: no lab is open, there is no such exercise, or its check is broken.
    """
    lab, exercise = _named(name)
    function = lab.lesson.function(name)
    if function is None:
        raise LessonError(f"There is no check {name}.", next_step=f"def {name.replace('-', '_')}(lab) in checks.py")
    if lab.lesson.function(f"scene-{name}") and not _marked(lab, name):
        raise CheckFailed("The scene of this exercise is not set yet.", next_step=f'run the cell with scene("{name}") above')
    with progress.change(lab.name) as record:
        attempts = record.setdefault("attempts", {})
        attempts[name] = attempts.get(name, 0) + 1
    try:
        _run(lab, function, f"The check {name}")
    except LessonError:
        raise
    except LabError as error:
        failed = error if isinstance(error, CheckFailed) else CheckFailed(error.headline, error.seen, error.next_step)
        failed.next_step = _next_step(lab, name, failed)
        raise failed from None
    with progress.change(lab.name) as record:
        record.setdefault("passed", {}).setdefault(name, time.strftime("%Y-%m-%d %H:%M"))
    panels.passed(lab.lesson, exercise)


def _next_step(lab: Lab, name: str, failed: CheckFailed) -> str:
    """What the check says; where the exercise's cell never ran, that first."""
    if place := cells.never_ran(lab.lesson, name):
        under = f", under “{place.heading}”," if place.heading else ""
        return f"the exercise cell above this check{under} has not been run since the lab was opened: run it first"
    return failed.next_step or f'hint("{name}") in a cell of your own gives a hint'


def hint(name: str) -> None:
    """The next hint of an exercise, one more each time."""
    lab, exercise = _named(name)
    with progress.change(lab.name) as record:
        taken = record.setdefault("hints", {})
        taken[name] = number = min(len(exercise.hints), taken.get(name, 0) + 1)
    panels.hint(number, exercise)


def solution(name: str) -> None:
    """One solution of an exercise; that it was looked at is noted."""
    lab, exercise = _named(name)
    progress.note(lab.name, "solutions", name, time.strftime("%Y-%m-%d %H:%M"))
    panels.solution(exercise)


def _named(name: str) -> tuple[Lab, Exercise]:
    lab = room.current()
    lab.lesson = lesson.read(lab.lesson.folder)  # an edited hint or debrief is used at once
    known = lab.lesson.exercises
    if name not in known:
        near = lesson.nearest(name, known) or list(known)
        raise LessonError(f"{lab.name} has no exercise {name!r}.", next_step=f"did you mean: {', '.join(near)}?")
    return lab, known[name]


def _run(lab: Lab, function: Callable[[Any], None], what: str) -> None:
    """Run a function of checks.py; what is not an error of the lab's own kind is a fault of ours, and said to be."""
    try:
        with lab.silence():
            function(lab)
    except LabError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise LessonError(
            f"{what} is broken: this is a fault of the lab, not yours.",
            f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno}: {last.line})",
            "please report it with these lines; lab.reset() may help, and the next exercise does not need this one",
        ) from error


def _mark(lab: Lab, name: str) -> None:
    """Note that a scene is set: beside the cluster or account, because it lasts as long as that, not as long as the kernel."""
    _scenes.add((lab.name, name))
    if memory := _memory(lab):
        (memory / f"scene-{name}").touch()


def _marked(lab: Lab, name: str) -> bool:
    memory = _memory(lab)
    return (memory / f"scene-{name}").exists() if memory else (lab.name, name) in _scenes


def _memory(lab: Lab) -> Path | None:
    if lab.own:
        return lab.own.folder
    return cloud.memory(settings.load(), lab.lesson) if lab.lesson.aws else None
