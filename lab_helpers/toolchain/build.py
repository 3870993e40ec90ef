"""A program built from its pinned module, in private Go caches: interruptible, and never half there."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lab_helpers import processes
from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings
from lab_helpers.toolchain import go
from lab_helpers.toolchain.catalog import Program

GIGABYTES = 7  # free disk that building everything takes at most: Go's caches and the programs (measured: 5.6)
BUILD_SECONDS = 3600


def folder(settings: Settings) -> Path:
    """The private build folder: Go's caches, logs and records of running builds."""
    return settings.cache / "build"


def check_disk(settings: Settings) -> None:
    """Raise ProgramError where the disk has no room for a build."""
    free = shutil.disk_usage(settings.cache).free / 1e9
    if free < GIGABYTES:
        raise ProgramError(
            f"Building the programs needs {GIGABYTES} GB of disk for a while.",
            f"{free:.1f} GB are free under {settings.cache}",
            "free some, or choose another disk: export XDG_CACHE_HOME=/path/with/room",
        )


def build(settings: Settings, program: Program, target: Path, show: Callable[[float], None]) -> None:
    """Build a program to `target`.

    Args:
        show: called every half second with the seconds that the build has taken.

    Raises:
        ProgramError: no Go, no room, no network for the modules, or the compiler's own words.
    """
    compiler = go.find(settings, program.family.go)
    if not (folder(settings) / "go-build").exists():
        check_disk(settings)
    name = f"go-build-{program.name}"
    log = folder(settings) / "logs" / f"{name}.log"
    log.unlink(missing_ok=True)
    flags = ["-mod=readonly", "-ldflags", program.family.ldflags]
    command = ["nice", str(compiler), "build", *flags, "-o", str(target), program.package]
    process = processes.start(name, command, folder=folder(settings), cwd=program.family.folder, env=environment(settings))
    waited = 0.0
    try:
        while processes.alive(process):
            _pause(process)
            waited += 0.5
            show(waited)
            if waited > BUILD_SECONDS:
                raise ProgramError(f"{program.name} was not built within {BUILD_SECONDS} s.", processes.tail(log))
    finally:
        processes.stop(process, grace=1)  # Ctrl-C: the compiler ends too
        processes.forget(folder(settings), name)
    if not target.exists():
        said = processes.tail(log)
        raise ProgramError(f"{program.name} could not be built.", said, _remedy(settings, said))


def _pause(process: processes.Process) -> None:
    import psutil

    with contextlib.suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
        psutil.Process(process.pid).wait(0.5)


def _remedy(settings: Settings, said: str) -> str:
    if "no space left" in said:
        return f"free some disk under {settings.cache}, then: lab setup"
    if "dial tcp" in said or "lookup" in said or "connection refused" in said:
        return "connect this machine to the network (the Go module proxy), then: lab setup"
    return "lab doctor"


def environment(settings: Settings) -> dict[str, str]:
    """Go's environment: the user's network settings, our own caches and flags."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GO", "CGO_"))}
    proxies = {
        key: os.environ[key] for key in ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE") if key in os.environ
    }
    return {
        **kept,
        **proxies,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        # -modcacherw: a cache that can be removed again
        "GOFLAGS": "-buildvcs=false -trimpath -modcacherw",
        "GOCACHE": str(folder(settings) / "go-build"),
        "GOPATH": str(folder(settings) / "go"),
        "GOMODCACHE": str(folder(settings) / "go-mod"),
    }


def stop_orphans(settings: Settings) -> None:
    """End compilers that a killed set-up left running. Call it with the set-up's lock held."""
    for name, process in processes.recorded(folder(settings)).items():
        processes.stop(process, grace=1)
        processes.forget(folder(settings), name)


def clean(settings: Settings) -> None:
    """Remove the private build folder."""
    shutil.rmtree(folder(settings), ignore_errors=True)
