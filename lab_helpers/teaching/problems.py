"""What is wrong with a lab folder, each with the cure: for whoever writes labs, and for CI."""

from __future__ import annotations

import json
import re

from lab_helpers.teaching.lesson import Lesson

_CALL = r"""{name}\(\s*["']([\w-]+)["']"""
_REMEDY = re.compile(r"\A\s*!?\s*(kubectl|lab\.|aws|eksctl)\s")


def problems(lesson: Lesson) -> list[str]:
    """Sentences that name file and cure; an empty list for a lab that is as it has to be."""
    cells = json.loads(lesson.notebook.read_text())["cells"]
    return [*_table(lesson), *_notebook(lesson, cells), *_exercises(lesson, cells)]


def _table(lesson: Lesson) -> list[str]:
    where = lesson.folder / "lab.yaml"
    said = []
    if lesson.minutes < 5 or lesson.minutes % 5:
        said.append(f"{where}: minutes is {lesson.minutes}: round up to a multiple of 5.")
    if not lesson.objectives:
        said.append(f"{where}: objectives is empty: say what the learner can do afterwards.")
    return said


def _notebook(lesson: Lesson, cells: list[dict]) -> list[str]:  # type: ignore[type-arg]
    where = lesson.notebook
    text = ["".join(cell["source"]) for cell in cells]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    said = []
    prose = [source for cell, source in zip(cells, text, strict=True) if cell["cell_type"] == "markdown"]
    heads = sum(len(re.findall(r"(?m)^# ", re.sub(r"(?ms)^```.*?^```", "", source))) for source in prose)
    if heads != 1:
        said.append(f"{where}: {heads} headings of level 1: one notebook, one title.")
    if not 15 <= len(code) <= 45:
        said.append(f"{where}: {len(code)} code cells: between 15 and 45.")
    for cell, source in zip(cells, text, strict=True):
        if cell["cell_type"] == "code" and cell.get("outputs"):
            said.append(f"{where}: cell {cell['id']} is stored with outputs: nbstripout --keep-id {where.name}")
        if re.fullmatch(r"[0-9a-f]{8}", cell.get("id", "")):
            said.append(f"{where}: cell {cell['id']} has no readable id: give it one that says what it is for.")
        if cell["cell_type"] == "markdown" and len(source.split()) > 130:
            said.append(f"{where}: cell {cell['id']} has {len(source.split())} words: at most 100.")
    if not any(re.search(r"\.close\(\)", source) for source in text[-3:]):
        said.append(f"{where}: the last cells do not clean up: end with lab.close().")
    return said


def _exercises(lesson: Lesson, cells: list[dict]) -> list[str]:  # type: ignore[type-arg]
    where = lesson.folder / "exercises.yaml"
    code = [("".join(cell["source"]), cell["metadata"].get("tags", [])) for cell in cells if cell["cell_type"] == "code"]
    checked = [re.search(_CALL.format(name="check"), source) for source, tags in code if "check" in tags]
    asked = [match[1] for match in checked if match]
    said = []
    if len(lesson.exercises) < 3 and lesson.profile:
        said.append(f"{where}: {len(lesson.exercises)} exercises: at least three.")
    said += [
        f"{lesson.notebook}: check({name!r}) is not in exercises.yaml: add it."
        for name in asked
        if name not in lesson.exercises
    ]
    for name, exercise in lesson.exercises.items():
        if asked.count(name) != 1:
            said.append(f"{lesson.notebook}: {asked.count(name)} cells tagged `check` call check({name!r}): exactly one.")
        if lesson.function(name) is None:
            said.append(f"{lesson.folder / 'checks.py'}: there is no function {name.replace('-', '_')}(lab).")
        if len(exercise.hints) < 2:
            said.append(f"{where}: {name} has {len(exercise.hints)} hints: two or more, from general to specific.")
        if any(not hint.strip() for hint in exercise.hints):
            said.append(f"{where}: {name} has an empty hint.")
        if any(_REMEDY.search(hint) for hint in exercise.hints):
            said.append(f"{where}: a hint of {name} gives the command: point at where it can be found.")
        if len(exercise.wrong) < 2:
            said.append(f"{where}: {name} has {len(exercise.wrong)} wrong answers: two or more that people really give.")
        if not exercise.solution.strip():
            said.append(f"{where}: {name} has no solution.")
        if any(not wrong.message.strip() for wrong in exercise.wrong):
            said.append(f"{where}: a wrong answer of {name} has no message.")
        if len(re.findall(r"(?i)\bEKS\b", exercise.debrief)) < 1:
            said.append(f"{where}: the debrief of {name} does not say how it differs on EKS.")
    scenes = [match[1] for source, tags in code if "scene" in tags and (match := re.search(_CALL.format(name="scene"), source))]
    for name in scenes:
        if lesson.function(f"scene-{name}") is None:
            said.append(f"{lesson.folder / 'checks.py'}: there is no function scene_{name.replace('-', '_')}(lab).")
    return said
