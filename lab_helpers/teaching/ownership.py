"""One owner per lab, and per cluster: the kernel that opened it. The lock ends with its process, however that ends."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from filelock import FileLock, Timeout

from lab_helpers.errors import ClusterError
from lab_helpers.settings import Settings, writable


class Ownership:
    """The right to change a lab, or a cluster that labs share; taken at once or not at all.

    Raises:
        ClusterError: another process has it; the error says which one and since when.
    """

    def __init__(self, settings: Settings, lab: str) -> None:
        folder = writable(settings.data / "locks")
        self._lock, self._note = FileLock(folder / f"lab-{lab}.lock"), folder / f"lab-{lab}.json"
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ClusterError(
                f"{lab} is open in another notebook{_who(self._note)}.",
                next_step=f"use that one; or end it (Kernel → Shut Down Kernel) and run this cell again; or: lab shell {lab}",
            ) from None
        self._note.write_text(json.dumps({"pid": os.getpid(), "at": time.time()}))

    def release(self) -> None:
        """Give it back."""
        self._note.unlink(missing_ok=True)
        self._lock.release()


def _who(note: Path) -> str:
    try:
        found = json.loads(note.read_text())
        return f" (process {found['pid']}, since {time.strftime('%H:%M', time.localtime(found['at']))})"
    except (OSError, ValueError, KeyError):
        return ""
