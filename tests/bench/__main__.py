"""python -m tests.bench [--soak]: figures, each with its goal; exit code 1 where a goal is missed."""

from __future__ import annotations

import sys

from tests.bench import figures, soak


def main() -> int:
    rows = soak.run() if "--soak" in sys.argv else figures.run()
    bad = 0
    for what, value, goal, good in rows:
        bad += not good
        print(f"{'ok ' if good else 'BAD'} {what}: {value} (goal: {goal})", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
