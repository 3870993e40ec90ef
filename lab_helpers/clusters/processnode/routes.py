"""Where a request to a name of the cluster goes, as the cluster's own objects say: what kube-proxy and DNS decide."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from lab_helpers.clusters.processnode.api import Api, OnEvent
from lab_helpers.clusters.processnode.status import PORTS

Object = dict[str, Any]
Way = tuple[int, str]
"""A port of 127.0.0.1, and who answers there."""

_PATHS = {
    "services": "/api/v1/services",
    "pods": "/api/v1/pods",
    "endpointslices": "/apis/discovery.k8s.io/v1/endpointslices",
}


class NoRoute(Exception):
    """Nobody answers there.

    Attributes:
        status: the HTTP status that says so.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Routes:
    """The cluster's Services, EndpointSlices and Pods, followed."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.services: dict[tuple[str, str], Object] = {}
        self._slices: dict[tuple[str, str], dict[str, Object]] = {}
        self._pods: dict[str, Object] = {}  # by address
        self._by_ip: dict[str, Object] = {}

    async def follow(self) -> None:
        """Follow the objects, for ever."""
        handlers: dict[str, OnEvent] = {
            "services": self.on_service,
            "pods": self.on_pod,
            "endpointslices": self.on_slice,
        }
        await asyncio.gather(*(self._api.watch(path, handlers[kind]) for kind, path in _PATHS.items()))

    def on_service(self, kind: str, item: Object) -> None:
        """Take note of a Service."""
        key = (item["metadata"]["namespace"], item["metadata"]["name"])
        if before := self.services.pop(key, None):
            self._by_ip.pop(before["spec"].get("clusterIP", ""), None)
        if kind != "DELETED":
            self.services[key] = item
            if (address := item["spec"].get("clusterIP", "None")) != "None":
                self._by_ip[address] = item

    def on_slice(self, kind: str, item: Object) -> None:
        """Take note of an EndpointSlice."""
        meta = item["metadata"]
        owner = (meta["namespace"], meta.get("labels", {}).get("kubernetes.io/service-name", ""))
        slices = self._slices.setdefault(owner, {})
        slices.pop(meta["name"], None)
        if kind != "DELETED":
            slices[meta["name"]] = item

    def on_pod(self, kind: str, item: Object) -> None:
        """Take note of a Pod; an address belongs to its newest Pod that has not ended."""
        status = item.get("status", {})
        address, uid = status.get("podIP", ""), item["metadata"]["uid"]
        over = kind == "DELETED" or status.get("phase") in ("Succeeded", "Failed")
        holder = self._pods.get(address)
        if over and holder and holder["metadata"]["uid"] == uid:
            del self._pods[address]
        elif not over and address:
            self._pods[address] = item

    def find(self, host: str, port: int, namespace: str) -> Way:
        """Where a connection to a host of the cluster goes.

        Args:
            host: a Pod's address, a cluster IP, or SERVICE[.NAMESPACE[.svc[.cluster.local]]].
            namespace: that of a short name.

        Raises:
            NoRoute: nobody answers there, and why.
        """
        host = host.rstrip(".").lower()
        if host in self._pods:
            return self._pod(self._pods[host], port)
        if host in self._by_ip:
            return self._service(self._by_ip[host], port)
        if host.replace(".", "").isdigit() or ":" in host:
            raise NoRoute(502, f"no Pod and no Service of this cluster has the address {host}")
        parts = host.removesuffix(".cluster.local").removesuffix(".svc").split(".")
        if len(parts) == 1:
            parts.append(namespace)
        service = self.services.get((parts[-1], parts[-2]))
        if not service:
            said = f"no such name in this cluster: {host} (looked for Service {parts[-2]} in namespace {parts[-1]})"
            raise NoRoute(502, said)
        if service["spec"].get("type") == "ExternalName":
            return self.find(service["spec"]["externalName"], port, namespace)
        return self._service(service, port, parts[0] if len(parts) == 3 else "")

    def _service(self, service: Object, port: int, hostname: str = "") -> Way:
        """A random ready endpoint, as kube-proxy chooses; one that is ending while it still serves, if there is no other."""
        meta, ports = service["metadata"], service["spec"].get("ports", [])
        wanted = next((entry for entry in ports if entry["port"] == port), None)
        headless = service["spec"].get("clusterIP") == "None"
        if wanted is None and not headless:
            have = ", ".join(str(entry["port"]) for entry in ports)
            raise NoRoute(502, f"Service {meta['name']} has no port {port}; it has {have}")
        ready: list[tuple[str, int]] = []
        leaving: list[tuple[str, int]] = []
        for part in self._slices.get((meta["namespace"], meta["name"]), {}).values():
            named = {entry.get("name", ""): entry["port"] for entry in part.get("ports") or []}
            target = port if headless or wanted is None else named.get(wanted.get("name", ""))
            for endpoint in part.get("endpoints") or []:
                says = endpoint.get("conditions", {})
                if target is None or (hostname and endpoint.get("hostname") != hostname):
                    continue
                if says.get("ready", True):
                    ready.append((endpoint["addresses"][0], target))
                elif says.get("serving") and says.get("terminating"):
                    leaving.append((endpoint["addresses"][0], target))
        if not ready and not leaving:
            raise NoRoute(503, f"Service {meta['namespace']}/{meta['name']} has no ready endpoints")
        address, target = random.choice(ready or leaving)
        if address not in self._pods:
            raise NoRoute(502, f"endpoint {address} of Service {meta['name']} is no Pod of this cluster")
        return self._pod(self._pods[address], target)

    def _pod(self, pod: Object, port: int) -> Way:
        meta = pod["metadata"]
        mapped = json.loads(meta.get("annotations", {}).get(PORTS, "null"))
        if mapped is None:
            where = pod["spec"].get("nodeName")
            raise NoRoute(502, f"Pod {meta['name']} is simulated (node {where}): nothing answers in it")
        if str(port) not in mapped:
            have = ", ".join(mapped) or "none"
            raise NoRoute(502, f"Pod {meta['name']}: connection refused on port {port}; its ports: {have}")
        return int(mapped[str(port)]), f"Pod {meta['name']}"
