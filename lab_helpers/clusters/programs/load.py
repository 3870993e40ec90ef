"""A load generator: `load URL [--rate N] [--workers N] [--seconds N]`; each second a line with what came back.

A worker has one request in flight: with slow answers the rate falls to what the workers can do.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter


class Load:
    """Requests at an even rate, counted by what came back."""

    def __init__(self, url: str, rate: float, workers: int, timeout: float) -> None:
        self.url, self.pause, self.timeout = url, workers / rate, timeout
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._spent: list[float] = []
        for number in range(workers):
            threading.Thread(target=self._work, args=(number * self.pause / workers,), daemon=True).start()

    def _work(self, delay: float) -> None:
        due = time.monotonic() + delay
        while not self.over.wait(max(0.0, due - time.monotonic())):
            due = max(due + self.pause, time.monotonic() - self.pause)  # what was missed is not made up for
            began = time.monotonic()
            outcome = self._ask()
            with self._lock:
                self._seen[outcome] += 1
                self._spent.append(time.monotonic() - began)

    def _ask(self) -> str:
        try:
            with urllib.request.urlopen(self.url, timeout=self.timeout) as answer:
                answer.read()
                return str(answer.status)
        except urllib.error.HTTPError as error:
            return str(error.code)
        except OSError as error:
            reason = getattr(error, "reason", error)
            return type(reason).__name__ if not isinstance(reason, str) else "refused"

    def line(self) -> str:
        """What came back since the last call: `sent=20 200=19 503=1 median=4ms slowest=30ms`."""
        with self._lock:
            seen, self._seen = self._seen, Counter()
            spent, self._spent = sorted(self._spent), []
        if not spent:
            return "sent=0"
        counts = " ".join(f"{outcome}={count}" for outcome, count in sorted(seen.items()))
        middle, worst = spent[len(spent) // 2], spent[-1]
        return f"sent={len(spent)} {counts} median={middle * 1000:.0f}ms slowest={worst * 1000:.0f}ms"


def main() -> int:
    """Send requests until SIGTERM or the time is over."""
    parser = argparse.ArgumentParser(prog="load")
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=20, help="requests a second, all workers together (20)")
    parser.add_argument("--workers", type=int, default=4, help="requests in flight at most (4)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so long")
    parser.add_argument("--timeout", type=float, default=5, help="seconds after which a request counts as failed (5)")
    given = parser.parse_args()
    load = Load(given.url, given.rate, given.workers, given.timeout)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: load.over.set())
    end = time.monotonic() + given.seconds
    while time.monotonic() < end and not load.over.wait(min(1.0, max(0.0, end - time.monotonic()))):
        print(f"{time.strftime('%H:%M:%S')} {load.line()}", flush=True)
    load.over.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
