"""Compare what a test run says it did with what the lab folders hold: python tests/counted.py LOG."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def wanted() -> dict[str, dict[str, int]]:
    """What has to have run, from the folders alone. Journeys on kind: make test-kind, where a Docker engine runs."""
    rooms = sorted(ROOT.glob("labs/*/lab.yaml"))
    tables = [yaml.safe_load((room.parent / "exercises.yaml").read_text()) for room in rooms]
    exercises = [exercise for table in tables for exercise in table.values()]
    journeys = {
        "labs": len(rooms),
        "exercises solved": len(exercises),
        "wrong answers refused": sum(len(exercise["wrong"]) for exercise in exercises),
        "untouched exercises refused": len(exercises),
    }
    return {"embedded": journeys, "nbval": {"notebooks": 2 * len(rooms)}}


def said(log: str) -> dict[str, dict[str, int]]:
    """What the run says: provider → numbers; nbval's under `nbval`."""
    found: dict[str, dict[str, int]] = {}
    for line in log.splitlines():
        if match := re.match(r"(?:journeys on (\w+)|(nbval)): (.*)", line):
            numbers = re.findall(r"(\d+) ([a-z ]+?)(?:,|$)", match[3])
            found[match[1] or match[2]] = {words: int(number) for number, words in numbers}
    return found


def main() -> int:
    log = Path(sys.argv[1]).read_text(errors="replace")
    want, got, bad = wanted(), said(log), 0
    for who, numbers in want.items():
        for what, number in numbers.items():
            seen = got.get(who, {}).get(what)
            bad += seen != number
            print(f"{'ok ' if seen == number else 'BAD'} {who}: {what}: {'none' if seen is None else seen} of {number}")
    skipped = re.findall(r"(\d+) skipped", log)
    if skipped:
        bad += 1
        print(f"BAD skipped: {skipped[-1]} (nothing may be skipped here)")
    return 1 if bad or want["embedded"]["labs"] < 12 else 0


if __name__ == "__main__":
    sys.exit(main())
