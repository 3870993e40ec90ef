"""A node in a simulation, and whether a Pod would fit there: the scheduler's filters that the course teaches.

Unschedulable nodes, taints, node selectors, required node affinity, resources and the number of Pods; no affinity between
Pods, no topology spread, no volumes, no ports. Reasons are the scheduler's own words (Kubernetes v1.36, pkg/scheduler).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lab_helpers.views.facts import quantity, requests

Object = dict[str, Any]
Size = tuple[int, int]
"""Thousandths of a core, bytes."""

PREFIX = "cluster-autoscaler.kubernetes.io/"
UNSCHEDULABLE = "node(s) were unschedulable"
TAINTED = "node(s) had untolerated taint(s)"
UNMATCHED = "node(s) didn't match Pod's node affinity/selector"


class Room:
    """What is left of a node.

    Attributes:
        cpu: in thousandths of a core.
        memory: in bytes.
        places: for so many Pods more.
    """

    def __init__(self, node: Object, pods: Iterable[Object] = ()) -> None:
        self.node, self.pods = node, list[Object]()
        room = node["status"]["allocatable"]
        self.cpu, self.memory = round(quantity(room["cpu"]) * 1000), round(quantity(room["memory"]))
        self.places = int(quantity(room.get("pods", "110")))
        for pod in pods:
            self.take(pod)

    @property
    def name(self) -> str:
        """The node's name."""
        return str(self.node["metadata"]["name"])

    def take(self, pod: Object, size: Size | None = None) -> None:
        """A Pod comes; whoever knows its size says it, because to work it out takes time."""
        cpu, memory = size or need(pod)
        self.cpu, self.memory, self.places = self.cpu - cpu, self.memory - memory, self.places - 1
        self.pods.append(pod)

    def give(self, pod: Object) -> None:
        """A Pod goes."""
        cpu, memory = need(pod)
        self.cpu, self.memory, self.places = self.cpu + cpu, self.memory + memory, self.places + 1
        self.pods.remove(pod)

    def fits(self, size: Size) -> bool:
        """Whether there is enough."""
        cpu, memory = size
        return self.places > 0 and (cpu <= self.cpu or not cpu) and (memory <= self.memory or not memory)

    def lacks(self, size: Size) -> list[str]:
        """What there is too little of. Who asks for nothing is refused nothing but a place."""
        cpu, memory = size
        said = ["Too many pods"] if self.places < 1 else []
        said += ["Insufficient cpu"] if 0 < cpu > self.cpu else []
        return said + (["Insufficient memory"] if 0 < memory > self.memory else [])


def pod_name(pod: Object) -> str:
    """`namespace/name`."""
    return f"{pod['metadata'].get('namespace', 'default')}/{pod['metadata']['name']}"


def annotation(item: Object, name: str) -> str:
    """One of the autoscaler's annotations, or empty."""
    return str((item["metadata"].get("annotations") or {}).get(PREFIX + name, ""))


def owned_by(pod: Object, *kinds: str) -> bool:
    """Whether its controller is of one of these kinds."""
    return any(o.get("controller") and o["kind"] in kinds for o in pod["metadata"].get("ownerReferences", []))


def need(pod: Object) -> Size:
    """What a Pod requests: thousandths of a core, bytes."""
    return round(requests(pod, "cpu") * 1000), round(requests(pod, "memory"))


def misfit(pod: Object, room: Room, size: Size | None = None) -> list[str]:
    """Why a Pod cannot go to a node; empty: it can. A node is named under the first filter that it fails.

    Args:
        size: the Pod's, from whoever knows it.
    """
    spec = room.node.get("spec", {})
    if spec.get("unschedulable"):
        return [UNSCHEDULABLE]
    tolerations = pod["spec"].get("tolerations") or []
    for taint in spec.get("taints") or []:
        if taint["effect"] != "PreferNoSchedule" and not any(_tolerates(one, taint) for one in tolerations):
            return [TAINTED]
    if not _wanted(pod["spec"], room.node):
        return [UNMATCHED]
    return room.lacks(size or need(pod))


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key", "") in ("", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


def _wanted(spec: Object, node: Object) -> bool:
    """Node selector and required node affinity: every label, and one of the terms."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_term(term, node) for term in required["nodeSelectorTerms"])


def _term(term: Object, node: Object) -> bool:
    """All expressions of a term hold; an empty term matches nothing."""
    labels, names = node["metadata"].get("labels") or {}, {"metadata.name": node["metadata"]["name"]}
    results = [holds(one, labels) for one in term.get("matchExpressions") or []]
    results += [holds(one, names) for one in term.get("matchFields") or []]
    return bool(results) and all(results)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (of a PodDisruptionBudget, say) matches; an empty one matches everything."""
    pairs = (selector.get("matchLabels") or {}).items()
    expressions = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in pairs) and all(holds(one, labels) for one in expressions)


def holds(expression: Object, labels: Mapping[str, str]) -> bool:
    """One expression of a selector: In, NotIn, Exists, DoesNotExist, Gt, Lt."""
    value, values = labels.get(expression["key"]), [str(one) for one in expression.get("values") or []]
    operator = expression["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) is (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (value in values) is (operator == "In")
    if value is None or not value.removeprefix("-").isdigit():
        return False
    return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
