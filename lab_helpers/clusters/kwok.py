"""Nodes simulated by KWOK: made, removed, failed and recovered through the API server alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab_helpers.clusters.provider import NodeShape
from lab_helpers.errors import KubernetesError
from lab_helpers.kube import Kube, ready

READY_AGAIN = Path(__file__).parent / "manifests" / "pod-ready-again.yaml"
"""A stage that every KWOK of ours reads beside its others."""

FAKE = "kwok.x-k8s.io/node"  # KWOK manages just the nodes that carry this annotation with the value `fake`
_LEASES = "kube-node-lease"
_LOST = "lost-machine"
MARK = "lab.local/machine"
"""An annotation of nodes and Pods that KWOK leaves alone, whatever its value: the Pods of a node that failed, and what waits
for its network. For --disregard-status-with-annotation-selector."""


def node(shape: NodeShape, taints: Iterable[str] = ()) -> dict[str, Any]:
    """The Node object of a shape; `taints` come on top of its own."""
    labels = {
        "kubernetes.io/hostname": shape.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "type": "kwok",
        **({"topology.kubernetes.io/zone": shape.zone} if shape.zone else {}),
        **shape.labels,
    }
    room = {"cpu": str(shape.cpu), "memory": str(shape.memory), "pods": str(shape.pods)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": shape.name, "labels": labels, "annotations": {FAKE: "fake", "node.alpha.kubernetes.io/ttl": "0"}},
        "spec": {
            "taints": [taint(text) for text in (*shape.taints, *taints)],
            **({"providerID": shape.provider_id} if shape.provider_id else {}),
        },
        "status": {"allocatable": room, "capacity": room, **shape.status},
    }


def taint(text: str) -> dict[str, str]:
    """A taint as an object, from `key=value:Effect`."""
    key, _, effect = text.rpartition(":")
    name, _, value = key.partition("=")
    return {"key": name, "effect": effect, **({"value": value} if value else {})}


def add(kube: Kube, shapes: Iterable[NodeShape], taints: Iterable[str] = ()) -> None:
    """Add simulated nodes and return when all of them are Ready; `taints` come on top of their own."""
    shapes, taints = list(shapes), list(taints)
    for shape in shapes:
        kube.create(node(shape, taints))
    wait_usable(kube, [shape.name for shape in shapes])


def wait_usable(kube: Kube, names: Iterable[str]) -> None:
    """Return when all of these nodes take Pods."""
    for name in names:
        kube.wait_for("node", name, usable, deadline=120, what="Ready")


def usable(item: dict[str, Any] | None) -> bool:
    """Whether Pods may go to a node."""
    # Ready is not enough: until the controller manager has taken its taint away, no Pod goes there.
    return (
        item is not None
        and ready(item)
        and not any(mark["key"] == "node.kubernetes.io/not-ready" for mark in item["spec"].get("taints", []))
    )


def remove(kube: Kube, name: str) -> None:
    """Take a node away; its Pods are deleted with it, as when a cloud takes the machine.

    One with a finalizer goes when whoever put it there lets go: Karpenter does as soon as its Pods are gone.
    """
    held = ((kube.find("node", name) or {}).get("metadata") or {}).get("finalizers")
    kube.delete("node", name, wait=not held)
    for pod in kube.list("pods", fields=f"spec.nodeName={name}"):
        meta = pod["metadata"]
        kube.delete("pod", meta["name"], meta["namespace"], wait=False, grace=0)


def fail(kube: Kube, name: str) -> None:
    """End a node's heartbeats. KWOK looks after a node only while it holds the node's lease: somebody else takes it and
    never renews it, so the node controller sees what it sees of a lost machine.

    It should leave the Pods of such a node alone as well. KWOK 0.8.0 does so only if it began with its stages of nodes and
    not with those of Pods, which is left to chance (`range` over a map in controllers.Controller.Start): they get a mark.
    """
    lease = {"holderIdentity": _LOST, "leaseDurationSeconds": 10**8, "renewTime": _now()}
    kube.patch("leases", name, {"spec": lease}, _LEASES)
    _mark_pods(kube, name, "lost")


def _mark_pods(kube: Kube, node: str, mark: str | None) -> None:
    for pod in kube.list("pods", fields=f"spec.nodeName={node}"):
        meta = pod["metadata"]
        try:
            kube.patch("pod", meta["name"], {"metadata": {"annotations": {MARK: mark}}}, meta["namespace"])
        except KubernetesError as error:
            if error.status != 404:  # gone meanwhile
                raise


def recover(kube: Kube, name: str) -> None:
    """Give the lease back: KWOK takes it and posts the node's status again; return when the node is Ready."""
    kube.delete("leases", name, _LEASES)
    _mark_pods(kube, name, None)
    kube.wait_for("node", name, ready, deadline=60, what="Ready")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def release_leases(kube: Kube) -> None:
    """Delete the leases of nodes that did not fail: a KWOK that starts would wait until those of its forerunner end (40 s)."""
    for lease in kube.list("leases", _LEASES):
        if lease["spec"].get("holderIdentity") != _LOST:
            kube.delete("leases", lease["metadata"]["name"], _LEASES, wait=False)
