"""A lab as its folder describes it: lab.yaml, exercises.yaml, checks.py and one notebook."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from lab_helpers import settings
from lab_helpers.clusters import COMPONENTS, NodeShape, Profile
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
        aws: whether the local AWS is there.
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
    aws: bool = False
    exercises: dict[str, Exercise] = field(default_factory=dict)

    @cached_property
    def notebook(self) -> Path:
        """The lab's one notebook."""
        found = sorted(self.folder.glob("*.ipynb"))
        if len(found) != 1:
            raise LessonError(f"{self.folder} holds {len(found)} notebooks.", next_step="one notebook per lab folder")
        return found[0]

    def checks(self) -> ModuleType:
        """checks.py, loaded afresh: an edited check is used at once, and no compiled file stays behind."""
        path = self.folder / "checks.py"
        module = ModuleType(f"checks_of_{self.name.replace('-', '_')}")
        module.__file__ = str(path)
        sys.modules[module.__name__] = module  # dataclasses look their module up
        try:
            exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
        except FileNotFoundError:
            raise LessonError(f"{path} is missing.", next_step="one function per exercise: def the_id(lab): …") from None
        except Exception as error:
            raise LessonError(f"{path} cannot be loaded.", f"{type(error).__name__}: {error}") from error
        return module

    def function(self, name: str) -> Callable[[Any], None] | None:
        """A function of checks.py by the exercise's id (dashes become underscores), or None."""
        return getattr(self.checks(), name.replace("-", "_"), None)


def names() -> list[str]:
    """The names of all labs, in the course's order."""
    return [path.parent.name for path in sorted(settings.load().labs.glob("*/lab.yaml"))]


def find(name: str) -> Lesson:
    """The lab of that name.

    Raises:
        LessonError: there is none; the error gives the nearest names.
    """
    labs, known = settings.load().labs, names()
    if name in known:
        return read(labs / name)
    if name and "/" not in name and (labs / name).is_dir():
        raise LessonError(f"{labs / name} has no lab.yaml.", next_step="copy the lab.yaml of another lab")
    if not known:
        raise LessonError(f"There are no labs in {labs}.", next_step="unset LAB_LABS, or set it to the folder with the labs")
    near = nearest(name, known) or [other for other in known if name[:2] == other[:2]] or known
    raise LessonError(f"There is no lab {name!r}.", next_step=f"did you mean: {', '.join(near)}? (lab list shows all)")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that are most like this one: typing errors, and parts of names."""
    known = list(known)
    parts = [other for other in known if name and name.lower() in other]
    return parts[:3] or difflib.get_close_matches(name, known, 3, 0.4)


def every() -> list[Lesson]:
    """All labs, in the course's order."""
    return [read(settings.load().labs / name) for name in names()]


def read(folder: Path) -> Lesson:
    """Read a lab folder.

    Raises:
        LessonError: a file is malformed; the error names file and key and says what is expected.
    """
    path = folder / "lab.yaml"
    table = _mapping(path)
    _only(table, path, "title, summary, minutes, objectives, needs, programs, cluster, aws")
    texts = {key: str(_key(table, path, key, str)) for key in ("title", "summary")}
    return Lesson(
        name=folder.name,
        folder=folder,
        minutes=_key(table, path, "minutes", int),
        objectives=_strings(table, path, "objectives"),
        needs=_strings(table, path, "needs"),
        programs=_strings(table, path, "programs"),
        profile=_profile(table, path),
        aws=_key(table, path, "aws", bool, False),
        exercises=_exercises(folder / "exercises.yaml"),
        **texts,
    )


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with it


