"""The lab's AWS as a process of the learner's: started when a lab needs it, adopted by the next, ended by `lab clean`."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import string
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab_helpers import processes
from lab_helpers.clusters import scrubbed
from lab_helpers.eks import authenticator, environment, files
from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings, plain, writable

NAME = "aws"
_SECONDS = 120.0  # eight kernels at once on two cores; alone it takes 3 to 6 s


@dataclass(frozen=True)
class Endpoint:
    """The lab's AWS, running.

    Attributes:
        folder: everything of it on disk.
        port: of its proxy on 127.0.0.1.
        password: of the proxy.
        pid: of its process.
    """

    folder: Path
    port: int
    password: str
    pid: int

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """An environment in which programs reach it; `env` has been scrubbed."""
        return environment.apply(env, self.folder, self.port, self.password)


def folder(settings: Settings) -> Path:
    """Where everything of it lies."""
    return plain(settings.data) / "aws"


def ensure(settings: Settings, say: Callable[[str], None] = lambda line: None) -> Endpoint:
    """The endpoint: the one that runs, or a new one with what the account held.

    Raises:
        ProgramError: it does not start; the error has the last lines of its log.
    """
    here = writable(folder(settings))
    with FileLock(here / "start.lock"):
        wanted = _wanted(here)
        environment.write(here, wanted["key"], wanted["secret"])
        if found := running(settings):
            return found
        say("starting the local AWS")
        _end(here)
        (here / "endpoint.json").unlink(missing_ok=True)
        (here / "notice").unlink(missing_ok=True)
        env = {**scrubbed(environment.leave(os.environ)), "PYTHONUNBUFFERED": "1"}
        process = processes.start(NAME, [sys.executable, "-m", "lab_helpers.eks", str(here)], folder=here, env=env)
        _wait(settings, process)
        if (here / "notice").exists():
            say((here / "notice").read_text())
        endpoint = running(settings)
        assert endpoint is not None
        if endpoint.port != wanted["port"]:
            _keep(here, {**wanted, "port": endpoint.port})
        return endpoint


def _wait(settings: Settings, process: processes.Process) -> None:
    def ready() -> bool:
        if not processes.alive(process):
            raise ProgramError("The local AWS ended at once.", processes.tail(process.log), "lab doctor")
        return running(settings) is not None

    processes.wait_until(
        ready,
        deadline=_SECONDS,
        what="The start of the local AWS",
        seen=lambda: processes.tail(process.log, 5),
        next_step="lab clean, then open the lab again",
    )


def running(settings: Settings) -> Endpoint | None:
    """The endpoint where it runs and answers, or None."""
    here = folder(settings)
    process = processes.recorded(here).get(NAME)
    if process is None or not processes.alive(process):
        return None
    try:
        told, wanted = json.loads((here / "endpoint.json").read_text()), json.loads((here / "wanted.json").read_text())
        with socket.create_connection(("127.0.0.1", told["port"]), timeout=2):
            pass
        return Endpoint(here, told["port"], wanted["password"], process.pid) if told["pid"] == process.pid else None
    except (OSError, ValueError, KeyError):
        return None


def stop(settings: Settings) -> None:
    """End it; what the account holds is kept."""
    _end(folder(settings))


def clean(settings: Settings) -> bool:
    """End it and forget the account; whether there was one."""
    here = folder(settings)
    there = here.exists()
    _end(here)
    for local in authenticator.every(here):
        processes.end_recorded(authenticator.folder(here, local))
    shutil.rmtree(here, ignore_errors=True)
    return there


def _end(here: Path) -> None:
    for process in processes.recorded(here).values():
        processes.stop(process, grace=20)  # it saves the account
        processes.forget(here, process.name)


def _wanted(here: Path) -> dict[str, Any]:
    """What stays the same over restarts: the administrator's key, the proxy's password, and its port where it is free."""
    try:
        found: dict[str, Any] = json.loads((here / "wanted.json").read_text())
        return found
    except (OSError, ValueError):
        capitals, letters = string.ascii_uppercase + "234567", string.ascii_letters + string.digits
        made = {
            "key": "AKIA" + "".join(secrets.choice(capitals) for _ in range(16)),
            "secret": "".join(secrets.choice(letters) for _ in range(40)),
            "password": secrets.token_urlsafe(18),
            "port": 0,
        }
        return _keep(here, made)


def _keep(here: Path, table: dict[str, Any]) -> dict[str, Any]:
    files.write(here / "wanted.json", json.dumps(table))
    return table
