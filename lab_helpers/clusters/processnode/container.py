"""One container of a Pod: its state as the API shows it, its process, its log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any

Object = dict[str, Any]
Line = tuple[float, str]
"""When a line was written (seconds since 1970), and the line."""

_LINES = 5000  # kept of a log

UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text: object) -> float:
    """A Kubernetes quantity as a number: `250m` is 0.25, `64Mi` is 67108864."""
    words = str(text)
    for unit in sorted(UNITS, key=len, reverse=True):
        if words.endswith(unit):
            return float(words.removesuffix(unit)) * UNITS[unit]
    return float(words)


def stamp(moment: float | None = None) -> str:
    """A time as the API writes it, to the second; default: now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class Log:
    """What a container wrote, and who follows it."""

    def __init__(self) -> None:
        self.lines: deque[Line] = deque(maxlen=_LINES)
        self.previous: list[Line] = []
        self.followers: set[asyncio.Queue[Line | None]] = set()

    def begin(self, first: bool) -> None:
        """A process starts: what the one before wrote is kept apart."""
        if not first:
            self.previous = list(self.lines)
            self.lines.clear()

    def add(self, text: str) -> None:
        """Add a line."""
        self.lines.append((time.time(), text))
        for queue in self.followers:
            queue.put_nowait(self.lines[-1])

    def end(self) -> None:
        """The process ended: nobody has more to follow."""
        for queue in self.followers:
            queue.put_nowait(None)

    async def read(self, descriptor: int) -> None:
        """Read a pipe to its end."""
        reader = asyncio.StreamReader(limit=1 << 20)
        loop = asyncio.get_running_loop()
        file = os.fdopen(descriptor, "rb")
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        try:
            while True:
                with contextlib.suppress(ValueError):  # a line of more than a megabyte is left out
                    if not (line := await reader.readline()):
                        return
                    self.add(line.decode(errors="replace").rstrip("\n"))
        finally:
            transport.close()


class Container:
    """A container, from the Pod's spec.

    Args:
        spec: its entry in spec.containers or spec.initContainers.
        before: its last known status, where the node was away meanwhile.

    Attributes:
        state: its current state, as in containerStatuses.
        last: its last state.
        pid: of its process; None while none runs.
        runs: how often one was started.
        because: why this node killed it: `OOMKilled`, `Unhealthy` or empty.
        cpu: seconds of CPU time that the running process has used.
        memory: bytes that it holds for itself alone.
    """

    def __init__(self, spec: Object, before: Object) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.image: str = spec["image"]
        self.state: Object = {"waiting": {"reason": "ContainerCreating"}}
        self.last: Object = before.get("lastState", {})
        self.restarts: int = before.get("restartCount", 0)
        if running := before.get("state", {}).get("running"):  # the machine went down with it
            self.restarts += 1
            ended = {"exitCode": 255, "reason": "Unknown", "startedAt": running.get("startedAt"), "finishedAt": stamp()}
            self.last = {"terminated": ended}
        self.ready = self.started = False
        self.pid: int | None = None
        self._id = ""
        self.runs = 0
        self.started_at = 0.0
        self.cpu = 0.0
        self.memory = 0
        self.log = Log()
        self.env: dict[str, str] = {}
        self.root = Path()
        self.because = ""

    @property
    def limit(self) -> float:
        """Its memory limit in bytes; 0: none."""
        return quantity(self.spec.get("resources", {}).get("limits", {}).get("memory", 0))

    @property
    def exit_code(self) -> int | None:
        """The exit code of its last process, while none runs."""
        code: int | None = self.state.get("terminated", {}).get("exitCode")
        return code

    def running(self, pid: int) -> None:
        """Its process was started."""
        self.pid, self.started_at, self.cpu, self.memory, self.because = pid, time.time(), 0.0, 0, ""
        self._id = f"process://{pid}-{self.runs}"
        self.state = {"running": {"startedAt": stamp()}}
        self.started = "startupProbe" not in self.spec
        self.ready = self.started and "readinessProbe" not in self.spec

    def ended(self, code: int) -> None:
        """Its process ended; a code of -N says: by signal N."""
        code = 128 - code if code < 0 else code
        reason = "OOMKilled" if self.because == "OOMKilled" else "Error" if code else "Completed"
        times = {"startedAt": stamp(self.started_at), "finishedAt": stamp()}
        identity = {"containerID": self._id}
        self.state = {"terminated": {"exitCode": code, "reason": reason, **times, **identity}}
        self.pid, self.ready, self.started = None, False, False
        self.log.end()

    def wait(self, reason: str, message: str = "") -> None:
        """It waits, and why."""
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def signal(self, sign: signal.Signals) -> None:
        """Send a signal to its process with its group, if one runs."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, sign)

    def status(self) -> Object:
        """Its entry in containerStatuses."""
        made = {"containerID": self._id} if self._id else {}
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image if self._id else "",
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last,
            **made,
        }
