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
    """Everything on record: lab → {passed, hints, solutions, predictions, answers, attempts}; empty if it is unreadable."""
    return _parse(path()) or {}


def _parse(file: Path) -> Table | None:
    """The file's content; None where it is none of ours."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return None
    right = isinstance(found, dict) and all(
        isinstance(record, dict) and all(isinstance(facts, dict) for facts in record.values()) for record in found.values()
    )
    return found if right else None


@contextlib.contextmanager
def change(lab: str) -> Iterator[Table]:
    """One lab's record, to be changed; written atomically at the end, under a lock.

    Raises:
        SettingError: the data folder cannot be written.
    """
    file = settings.writable(path().parent) / "progress.json"
    with FileLock(file.with_suffix(".lock")):
        everything = _parse(file)
        if everything is None:
            aside = file.with_suffix(f".broken-{time.strftime('%Y%m%d-%H%M%S')}.json")
            file.replace(aside)
            print(f"The progress file could not be read. It is kept as {aside}; a new one begins.", file=sys.stderr)
            everything = {}
        yield everything.setdefault(lab, {})
        new = file.with_suffix(".new")
        new.write_text(json.dumps(everything, indent=1, sort_keys=True, ensure_ascii=False), encoding="utf-8")
        new.replace(file)


def of(lab: str) -> Table:
    """One lab's record."""
    return dict(read().get(lab, {}))


def note(lab: str, kind: str, name: str, value: object) -> None:
    """Write one fact down: kind is `passed`, `hints`, `solutions`, `predictions`, `answers` or `attempts`."""
    with change(lab) as record:
        record.setdefault(kind, {})[name] = value


def passed(lab: str) -> list[str]:
    """The exercises of a lab that were passed, by name."""
    return sorted(of(lab).get("passed", {}))
