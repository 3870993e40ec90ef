"""A Pod's status as a kubelet writes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab_helpers.clusters.processnode.container import stamp

if TYPE_CHECKING:
    from lab_helpers.clusters.processnode.pod import Pod

Object = dict[str, Any]

PORTS = "lab.local/ports"
"""Annotation of a Pod: containerPort → port of 127.0.0.1, as JSON. The proxy reads it."""


def status_patch(pod: Pod) -> Object:
    """A strategic merge patch for pods/status: status and the annotation with the ports."""
    containers = list(pod.containers.values())
    ready = pod.phase == "Running" and all(container.ready for container in containers)
    why: Object = {}
    if pod.phase == "Succeeded":
        why = {"reason": "PodCompleted"}
    elif not ready:
        unready = " ".join(container.name for container in containers if not container.ready)
        why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{unready}]"}
    _condition(pod, "PodReadyToStartContainers", True, {})
    _condition(pod, "Initialized", pod.initialized, {} if pod.initialized else {"reason": "ContainersNotInitialized"})
    _condition(pod, "ContainersReady", ready, why)
    _condition(pod, "Ready", ready, why)
    status = {
        "phase": pod.phase,
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": pod.ip,
        # Merged by ip otherwise: the address of an earlier life would stay in the list.
        "podIPs": [{"$patch": "replace"}, {"ip": pod.ip}],
        "startTime": pod.started,
        "conditions": list(pod.conditions.values()),
        "containerStatuses": [container.status() for container in containers],
        "initContainerStatuses": [container.status() for container in pod.init.values()] or None,
    }
    return {"metadata": {"uid": pod.uid, "annotations": {PORTS: json.dumps(pod.ports)}}, "status": status}


def _condition(pod: Pod, kind: str, holds: bool, why: Object) -> None:
    """Set a condition; its time is that of its last change."""
    before = pod.conditions.get(kind, {})
    changed = before.get("status") != str(holds)
    since = stamp() if changed else before["lastTransitionTime"]
    blank: Object = {"reason": None, "message": None}
    pod.conditions[kind] = {"type": kind, "status": str(holds), "lastTransitionTime": since, **blank, **why}
