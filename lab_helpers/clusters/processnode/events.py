"""Events about Pods, as a kubelet writes them: one object for the same words, counted."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx

from lab_helpers.clusters.processnode.api import Api, ApiError
from lab_helpers.clusters.processnode.container import stamp

if TYPE_CHECKING:
    from lab_helpers.clusters.processnode.pod import Pod

Event = tuple["Pod", str, str, str, float]
_REMEMBERED = 5000


class Recorder:
    """Sends what it is told, in order, without holding anybody up.

    Args:
        node: who reports.
    """

    def __init__(self, api: Api, node: str) -> None:
        self._api, self._node = api, node
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._seen: dict[tuple[str, str, str], tuple[str, int]] = {}

    def tell(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """Record an event; `kind` is Normal or Warning."""
        self._queue.put_nowait((pod, kind, reason, message, time.time()))

    async def send(self) -> None:
        """Send for ever."""
        while True:
            event = await self._queue.get()
            try:
                await self._send(*event)
            except (ApiError, httpx.HTTPError) as error:  # an event lost is no harm
                print(f"event {event[2]}: {error}", file=sys.stderr, flush=True)

    async def _send(self, pod: Pod, kind: str, reason: str, message: str, moment: float) -> None:
        key = (pod.uid, reason, message)
        path = f"/api/v1/namespaces/{pod.namespace}/events"
        if key in self._seen:
            name, count = self._seen[key]
            self._seen[key] = (name, count + 1)
            again = {"count": count + 1, "lastTimestamp": stamp(moment)}
            await self._api.call("PATCH", f"{path}/{name}", again, patch="merge")
            return
        name = f"{pod.name}.{time.time_ns():x}"
        about = {"apiVersion": "v1", "kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
        body: dict[str, Any] = {
            "metadata": {"name": name, "namespace": pod.namespace},
            "type": kind,
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": stamp(moment),
            "lastTimestamp": stamp(moment),
            "source": {"component": "kubelet", "host": self._node},
            "involvedObject": about,
        }
        await self._api.call("POST", path, body)
        if len(self._seen) > _REMEMBERED:
            self._seen.clear()
        self._seen[key] = (name, 1)
