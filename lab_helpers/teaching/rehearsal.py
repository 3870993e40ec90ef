"""The learner's own notebook, run from top to bottom without a browser, in a cluster of its own: what `lab check` does."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab_helpers.teaching.lesson import Lesson

CELL_SECONDS = 180
_CHECK = re.compile(r"""check\(\s*["']([\w-]+)["']""")


@dataclass(frozen=True)
class Verdict:
    """One exercise: whether its check passed, and what it said."""

    exercise: str
    passed: bool
    said: str


def rehearse(lesson: Lesson, show: Callable[[str], None]) -> list[Verdict]:
    """Run a copy of the lab's notebook; the learner's cluster, files and progress are not touched.

    Args:
        show: called with each cell's id.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    home = Path(tempfile.mkdtemp(prefix="lab-"))
    verdicts: dict[str, Verdict] = {}
    try:
        copy = shutil.copytree(lesson.folder, home / "labs" / lesson.name)
        notebook = nbformat.read(copy / lesson.notebook.name, as_version=4)
        where = {"metadata": {"path": str(copy)}}
        client = NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=where, force_raise_errors=True)
        env = {**os.environ, "XDG_DATA_HOME": str(home / "data"), "LAB_LABS": str(home / "labs")}
        with client.setup_kernel(env=env):
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type != "code":
                    continue
                show(cell.id)
                called = _CHECK.search(cell.source) if "check" in cell.metadata.get("tags", []) else None
                try:
                    client.execute_cell(cell, index)
                except CellExecutionError as error:
                    if called:
                        verdicts[called[1]] = Verdict(called[1], False, error.evalue)
                    continue
                if called:
                    verdicts[called[1]] = Verdict(called[1], True, "")
    finally:
        _end(home)
    return [verdicts.get(name) or Verdict(name, False, "its check was not reached") for name in lesson.exercises]


def _end(home: Path) -> None:
    """End the clusters of that run, and what else it left running, and remove its folder."""
    from dataclasses import replace

    from lab_helpers import clusters, processes, settings
    from lab_helpers.eks import service

    there = replace(settings.load(), data=home / "data" / "eks-lab")
    service.clean(there)  # before the clusters: it would mend them
    for maker in clusters.every(there):
        maker.delete_all()
    processes.end_recorded(home / "data" / "eks-lab" / "containers")
    shutil.rmtree(home, ignore_errors=True)
