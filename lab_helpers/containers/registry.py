"""A registry on 127.0.0.1: crane's own, with its blobs in a folder of the lab."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lab_helpers import processes, settings, toolchain
from lab_helpers.errors import ProgramError

_NAME = "registry"


def folder() -> Path:
    """Where containers and the registry keep what they have."""
    return settings.load().data / "containers"


def serve_registry() -> str:
    """Start the registry, or find the one that runs: its address, `127.0.0.1:PORT`.

    Raises:
        ProgramError: it ended at once.
    """
    place = settings.writable(folder())
    running = processes.recorded(place).get(_NAME)
    if not running or not processes.alive(running):
        (place / "logs" / f"{_NAME}.log").unlink(missing_ok=True)  # the port of an earlier one stands in it
        # Port 0: the system gives a free one, and the log says which.
        command: list[str | Path] = [toolchain.path("crane"), "registry", "serve", "--address", "127.0.0.1:0"]
        command += ["--disk", place / "registry"]
        (place / "registry").mkdir(exist_ok=True)
        running = processes.start(_NAME, command, folder=place)
    process, port = running, list[str]()

    def serves() -> bool:
        said = processes.tail(process.log, 10**5)
        port[:] = re.findall(r"serving on port (\d+)", said)[:1]
        if not port and not processes.alive(process):
            raise ProgramError("The registry ended at once.", processes.tail(process.log), "lab doctor")
        return bool(port)

    processes.wait_until(serves, deadline=20, what="The registry's start", seen=lambda: processes.tail(process.log))
    return f"127.0.0.1:{port[0]}"


def end_registry() -> bool:
    """End the registry and remove what it holds; whether one ran."""
    place = folder()
    running = processes.recorded(place).get(_NAME)
    if running:
        processes.stop(running)
    shutil.rmtree(place, ignore_errors=True)
    return running is not None
