"""A lab's journey: one kernel on a fresh cluster, from the first cell to the last, each exercise in every way.

`steps` says what will run, from the files alone; `Journey` runs it. At an exercise: the check of the untouched
exercise must fail, after each known wrong answer it must fail with that answer's own message, after the solution it
must pass, and once more. Every other cell runs clean, or raises where its tag says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from engine_use import engine_use
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from lab_helpers import clusters, processes, settings
from lab_helpers.clusters import engine, nodeimage
from lab_helpers.eks import service
from lab_helpers.teaching import lesson

CELL_SECONDS, LAB_SECONDS = 120, 1800
MADE_OF_MACHINES = 2.5  # times as long on kind, where each cluster that a cell orders is a machine that starts
OPEN_SECONDS = 400  # for the cells that open and close a lab: on kind each node of its cluster is a machine that starts
_OPENS = re.compile(r"\bopen_lab\(|\blab\.(close|reset)\(")
_CHECK = re.compile(r"""^check\(\s*["']([\w-]+)["']""", re.M)
_SCENE = re.compile(r"""^scene\(\s*["']([\w-]+)["']""", re.M)


@dataclass(frozen=True)
class Step:
    """One cell to run.

    Attributes:
        name: unique in its lab: cell id and phase.
        cell: id of the cell in whose place it runs.
        source: what runs.
        raises: the error that must come: "" none, "*" any, otherwise the name of its class.
        message: what that error must say.
    """

    name: str
    cell: str
    source: str
    raises: str = ""
    message: str = ""


def providers() -> list[str]:
    """Where journeys run: only where LAB_PROVIDER says, if it does; else embedded, and kind where an engine has the image."""
    if asked := os.environ.get("LAB_JOURNEYS"):
        return [asked]
    kind = engine.info() and nodeimage.present(settings.load())
    return ["embedded", *(["kind"] if kind else [])]


def walked(provider: str, folder: Path) -> bool:
    """Whether a lab's journey goes on a provider: beside embedded, kind takes the labs of Kubernetes itself, numbered below 10.

    All of them, on two processors, would take two hours. `make test-kind` walks every lab on kind.
    """
    return provider == "embedded" or os.environ.get("LAB_JOURNEYS") == "kind" or folder.name < "10"


def steps(folder: Path, answers: bool = True) -> list[Step]:
    """Every step of a lab, in order.

    Args:
        answers: also the known wrong ones.
    """
    room = lesson.read(folder)
    notebook = nbformat.read(room.notebook, as_version=4)
    planned: list[Step] = []
    scenes: dict[str, Step] = {}
    exercise = None
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            exercise = cell
        elif "scene" in tags:
            scenes[_SCENE.search(cell.source)[1]] = Step(f"{cell.id}: run", cell.id, cell.source)
            planned.append(scenes[_SCENE.search(cell.source)[1]])
        elif "check" in tags:
            name = _CHECK.search(cell.source)[1]
            wrong = room.exercises[name].wrong if answers else ()
            planned += _answers(room.exercises[name], wrong, scenes.get(name), exercise, cell)
        else:
            raises = "*" if "raises-exception" in tags else ""
            planned.append(Step(f"{cell.id}: run", cell.id, cell.source, raises))
    return planned


def _answers(exercise, answers, scene, cell, check) -> list[Step]:
    """The steps of one exercise: untouched, each wrong answer, the solution, once more."""
    made: list[Step] = []

    def attempt(phase: str, source: str, raises: str, message: str = "") -> None:
        if scene:
            made.append(Step(f"{exercise.id} · {phase} · scene", scene.cell, scene.source))
        made.append(Step(f"{exercise.id} · {phase} · answer", cell.id, source))
        made.append(Step(f"{exercise.id} · {phase} · check", check.id, check.source, raises, message))

    attempt("untouched", cell.source, "CheckFailed", exercise.untouched)
    for wrong in answers:
        attempt(f"wrong: {wrong.name}", wrong.answer, "CheckFailed", wrong.message)
    attempt("solution", exercise.solution, "")
    made.append(Step(f"{exercise.id} · once more · check", check.id, check.source))
    return made


@dataclass
class Journey:
    """One lab in one kernel, in a copy of its folder and a state of its own.

    Attributes:
        folder: the lab's folder in the repository.
        provider: who makes its cluster.
        cells: seconds that the cells took.
        once: seconds of them that a learner would spend who solves every exercise at once.
        wall: seconds from the kernel's start to its end.
    """

    folder: Path
    provider: str = "embedded"
    cells: float = 0.0
    wall: float = 0.0
    once: float = 0.0
    broken: str = ""
    _open: list = field(default_factory=list)

    def __enter__(self) -> Journey:
        # Short, because unix sockets allow 100 characters.
        self.home = Path(tempfile.mkdtemp(prefix="lab-"))
        self.copy = self.home / "labs" / self.folder.name
        shutil.copytree(self.folder, self.copy)
        self.files = _files(self.copy)
        self.notebook = nbformat.read(lesson.read(self.copy).notebook, as_version=4)
        self.index = {cell.id: number for number, cell in enumerate(self.notebook.cells)}
        self.client = NotebookClient(
            self.notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            interrupt_on_timeout=False,
            force_raise_errors=True,
            resources={"metadata": {"path": str(self.copy)}},
        )
        self.began = time.monotonic()
        env = {**os.environ, "XDG_DATA_HOME": str(self.home / "data"), "LAB_LABS": str(self.home / "labs")}
        env["LAB_PROVIDER"] = self.provider
        if self.provider == "embedded":  # as on a machine without an engine, which is what this provider is for
            env["DOCKER_HOST"] = f"unix://{self.home}/no-engine"
        self._engine = engine_use(alone=False) if self.provider == "kind" else nullcontext()
        self._engine.__enter__()
        self._kernel = self.client.setup_kernel(env=env)
        self._kernel.__enter__()
        return self

    def run(self, step: Step) -> str:
        """Run one step; empty, or what was wrong with it."""
        if self.broken:
            return f"not reached: {self.broken}"
        slower = MADE_OF_MACHINES if self.provider == "kind" and lesson.read(self.copy).aws else 1
        left = LAB_SECONDS * slower - (time.monotonic() - self.began)
        self.client.timeout = max(1, int(min(OPEN_SECONDS if _OPENS.search(step.source) else CELL_SECONDS * slower, left)))
        probe = nbformat.v4.new_code_cell(step.source, id=step.cell)
        self.notebook.cells[self.index[step.cell]] = probe  # where nbclient looks for a live picture's place
        began = time.monotonic()
        try:
            self.client.execute_cell(probe, self.index[step.cell])
        except CellTimeoutError:
            self.broken = f"{step.name} took longer than {self.client.timeout:.0f} s"
            return self.broken
        except DeadKernelError:
            self.broken = f"the kernel died in {step.name}"
            return self.broken
        except CellExecutionError as error:
            return _verdict(step, error.ename, error.evalue, probe)
        finally:
            self.cells += time.monotonic() - began
            if step.name.endswith(": run") or "· solution ·" in step.name:
                self.once += time.monotonic() - began
        return f"ran, but had to raise {step.raises}: {step.message}" if step.raises else ""

    def minutes(self) -> int:
        """How long the lab takes: all that is read (prose, code, outputs, hints, solutions, debriefs) at 200 words a
        minute, and the cells' own time of one pass, times 1.25, rounded up to 5."""
        words = 0
        for cell in self.notebook.cells:
            words += len(cell.source.split())
            for output in cell.get("outputs", []):
                words += len((output.get("text") or output.get("data", {}).get("text/plain") or "").split())
        for exercise in lesson.read(self.copy).exercises.values():
            words += len(" ".join([*exercise.hints, exercise.solution, exercise.debrief]).split())
        return 5 * math.ceil((words / 200 + self.once / 60) * 1.25 / 5)

    def leftovers(self) -> list[str]:
        """What the lab left behind: processes, clusters, files; on kind after `lab clean`, which a kept cluster waits for."""
        import psutil

        if self.provider == "kind":
            env = {**os.environ, "XDG_DATA_HOME": str(self.home / "data"), "LAB_PROVIDER": "kind"}
            subprocess.run([sys.executable, "-m", "lab_helpers.cli", "clean"], env=env, capture_output=True, check=True)
        left = [
            f"process {p.pid}: {' '.join(p.info['cmdline'])[:120]}"
            for p in psutil.process_iter(["cmdline"])
            if _ours(p, self.home)
        ]
        data = self.home / "data" / "eks-lab"
        left += [f"cluster {path.name}" for place in ("clusters", "kind") for path in (data / place).glob("*")]
        if self.provider == "kind":
            mine = f"label=io.eks-lab.home={hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
            for what in ("container", "network", "volume"):
                left += [f"{what} {name}" for name in engine.docker(what, "ls", "--quiet", "--filter", mine).split()]
        left += [f"file {path}" for path in sorted(_files(self.copy) - self.files)]
        return left

    def __exit__(self, *_: object) -> None:
        self._kernel.__exit__(None, None, None)
        self.wall = time.monotonic() - self.began
        # A lab that did not reach its last cell has not ended its cluster.
        end_clusters(self.home / "data")
        shutil.rmtree(self.home, ignore_errors=True)
        self._engine.__exit__(None, None, None)


def end_clusters(data: Path) -> None:
    """End the local AWS, every cluster, whole or half, and the registry of a state folder."""
    there = dataclasses.replace(settings.load(), data=data / "eks-lab")
    processes.end_recorded(there.data / "containers")
    service.clean(there)
    for maker in clusters.every(there):
        maker.delete_all()


def _ours(process, home: Path) -> bool:
    words = process.info["cmdline"] or []
    return any(f"{home}/data/" in word for word in words)


def _files(folder: Path) -> set[str]:
    skipped = ("__pycache__", ".ipynb_checkpoints")
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not any(part in skipped for part in path.parts)}


def _verdict(step: Step, name: str, text: str, cell) -> str:
    if not step.raises:
        streams = "".join(output.get("text", "") for output in cell.outputs)
        return f"raised {name}: {text}\n{streams[-1500:]}"
    if step.raises not in ("*", name):
        return f"wanted {step.raises}, got {name}: {text}"
    if step.message and step.message not in text:
        return f"wanted the message: {step.message}\ngot: {text}"
    return ""


def solved(folder: Path, target: Path) -> Path:
    """A copy of the lab whose notebook holds every solution and whose checks may not raise; the notebook's path."""
    shutil.copytree(folder, target)
    room = lesson.read(target)
    notebook = nbformat.read(room.notebook, as_version=4)
    exercise = None
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            exercise = cell
        elif "check" in tags:
            exercise.source = room.exercises[_CHECK.search(cell.source)[1]].solution
            cell.metadata["tags"] = [tag for tag in tags if tag != "raises-exception"]
    nbformat.write(notebook, room.notebook)
    return room.notebook
