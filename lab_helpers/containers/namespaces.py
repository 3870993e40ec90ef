"""A container without an engine: `unshare` gives a process namespaces of its own, no root needed. Linux only."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lab_helpers import settings
from lab_helpers.containers import memory as memory_limit
from lab_helpers.containers.image import Image, read, unpack
from lab_helpers.containers.registry import folder

# A user, a file tree, a process table, a host name and shared memory of its own.
_SPACES = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc"]
_MADE = ("proc", "tmp", "dev", "etc")


def obstacle() -> str:
    """Empty where it works here; otherwise what was seen, and what to type."""
    if sys.platform != "linux":
        return "namespaces are a part of Linux; this is another system. Install Docker Desktop, or use a Linux machine or VM."
    if not shutil.which("unshare"):
        return "the program unshare is not here: install the package util-linux."
    probe = ["unshare", *_SPACES, "--mount-proc", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().splitlines()[-1:] or ["no words"]
    return (
        f"this system lets you make no namespaces ({said[0]}). On Ubuntu 24.04 and later an administrator allows it until the "
        "next start with: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0. Or install Docker."
    )


def command(root: Path, words: list[str], env: Mapping[str, str], folder: str) -> list[list[str]]:
    """What makes a process a container, in parts that belong on a line each: its variables; its namespaces, root and
    folder; itself."""
    program = shutil.which("unshare") or "unshare"  # by its path: the variables hold the image's PATH
    variables = ["env", "-i", *(f"{key}={value}" for key, value in env.items())]
    return [variables, [program, *_SPACES], [f"--root={root}", "--mount-proc", f"--wd={folder or '/'}", *words]]


def root_of(image: Image) -> Path:
    """A container's own file tree: a copy of the image's unpacked layers. What is written into it goes with it.

    An engine saves the copy by an overlay; the effect is the same.
    """
    place = settings.writable(folder())
    unpacked = place / "images" / image.digest.partition(":")[2][:16]
    if not unpacked.exists():
        new = unpacked.with_name(f".{unpacked.name}-{secrets.token_hex(3)}")
        unpack(read(image.folder), new)
        for name in _MADE:
            (new / name).mkdir(exist_ok=True)
        new.rename(unpacked)
    root = place / f"root-{secrets.token_hex(3)}"
    shutil.copytree(unpacked, root, symlinks=True)
    return root


def limit() -> memory_limit.Limit:
    """How memory is limited here."""
    return memory_limit.best()
