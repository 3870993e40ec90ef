"""What a cluster holds of its own, taken when it is made: a reset removes the rest and proves it by comparing.

What changes by itself is left out: events, leases, what has an owner, the tokens by which nodes join.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lab_helpers.errors import ClusterError, KubernetesError
from lab_helpers.kube import Kube

Object = dict[str, Any]
Inventory = dict[str, str]
"""`path of the object → fingerprint`."""

_BY_ITSELF = {"events", "leases", "endpoints", "endpointslices", "certificatesigningrequests", "componentstatuses"}
_BY_ITSELF |= {"ipaddresses", "csinodes", "controllerrevisions", "podmetrics", "nodemetrics", "nodes", "volumeattachments"}
_MOVING = {"/api/v1/namespaces/kube-public/configmaps/cluster-info"}  # holds a signature for each token of kubeadm
_FIRST = ("webhookconfigurations", "apiservices", "bindings")  # what may stand in the way of all other deletions
_LIFE = "node.kubernetes.io/"  # taints that the node controller sets and takes away


@dataclass
class Difference:
    """What a comparison with the inventory found.

    Attributes:
        extra: paths of objects that are not the cluster's own.
        broken: paths of own objects that are gone or changed.
    """

    extra: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.extra or self.broken)


def take(kube: Kube) -> Inventory:
    """Everything in the cluster that does not change by itself."""
    kinds = _kinds(kube)
    with ThreadPoolExecutor(max_workers=8) as pool:
        found: Inventory = {}
        for part in pool.map(lambda kind: _of_kind(kube, *kind), kinds):
            found |= part
    return found


def _kinds(kube: Kube) -> list[tuple[str, str]]:
    """`(base path, plural)` of everything that can be listed and deleted; a group that does not answer is left out."""
    return [
        (resource.base, resource.plural)
        for resource in kube.served()
        if {"list", "delete"} <= resource.verbs and resource.plural not in _BY_ITSELF and not resource.stale
    ]


def _of_kind(kube: Kube, base: str, plural: str) -> Inventory:
    try:
        items = kube.raw("GET", f"{base}/{plural}", timeout=30).get("items") or []
    except KubernetesError as error:
        if error.status in (404, 405):
            return {}  # the kind went away meanwhile
        raise
    found = {}
    for item in items:
        meta = item["metadata"]
        if meta.get("ownerReferences") or item.get("type") == "bootstrap.kubernetes.io/token":
            continue
        place = f"/namespaces/{meta['namespace']}" if meta.get("namespace") else ""
        path = f"{base}{place}/{plural}/{meta['name']}"
        if path not in _MOVING:
            found[path] = fingerprint(item)
    return found


def fingerprint(item: Object) -> str:
    """What an object wants, without what the cluster says about it."""
    meta = item["metadata"]
    kept = {key: value for key, value in item.items() if key not in ("metadata", "status", "kind", "apiVersion")}
    kept["labels"] = meta.get("labels")
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def compare(kube: Kube, own: Inventory) -> Difference:
    """How the cluster differs from its inventory."""
    now = take(kube)
    return Difference([path for path in now if path not in own], [path for path in own if now.get(path) != own[path]])


def empty(kube: Kube, own: Inventory, deadline: float = 25.0) -> None:
    """Delete whatever is not the cluster's own, and return when none of it is left.

    Raises:
        ClusterError: something is left, or something of the cluster's own is gone or changed; says what.
    """
    began = time.monotonic()
    while found := compare(kube, own):
        late = time.monotonic() - began
        if (found.broken and not found.extra) or late > deadline:
            words = "changed or gone: " + ", ".join(found.broken[:3]) if found.broken else "left: " + ", ".join(found.extra[:3])
            raise ClusterError("The cluster cannot be emptied.", words, "lab.reset()")
        _delete(kube, found.extra, hurry=late > 4)
        time.sleep(0.2)


def _delete(kube: Kube, paths: list[str], hurry: bool) -> None:
    """Delete objects: what may stand in the way first, namespaces last, their Pods at once.

    Args:
        hurry: also take finalizers away, and wait for no node's word about a Pod.
    """

    def delete(path: str) -> None:
        with contextlib.suppress(KubernetesError):  # gone meanwhile, or not yet: the next comparison tells
            if hurry:
                kube.raw("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
            grace = {"gracePeriodSeconds": 0 if hurry else 1} if "/pods/" in path else {}
            kube.raw("DELETE", path, {"propagationPolicy": "Background", **grace})

    def rank(path: str) -> int:
        plural = path.split("/")[-2]
        return 0 if plural.endswith(_FIRST) else 2 if plural == "namespaces" else 1

    gone = {path.rpartition("/")[2] for path in paths if rank(path) == 2}
    pods = [item["metadata"] for item in kube.list("pods") if item["metadata"]["namespace"] in gone]
    pods += [item["metadata"] for item in kube.list("pods", "default")]
    more = [f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}" for pod in pods]
    with ThreadPoolExecutor(max_workers=8) as pool:
        for wanted in (0, 1, 2):
            list(pool.map(delete, [path for path in paths if rank(path) == wanted]))
        list(pool.map(delete, more))


def of_nodes(kube: Kube) -> dict[str, Object]:
    """Labels, taints and cordon of each node, as a reset brings them back."""
    found = {}
    for item in kube.list("nodes"):
        taints = [mark for mark in item["spec"].get("taints", []) if not mark["key"].startswith(_LIFE)]
        labels = item["metadata"].get("labels", {})
        found[item["metadata"]["name"]] = {
            "labels": labels,
            "taints": taints,
            "cordoned": item["spec"].get("unschedulable", False),
        }
    return found


def restore_nodes(kube: Kube, own: dict[str, Object]) -> None:
    """Bring labels, taints and cordons of the nodes back."""
    for name, now in of_nodes(kube).items():
        before = own.get(name)
        if before is None or before == now:
            continue
        labels = {**dict.fromkeys(now["labels"]), **before["labels"]}  # null removes what was not there
        spec = {"taints": before["taints"] or None, "unschedulable": before["cordoned"] or None}
        kube.patch("node", name, {"metadata": {"labels": labels}, "spec": spec})
