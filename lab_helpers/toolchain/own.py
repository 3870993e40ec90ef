"""Programs of the user's own: named by a variable, in the folder LAB_PROGRAMS, or on PATH.

Only one of the right minor version is taken. One that was found and does not fit is passed over; one that was named and does
not fit is an error.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import shutil
import subprocess
from pathlib import Path

from lab_helpers.errors import SettingError
from lab_helpers.settings import Settings, executable
from lab_helpers.toolchain.catalog import Program


def find(settings: Settings, program: Program) -> Path | None:
    """The user's own program where its version fits, or None.

    Raises:
        SettingError: the one that a variable names cannot be used.
    """
    return named(settings, program) or next(
        (path for path in candidates(settings, program) if fits(settings, program, path)), None
    )


def is_named(settings: Settings, program: Program) -> bool:
    """Whether a variable names the program."""
    return program.name == "eksctl" and settings.eksctl is not None


def named(settings: Settings, program: Program) -> Path | None:
    """The program that LAB_EKSCTL names, or None where it names none.

    Raises:
        SettingError: it is no program, or none of this name and minor version.
    """
    if program.name != "eksctl" or settings.eksctl is None:
        return None
    path = executable("LAB_EKSCTL", settings.eksctl)
    if fits(settings, program, path):
        return path
    found = version(settings, program, path)
    raise SettingError(
        f"LAB_EKSCTL is {str(path)!r}, which does not fit.",
        f"asked for its version it says {found}" if found else "asked for its version it says none",
        f"name eksctl {program.family.version.rpartition('.')[0]}.x, or: unset LAB_EKSCTL",
    )


def candidates(settings: Settings, program: Program) -> list[Path]:
    """Where the user has a program of that name; those in the lab's cache are not theirs.

    What goes into the node image is never theirs: theirs is made for this machine, not for the image.
    """
    if program.group in ("node image", "eks node"):
        return []
    places = [str(settings.programs)] if settings.programs else []
    names = [shutil.which(program.name, path=place) for place in [*places, os.environ.get("PATH", "")]]
    found = dict.fromkeys(_behind(settings, Path(name)) for name in names if name)
    return [path for path in found if not path.resolve().is_relative_to(settings.cache.resolve())]


def _behind(settings: Settings, path: Path) -> Path:
    """What a link of ours on a kernel's PATH points at; every other path as it is."""
    return path.resolve() if any(path.is_relative_to(folder / "bin") for folder in (settings.cache, settings.data)) else path


def fits(settings: Settings, program: Program, path: Path) -> bool:
    """Whether a program says that it is of the wanted minor version."""
    want = program.family.version.rpartition(".")[0]
    return version(settings, program, path).startswith(f"{want}.")


def version(settings: Settings, program: Program, path: Path) -> str:
    """The version that a program prints; asked once for each state of the file."""
    memory = settings.cache / "own-versions.json"
    try:
        known: dict[str, str] = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    stamp = path.stat()
    key = f"{path}:{stamp.st_size}:{stamp.st_mtime_ns}"
    if key not in known:
        known[key] = printed(program, path)
        with contextlib.suppress(OSError):  # a cache that cannot be written: asked again next time
            memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = memory.with_suffix(f".{os.getpid()}.new")
            new.write_text(json.dumps(known))
            new.replace(memory)
    return known[key]


def printed(program: Program, path: Path) -> str:
    """The first version number in what a program prints of itself; empty where it does not start."""
    code, words = said(program, path)
    if program.stamped:
        words = _stamp(program.stamped, path)
    found = re.search(r"\d+\.\d+\.\d+", words)
    return found[0] if found and code == 0 else ""


def _stamp(module: str, path: Path) -> str:
    """The version of a module in what Go wrote into a program that it built; empty where it is none of Go's."""
    if not path.stat().st_size:
        return ""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = re.search(rb"\n(?:mod|dep)\t" + re.escape(module.encode()) + rb"\t(v[\d.]+)[\t\n]", content)
        return found[1].decode() if found else ""


def said(program: Program, path: Path) -> tuple[int, str]:
    """Exit code and words of a program that is asked for its version; the system's words where it cannot be executed."""
    env = {**os.environ, "KUBECONFIG": os.devnull, "KUBERC": "off"}  # the user's own files have no say in this
    try:
        done = subprocess.run(
            [path, *program.ask],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env=env,
            errors="replace",
        )
    except OSError as error:
        return 127, str(error)
    except subprocess.TimeoutExpired:
        return 124, "it did not answer within 60 s"
    return done.returncode, done.stdout + done.stderr
