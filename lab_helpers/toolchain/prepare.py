"""From a name to a program: find it, or download or build it, with progress that others can follow."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from lab_helpers import settings as settings_module
from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings, writable
from lab_helpers.toolchain import build, download, own, setup_status, store
from lab_helpers.toolchain.catalog import PROGRAMS, Program
from lab_helpers.toolchain.setup_status import BUILDING, DOWNLOADING, FAILED, READY, Line, SetupStatus

Say = Callable[[str], None]
Show = Callable[[SetupStatus], None]


def locate(settings: Settings, name: str) -> Path | None:
    """A program that is there already: the user's own, or the cache's. A changed one counts as absent."""
    program = _known(name)
    try:
        return own.find(settings, program) or store.find(settings, program)
    except ProgramError:
        return None


def path(name: str) -> Path:
    """A program that is there already.

    Raises:
        ProgramError: it is not there yet, or there is no program of that name.
    """
    found = locate(settings_module.load(), name)
    if found is None:
        raise ProgramError(f"{name} is not prepared yet.", next_step="lab setup")
    return found


def missing(names: Iterable[str]) -> list[str]:
    """Those of the programs that are not there yet, in the order in which they would be prepared."""
    settings, wanted = settings_module.load(), set(names)
    for name in wanted:
        _known(name)
    return [name for name in PROGRAMS if name in wanted and locate(settings, name) is None]


def ensure(names: Iterable[str], say: Say | None = None, show: Show | None = None) -> dict[str, Path]:
    """Have every named program: find, download or build it, one after another.

    Two set-ups at once wait for each other; the one that waits goes on as soon as what it needs is there.

    Args:
        say: called with a line for each thing worth a line.
        show: called with the whole status at least twice a second.

    Raises:
        ProgramError: one of them could not be prepared; those before it are kept.
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
            if not said:
                say(f"process {now.pid} is preparing programs already: waiting for {', '.join(todo)}")
                said = True
            show(now)
            todo = missing(todo)
            if not todo:
                return False


def _work(settings: Settings, todo: list[str], say: Say, show: Show) -> None:
    now = SetupStatus({name: Line(left=PROGRAMS[name].seconds) for name in todo})
    speed = 1.0  # how much longer than the catalogue's figures builds take here

    def publish(name: str, **changes: object) -> None:
        for key, value in changes.items():
            setattr(now.lines[name], key, value)
        setup_status.write(settings, now)
        show(now)

    try:
        for name in todo:
            if locate(settings, name):
                publish(name, state=READY, share=1.0, left=0.0, note="found")
                continue
            began, program = time.monotonic(), PROGRAMS[name]
            source = _prepare(settings, program, lambda speed=speed, name=name, **c: publish(name, **_scaled(c, speed)), say)
            took = time.monotonic() - began
            if source == "build":
                speed = max(0.3, (speed + took / program.seconds) / 2)
                for other in todo[todo.index(name) + 1 :]:
                    now.lines[other].left = PROGRAMS[other].seconds * speed
            publish(name, state=READY, share=1.0, left=0.0, note=f"{source}, {took:.0f} s")
            say(f"{name} {program.family.version}: {source}, {took:.0f} s")
    except BaseException as error:
        now.error = error.headline if isinstance(error, ProgramError) else type(error).__name__
        setup_status.write(settings, now)
        raise
    if not settings.keep_build_cache and not missing(PROGRAMS):
        build.clean(settings)


def _scaled(changes: dict[str, object], speed: float) -> dict[str, object]:
    seconds = changes.pop("seconds", None)
    if isinstance(seconds, float):
        whole = float(str(changes.pop("whole"))) * speed
        changes |= {"share": min(0.97, seconds / whole), "left": max(1.0, whole - seconds)}
    return changes


def _prepare(settings: Settings, program: Program, publish: Callable[..., None], say: Say) -> str:
    """Download or build one program into the cache; where it came from."""
    try:
        store.find(settings, program)
    except ProgramError as changed:
        say(f"{changed.headline} Making it anew.")
        store.remove(settings, program)
    target = store.folder(settings, program) / f".{program.name}-{os.getpid()}.new"
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob(".*.new"):
        old.unlink()
    began = time.monotonic()
    try:
        source = "build"
        if download.reachable(settings, program):
            try:
                publish(state=DOWNLOADING, note="official release")
                download.fetch(settings, program, target, lambda share: publish(share=share * 0.95))
                source = "official release"
            except ProgramError as refused:
                say(f"{refused.headline} {refused.seen} Building it instead.")
                target.unlink(missing_ok=True)
        if source == "build":
            publish(state=BUILDING, note="from the pinned Go module")
            build.build(settings, program, target, lambda spent: publish(seconds=spent, whole=program.seconds))
        target.chmod(0o755)
        if own.printed(program, target) != program.family.version:
            raise ProgramError(f"{program.name} from {source} does not start as {program.family.version}.", str(target))
        store.keep(settings, program, target, source, time.monotonic() - began)
        return source
    except ProgramError as error:
        publish(state=FAILED, note=error.headline)
        raise
    except OSError as error:
        publish(state=FAILED, note=str(error.strerror))
        remedy = f"free some disk under {settings.cache}, then: lab setup"
        raise ProgramError(f"{program.name} could not be kept.", str(error), remedy) from None
    finally:
        target.unlink(missing_ok=True)


def bin_folder(names: Iterable[str]) -> Path:
    """A folder with a link to each of these programs and to nothing else, for PATH."""
    settings = settings_module.load()
    links = {name: path(name) for name in sorted(names)}
    key = hashlib.sha256(repr(sorted(links.items())).encode()).hexdigest()[:12]
    folder = settings.cache / "bin" / key
    if not folder.is_dir():
        new = writable(settings.cache / "bin" / f".{key}-{os.getpid()}")
        for name, target in links.items():
            (new / name).symlink_to(target)
        try:
            new.rename(folder)
        except OSError:  # somebody else was quicker
            for link in new.iterdir():
                link.unlink()
            new.rmdir()
    return folder


def _known(name: str) -> Program:
    if name not in PROGRAMS:
        raise ProgramError(f"There is no program {name!r} in the lab.", next_step=f"one of: {', '.join(PROGRAMS)}")
    return PROGRAMS[name]
