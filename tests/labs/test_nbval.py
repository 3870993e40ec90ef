"""nbval runs every notebook as it is stored, and every solved copy: in the solved one a failing check fails the run.

A kernel that dies is seen by nbval only at the cell's limit; the outer limit here ends the run and names the cell.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from journey import end_clusters, solved

from lab_helpers.settings import LABS

ROOMS = sorted(path.parent for path in LABS.glob("*/lab.yaml"))
CELL, NOTEBOOK = 120, 900


def validate(notebook: Path, state: Path, *, cell: int = CELL, limit: int = NOTEBOOK) -> tuple[bool, str]:
    """Run nbval on a notebook: whether it passed, and what it said."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--nbval-lax", f"--nbval-cell-timeout={cell}"]
    env = {**os.environ, "XDG_DATA_HOME": str(state), "LAB_LABS": str(notebook.parent.parent)}
    env["DOCKER_HOST"] = f"unix://{state}/no-engine"  # on the embedded provider, as on a machine without an engine
    run = subprocess.Popen(
        [*command, str(notebook)],
        cwd=notebook.parent,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = run.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        said, _ = run.communicate()
        started = re.findall(r"::(Cell \d+)", said)
        return False, f"{notebook.name}: over {limit} s in {started[-1] if started else 'its first cell'}\n{said[-3000:]}"
    return run.returncode == 0, said[-6000:]


@pytest.fixture
def state():
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    yield folder
    end_clusters(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("room", ROOMS, ids=[room.name for room in ROOMS])
def test_the_stored_notebook(room, state, tally):
    shutil.copytree(room, state / "labs" / room.name)
    passed, said = validate(next((state / "labs" / room.name).glob("*.ipynb")), state / "data")
    assert passed, said
    tally.notebooks.append(f"{room.name} (stored)")


@pytest.mark.parametrize("room", ROOMS, ids=[room.name for room in ROOMS])
def test_the_solved_notebook(room, state, tally):
    passed, said = validate(solved(room, state / "labs" / room.name), state / "data")
    assert passed, said
    tally.notebooks.append(f"{room.name} (solved)")
