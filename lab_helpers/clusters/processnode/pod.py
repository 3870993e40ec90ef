"""A Pod on a process node: its containers started, restarted, probed and ended as a kubelet would."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx

from lab_helpers.clusters.images import FOR_PODS, Image, unknown
from lab_helpers.clusters.processnode import inputs, probes
from lab_helpers.clusters.processnode.api import ApiError
from lab_helpers.clusters.processnode.container import Container, stamp
from lab_helpers.clusters.processnode.inputs import NotYet
from lab_helpers.clusters.processnode.status import status_patch

if TYPE_CHECKING:
    from lab_helpers.clusters.processnode.agent import Agent

Object = dict[str, Any]
_STEADY = 600.0  # a container that ran for so long begins its back-off anew, as with a kubelet
_NO_COMMAND = (
    "a process node runs the image's own program and no command of a manifest: remove `command` (`args` are passed on)"
)
_NO_SIDECAR = "a process node has no sidecars: remove restartPolicy from the init container, or make it a container"


class Pod:
    """One Pod.

    Attributes:
        object: as the API server last showed it.
        ports: containerPort → port of 127.0.0.1.
        changed: set it when the API server has to hear of something.
        gone: the object is deleted; nothing of the Pod may stay.
    """

    def __init__(self, agent: Agent, item: Object) -> None:
        meta, spec, status = item["metadata"], item["spec"], item.get("status", {})
        self.agent, self.object = agent, item
        self.namespace: str = meta["namespace"]
        self.name: str = meta["name"]
        self.uid: str = meta["uid"]
        self.ip = agent.addresses.ip(status.get("podIP", ""))
        self.ports: dict[int, int] = {}
        self.started = status.get("startTime") or stamp()
        before = {entry["name"]: entry for entry in status.get("containerStatuses", [])}
        self.containers = {entry["name"]: Container(entry, before.get(entry["name"], {})) for entry in spec["containers"]}
        self.init = {entry["name"]: Container(entry, {}) for entry in spec.get("initContainers", [])}
        self.conditions: dict[str, Object] = {}
        self.phase, self.initialized = "Pending", not self.init
        self.root = agent.state / self.uid
        self.terminating = self.gone = False
        self.changed = asyncio.Event()
        self._life = asyncio.ensure_future(self._live())
        self._reports = asyncio.ensure_future(self._report())

    @property
    def all(self) -> list[Container]:
        """Init containers and containers."""
        return [*self.init.values(), *self.containers.values()]

    def event(self, kind: str, reason: str, message: str) -> None:
        """Record an event."""
        self.agent.events.tell(self, kind, reason, message)

    # -- life ---------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        for container in self.init.values():
            await self._keep(container, "OnFailure")
            if self.terminating:
                return
        self.initialized = True
        policy = self.object["spec"].get("restartPolicy", "Always")
        await asyncio.gather(*(self._keep(container, policy) for container in self.containers.values()))
        if not self.terminating:
            self.phase = "Failed" if any(container.exit_code for container in self.containers.values()) else "Succeeded"
            self.changed.set()

    async def _keep(self, container: Container, policy: str) -> None:
        """Run a container again and again, as its policy says; the pause doubles."""
        base, most = self.agent.backoff
        pause = 0.0
        while not self.terminating:
            began = time.time()
            try:
                code = await self._run(container)
            except NotYet as reason:
                pause = min(max(pause * 2, base), most)
                await self._wait(container, reason, pause)
                continue
            if self.terminating or policy == "Never" or (policy == "OnFailure" and code == 0):
                return
            if time.time() - began > _STEADY:
                pause = 0.0
            container.last = container.state
            if pause:  # the first restart is at once
                where = f"container={container.name} pod={self.name}_{self.namespace}({self.uid})"
                container.wait("CrashLoopBackOff", f"back-off {pause:g}s restarting failed {where}")
                self.event("Warning", "BackOff", f"Back-off restarting failed container {container.name} in pod {self.name}")
                self.changed.set()
                await asyncio.sleep(pause)
            pause = min(max(pause * 2, base), most)
            container.restarts += 1

    async def _wait(self, container: Container, because: NotYet, pause: float) -> None:
        container.wait(because.reason, because.message)
        self.changed.set()
        self.event("Warning", "Failed", because.message)
        if because.reason != "ErrImagePull":
            await asyncio.sleep(min(pause, 5.0))  # what lacks may come at any time
            return
        await asyncio.sleep(min(pause, 2.0))
        container.wait("ImagePullBackOff", f'Back-off pulling image "{container.image}": {because.message}')
        self.event("Normal", "BackOff", f'Back-off pulling image "{container.image}"')
        self.changed.set()
        await asyncio.sleep(pause)

    def _image(self, container: Container) -> Image:
        if container.image not in FOR_PODS:
            raise NotYet("ErrImagePull", unknown(container.image))
        if container.spec.get("command"):
            raise NotYet("CreateContainerError", _NO_COMMAND)
        if container.spec.get("restartPolicy") == "Always":
            raise NotYet("CreateContainerError", _NO_SIDECAR)
        return FOR_PODS[container.image]

    async def _run(self, container: Container) -> int:
        """Run a container's process to its end; its exit code, as in its status.

        Raises:
            NotYet: it cannot be made.
        """
        image = self._image(container)
        self.agent.memory.admit(self)
        for port in [*(entry["containerPort"] for entry in container.spec.get("ports", [])), *image.ports]:
            self.ports[port] = self.agent.addresses.port(self.ports.get(port))
        container.root = self.root / container.name
        await inputs.mount(self, container)
        container.env = await inputs.environment(self, container, image)
        args = [inputs.expand(word, container.env) for word in container.spec.get("args", [])]
        container.log.begin(first=container.runs == 0)
        container.runs += 1
        name = f"{self.uid}/{container.name}/{container.runs}"
        process = await self.agent.forks.start(name, image.program, args, container.env, container.root)
        container.running(process.pid)
        self.event("Normal", "Pulled", f'Container image "{container.image}" already present on machine')
        self.event("Normal", "Started", f"Started container {container.name}")
        self.phase = "Running" if container.name in self.containers else self.phase
        self.changed.set()
        log = asyncio.ensure_future(container.log.read(process.log))
        asking = asyncio.ensure_future(probes.follow(self, container))
        code = await process.exited
        await asyncio.wait([log], timeout=1)
        for task in (log, asking):
            task.cancel()
        container.ended(code)
        self.agent.memory.ended(container)
        self.changed.set()
        return container.exit_code or 0

    async def kill(self, container: Container, probe: str) -> None:
        """End a container whose probe failed; it is started again as its policy says."""
        container.because = "Unhealthy"
        self.event("Normal", "Killing", f"Container {container.name} failed {probe} probe, will be restarted")
        await self._end(container, self.object["spec"].get("terminationGracePeriodSeconds", 30))

    # -- the end ------------------------------------------------------------------------------------------------

    async def _end(self, container: Container, grace: float) -> None:
        """preStop, SIGTERM, and SIGKILL when the grace period is over."""
        pid, until = container.pid, time.monotonic() + grace
        if pid is None:
            return
        hook = container.spec.get("lifecycle", {}).get("preStop", {})
        if "sleep" in hook:
            await asyncio.sleep(min(hook["sleep"]["seconds"], grace))
        elif hook:
            await probes.ask(self, container, {**hook, "timeoutSeconds": grace})
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if container.pid == pid:
                container.signal(sign)
            while container.pid == pid and time.monotonic() < until:
                await asyncio.sleep(0.02)
            until = time.monotonic() + 5

    async def terminate(self) -> None:
        """End every container with grace, then give the API server this node's word that nothing runs any more."""
        self.terminating = True
        self.event("Normal", "Killing", f"Stopping container {', '.join(self.containers)}")
        grace = self.object["metadata"].get("deletionGracePeriodSeconds", 30)
        await asyncio.gather(*(self._end(container, grace) for container in self.all))
        self._life.cancel()
        for container in self.containers.values():
            if "waiting" in container.state:
                container.state = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "never ran"}}
        self.phase = "Failed" if any(container.exit_code for container in self.containers.values()) else "Succeeded"
        while not self.gone:  # until it has heard, however long it is away
            try:
                await self._tell()
                await self.agent.confirm(self.object)
                break
            except (httpx.HTTPError, ApiError) as error:
                print(f"end of {self.name}: {error!r}", file=sys.stderr, flush=True)
                await asyncio.sleep(1)
        await self.drop()

    async def drop(self) -> None:
        """The object is gone: nothing of the Pod may stay."""
        self.gone = self.terminating = True
        for container in self.all:
            container.signal(signal.SIGKILL)
        self._life.cancel()
        self._reports.cancel()
        self.agent.forget(self)
        await asyncio.to_thread(shutil.rmtree, self.root, True)

    # -- what the API server is told ----------------------------------------------------------------------------

    async def _tell(self) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}/status"
        try:
            await self.agent.api.call("PATCH", path, status_patch(self), patch="strategic-merge")
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _report(self) -> None:
        while True:
            await self.changed.wait()
            self.changed.clear()
            try:
                await self._tell()
            except (httpx.HTTPError, ApiError) as error:  # it is away: again
                print(f"status of {self.name}: {error!r}", file=sys.stderr, flush=True)
                self.changed.set()
                await asyncio.sleep(1)
