"""How far the set-up is: one file in the cache that any process can follow while another one builds."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab_helpers import processes
from lab_helpers.settings import Settings

WAITING, DOWNLOADING, BUILDING, READY, FAILED = "waiting", "downloading", "building", "ready", "failed"


@dataclass
class Line:
    """One program's progress.

    Attributes:
        state: waiting, downloading, building, ready or failed.
        share: how much of it is done, 0 to 1: bytes fetched, or sources compiled.
        left: about how many seconds are left.
        note: what a reader should know: where it comes from, or what went wrong.
        seconds: about how long all of it takes.
    """

    state: str = WAITING
    share: float = 0.0
    left: float = 0.0
    note: str = ""
    seconds: float = 1.0


@dataclass
class SetupStatus:
    """The whole set-up's progress.

    Attributes:
        lines: program → its line, in the order of work.
        pid, birth: the process that works.
        error: what ended it, or empty.
        at: when it was written (seconds since 1970).
    """

    lines: dict[str, Line] = field(default_factory=dict)
    pid: int = 0
    birth: str = ""
    error: str = ""
    at: float = 0.0

    @property
    def running(self) -> bool:
        """Whether the process that wrote this is still at work; a process that is there but has finished is not."""
        return bool(self.birth) and not self.done and not self.error and processes.birth(self.pid) == self.birth

    @property
    def done(self) -> bool:
        """Whether every program is ready."""
        return bool(self.lines) and all(line.state == READY for line in self.lines.values())

    @property
    def left(self) -> float:
        """About how many seconds are left."""
        return sum(line.left for line in self.lines.values())

    @property
    def share(self) -> float:
        """How much of all of it is done, 0 to 1: by the time that each program takes."""
        whole = sum(line.seconds for line in self.lines.values())
        return sum(line.share * line.seconds for line in self.lines.values()) / whole if whole else 0.0

    @property
    def busy(self) -> str:
        """The program that is worked on, or empty."""
        return next((name for name, line in self.lines.items() if line.state in (DOWNLOADING, BUILDING)), "")


def path(settings: Settings) -> Path:
    """The file."""
    return settings.cache / "setup.json"


def write(settings: Settings, status: SetupStatus) -> None:
    """Write the status atomically, in this process's name. A full disk is the work's own error, not this one's."""
    status.pid, status.birth, status.at = os.getpid(), processes.birth(os.getpid()), time.time()
    new = path(settings).with_suffix(f".{os.getpid()}.new")
    with contextlib.suppress(OSError):
        new.write_text(json.dumps(asdict(status)))
        new.replace(path(settings))


def read(settings: Settings) -> SetupStatus:
    """The status as it was written last; an empty one where there is none."""
    try:
        fields = json.loads(path(settings).read_text())
        lines = {name: Line(**line) for name, line in fields.pop("lines").items()}
        return SetupStatus(lines=lines, **fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return SetupStatus()
