"""Exercises: set the scene, check, hint, solution. A check looks at the cluster, never at the text that was typed."""

from __future__ import annotations

import difflib
import time
import traceback

from lab_helpers.errors import CheckFailed, LabError, LessonError
from lab_helpers.teaching import panels, progress, room
from lab_helpers.teaching.lesson import Exercise
from lab_helpers.teaching.room import Lab


def scene(name: str) -> None:
    """Bring an exercise to its start; run again, it begins anew."""
    lab = room.current()
    _exercise(lab, name)
    function = lab.lesson.function(f"scene-{name}")
    if function is None:
        raise LessonError(
            f"The exercise {name} has no scene.", next_step=f"def scene_{name.replace('-', '_')}(lab) in checks.py"
        )
    function(lab)
    lab.scenes.add(name)
    print("The scene is set. Run this cell again to begin anew.")


def check(name: str) -> None:
    """Check an exercise: a panel that says what was seen, or the debrief.

    Raises:
        CheckFailed: it is not solved yet.
        LessonError: there is no such exercise, or its check is broken.
    """
    lab = room.current()
    exercise = _exercise(lab, name)
    function = lab.lesson.function(name)
    if function is None:
        raise LessonError(f"There is no check {name}.", next_step=f"def {name.replace('-', '_')}(lab) in checks.py")
    if lab.lesson.function(f"scene-{name}") and name not in lab.scenes:
        raise CheckFailed("The scene of this exercise is not set yet.", next_step=f'run the cell with scene("{name}") above')
    with progress.change(lab.name) as record:
        attempts = record.setdefault("attempts", {})
        attempts[name] = attempts.get(name, 0) + 1
    try:
        function(lab)
    except CheckFailed as failed:
        failed.next_step = failed.next_step or f'hint("{name}") gives a hint'
        raise
    except LabError as error:
        raise CheckFailed(error.headline, error.seen, error.next_step or f'hint("{name}") gives a hint') from None
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise LessonError(
            f"The check {name} itself is broken: this is our fault, not yours.",
            f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})",
            "please report it with these lines",
        ) from error
    with progress.change(lab.name) as record:
        record.setdefault("passed", {}).setdefault(name, time.strftime("%Y-%m-%d %H:%M"))
    panels.passed(lab.lesson, exercise)


def hint(name: str) -> None:
    """The next hint of an exercise, one more each time."""
    lab = room.current()
    exercise = _exercise(lab, name)
    with progress.change(lab.name) as record:
        taken = record.setdefault("hints", {})
        taken[name] = number = min(len(exercise.hints), taken.get(name, 0) + 1)
    panels.hint(number, exercise)


def solution(name: str) -> None:
    """One solution of an exercise; that it was looked at is noted."""
    lab = room.current()
    exercise = _exercise(lab, name)
    progress.note(lab.name, "solutions", name, time.strftime("%Y-%m-%d %H:%M"))
    panels.solution(exercise)


def _exercise(lab: Lab, name: str) -> Exercise:
    if name not in lab.lesson.exercises:
        near = difflib.get_close_matches(name, lab.lesson.exercises, 3, 0.3) or list(lab.lesson.exercises)
        raise LessonError(f"{lab.name} has no exercise {name!r}.", next_step=f"did you mean: {', '.join(near)}?")
    return lab.lesson.exercises[name]
