"""Programs that are there already: the user's own, or the cache's."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

from lab_helpers import settings as settings_module
from lab_helpers.errors import ProgramError, SettingError
from lab_helpers.settings import Settings, writable
from lab_helpers.toolchain import catalog, own, store
from lab_helpers.toolchain.catalog import Program


def known(name: str) -> Program:
    """The catalogue's entry.

    Raises:
        ProgramError: there is no program of that name.
    """
    if name not in catalog.PROGRAMS:
        raise ProgramError(f"There is no program {name!r} in the lab.", next_step=f"one of: {', '.join(catalog.PROGRAMS)}")
    return catalog.PROGRAMS[name]


def locate(settings: Settings, name: str) -> Path | None:
    """A program that is there already: the user's own, or the cache's. A changed one counts as absent."""
    program = known(name)
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


def usual(*groups: str) -> list[str]:
    """The programs that every set-up prepares, and those of these groups."""
    return [name for name, program in catalog.PROGRAMS.items() if program.group in ("", *groups)]


def missing(names: Iterable[str] | None = None) -> list[str]:
    """Those of the programs that are not there yet, in the order in which they would be prepared.

    Args:
        names: None: what every set-up prepares.
    """
    settings, wanted = settings_module.load(), set(usual() if names is None else names)
    for name in wanted:
        known(name)
    return [name for name in catalog.PROGRAMS if name in wanted and locate(settings, name) is None]


def bin_folder(names: Iterable[str]) -> Path:
    """A folder with a link to each of these programs and to nothing else, for PATH."""
    settings = settings_module.load()
    links = {name: path(name) for name in sorted(names)}
    key = hashlib.sha256(repr(sorted(links.items())).encode()).hexdigest()[:12]
    folder = settings.cache / "bin" / key
    if not all((folder / name).exists() for name in links):
        try:
            writable(folder)
        except SettingError:  # a cache that somebody else prepared: programs are there, links are ours
            folder = writable(settings.data / "bin" / key)
        for name, target in links.items():
            with contextlib.suppress(FileExistsError):
                (folder / name).symlink_to(target)
    return folder
