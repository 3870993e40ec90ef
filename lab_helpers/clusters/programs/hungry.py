"""Takes 8 MiB of memory ten times a second until something kills it: a leak, quickly.

Without a memory limit nothing would but the machine's own end: it stops at 512 MiB and says so.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

STEP_MIB, MOST_MIB = 8, 512


def main() -> int:
    """Take memory."""
    over = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: over.set())
    taken: list[bytes] = []
    while not over.wait(0.1) and len(taken) * STEP_MIB < MOST_MIB:
        taken.append(os.urandom(STEP_MIB << 20))
        print(f"{len(taken) * STEP_MIB} MiB taken", flush=True)
    if not over.is_set():
        print("nothing has stopped me: set resources.limits.memory below 512Mi", flush=True)
        over.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
