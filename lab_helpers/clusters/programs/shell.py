"""Sleeps until SIGTERM, or for `--seconds N`, and ends with 0: a place for `kubectl exec`, or a task that ends."""

from __future__ import annotations

import argparse
import signal
import sys
import threading


def main() -> int:
    """Sleep."""
    parser = argparse.ArgumentParser(prog="shell")
    parser.add_argument("--seconds", type=float, help="end after so long")
    given = parser.parse_args()
    over = threading.Event()
    # Without a handler the kernel keeps SIGTERM from process 1 of a container.
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: over.set())
    print("waiting for kubectl exec" if given.seconds is None else f"working for {given.seconds:g} s", flush=True)
    over.wait(given.seconds)
    print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
