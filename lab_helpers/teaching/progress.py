"""What the learner has done, in one JSON file that outlives kernels and restarts."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab_helpers import settings

Table = dict[str, Any]


def path() -> Path:
    """The file."""
    return settings.load().data / "progress.json"


def read() -> Table:
    """Everything that is on record: lab → {passed, hints, solutions, predictions, answers, attempts}."""
    try:
        found = json.loads(path().read_text())
        return found if isinstance(found, dict) else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        aside = path().with_suffix(f".broken-{int(time.time())}.json")
        with contextlib.suppress(OSError):
            path().replace(aside)
            print(f"The progress file could not be read. It is kept as {aside}; a new one begins.", file=sys.stderr)
        return {}


@contextlib.contextmanager
def change(lab: str) -> Iterator[Table]:
    """One lab's record, to be changed; written atomically at the end, under a lock."""
    folder = settings.writable(path().parent)
    with FileLock(folder / "progress.lock"):
        everything = read()
        record = everything.setdefault(lab, {})
        yield record
        new = path().with_suffix(".new")
        new.write_text(json.dumps(everything, indent=1, sort_keys=True))
        new.replace(path())


def of(lab: str) -> Table:
    """One lab's record."""
    found = read().get(lab, {})
    return found if isinstance(found, dict) else {}


def note(lab: str, kind: str, name: str, value: object) -> None:
    """Write one fact down: kind is `passed`, `hints`, `solutions`, `predictions`, `answers` or `attempts`."""
    with change(lab) as record:
        record.setdefault(kind, {})[name] = value


def passed(lab: str) -> list[str]:
    """The exercises of a lab that were passed, by name."""
    return sorted(of(lab).get("passed", {}))
