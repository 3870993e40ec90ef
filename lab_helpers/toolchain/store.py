"""The cache of programs: one folder a program and content key, with a record of its SHA-256 beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings
from lab_helpers.toolchain.catalog import Program


def folder(settings: Settings, program: Program) -> Path:
    """Where a program stands, or will."""
    return settings.cache / "programs" / f"{program.name}-{program.family.version}-{program.key}"


def keep(settings: Settings, program: Program, file: Path, source: str, origin: str, seconds: float) -> Path:
    """Take a finished file into the cache: recorded first, then renamed, so that no half program is ever found.

    Args:
        source: in a word or two, for readers.
        origin: the address it was fetched from, or the Go that built it.
    """
    target = folder(settings, program) / program.name
    target.parent.mkdir(parents=True, exist_ok=True)
    file.chmod(0o755)
    record = {"sha256": digest(file), "source": source, "origin": origin, "seconds": round(seconds, 1), **_stamp(file)}
    _write(target, record)
    file.replace(target)
    return target


def find(settings: Settings, program: Program, *, thorough: bool = False) -> Path | None:
    """The cached program, or None.

    A file whose size, time and inode are those of the record is taken as it is; otherwise, and where `thorough`, its
    SHA-256 is computed (0.1 s for 100 MB).

    Raises:
        ProgramError: the file has changed since it was recorded.
    """
    target = folder(settings, program) / program.name
    try:
        record = json.loads(_record(target).read_text())
        if not target.is_file():
            return None
    except (OSError, ValueError):
        return None
    stamp = _stamp(target)
    if thorough or any(record.get(name) != value for name, value in stamp.items()):
        if digest(target) != record.get("sha256"):
            with contextlib.suppress(OSError):  # so that the quick look refuses it too
                _write(target, {**record, "inode": 0})
            raise ProgramError(
                f"{program.name} in the cache has changed since it was made: it is not used.",
                f"{target}: its SHA-256 is not {record.get('sha256')}",
                "lab setup makes it anew",
            )
        with contextlib.suppress(OSError):  # a cache that cannot be written: computed again next time
            _write(target, {**record, **stamp})
    return target


def remove(settings: Settings, program: Program) -> None:
    """Take a program out of the cache."""
    target = folder(settings, program) / program.name
    for path in (_record(target), target):
        path.unlink(missing_ok=True)


def record(settings: Settings, program: Program) -> dict[str, Any]:
    """What was written down of a cached program: sha256, source, origin, seconds; empty where there is none."""
    try:
        found: dict[str, Any] = json.loads(_record(folder(settings, program) / program.name).read_text())
        return found
    except (OSError, ValueError):
        return {}


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stamp(file: Path) -> dict[str, int]:
    found = file.stat()
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino}


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _write(target: Path, record: dict[str, Any]) -> None:
    new = target.with_name(f".{target.name}-{os.getpid()}.json.new")
    new.write_text(json.dumps(record, indent=1))
    new.replace(_record(target))
