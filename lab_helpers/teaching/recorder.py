"""Follows Pods and nodes in the background: for the timeline, and for live pictures that need no list for each frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab_helpers.errors import KubernetesError, LabError
from lab_helpers.kube import Kube
from lab_helpers.views import History

Object = dict[str, Any]
KINDS = ("nodes", "pods")


class Recorder:
    """Follows one cluster until it is stopped; survives the API server's absence.

    Attributes:
        changes: how many events there were.
    """

    def __init__(self, kube: Kube) -> None:
        self.changes = 0
        self._history = History(time.time())
        self._known: dict[str, dict[str, Object]] = {kind: {} for kind in KINDS}
        self._gone: dict[str, int] = {}
        self._kube, self._stop, self._lock = kube, threading.Event(), threading.Lock()
        for kind in KINDS:
            threading.Thread(target=self._follow, args=(kind,), daemon=True, name=f"recorder-{kind}").start()

    def _follow(self, kind: str) -> None:
        while not self._stop.is_set():
            try:
                for event, item in self._kube.watch(kind, stop=self._stop):
                    self._take(kind, event, item)
            except LabError:
                self._stop.wait(0.5)

    def _take(self, kind: str, event: str, item: Object) -> None:
        uid, known = item["metadata"]["uid"], self._known[kind]
        with self._lock:
            mine = _version(known[uid]) if uid in known else self._gone.get(uid, -1)
            if (event == "DELETED" and uid not in known) or (event != "DELETED" and _version(item) <= mine):
                return  # a list was quicker
            self._history.feed(event, item, time.time())
            if event == "DELETED":
                known.pop(uid)
                self._gone[uid] = max(_version(item), mine)
            else:
                known[uid] = item
            self.changes += 1

    def catch_up(self, patience: float = 1.0) -> bool:
        """Know at least what the API server says now, so that a picture never lags behind the command before it.

        Args:
            patience: seconds for the watches, which tell also what was in between; then its list is taken as it is.

        Returns:
            False where the API server does not answer: what was seen last is all there is.
        """
        try:
            lists = {kind: self._kube.raw("GET", f"/api/v1/{kind}", timeout=30) for kind in KINDS}
        except LabError:
            return False
        end = time.monotonic() + patience
        while any(any(self._news(kind, answer)) for kind, answer in lists.items()) and time.monotonic() < end:
            time.sleep(0.02)
        for kind, answer in lists.items():
            changed, gone = self._news(kind, answer)
            for item in changed:
                self._take(kind, "MODIFIED", {"kind": "Node" if kind == "nodes" else "Pod", **item})
            for item in gone:
                self._take(kind, "DELETED", item)
        return True

    def _news(self, kind: str, answer: Object) -> tuple[list[Object], list[Object]]:
        """What a list knows better: changed and gone objects. Resource versions grow: a promise since Kubernetes 1.35."""
        with self._lock:
            known = dict(self._known[kind])
            versions = {**self._gone, **{uid: _version(item) for uid, item in known.items()}}
        listed = {item["metadata"]["uid"]: item for item in answer["items"]}
        changed = [item for uid, item in listed.items() if versions.get(uid, -1) < _version(item)]
        gone = [item for uid, item in known.items() if uid not in listed and _version(item) <= _version(answer)]
        return changed, gone

    def seen(self) -> tuple[list[Object], list[Object]]:
        """Nodes and Pods as they were last seen."""
        with self._lock:
            return list(self._known["nodes"].values()), list(self._known["pods"].values())

    def history(self) -> History:
        """What happened so far: a copy that the recording does not touch."""
        with self._lock:
            pods, nodes = (
                {key: replace(lane, states=[*lane.states], starts=[*lane.starts]) for key, lane in lanes.items()}
                for lanes in (self._history.pods, self._history.nodes)
            )
            return History(self._history.began, pods, nodes)

    def stop(self) -> None:
        """End the recording."""
        self._stop.set()


def _version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])


def true(until: Callable[[], object]) -> bool:
    """Whether a condition holds; an API server that does not answer has not said no for good."""
    try:
        return bool(until())
    except KubernetesError as error:
        if error.status:
            raise
        return False  # the API server does not answer: what it would say may come true later
