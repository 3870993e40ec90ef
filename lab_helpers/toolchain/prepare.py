"""From a name to a program: find it, or download or build it, with progress that others can follow."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from lab_helpers import settings as settings_module
from lab_helpers.errors import LabError, ProgramError
from lab_helpers.settings import Settings, writable
from lab_helpers.toolchain import build, catalog, download, modules, own, setup_status, store
from lab_helpers.toolchain.catalog import Program
from lab_helpers.toolchain.lookup import locate, missing, path, usual
from lab_helpers.toolchain.setup_status import BUILDING, DOWNLOADING, FAILED, READY, Line, SetupStatus

Say = Callable[[str], None]
Show = Callable[[SetupStatus], None]

_MEGABYTES_PER_SECOND = 5  # of a download, for the estimate of what is left


def ensure(names: Iterable[str], say: Say | None = None, show: Show | None = None) -> dict[str, Path]:
    """Have every named program: find, download or build it, one after another.

    Two set-ups at once wait for each other; the one that waits goes on as soon as what it needs is there.

    Args:
        say: called with a line for each thing worth a line.
        show: called with the whole status at least twice a second while something is built.

    Raises:
        ProgramError: one of them could not be prepared; those before it are kept.
        SettingError: the cache cannot be written.
    """
    names, settings = list(names), settings_module.load()
    say, show = say or (lambda line: None), show or (lambda now: None)
    if todo := missing(names):
        lock = FileLock(writable(settings.cache) / "setup.lock")
        if _wait(settings, lock, todo, say, show):
            try:
                build.stop_orphans(settings)
                _work(settings, missing(names), say, show)
            finally:
                lock.release()
    _tidy(settings, say)
    return {name: path(name) for name in names}


def _wait(settings: Settings, lock: FileLock, todo: list[str], say: Say, show: Show) -> bool:
    """Wait for the lock (True), or until somebody else has prepared what is wanted (False)."""
    said = False
    while True:
        try:
            lock.acquire(timeout=0.5)
            return True
        except Timeout:
            now = setup_status.read(settings)
            if not said and now.running:
                doing = f" ({now.busy} at the moment)" if now.busy else ""
                say(f"process {now.pid} is preparing programs already{doing}: waiting for {', '.join(todo)}")
                said = True
            show(now)
            todo = missing(todo)
            if not todo:
                return False


def _tidy(settings: Settings, say: Say) -> None:
    """Remove the build caches once nothing is left to build; a killed set-up may have left them."""
    if settings.keep_build_cache or not build.folder(settings).exists():
        return
    interrupted = [name for name in setup_status.read(settings).lines if name in catalog.PROGRAMS]
    if missing([*usual(), *interrupted]):
        return
    with contextlib.suppress(Timeout, OSError), FileLock(settings.cache / "setup.lock", timeout=0):
        say("removing the build caches: nothing is left to build")
        build.clean(settings)


class _Board:
    """The status of one set-up, written for all to read whenever it changes."""

    def __init__(self, settings: Settings, todo: list[str], show: Show) -> None:
        self._settings, self._show, self._at = settings, show, 0.0
        seconds = {name: float(catalog.PROGRAMS[name].seconds) for name in todo}
        self.now = SetupStatus({name: Line(left=seconds[name], seconds=seconds[name]) for name in todo})
        self._publish()  # at once: the file may still tell of an earlier set-up that failed
        for name, line in self.now.lines.items():
            if download.reachable(settings, catalog.PROGRAMS[name]):
                line.left = line.seconds = max(1.0, catalog.PROGRAMS[name].megabytes / _MEGABYTES_PER_SECOND)

    def state(self, name: str, state: str, note: str) -> None:
        """Begin or end something."""
        line = self.now.lines[name]
        line.state, line.note = state, note
        if state == READY:
            line.share, line.left = 1.0, 0.0
        self._publish()

    def progress(self, name: str, share: float, spent: float) -> None:
        """Tell how much is done after `spent` seconds."""
        line = self.now.lines[name]
        line.share = min(share, 1.0) * 0.97  # the last bit: linking, checking, starting it once
        # What it was expected to take counts less and less, what this machine takes more and more.
        line.left = max(1.0, (1 - line.share) * ((1 - line.share) * line.seconds + spent))
        if time.monotonic() - self._at > 0.2:
            self._publish()

    def learned(self, name: str, took: float) -> None:
        """Scale what is expected of the builds to come by what this one took."""
        factor = (1 + max(0.3, took / self.now.lines[name].seconds)) / 2
        self.now.lines[name].seconds = took
        for line in self.now.lines.values():
            if line.state == setup_status.WAITING:
                line.seconds *= factor
                line.left = line.seconds

    def end(self, error: BaseException) -> None:
        """Say what ended it."""
        said = error.headline if isinstance(error, LabError) else type(error).__name__
        self.now.error = "it was interrupted." if isinstance(error, KeyboardInterrupt) else said
        self._publish()

    def _publish(self) -> None:
        self._at = time.monotonic()
        setup_status.write(self._settings, self.now)
        self._show(self.now)


def _work(settings: Settings, todo: list[str], say: Say, show: Show) -> None:
    download.forget()
    board = _Board(settings, todo, show)
    try:
        for name in todo:
            program, began = catalog.PROGRAMS[name], time.monotonic()
            if locate(settings, name):  # came in the meantime, by the user's own hands
                board.state(name, READY, "found")
                continue
            source = _prepare(settings, program, board, say)
            took = time.monotonic() - began
            if source == "build":
                board.learned(name, took)
            board.state(name, READY, f"{source}, {took:.0f} s")
            say(f"{name} {program.family.version}: {source}, {took:.0f} s")
    except BaseException as error:
        board.end(error)
        raise
    finally:
        download.clean(settings)


def _prepare(settings: Settings, program: Program, board: _Board, say: Say) -> str:
    """Download or build one program into the cache; which of the two."""
    try:
        store.find(settings, program)
    except ProgramError as changed:
        say(f"{changed.headline} Making it anew.")
        store.remove(settings, program)
    target = store.folder(settings, program) / f".{program.name}-{os.getpid()}.new"
    began = time.monotonic()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob(".*.new"):
            old.unlink()
        source, origin = "official release", _fetched(settings, program, target, board, say)
        if not origin:
            source, origin = "build", _built(settings, program, target, board)
        store.keep(settings, program, target, source, origin, time.monotonic() - began)
        return source
    except ProgramError as error:
        board.state(program.name, FAILED, error.headline)
        raise
    except OSError as error:
        board.state(program.name, FAILED, str(error.strerror))
        remedy = f"free some disk under {settings.cache}, or choose another: export XDG_CACHE_HOME=/path/with/room"
        raise ProgramError(f"{program.name} could not be kept.", str(error), f"{remedy}; then: lab setup") from None
    finally:
        target.unlink(missing_ok=True)


def _fetched(settings: Settings, program: Program, target: Path, board: _Board, say: Say) -> str:
    """The address it was downloaded from; empty where it has to be built."""
    if not download.reachable(settings, program):
        return ""
    began = time.monotonic()
    try:
        board.state(program.name, DOWNLOADING, "official release")
        show = lambda share: board.progress(program.name, share, time.monotonic() - began)  # noqa: E731
        origin = download.fetch(settings, program, target, show)
        _check(program, target)
        return origin
    except ProgramError as refused:
        say(f"{refused.headline} {refused.seen} Building it instead.")
        target.unlink(missing_ok=True)
        board.now.lines[program.name].seconds = float(program.seconds)
        return ""


def _built(settings: Settings, program: Program, target: Path, board: _Board) -> str:
    """The Go that built it."""
    began = time.monotonic()
    board.state(program.name, BUILDING, "from the pinned Go module")
    origin = build.build(settings, program, target, lambda share: board.progress(program.name, share, time.monotonic() - began))
    modules.keep(settings, program.family)
    _check(program, target)
    return origin


def _check(program: Program, file: Path) -> None:
    """Start a new program once: only one that says its version is kept."""
    file.chmod(0o755)
    if own.printed(program, file) != program.family.version:
        code, words = own.said(program, file)
        remedy = "programs must be allowed on that disk (not noexec); another one: export XDG_CACHE_HOME=/path"
        raise ProgramError(
            f"{program.name} does not start as {program.family.version}.",
            f"{file}: exit code {code}: {words.strip()[-300:]}",
            remedy if code == 127 else "lab doctor",
        )
