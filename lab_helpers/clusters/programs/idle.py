"""Stands in for a program that AWS alone has: says so, and sleeps until SIGTERM, whatever its arguments are."""

from __future__ import annotations

import signal
import sys
import threading


def main() -> int:
    """Say it, and wait."""
    over = threading.Event()
    # Without a handler the kernel keeps SIGTERM from process 1 of a container.
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: over.set())
    print("This container stands in for a program that only AWS has. It does nothing.", flush=True)
    print("What the program would do is done by the lab, or not at all: see the lab's text.", flush=True)
    over.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
