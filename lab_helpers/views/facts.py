"""What the pictures read out of API objects: quantities, states, owners, reasons."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Any

Object = dict[str, Any]

SYSTEM = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")

_FACTORS = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50,
}  # fmt: skip


def quantity(text: object) -> float:
    """A Kubernetes quantity as a number: cores, bytes, Pods. `500m` is 0.5; `16Gi` is 17179869184."""
    found = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?)([a-zA-Z]*)", str(text))
    if not found or found[2] not in _FACTORS:
        raise ValueError(f"{text!r} is no Kubernetes quantity")
    return float(found[1]) * _FACTORS[found[2]]


def size(number: float) -> str:
    """Bytes in the unit that people read: `1.5 GiB`."""
    for unit, factor in (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number:.0f} B"


def requests(pod: Object, resource: str) -> float:
    """What a Pod requests of a resource, as the scheduler counts it: the larger of the containers' sum and the largest
    init container (source: Kubernetes documentation, "Resource sharing within containers")."""
    spec = pod.get("spec", {})

    def of(container: Object) -> float:
        return quantity(container.get("resources", {}).get("requests", {}).get(resource, "0"))

    sidecars = sum(of(c) for c in spec.get("initContainers", []) if c.get("restartPolicy") == "Always")
    first = max((of(c) for c in spec.get("initContainers", []) if c.get("restartPolicy") != "Always"), default=0.0)
    return max(sum(of(c) for c in spec.get("containers", [])) + sidecars, first)


def state(pod: Object) -> str:
    """Running, Pending, Failed, Succeeded, Terminating or Unknown."""
    if pod.get("metadata", {}).get("deletionTimestamp"):
        return "Terminating"
    return str(pod.get("status", {}).get("phase", "Pending"))


def owner(pod: Object) -> str:
    """Who made a Pod, as people call it: the Deployment rather than its ReplicaSet; the Pod's own name where nobody did."""
    meta = pod.get("metadata", {})
    for reference in meta.get("ownerReferences", []):
        if reference.get("controller"):
            name = str(reference["name"])
            template = meta.get("labels", {}).get("pod-template-hash", "")
            return name.removesuffix(f"-{template}") if template and reference["kind"] == "ReplicaSet" else name
    return str(meta.get("name", "?"))


def reason(pod: Object) -> str:
    """Why a Pod is Pending, in the scheduler's words, or empty."""
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", ""))
    return ""


def reasons(pods: list[Object]) -> list[tuple[str, int]]:
    """The reasons of pending Pods with how many Pods each concerns, the most frequent first.

    `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}. preemption: …` gives
    `1 Insufficient cpu` and `2 node(s) had untolerated taint {a: b}`.
    """
    counts: Counter[str] = Counter()
    for pod in pods:
        said = re.sub(r"^\d+/\d+ nodes are available: ", "", reason(pod)).partition(" preemption:")[0].strip(" .")
        counts.update(part for part in re.split(r", (?=\d)", said) if part) if said else counts.update(["not looked at yet"])
    return counts.most_common()


def seconds(stamp: str) -> float:
    """A timestamp of the API as seconds since 1970."""
    return datetime.fromisoformat(stamp).timestamp()


def not_ready_since(node: Object) -> float | None:
    """When a node stopped being Ready (seconds since 1970), or None where it is Ready."""
    for condition in node.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            return None if condition["status"] == "True" else seconds(condition["lastTransitionTime"])
    return seconds(node["metadata"]["creationTimestamp"]) if "creationTimestamp" in node.get("metadata", {}) else 0.0


def visible(pods: list[Object], namespace: str | None) -> list[Object]:
    """The Pods of a namespace; with None those of all namespaces but the system's own."""
    if namespace:
        return [pod for pod in pods if pod["metadata"].get("namespace") == namespace]
    return [pod for pod in pods if pod["metadata"].get("namespace") not in SYSTEM]
