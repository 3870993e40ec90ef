"""Writes down in the background what happens to Pods and nodes, for the timeline."""

from __future__ import annotations

import threading
import time

from lab_helpers.errors import LabError
from lab_helpers.kube import Kube
from lab_helpers.views import History


class Recorder:
    """Follows one cluster until it is stopped; survives the API server's absence."""

    def __init__(self, kube: Kube) -> None:
        self.history = History(time.time())
        self._kube, self._stop, self._lock = kube, threading.Event(), threading.Lock()
        for kind in ("nodes", "pods"):
            threading.Thread(target=self._follow, args=(kind,), daemon=True, name=f"recorder-{kind}").start()

    def _follow(self, kind: str) -> None:
        while not self._stop.is_set():
            try:
                for event, item in self._kube.watch(kind, stop=self._stop):
                    with self._lock:
                        self.history.feed(event, item, time.time())
            except LabError:
                self._stop.wait(1)

    def catch_up(self) -> History:
        """The history with what the API server says now, so that a picture never lags behind."""
        with self._lock:
            for kind in ("nodes", "pods"):
                try:
                    for item in self._kube.list(kind):
                        self.history.feed("MODIFIED", item, time.time())
                except LabError:
                    continue  # the API server is away: the history is what there is
            return self.history

    def stop(self) -> None:
        """End the recording."""
        self._stop.set()
