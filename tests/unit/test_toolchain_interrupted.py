"""A set-up that is killed or interrupted, and two of them at once, with the real Go."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toolchain_tiny import HERE, SCRIPT, TINY

from lab_helpers import processes, settings, toolchain
from lab_helpers.toolchain import build, diagnose, own, setup_status, store

SETUP = """
import sys
sys.path.insert(0, sys.argv[1])
import toolchain_tiny as t
from lab_helpers import toolchain
from lab_helpers.toolchain import catalog
catalog.PROGRAMS = {"tiny": t.TINY}
toolchain.ensure(["tiny"], say=lambda line: print(line, flush=True))
"""


class Gate:
    """The real Go behind a gate: a build waits, with a child, until the gate is opened."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self._open, self._child = folder / "open", folder / "child"
        self._started: list[subprocess.Popen[str]] = []
        wait = f"sleep 600 & echo $! >'{self._child}'; while [ ! -e '{self._open}' ]; do sleep 0.05; done; kill $!"
        (folder / "go").write_text(f'#!/bin/sh\nif [ "$1" = build ]; then {wait}; fi\nexec {shutil.which("go")} "$@"\n')
        (folder / "go").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def setup(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SETUP, str(HERE)]
        self._started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return self._started[-1]

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()

    def building(self) -> list[processes.Process]:
        """Go and its child, once they wait at the gate."""
        processes.wait_until(lambda: self._child.exists() and self._child.read_text().strip(), deadline=30, what="the build")
        child = int(self._child.read_text())
        recorded = processes.recorded(build.folder(settings.load()))
        return [*recorded.values(), processes.Process("child", child, processes.birth(child), (), "")]

    def open(self) -> None:
        self._open.touch()


@pytest.fixture
def gate(cache, monkeypatch, tmp_path):
    (tmp_path / "gate").mkdir()
    made = Gate(tmp_path / "gate", monkeypatch)
    yield made
    made.close()


def ended(running: list[processes.Process]) -> None:
    assert len(running) == 2
    processes.wait_until(lambda: not any(map(processes.alive, running)), deadline=20, what="the end of Go and its child")


def test_a_killed_set_up_takes_the_compiler_with_it_and_the_next_one_goes_on(cache, gate):
    setup_status.write(settings.load(), setup_status.SetupStatus(error="an earlier one failed"))
    killed = gate.setup()
    running = gate.building()
    assert setup_status.read(settings.load()).running
    row = diagnose.diagnose(thorough=False)[-1]
    assert row.found.startswith("building") and f"process {killed.pid}" in row.next_step
    killed.kill()
    killed.wait()
    assert not setup_status.read(settings.load()).running, "a dead set-up is seen as such"
    assert diagnose.diagnose(thorough=False)[-1].next_step == "lab setup"
    ended(running)
    assert toolchain.missing(["tiny"]) == ["tiny"]
    gate.open()
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"
    now = setup_status.read(settings.load())
    assert now.done and not now.running, "this process is there, but not at work any more"


def test_half_a_program_is_never_used(cache):
    folder = store.folder(settings.load(), TINY)
    folder.mkdir(parents=True)
    (folder / ".tiny-1.new").write_bytes(SCRIPT)
    (folder / "tiny").write_bytes(SCRIPT)  # without a record: nobody vouches for it
    assert toolchain.missing(["tiny"]) == ["tiny"]
    assert toolchain.ensure(["tiny"])["tiny"].read_bytes() != SCRIPT
    assert sorted(path.name for path in folder.iterdir()) == ["tiny", "tiny.json"]


def test_ctrl_c_ends_the_compiler_too(cache, gate):
    stopped = gate.setup()
    running = gate.building()
    stopped.send_signal(signal.SIGINT)
    stopped.communicate(timeout=30)
    ended(running)
    assert setup_status.read(settings.load()).error == "it was interrupted."
    assert list((cache / "programs").rglob("*tiny")) == []


def test_two_set_ups_at_once_wait_for_each_other(cache, gate):
    one = gate.setup()
    gate.building()
    other = gate.setup()
    said = other.stdout.readline()
    assert said == f"process {one.pid} is preparing programs already (tiny at the moment): waiting for tiny\n"
    gate.open()
    assert "tiny 1.2.3: build" in one.communicate(timeout=60)[0]
    assert other.communicate(timeout=60)[0] == "", "the other takes what is there"
    assert toolchain.missing(["tiny"]) == []
