"""What the pictures read out of API objects: quantities, states, owners, reasons."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from functools import lru_cache
from typing import Any

Object = dict[str, Any]

SYSTEM = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")

_FACTORS = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


@lru_cache(maxsize=4096)
def quantity(text: object) -> float:
    """A Kubernetes quantity as a number: cores, bytes, Pods. `500m` is 0.5; `16Gi` is 17179869184.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)", str(text))
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
    """What a Pod requests of a resource, as the scheduler counts it.

    The larger of what runs together (containers and sidecars) and the most that starting takes, and the runtime class's
    overhead (source: Kubernetes documentation, "Sidecar containers", "Resource sharing within containers").
    """
    spec = pod.get("spec", {})

    def of(part: Object) -> float:
        return quantity(((part.get("resources") or {}).get("requests") or {}).get(resource, "0"))

    overhead = quantity((spec.get("overhead") or {}).get(resource, "0"))
    if resource in ((spec.get("resources") or {}).get("requests") or {}):  # the Pod's own figure counts, where it has one
        return of(spec) + overhead
    sidecars = first = 0.0
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            sidecars += of(container)
            first = max(first, sidecars)
        else:
            first = max(first, sidecars + of(container))
    return max(sum(of(container) for container in spec.get("containers") or []) + sidecars, first) + overhead


def state(pod: Object) -> str:
    """Running, Not ready (runs, and fails its readiness), Pending, Failed, Succeeded, Terminating or Unknown."""
    if pod.get("metadata", {}).get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status") or {}
    phase = str(status.get("phase") or "Pending")
    if phase == "Running" and any(c["type"] == "Ready" and c["status"] != "True" for c in status.get("conditions") or []):
        return "Not ready"
    return phase


def ended(pod: Object) -> bool:
    """Whether a Pod has Succeeded or Failed: then it takes nothing of its node any more."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def trouble(pod: Object) -> str:
    """What a container waits for (`ImagePullBackOff`, `CrashLoopBackOff`) or why the Pod failed (`Evicted`), or empty."""
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        why = str(((container.get("state") or {}).get("waiting") or {}).get("reason", ""))
        if why and why not in ("ContainerCreating", "PodInitializing"):
            return why
    return str(status.get("reason", ""))


def starts(pod: Object) -> list[float]:
    """When the Pod's first container was started, as far as its status still says so (seconds since 1970)."""
    found = []
    for container in ((pod.get("status") or {}).get("containerStatuses") or [])[:1]:
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            for part in ("running", "terminated"):
                if stamp := (state.get(part) or {}).get("startedAt"):
                    found.append(seconds(stamp))
    return found


def owner(pod: Object) -> str:
    """Who made a Pod, as people call it: the Deployment rather than its ReplicaSet, the CronJob rather than its Job.

    A Pod that nobody made has its own name, a static Pod that of its file.
    """
    meta = pod.get("metadata", {})
    for reference in meta.get("ownerReferences") or []:
        if reference.get("controller"):
            name, kind = str(reference["name"]), reference["kind"]
            template = (meta.get("labels") or {}).get("pod-template-hash", "")
            if kind == "ReplicaSet" and template:
                return name.removesuffix(f"-{template}")
            if kind == "Node":
                return str(meta.get("name", "?")).removesuffix(f"-{name}")
            return re.sub(r"-\d{7,}$", "", name) if kind == "Job" else name
    return str(meta.get("name", "?"))


def owners(pods: list[Object]) -> list[str]:
    """Each Pod's owner, with its namespace before it where the Pods are of several."""
    spaces = [pod.get("metadata", {}).get("namespace", "") for pod in pods]
    many = len(set(spaces)) > 1
    return [f"{space}/{owner(pod)}" if many else owner(pod) for space, pod in zip(spaces, pods, strict=True)]


def reason(pod: Object) -> str:
    """Why a Pod has no node, in the scheduler's words, or empty."""
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", ""))
    return ""


def reasons(pods: list[Object]) -> list[tuple[str, int]]:
    """The reasons of Pods without a node, with how many Pods each concerns, the most frequent first.

    `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}. preemption: …` gives
    `Insufficient cpu on 1 node` and `2 node(s) had untolerated taint {a: b}`.
    """
    counts: Counter[str] = Counter()
    for pod in pods:
        said = re.sub(r"^\d+/\d+ nodes are available: ", "", reason(pod))
        said = re.split(r"\. (?=preemption:|no new claims|still not schedulable)", said)[0].strip(" .")
        counts.update(_on_nodes(part) for part in re.split(r", (?=\d)", said or "the scheduler has not looked at it yet"))
    return counts.most_common()


def _on_nodes(part: str) -> str:
    found = re.fullmatch(r"(\d+) (Insufficient .*|Too many pods)", part)
    return f"{found[2]} on {found[1]} node{'' if found[1] == '1' else 's'}" if found else part


def seconds(stamp: str) -> float:
    """A timestamp of the API as seconds since 1970."""
    return datetime.fromisoformat(stamp).timestamp()


def not_ready_since(node: Object) -> float | None:
    """When a node stopped being Ready (seconds since 1970), or None where it is Ready."""
    for condition in (node.get("status") or {}).get("conditions") or []:
        if condition["type"] == "Ready":
            return None if condition["status"] == "True" else seconds(condition["lastTransitionTime"])
    return seconds(node["metadata"]["creationTimestamp"]) if "creationTimestamp" in node.get("metadata", {}) else 0.0


def lasting(span: float) -> str:
    """A time that people read: `72 s`, `5 min`, `3 h`."""
    return f"{span:.0f} s" if span < 120 else f"{span / 60:.0f} min" if span < 7200 else f"{span / 3600:.0f} h"


def visible(pods: list[Object], namespace: str | None) -> list[Object]:
    """The Pods of a namespace; with None those of all namespaces but the system's own."""
    if namespace:
        return [pod for pod in pods if pod["metadata"].get("namespace") == namespace]
    return [pod for pod in pods if pod["metadata"].get("namespace") not in SYSTEM]
