"""How far the set-up is: one file in the cache that any process can follow while another one builds."""

from __future__ import annotations

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
        share: how much of it is done, 0 to 1.
        left: about how many seconds are left.
        note: what a reader should know: where it comes from, or what went wrong.
    """

    state: str = WAITING
    share: float = 0.0
    left: float = 0.0
    note: str = ""


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
        """Whether the process that wrote this still works."""
        return bool(self.birth) and processes.birth(self.pid) == self.birth and not self.error

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
        """How much of all of it is done, 0 to 1: by programs."""
        return sum(line.share for line in self.lines.values()) / max(1, len(self.lines))


def path(settings: Settings) -> Path:
    """The file."""
    return settings.cache / "setup.json"


def write(settings: Settings, status: SetupStatus) -> None:
    """Write the status atomically, in this process's name."""
    status.pid, status.birth, status.at = os.getpid(), processes.birth(os.getpid()), time.time()
    new = path(settings).with_suffix(f".{os.getpid()}.new")
    new.write_text(json.dumps(asdict(status)))
    new.replace(path(settings))


def read(settings: Settings) -> SetupStatus:
    """The status as it was written last; an empty one where there is none."""
    try:
        fields = json.loads(path(settings).read_text())
        lines = {name: Line(**line) for name, line in fields.pop("lines").items()}
        return SetupStatus(lines=lines, **fields)
    except (OSError, ValueError, TypeError, KeyError):
        return SetupStatus()
