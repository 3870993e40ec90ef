"""What an autoscaler tells: events, the ConfigMap cluster-autoscaler-status, and the lease that only one may hold."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from lab_helpers.autoscaling.decisions import Verdict
from lab_helpers.autoscaling.options import Group
from lab_helpers.autoscaling.room import Object
from lab_helpers.errors import KubernetesError
from lab_helpers.kube import Kube, ready

NAMESPACE, CONFIG_MAP, COMPONENT = "kube-system", "cluster-autoscaler-status", "cluster-autoscaler"
BACKOFF = "in backoff after failed scale-up"
_AGAIN = 300.0  # upstream tells the same thing once in five minutes
_LEASE_SECONDS = 15


def stamp(moment: float | None = None) -> str:
    """A moment as the API writes it, in UTC, to the microsecond."""
    return datetime.fromtimestamp(time.time() if moment is None else moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Events:
    """Events about objects, as `kubectl get events` shows them; called with an object, a reason and a message."""

    def __init__(self, kube: Kube) -> None:
        self._kube, self._told = kube, dict[tuple[str, str, str], float]()

    def __call__(self, item: Object, reason: str, message: str, kind: str = "Normal") -> None:
        meta, now = item["metadata"], time.time()
        key = (str(meta.get("uid")), reason, message)
        if now - self._told.get(key, float("-inf")) < _AGAIN:
            return
        self._told[key] = now
        about = {"kind": item.get("kind", "Pod"), "apiVersion": "v1", "name": meta["name"], "uid": meta.get("uid")}
        space = meta.get("namespace", "default")
        about |= {"namespace": meta["namespace"]} if "namespace" in meta else {}
        moment = stamp(now)[:19] + "Z"
        self._kube.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": f"{meta['name']}.{secrets.token_hex(8)}", "namespace": space},
                "involvedObject": about,
                "reason": reason,
                "message": message,
                "type": kind,
                "source": {"component": COMPONENT},
                "firstTimestamp": moment,
                "lastTimestamp": moment,
                "count": 1,
            },
            space,
        )

    def on_status(self, reason: str, message: str, kind: str = "Normal") -> None:
        """An event about the autoscaler's own ConfigMap: what concerns no single Pod or node."""
        found = self._kube.find("configmap", CONFIG_MAP, NAMESPACE) or {}
        meta = {"name": CONFIG_MAP, "namespace": NAMESPACE, "uid": found.get("metadata", {}).get("uid")}
        self({"kind": "ConfigMap", "metadata": meta}, reason, message, kind)


def daemon_pod(item: Object) -> Object:
    """The Pod that a DaemonSet would put on a node."""
    template = item["spec"]["template"]
    owner = {"kind": "DaemonSet", "name": item["metadata"]["name"], "controller": True}
    meta = {"name": item["metadata"]["name"], "namespace": item["metadata"]["namespace"], "ownerReferences": [owner]}
    everywhere = [{"operator": "Exists", "effect": "NoSchedule", "key": "node.kubernetes.io/unschedulable"}]
    spec = {**template["spec"], "tolerations": [*(template["spec"].get("tolerations") or []), *everywhere]}
    return {"metadata": meta, "spec": spec, "status": {}}


def write(
    kube: Kube, groups: Sequence[Group], nodes: Sequence[Object], waiting: int, verdicts: Mapping[str, Verdict],
    backoff: Mapping[str, float], now: float,
) -> None:  # fmt: skip
    """Write the status ConfigMap, in the form that upstream gives it since 1.30."""
    table = {
        "time": stamp(now),
        "autoscalerStatus": "Running",
        "clusterWide": {
            "health": {"status": "Healthy", "nodeCounts": _counts(nodes)},
            "scaleUp": {"status": "InProgress" if any(_short(group, nodes) for group in groups) else "NoActivity"},
            "scaleDown": _candidates([one for one in verdicts.values() if not one.reason]),
        },
        "podsWithoutRoom": waiting,
        "nodeGroups": [_group(group, nodes, verdicts, group.name in backoff) for group in groups],
        "nodesThatStay": {name: f"{one.reason} {one.about}".strip() for name, one in verdicts.items() if one.reason},
    }
    meta = {"name": CONFIG_MAP, "annotations": {"cluster-autoscaler.kubernetes.io/last-updated": stamp(now)}}
    data = {"status": yaml.safe_dump(table, sort_keys=False)}
    kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}, NAMESPACE, force=True)


def _counts(nodes: Sequence[Object]) -> dict[str, Any]:
    good = sum(ready(node) for node in nodes)
    return {"registered": {"total": len(nodes), "ready": good, "notStarted": len(nodes) - good}}


def _short(group: Group, nodes: Sequence[Object]) -> bool:
    return group.size > sum(group.holds(node) and ready(node) for node in nodes)


def _group(group: Group, nodes: Sequence[Object], verdicts: Mapping[str, Verdict], off: bool) -> dict[str, Any]:
    mine = [node for node in nodes if group.holds(node)]
    free = [one for node in mine if (one := verdicts.get(node["metadata"]["name"])) and not one.reason]
    size = {"cloudProviderTarget": group.size, "minSize": group.minimum, "maxSize": group.maximum}
    return {
        "name": group.name,
        "health": {"status": "Healthy", "nodeCounts": _counts(mine), **size},
        "scaleUp": {"status": "Backoff" if off else "InProgress" if _short(group, nodes) else "NoActivity"},
        "scaleDown": _candidates(free),
    }


def _candidates(free: Sequence[Verdict]) -> dict[str, Any]:
    return {"status": "CandidatesPresent" if free else "NoCandidates", "candidates": len(free)}


class Lease:
    """The lease by which only one autoscaler acts, however often it was started (upstream: leader election)."""

    def __init__(self, kube: Kube) -> None:
        self._kube, self._me = kube, f"{os.uname().nodename}_{os.getpid()}_{secrets.token_hex(3)}"
        self.holder = ""

    def hold(self) -> bool:
        """Take or renew it; False while somebody else holds it and renews it."""
        spec = {"holderIdentity": self._me, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": stamp()}
        meta: Object = {"name": COMPONENT, "namespace": NAMESPACE}
        fresh = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
        found = self._kube.find("lease", COMPONENT, NAMESPACE)
        try:
            if found is None:
                self._kube.create(fresh, NAMESPACE)
                return True
            self.holder = str(found["spec"].get("holderIdentity") or "")
            age = time.time() - datetime.fromisoformat(found["spec"]["renewTime"]).timestamp()
            if self.holder not in ("", self._me) and age < _LEASE_SECONDS:
                return False
            meta["resourceVersion"] = found["metadata"]["resourceVersion"]  # else two could take it at once
            self._kube.raw("PUT", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{COMPONENT}", fresh)
        except KubernetesError as error:
            if error.status != 409:
                raise
            return False
        return True

    def release(self) -> None:
        """Let the next one begin at once."""
        found = self._kube.find("lease", COMPONENT, NAMESPACE)
        if found and found["spec"].get("holderIdentity") == self._me:
            self._kube.patch("lease", COMPONENT, {"spec": {"holderIdentity": ""}}, NAMESPACE)