class _Loader(_Base):  # type: ignore[misc]
    """Refuses a key that comes twice: YAML itself would quietly keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} comes twice", key.start_mark)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


def _mapping(path: Path) -> dict[str, Any]:
    try:
        table = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise LessonError(f"{path} cannot be read.", error.strerror or "", "every lab has one: see another lab's") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise LessonError(
            f"{path}:{line} cannot be read as YAML.", str(error.problem), "look at the indentation and quotes"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LessonError(f"{path} cannot be read as YAML.", str(error), "save it as plain text in UTF-8") from None
    if not isinstance(table, dict):
        raise LessonError(f"{path} holds no mapping.", f"{type(table).__name__}", "key: value, see another lab's file")
    return table


def _only(table: dict[str, Any], where: object, known: str) -> None:
    """Refuse a key that nobody reads: mostly a typing error."""
    for key in table:
        if key not in known.split(", "):
            near = nearest(str(key), known.split(", "))
            remedy = f"did you mean {near[0]}?" if near else f"keys: {known}"
            raise LessonError(f"{where}: {key} is not a key that is read here.", next_step=remedy)


def _key(table: dict[str, Any], path: object, key: str, kind: type, default: Any = None) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        seen = "the key is missing" if key not in table else f"{value!r}"
        raise LessonError(f"{path}: {key} has to be {_NAMES[kind]}.", seen, f"{key}: {_SAMPLES[kind]}")
    return value


_NAMES: dict[type, str] = {str: "a text", int: "a whole number", list: "a list", dict: "a mapping", bool: "true or false"}
_SAMPLES: dict[type, str] = {str: "one sentence", int: "45", list: "[first, second]", dict: "{key: value}", bool: "true"}


def _strings(table: dict[str, Any], path: object, key: str) -> tuple[str, ...]:
    return tuple(str(item) for item in _key(table, path, key, list, []))


def _profile(table: dict[str, Any], path: Path) -> Profile | None:
    if "cluster" not in table:
        return None
    cluster = _key(table, path, "cluster", dict)
    _only(cluster, f"{path}: cluster", "nodes, arguments, metrics")
    shapes = []
    for number, node in enumerate(_key(cluster, path, "nodes", list, [])):
        where = f"{path}: cluster.nodes[{number}]"
        if not isinstance(node, dict) or not isinstance(node.get("name"), str):
            raise LessonError(f"{where} needs a name.", repr(node), "{name: node-1, cpu: '4', memory: 16Gi}")
        _only(node, where, "name, cpu, memory, pods, zone, labels, taints, runs")
        if node.get("runs", "") not in ("", "programs", "nothing"):
            raise LessonError(f"{where}: runs cannot be {node['runs']!r}.", next_step="runs: programs, or runs: nothing")
        shapes.append(NodeShape(**{**node, "taints": _strings(node, where, "taints")}))
    arguments = _key(cluster, path, "arguments", dict, {})
    for component, values in arguments.items():
        if component not in COMPONENTS or not isinstance(values, dict):
            remedy = f"{{kube-scheduler: {{v: '10'}}}}; components: {', '.join(COMPONENTS)}"
            raise LessonError(f"{path}: cluster.arguments.{component} cannot be used.", repr(values), remedy)
    metrics = cluster.get("metrics", False)
    if not isinstance(metrics, bool):
        raise LessonError(f"{path}: cluster.metrics has to be true or false.", repr(metrics), "metrics: true")
    return Profile(tuple(shapes), arguments, metrics=metrics)


def _exercises(path: Path) -> dict[str, Exercise]:
    return {str(name): _exercise(path, str(name), table) for name, table in _mapping(path).items()}


def _exercise(path: Path, name: str, table: Any) -> Exercise:
    if not isinstance(table, dict):
        raise LessonError(f"{path}: {name} has to be a mapping.", repr(table), "hints, solution, wrong, debrief")
    where = f"{path}: {name}"
    _only(table, where, "hints, solution, wrong, debrief, untouched")
    wrong = []
    for number, item in enumerate(_key(table, where, "wrong", list)):
        if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in ("name", "answer", "message")):
            remedy = "{name: what it does, answer: the cell's text, message: what the check says}"
            raise LessonError(f"{where}: wrong[{number}] needs name, answer and message.", repr(item)[:200], remedy)
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
