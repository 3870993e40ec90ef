"""How an add-on is: its status and its issues, from what its objects in the cluster say."""

from __future__ import annotations

import time
from typing import Any

from lab_helpers.eks import plane
from lab_helpers.eks.model.account import Cluster, now
from lab_helpers.eks.model.addons import objects
from lab_helpers.errors import KubernetesError, LabError

_PATIENCE = 20.0
_NOWHERE = 3.0  # seconds in which a Pod that has no node may still get one
_WORDS = {
    objects.FEW: "The add-on is unhealthy because it doesn't have the desired number of replicas.",
    objects.GONE: "The add-on is unhealthy because a Kubernetes resource that belongs to it was not found.",
}


def issue(code: str, words: str) -> dict[str, Any]:
    """An issue of an add-on, as DescribeAddon shows it."""
    return {"code": code, "message": words, "resourceIds": []}


def code(error: LabError) -> str:
    """EKS's code for what the API server said."""
    if not isinstance(error, KubernetesError) or not error.status:
        return "ClusterUnreachable"
    if "denied" in error.text() or "exceeded quota" in error.text():  # a policy, a webhook, a quota
        return "AdmissionRequestDenied"
    return "AccessDenied" if error.status in (401, 403) else "InternalFailure"


def settle(cluster: Cluster, shown: dict[str, Any], items: list[dict[str, Any]]) -> None:
    """ACTIVE as soon as the workloads are available; DEGRADED if they are not in time, or have no node to run on."""
    kube, begun = plane.kube(cluster.local, cluster.provider), time.monotonic()
    while unhealthy := objects.unhealthy(kube, items):
        waited = time.monotonic() - begun
        if waited > _PATIENCE or not cluster.nodes or (waited > _NOWHERE and objects.nowhere(kube, items)):
            break
        time.sleep(0.3)
    judge(shown, unhealthy)


def judge(shown: dict[str, Any], unhealthy: list[tuple[str, str]]) -> None:
    """Put down what was found (code and words of each trouble) as status and issues."""
    by_code: dict[str, list[str]] = {}
    for code, words in unhealthy:
        by_code.setdefault(code, []).append(words)
    issues = [issue(code, f"{_WORDS[code]} {'; '.join(words)}") for code, words in by_code.items()]
    shown |= {"status": "DEGRADED" if issues else "ACTIVE", "health": {"issues": issues}, "modifiedAt": now()}
