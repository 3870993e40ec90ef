"""The one way to run a local program: a session of its own, pid and start time on record, a log, an end.

A pid alone does not say whose process it is: the kernel hands it out again. Every record therefore carries
a *birth*: on Linux the boot id and the clock ticks since boot (neither moves with the wall clock), elsewhere
the creation time. A process whose birth differs from the record is somebody else's and is never touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from lab_helpers.errors import ProgramError, WaitTimeout

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Process:
    """A program that the lab started.

    Attributes:
        name: what it is, for instance `kube-scheduler`.
        pid: its process id.
        birth: what tells it from a later process of the same pid.
        command: program and arguments.
        log: where its output goes.
    """

    name: str
    pid: int
    birth: str
    command: tuple[str, ...]
    log: str


def birth(pid: int) -> str:
    """What tells this process from a later one of the same pid; empty if it is gone or a zombie."""
    try:
        if _BOOT_ID.exists():
            # Fields after the command's closing bracket: state is the first, start time the twentieth (proc_pid_stat(5)).
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return "" if fields[0] in "ZX" else f"{_BOOT_ID.read_text().strip()}:{fields[19]}"
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except (OSError, psutil.NoSuchProcess, IndexError):
        return ""


def start(
    name: str, command: Sequence[str | Path], *, folder: Path, env: dict[str, str] | None = None, cwd: Path | None = None
) -> Process:
    """Start a program that outlives this Python, and record it under `folder`.

    Args:
        name: what it is; its record is `folder/pids/NAME.json`, its log `folder/logs/NAME.log`.
        command: program and arguments.
        env: its whole environment; None: this one's.

    Raises:
        ProgramError: the program cannot be executed.
    """
    log = folder / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = tuple(str(word) for word in command)
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd, start_new_session=True
            )
        except OSError as error:
            raise ProgramError(f"{name} could not be started.", error.strerror or "", "lab doctor") from None
    process = Process(name, child.pid, birth(child.pid), words, str(log))
    try:
        return record(folder, process)
    except OSError:  # a full disk: what is not on record must not run
        stop(process, grace=0)
        raise


def record(folder: Path, process: Process) -> Process:
    """Write a process down under `folder`, atomically."""
    path = folder / "pids" / f"{process.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(process)))
    new.replace(path)
    return process


def recorded(folder: Path) -> dict[str, Process]:
    """Every process on record under `folder`, by name, alive or not; unreadable records are left out."""
    found = {}
    for path in sorted((folder / "pids").glob("*.json")):
        try:
            fields = json.loads(path.read_text())
            found[path.stem] = Process(**{**fields, "command": tuple(fields["command"])})
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found


def alive(process: Process) -> bool:
    """Whether this very process runs: a zombie does not, nor another one that got its pid."""
    _reap(process.pid)
    return bool(process.birth) and birth(process.pid) == process.birth


def _reap(pid: int) -> None:
    # A child of this Python that has ended stays a zombie until somebody asks for its status.
    with contextlib.suppress(OSError):
        os.waitpid(pid, os.WNOHANG)


def stop(process: Process, *, grace: float = 5.0, kill: bool = False) -> None:
    """End this very process with its group: SIGTERM, after `grace` seconds SIGKILL; return when it is gone.

    Args:
        kill: SIGKILL at once, for a program that would do at its end what nobody wants.
    """
    for sign, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0))[kill:]:
        if not alive(process):
            return
        try:
            # A program that leads its group (as `start` makes them) takes its own children with it.
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, sign)
            else:
                os.kill(process.pid, sign)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while alive(process) and time.monotonic() < end:
            time.sleep(0.02)
    if alive(process):
        raise ProgramError(f"{process.name} (pid {process.pid}) does not end.", "it ignored SIGKILL", "lab doctor")


def forget(folder: Path, name: str) -> None:
    """Remove a record."""
    (folder / "pids" / f"{name}.json").unlink(missing_ok=True)


def end_recorded(folder: Path, *, kill: bool = False) -> int:
    """End every process on record under `folder`, as `stop` does; how many there were on record."""
    found = recorded(folder)
    for name, process in found.items():
        stop(process, kill=kill)
        forget(folder, name)
    return len(found)


def tail(log: str | Path, lines: int = 15) -> str:
    """The last lines of a log, or an empty text."""
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 200 * lines))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def run(
    command: Sequence[str | Path],
    *,
    env: dict[str, str] | None = None,
    timeout: float = 60,
    cwd: Path | None = None,
    watch: Callable[[], None] | None = None,
) -> str:
    """Run a short program to its end; its standard output.

    Args:
        watch: called every 100 ms while the program runs; what it raises ends the program and goes on to the caller.

    Raises:
        ProgramError: it could not be executed, failed, or took longer than `timeout` seconds.
    """
    words = [str(word) for word in command]
    name = Path(words[0]).name
    try:
        child = subprocess.Popen(
            words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise ProgramError(f"{name} could not be run.", error.strerror or "", "lab doctor") from None
    end = time.monotonic() + timeout
    try:
        while True:
            try:
                output, said = child.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired as late:
                if time.monotonic() > end:
                    seen = late.stderr or b""
                    text = seen.decode(errors="replace") if isinstance(seen, bytes) else str(seen)
                    raise ProgramError(f"{name} did not end within {timeout:.0f} s.", text[-1500:], "lab doctor") from None
                if watch:
                    watch()
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    if child.returncode:
        raise ProgramError(f"{name} failed (exit code {child.returncode}).", (said or output)[-1500:])
    return output


def wait_until(
    ready: Callable[[], object],
    *,
    deadline: float,
    what: str,
    seen: Callable[[], object] | None = None,
    next_step: str = "",
) -> None:
    """Wait until `ready()` is true, asking every 50 ms at first and every 200 ms later.

    Raises:
        WaitTimeout: `deadline` seconds went by; the error says what was waited for and what `seen()` returns.
    """
    began = time.monotonic()
    for pause in _pauses():
        if ready():
            return
        if time.monotonic() - began > deadline:
            raise WaitTimeout(f"{what} did not happen within {deadline:.0f} s.", str(seen()) if seen else "", next_step)
        time.sleep(pause)


def _pauses() -> Iterator[float]:
    for _ in range(40):
        yield 0.05
    while True:
        yield 0.2
