"""Ends at once with code 1 and says why: a release whose configuration lacks something. With DATABASE_URL set it runs."""

from __future__ import annotations

import os
import signal
import sys
import threading


def main() -> int:
    """End, unless the variable is there."""
    if not os.environ.get("DATABASE_URL"):
        print("fatal: the variable DATABASE_URL is not set", file=sys.stderr, flush=True)
        return 1
    over = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: over.set())
    print("running", flush=True)
    over.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
