"""A lab as its folder describes it: lab.yaml, exercises.yaml, checks.py and one notebook."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from lab_helpers import settings
from lab_helpers.clusters import NodeShape, Profile
from lab_helpers.errors import LessonError, SettingError


@dataclass(frozen=True)
class WrongAnswer:
    """An answer that people really give: its name, the cell's text, and what the check must say of it."""

    name: str
    answer: str
    message: str


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        id: unique in its lab.
        hints: from general to specific; none gives the command.
        solution: text of the exercise cell that passes.
        wrong: known wrong answers.
        debrief: Markdown shown after the pass.
        untouched: what the check says where nothing was done; may be empty.
    """

    id: str
    hints: tuple[str, ...]
    solution: str
    wrong: tuple[WrongAnswer, ...]
    debrief: str
    untouched: str = ""


@dataclass(frozen=True)
class Lesson:
    """One lab folder.

    Attributes:
        name: the folder's name, for instance `03-control-plane`.
        minutes: how long it takes, measured.
        objectives: what the learner can do afterwards.
        needs: what an earlier lab taught.
        programs: programs beyond those of the cluster.
        profile: the cluster it needs, or None.
    """

    name: str
    folder: Path
    title: str
    summary: str
    minutes: int
    objectives: tuple[str, ...]
    needs: tuple[str, ...]
    programs: tuple[str, ...]
    profile: Profile | None
    exercises: dict[str, Exercise] = field(default_factory=dict)

    @cached_property
    def notebook(self) -> Path:
        """The lab's one notebook."""
        found = sorted(self.folder.glob("*.ipynb"))
        if len(found) != 1:
            raise LessonError(f"{self.folder} holds {len(found)} notebooks.", next_step="one notebook per lab folder")
        return found[0]

    def checks(self) -> ModuleType:
        """checks.py, loaded afresh: an edited check is used at once."""
        path = self.folder / "checks.py"
        spec = importlib.util.spec_from_file_location(f"checks_of_{self.name.replace('-', '_')}", path)
        if spec is None or spec.loader is None or not path.exists():
            raise LessonError(f"{path} is missing.", next_step="one function per exercise: def the_id(lab): …")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise LessonError(f"{path} cannot be loaded.", f"{type(error).__name__}: {error}") from error
        return module

    def function(self, name: str) -> Callable[[Any], None] | None:
        """A function of checks.py by the exercise's id (dashes become underscores), or None."""
        return getattr(self.checks(), name.replace("-", "_"), None)


def find(name: str) -> Lesson:
    """The lab of that name.

    Raises:
        LessonError: there is none; the error gives the nearest names.
    """
    labs = settings.load().labs
    names = [path.parent.name for path in sorted(labs.glob("*/lab.yaml"))]
    if name in names:
        return read(labs / name)
    if (labs / name).is_dir() and "/" not in name and name:
        raise LessonError(f"{labs / name} has no lab.yaml.", next_step="copy the lab.yaml of another lab")
    near = difflib.get_close_matches(name, names, 3, 0.4) or [known for known in names if name[:2] == known[:2]] or names
    raise LessonError(f"There is no lab {name!r}.", next_step=f"did you mean: {', '.join(near)}? (lab list shows all)")


def every() -> list[Lesson]:
    """All labs, in the course's order."""
    return [read(path.parent) for path in sorted(settings.load().labs.glob("*/lab.yaml"))]


def read(folder: Path) -> Lesson:
    """Read a lab folder.

    Raises:
        LessonError: a file is malformed; the error names file and key and says what is expected.
    """
    path = folder / "lab.yaml"
    table = _mapping(path)
    texts = {key: str(_key(table, path, key, str)) for key in ("title", "summary")}
    return Lesson(
        name=folder.name,
        folder=folder,
        minutes=_key(table, path, "minutes", int),
        objectives=_strings(table, path, "objectives"),
        needs=_strings(table, path, "needs"),
        programs=_strings(table, path, "programs"),
        profile=_profile(table, path),
        exercises=_exercises(folder / "exercises.yaml"),
        **texts,
    )


def _mapping(path: Path) -> dict[str, Any]:
    try:
        table = yaml.safe_load(path.read_text())
    except OSError as error:
        raise LessonError(f"{path} cannot be read.", error.strerror or "") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise LessonError(f"{path}:{line} is not YAML.", str(error.problem)) from None
    if not isinstance(table, dict):
        raise LessonError(f"{path} holds no mapping.", f"{type(table).__name__}", "key: value, see another lab's file")
    return table


def _key(table: dict[str, Any], path: Path, key: str, kind: type, default: Any = None) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind):
        seen = "the key is missing" if key not in table else f"{value!r}"
        raise LessonError(f"{path}: {key} has to be {_NAMES[kind]}.", seen, f"{key}: {_SAMPLES[kind]}")
    return value


_NAMES: dict[type, str] = {str: "a text", int: "a whole number", list: "a list", dict: "a mapping"}
_SAMPLES: dict[type, str] = {str: "one sentence", int: "45", list: "[first, second]", dict: "{key: value}"}


def _strings(table: dict[str, Any], path: Path, key: str) -> tuple[str, ...]:
    return tuple(str(item) for item in _key(table, path, key, list, []))


def _profile(table: dict[str, Any], path: Path) -> Profile | None:
    if "cluster" not in table:
        return None
    cluster = _key(table, path, "cluster", dict)
    shapes = []
    for number, node in enumerate(_key(cluster, path, "nodes", list, [])):
        try:
            shapes.append(NodeShape(**{**node, "taints": tuple(node.get("taints", ()))}))
        except (TypeError, AttributeError) as error:
            known = "name, cpu, memory, pods, zone, labels, taints"
            raise LessonError(f"{path}: cluster.nodes[{number}] is malformed.", str(error), f"keys: {known}") from None
    return Profile(tuple(shapes), _key(cluster, path, "arguments", dict, {}))


def _exercises(path: Path) -> dict[str, Exercise]:
    return {name: _exercise(path, name, table) for name, table in _mapping(path).items()}


def _exercise(path: Path, name: str, table: Any) -> Exercise:
    if not isinstance(table, dict):
        raise LessonError(f"{path}: {name} has to be a mapping.", repr(table), "hints, solution, wrong, debrief")
    where = Path(f"{path}: {name}")
    wrong = []
    for number, item in enumerate(_key(table, where, "wrong", list)):
        if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in ("name", "answer", "message")):
            raise LessonError(f"{where}: wrong[{number}] needs name, answer and message.", repr(item)[:200])
        wrong.append(WrongAnswer(item["name"], item["answer"], item["message"]))
    return Exercise(
        id=name,
        hints=_strings(table, where, "hints"),
        solution=_key(table, where, "solution", str),
        wrong=tuple(wrong),
        debrief=_key(table, where, "debrief", str),
        untouched=_key(table, where, "untouched", str, ""),
    )


def named(name: str) -> Lesson:
    """Like `find`, but a number is enough: `3` or `03` for `03-control-plane`."""
    if name.isdigit():
        for lesson in every():
            if lesson.name.startswith(f"{int(name):02d}-"):
                return lesson
    if not name:
        raise SettingError("No lab is named.", next_step="lab list")
    return find(name)
