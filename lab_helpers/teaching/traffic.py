"""Requests to Pods, sent from here and counted: at an even rate in the background, or so many at once."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from lab_helpers.errors import LabError
from lab_helpers.teaching import panels
from lab_helpers.views import Answer, Sample, answers_over_time, spread
from lab_helpers.views.axis import Marks

_IN_FLIGHT = 64  # requests at most; more would have to wait for a thread
_LONGEST = 900.0  # seconds after which forgotten traffic ends by itself
_AT_ONCE = 4


def ask(url: str, timeout: float = 2.0) -> Answer:
    """Send one request through the lab's proxy. It never raises for what comes back: see `Answer.lost`.

    Args:
        url: for instance `http://web.shop/slow?ms=500`.
        timeout: seconds after which it counts as lost.
    """
    return _Client(timeout).ask(url)


class _Client:
    """Asks by the way that http_proxy names."""

    def __init__(self, timeout: float) -> None:
        proxy = os.environ.get("http_proxy", "")
        if not proxy:
            raise LabError(
                "There is no way for requests into this cluster.",
                "http_proxy is not set in this notebook",
                "run the cell with open_lab again; the lab's nodes need `runs: programs` in lab.yaml",
            )
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
        self._timeout = timeout

    def ask(self, url: str) -> Answer:
        """One request. A connection of its own, so that it is balanced anew."""
        sent, began = time.time(), time.monotonic()
        status, lost, said = 0, "", dict[str, str]()
        try:
            with self._opener.open(url, timeout=self._timeout) as reply:
                status, body = reply.status, reply.read()
                said = _about(body, reply.headers.get("X-Pod", ""))
        except urllib.error.HTTPError as error:
            status = error.code
            lost = "refused" if status in (502, 503) else f"status {status}"
            error.close()
        except (OSError, http.client.HTTPException) as error:
            lost = _why(error, self._timeout)
        return Answer(sent, time.monotonic() - began, status, lost, said)


def _about(body: bytes, pod: str) -> dict[str, str]:
    """What the course's web program says of itself."""
    try:
        table = json.loads(body)
    except ValueError:
        table = None
    known = {key: str(value) for key, value in table.items() if value} if isinstance(table, dict) else {}
    return {**({"pod": pod} if pod else {}), **known}


def _why(error: Exception, timeout: float) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no answer in {timeout:g} s"
    if isinstance(reason, ConnectionRefusedError):
        return "the lab's proxy is not there"
    return "cut off"


class Traffic:
    """Requests on their way, and what came of them.

    Args:
        url: where they go.
        rate: requests a second, until `stop`; 0: `count` of them, as fast as they are answered.
        count: how many at most; None: until `stop`.
        timeout: seconds after which one counts as lost.
        marks: asked for the moments that pictures mark.

    Attributes:
        samples: what an autoscaler made of it, where one was followed.
    """

    def __init__(
        self,
        url: str,
        rate: float = 20,
        count: int | None = None,
        timeout: float = 2.0,
        marks: Callable[[], Marks] = tuple,
    ) -> None:
        self.url, self.rate, self._count, self._marks = url, rate, count, marks
        self.began = time.time()
        self.ended: float | None = None
        self.samples: list[Sample] = []
        self._client, self._over = _Client(timeout), threading.Event()
        self._answers: list[Answer] = []
        self._pool = ThreadPoolExecutor(_IN_FLIGHT if rate else _AT_ONCE, "traffic")
        self._thread = threading.Thread(target=self._send, daemon=True, name="traffic")
        self._thread.start()

    def _send(self) -> None:
        begun, number = time.monotonic(), 0
        while number != self._count and not self._over.is_set() and time.monotonic() - begun < _LONGEST:
            try:
                self._pool.submit(self._one)
            except RuntimeError:  # this Python is ending
                return
            number += 1
            if self.rate:
                self._over.wait(max(0.0, begun + number / self.rate - time.monotonic()))

    def _one(self) -> None:
        if not self._over.is_set():
            self._answers.append(self._client.ask(self.url))

    def wait(self) -> Traffic:
        """Return when as many as were wanted are answered or lost."""
        self._thread.join()
        self._pool.shutdown()
        self.ended = self.ended or time.time()
        return self

    def stop(self) -> Traffic:
        """Send no more, and return when those in flight are answered or lost."""
        self._over.set()
        return self.wait()

    # -- what came of them --------------------------------------------------------------------------------------

    @property
    def answers(self) -> list[Answer]:
        """Every request that is over, oldest first."""
        return sorted(self._answers, key=lambda answer: answer.at)

    @property
    def lost(self) -> list[Answer]:
        """Those that were lost, and why."""
        return [answer for answer in self.answers if answer.lost]

    def counts(self, by: str = "pod") -> Counter[str]:
        """How many each answered: by `pod`, `node`, `version` or `namespace`."""
        return Counter(answer.said.get(by, "?") for answer in self.answers if not answer.lost)

    def recent(self, seconds: float = 3.0) -> float:
        """Requests answered per second, lately."""
        now = time.time()
        since = max(now - seconds, self.began)
        done = sum(not answer.lost and answer.at + answer.seconds >= since for answer in list(self._answers))
        return done / max(now - since, 0.5)

    def over_time(self, by: str = "version", title: str = "") -> None:
        """Draw them over time, lost ones downwards, with the lab's marks."""
        panels.picture(answers_over_time(self.answers, self._marks(), title=title, by=by, end=self.ended))

    def spread(self, by: str = "pod", among: Iterable[str] = (), title: str = "") -> None:
        """Draw how many each answered, beside what chance alone gives.

        Args:
            among: names that could have answered: those that got nothing are drawn, too.
        """
        counts = self.counts(by)
        rows = {name: counts[name] for name in sorted({*counts, *among})}
        panels.picture(spread(rows, title=title, what="Pod" if by == "pod" else by))

    def __repr__(self) -> str:
        state = "over" if self.ended else "going on"
        return f"{len(self._answers):,} requests to {self.url}, {len(self.lost)} lost, {state}"
