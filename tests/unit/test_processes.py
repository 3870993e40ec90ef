"""Programs: recorded with pid and birth, adopted, stopped; strangers are never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab_helpers import processes
from lab_helpers.errors import ProgramError, WaitTimeout

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()",
]


@pytest.fixture
def sleeper(tmp_path):
    process = processes.start("sleeper", SLEEPER, folder=tmp_path)
    yield process
    processes.stop(process, grace=0)


def test_a_started_program_is_on_record_and_in_a_session_of_its_own(sleeper, tmp_path):
    assert processes.recorded(tmp_path) == {"sleeper": sleeper}
    assert processes.alive(sleeper)
    assert os.getsid(sleeper.pid) == sleeper.pid


def test_a_stopped_program_is_gone(sleeper):
    processes.stop(sleeper)
    assert not processes.alive(sleeper)
    processes.stop(sleeper)  # and once more is no error


def test_a_program_that_ignores_sigterm_is_killed(tmp_path):
    process = processes.start("stubborn", STUBBORN, folder=tmp_path)
    processes.wait_until(lambda: "deaf" in processes.tail(process.log), deadline=10, what="the program's start")
    processes.stop(process, grace=0.1)
    assert not processes.alive(process)


def test_a_zombie_is_not_alive(tmp_path):
    code = "import subprocess, sys; child = subprocess.Popen(['true']); print('up', flush=True); input()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        parent.stdout.readline()
        children = [int(pid) for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
        processes.wait_until(lambda: all(not processes.birth(pid) for pid in children), deadline=10, what="the zombie")
        assert children and Path(f"/proc/{children[0]}").exists()
    finally:
        parent.communicate("\n")


def test_a_pid_that_went_to_somebody_else_is_left_alone(sleeper, tmp_path):
    other = processes.Process("other", sleeper.pid, "another-boot:1", (), "")
    assert not processes.alive(other)
    processes.stop(other)
    assert processes.alive(sleeper)


def test_a_broken_record_is_passed_over(sleeper, tmp_path):
    (tmp_path / "pids" / "half.json").write_text('{"name": "half"')
    assert list(processes.recorded(tmp_path)) == ["sleeper"]


def test_a_program_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ProgramError, match="ghost"):
        processes.start("ghost", ["/no/such/program"], folder=tmp_path)
    with pytest.raises(ProgramError, match="could not be run"):
        processes.run(["/no/such/program"])


def test_run_gives_the_output_or_the_programs_own_words():
    assert processes.run([sys.executable, "-c", "print('yes')"]) == "yes\n"
    with pytest.raises(ProgramError) as caught:
        processes.run([sys.executable, "-c", "import sys; sys.exit('the disk is on fire')"])
    assert "the disk is on fire" in caught.value.seen


def test_run_ends_what_takes_too_long_and_what_its_watcher_gives_up():
    with pytest.raises(ProgramError, match="did not end within"):
        processes.run(SLEEPER, timeout=0.2)
    seen: list[int] = []

    def give_up() -> None:
        seen.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processes.run(SLEEPER, watch=give_up)
    assert seen


def test_wait_until_says_what_was_last_seen():
    with pytest.raises(WaitTimeout) as caught:
        processes.wait_until(lambda: False, deadline=0.1, what="the moon", seen=lambda: "clouds", next_step="look up")
    assert (caught.value.headline, caught.value.seen) == ("the moon did not happen within 0 s.", "clouds")


def test_a_child_survives_its_parent(tmp_path):
    """A kernel restart kills the kernel: what the lab started lives on and is adopted."""
    code = (
        "import sys, pathlib; from lab_helpers import processes\n"
        "processes.start('kept', [sys.executable, '-c', 'import signal; signal.pause()'], folder=pathlib.Path(sys.argv[1]))\n"
        "print('started', flush=True); input()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    parent.stdout.readline()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    kept = processes.recorded(tmp_path)["kept"]
    assert processes.alive(kept)
    processes.stop(kept, grace=0)
