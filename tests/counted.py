"""Compare what a test run says it did with what the lab folders hold: python tests/counted.py LOG."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def wanted() -> dict[str, int]:
    """What has to have run, from the folders alone."""
    rooms = sorted(ROOT.glob("labs/*/lab.yaml"))
    tables = [yaml.safe_load((room.parent / "exercises.yaml").read_text()) for room in rooms]
    exercises = [exercise for table in tables for exercise in table.values()]
    return {
        "labs": len(rooms),
        "exercises solved": len(exercises),
        "wrong answers refused": sum(len(exercise["wrong"]) for exercise in exercises),
        "untouched exercises refused": len(exercises),
        "notebooks": 2 * len(rooms),
    }


def said(log: str) -> dict[str, int]:
    """What the run says."""
    lines = [line for line in log.splitlines() if line.startswith(("journeys: ", "nbval: "))]
    return {words: int(number) for line in lines for number, words in re.findall(r"(\d+) ([a-z ]+?)(?:,|$)", line)}


def main() -> int:
    log = Path(sys.argv[1]).read_text(errors="replace")
    want, got = wanted(), said(log)
    bad = 0
    for what, number in want.items():
        right = got.get(what) == number
        bad += not right
        print(f"{'ok ' if right else 'BAD'} {what}: {got.get(what, 'none')} of {number} on the embedded provider")
    skipped = re.findall(r"(\d+) skipped", log)
    if skipped:
        bad += 1
        print(f"BAD skipped: {skipped[-1]} (nothing may be skipped here)")
    return 1 if bad or want["labs"] < 3 else 0


if __name__ == "__main__":
    sys.exit(main())
