"""A program that builds in a second, for the tests of the toolchain; the scripts of other processes import it too."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from lab_helpers.toolchain import catalog

HERE = Path(__file__).parent
FAMILY = catalog.Family("tiny", "1.2.3", "-s -w", HERE / "tiny")
PLACE = "v1.2.3/{}/{}".format(*catalog.machine())
URL = "https://official.example/v1.2.3/{os}/{arch}/tiny"
TINY = catalog.Program("tiny", FAMILY, "lab.local/tiny", URL, published=".sha256", seconds=2)
SCRIPT = b"#!/bin/sh\necho tiny version 1.2.3\n"


def with_packages(folder: Path, first: tuple[Path, list[float]]) -> Path:
    (folder / "build").mkdir(parents=True)
    (folder / "build" / "go-build").symlink_to(first[0] / "build" / "go-build")
    return folder


def use(monkeypatch, *programs: catalog.Program) -> None:
    monkeypatch.setattr(catalog, "PROGRAMS", {program.name: program for program in programs})


def publish(folder: Path, content: bytes = SCRIPT, checksum: str = "") -> None:
    (folder / "tiny").write_bytes(content)
    (folder / "tiny.sha256").write_text(checksum or hashlib.sha256(content).hexdigest())


def script(folder: Path, printed: str) -> Path:
    """A program of the user's own that prints a version."""
    folder.mkdir()
    (folder / "tiny").write_text(f"#!/bin/sh\necho tiny {printed}\n")
    (folder / "tiny").chmod(0o755)
    return folder / "tiny"


def without_go(monkeypatch, folder: Path) -> None:
    """A PATH with what a build needs but Go."""
    (folder / "path").mkdir()
    for name in ("sh", "nice", "sleep"):
        (folder / "path" / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(folder / "path"))
