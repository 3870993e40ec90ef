"""The agent of a process node, what a kubelet is to a real one: `python -m …agent FOLDER`, the node's own folder.

It follows the Pods that are bound to its node, and does with each what its object says.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx

from lab_helpers.clusters.processnode.addresses import Addresses
from lab_helpers.clusters.processnode.api import Api, ApiError
from lab_helpers.clusters.processnode.events import Recorder
from lab_helpers.clusters.processnode.forks import Forks
from lab_helpers.clusters.processnode.kubelet import KubeletApi
from lab_helpers.clusters.processnode.memory import RESERVE_MIB, Memory, room_for
from lab_helpers.clusters.processnode.node import Heart
from lab_helpers.clusters.processnode.pod import Pod

Object = dict[str, Any]


class Agent:
    """One process node.

    Args:
        folder: the node's own, with node.json, its certificate and its kubeconfig.

    Attributes:
        proxy: the URL of the lab's proxy, with NAMESPACE in the place of a namespace; empty: none.
        backoff: first and longest pause before a container is started again, in seconds.
    """

    def __init__(self, folder: Path) -> None:
        settings = json.loads((folder / "node.json").read_text())
        self.folder, self.name = folder, str(settings["name"])
        self.state = folder / "pods"
        self.proxy = str(settings.get("proxy", ""))
        self.backoff = (float(settings.get("backoff", 10)), float(settings.get("backoff_most", 300)))
        self.api = Api(folder / "kubeconfig")
        self.pods: dict[str, Pod] = {}
        self.memory = Memory(self.pods, int(settings.get("reserve_mib", RESERVE_MIB)))
        room = {"cpu": settings["cpu"], "memory": settings["memory"], "pods": str(settings["pods"])}
        self.allocatable = {**room, "pods": str(min(int(settings["pods"]), room_for(0)))}
        pressure = lambda: self.memory.pressure  # noqa: E731
        self.heart = Heart(self.api, self.name, room, self.allocatable, settings["version"], pressure)
        self.events = Recorder(self.api, self.name)
        self._tasks: set[asyncio.Task[None]] = set()
        self.addresses: Addresses
        self.forks: Forks

    async def serve(self) -> None:
        """Be the node, until the process ends."""
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir(parents=True, mode=0o700)
        self.forks = Forks(self.folder)
        self.heart.port = await KubeletApi(self).start(self.folder)
        (self.folder / "port").write_text(str(self.heart.port))
        self.addresses = Addresses(await self.heart.cidr())
        await self._registered()
        print(f"node {self.name}: kubelet API on 127.0.0.1:{self.heart.port}", flush=True)
        await asyncio.gather(
            self.forks.follow(),
            self.heart.beat(),
            self.events.send(),
            self.memory.hold(),
            self.api.watch("/api/v1/pods", self._on_pod, fieldSelector=f"spec.nodeName={self.name}"),
        )

    async def _registered(self) -> None:
        while True:
            try:
                await self.heart.post()
                return
            except (httpx.HTTPError, ApiError) as error:
                print(f"registration: {error!r}", file=sys.stderr, flush=True)
                await asyncio.sleep(0.5)

    def _on_pod(self, kind: str, item: Object) -> None:
        meta = item["metadata"]
        pod = self.pods.get(meta["uid"])
        if kind == "DELETED":
            if pod and not pod.gone:
                self._spawn(pod.drop())
        elif pod is None:
            if meta.get("deletionTimestamp"):
                self._spawn(self._confirm_later(item))  # deleted while this node was away
            elif item.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                self.pods[meta["uid"]] = Pod(self, item)
        else:
            pod.object = item
            if meta.get("deletionTimestamp") and not pod.terminating:
                pod.terminating = True
                self._spawn(pod.terminate())

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)  # kept: asyncio itself holds it weakly
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _confirm_later(self, item: Object) -> None:
        while True:
            try:
                await self.confirm(item)
                return
            except (httpx.HTTPError, ApiError):
                await asyncio.sleep(1)

    async def confirm(self, item: Object) -> None:
        """Delete a Pod's object for good: the node's word that nothing of it runs any more."""
        meta = item["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        try:
            await self.api.call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}})
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def find(self, namespace: str, name: str) -> Pod | None:
        """The Pod of that name on this node."""
        return next((pod for pod in self.pods.values() if (pod.namespace, pod.name) == (namespace, name)), None)

    def forget(self, pod: Pod) -> None:
        """Take back what a Pod had."""
        self.addresses.release(pod.ip, set(pod.ports.values()))
        self.pods.pop(pod.uid, None)


def main() -> None:
    """Serve the node of the folder named on the command line."""
    asyncio.run(Agent(Path(sys.argv[1])).serve())


if __name__ == "__main__":
    main()
