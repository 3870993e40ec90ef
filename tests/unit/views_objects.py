"""Nodes, Pods and audit events as the API writes them, and a reader of what a picture drew."""

from __future__ import annotations

import re
import xml.etree.ElementTree as xml
from datetime import UTC, datetime
from itertools import pairwise

from lab_helpers.views import Picture

NOW = 1_795_590_000.0


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(name, *, zone="a", ready=True, since=NOW - 600, cordoned=False, taints=(), cpu="4", memory="16Gi", pods="110"):
    return {
        "kind": "Node",
        "metadata": {"name": name, "uid": f"node-{name}", "labels": {"topology.kubernetes.io/zone": zone}},
        "spec": {"unschedulable": True} if cordoned else {"taints": [{"key": key, "effect": "NoSchedule"} for key in taints]},
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory, "pods": pods},
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "lastTransitionTime": stamp(NOW - 900)},
                {"type": "Ready", "status": "True" if ready else "Unknown", "lastTransitionTime": stamp(since)},
            ],
        },
    }


def pod(
    name, owner="web", on="", *, phase="", why="", cpu="500m", memory="512Mi", leaves=False, ready=True, namespace="default",
    age=0,
):  # fmt: skip
    """A Pod of a Deployment; `why`: the scheduler's words."""
    phase = phase or ("Running" if on else "Pending")
    conditions = [{"type": "Ready", "status": str(ready)}] if phase == "Running" else []
    if why:
        conditions.append({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why})
    meta = {
        "name": f"{owner}-5d9c7b8f6-{name}",
        "uid": f"{namespace}/{owner}/{name}",
        "namespace": namespace,
        "creationTimestamp": stamp(NOW - 300 - age),
        "labels": {"pod-template-hash": "5d9c7b8f6"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": f"{owner}-5d9c7b8f6", "controller": True}],
    }
    if leaves:
        meta["deletionTimestamp"] = stamp(NOW)
    spec = {"containers": [{"name": "main", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}
    return {
        "kind": "Pod",
        "metadata": meta,
        "spec": {**spec, "nodeName": on} if on else spec,
        "status": {"phase": phase, "conditions": conditions},
    }


def request(agent, verb, resource, name="", code=200, at=0.0, **more):
    """An audit event of the stage ResponseComplete; `at`: seconds after NOW."""
    what, _, sub = resource.partition("/")
    target = {"resource": what, "name": name, "namespace": "default"} | ({"subresource": sub} if sub else {})
    return {
        "kind": "Event",
        "stage": "ResponseComplete",
        "requestURI": f"/api/v1/namespaces/default/{what}/{name}",
        "verb": verb,
        "user": {"username": "kwok-admin", "groups": ["system:masters"]},
        "userAgent": agent,
        "objectRef": target,
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": datetime.fromtimestamp(NOW + at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        **more,
    }


def controller(name):
    return f"kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/abc/{name}"


KUBECTL = "kubectl/v1.36.3 (linux/amd64) kubernetes/abc"
SCHEDULER = "kube-scheduler/v1.36.3 (linux/amd64) kubernetes/abc/scheduler"
KWOK = "kwok-controller/v0.8.0 (linux/amd64)"


class Seen:
    """What a picture drew."""

    def __init__(self, picture: Picture) -> None:
        self.svg = xml.fromstring(picture.html)
        self.width, self.height = (float(number) for number in self.svg.get("viewBox").split()[2:])
        self.words = [text.text or "" for text in self._all("text")]
        self.hints = [title.text or "" for path in self._all("path") for title in path]

    def _all(self, tag):
        return [part for part in self.svg.iter() if part.tag.rpartition("}")[2] == tag]

    def rects(self, **look):
        """(x, y, width, height) of the rectangles whose SVG attributes are these."""
        found = []
        for path in self._all("path"):
            if all(path.get(key.replace("_", "-")) == value for key, value in look.items()):
                shapes = re.findall(r"M([\d.-]+) ([\d.-]+)h([\d.-]+)v([\d.-]+)h-[\d.]+z", path.get("d"))
                found += [tuple(float(number) for number in shape) for shape in shapes]
        return found

    def boxes(self):
        """The nodes' boxes on a cluster map; the legend's small ones are not among them."""
        paper = "var(--jp-layout-color1,rgba(128,128,128,.06))"
        return [shape for shape in self.rects(fill=paper) if not (shape[2] == shape[3] == 12)]

    def tiles(self, colour):
        """Squares of one colour."""
        return [shape for shape in self.rects(fill=colour) if shape[2] == shape[3]]


def overlap(shapes) -> bool:
    """Whether any two rectangles overlap (sorted by rows, so that thousands can be compared)."""
    rows = {}
    for x, y, w, h in shapes:
        rows.setdefault(y, []).append((x, w, h))
    for row in rows.values():
        row.sort()
        if any(x + w > after for (x, w, _), (after, _, _) in pairwise(row)):
            return True
    tops = sorted(rows)
    return any(top + max(h for _, _, h in rows[top]) > after for top, after in pairwise(tops))
