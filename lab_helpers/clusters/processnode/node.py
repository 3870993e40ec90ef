"""The Node object as its agent keeps it: registered, its lease renewed, its conditions posted."""

from __future__ import annotations

import asyncio
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx

from lab_helpers.clusters.processnode.api import Api, ApiError
from lab_helpers.clusters.processnode.container import stamp

Object = dict[str, Any]

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_BEAT = 2.0  # seconds between heartbeats; a kubelet takes ten, but labs shorten the grace period to that
_LEASE_SECONDS = 40


class Heart:
    """One node's heartbeats.

    Args:
        room: its capacity: cpu, memory, pods.
        allocatable: what of it Pods can have.
        version: of the cluster's Kubernetes.
        pressure: whether the machine is short of memory now.
    """

    def __init__(
        self, api: Api, name: str, room: Object, allocatable: Object, version: str, pressure: Callable[[], bool]
    ) -> None:
        self._api, self._name, self._version, self._pressure = api, name, version, pressure
        self._room, self._allocatable = room, allocatable
        self._conditions: dict[str, Object] = {}
        self.port = 0

    async def cidr(self) -> str:
        """The node's podCIDR, once the controller manager has given it one."""
        while True:
            try:
                found = await self._api.call("GET", f"/api/v1/nodes/{self._name}")
                if cidr := found["spec"].get("podCIDR"):
                    return str(cidr)
            except (httpx.HTTPError, ApiError) as error:
                print(f"podCIDR: {error!r}", file=sys.stderr, flush=True)
            await asyncio.sleep(0.1)

    async def beat(self) -> None:
        """Renew the lease, for ever; post the status where it is not what it should be.

        A renewed lease alone makes no node Ready again: the node controller waits for the condition.
        """
        while True:
            try:
                await self._renew()
                node = await self._api.call("GET", f"/api/v1/nodes/{self._name}")
                seen = {entry["type"]: entry["status"] for entry in node["status"].get("conditions", [])}
                wanted = {kind: entry["status"] for kind, entry in self._wanted().items()}
                if {kind: seen.get(kind) for kind in wanted} != wanted:
                    await self.post()
            except (httpx.HTTPError, ApiError) as error:
                print(f"heartbeat: {error!r}", file=sys.stderr, flush=True)
            await asyncio.sleep(_BEAT)

    async def _renew(self) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        spec = {"holderIdentity": self._name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": now}
        try:
            await self._api.call("PATCH", f"{_LEASES}/{self._name}", {"spec": spec}, patch="merge")
        except ApiError as error:
            if error.code != 404:
                raise
            await self._api.call("POST", _LEASES, {"metadata": {"name": self._name}, "spec": spec})

    def _wanted(self) -> dict[str, Object]:
        short = self._pressure()
        memory = ("True", "KubeletHasInsufficientMemory", "this machine is short of memory: no more processes are started")
        enough = ("False", "KubeletHasSufficientMemory", "this machine has memory for more Pods")
        rows = {
            "Ready": ("True", "KubeletReady", "the process node is posting ready status"),
            "MemoryPressure": memory if short else enough,
            "DiskPressure": ("False", "KubeletHasNoDiskPressure", "a process node does not look at the disk"),
            "PIDPressure": ("False", "KubeletHasSufficientPID", "a process node does not count processes"),
        }
        return {
            kind: {"type": kind, "status": status, "reason": reason, "message": message}
            for kind, (status, reason, message) in rows.items()
        }

    async def post(self) -> None:
        """Post the node's whole status."""
        for kind, entry in self._wanted().items():
            before = self._conditions.get(kind, {})
            since = before["lastTransitionTime"] if before.get("status") == entry["status"] else stamp()
            self._conditions[kind] = {**entry, "lastHeartbeatTime": stamp(), "lastTransitionTime": since}
        arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        unknown = dict.fromkeys(("machineID", "systemUUID", "bootID", "kubeProxyVersion"), "")
        status = {
            "capacity": self._room,
            "allocatable": self._allocatable,
            "conditions": list(self._conditions.values()),
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": self._name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "nodeInfo": {
                "kubeletVersion": f"v{self._version}",
                "containerRuntimeVersion": "process://1.0",
                "osImage": "processes of this machine",
                "operatingSystem": "linux",
                "architecture": arch,
                "kernelVersion": platform.release(),
                **unknown,
            },
        }
        await self._api.call("PATCH", f"/api/v1/nodes/{self._name}/status", {"status": status}, patch="strategic-merge")
