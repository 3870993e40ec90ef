"""Insights: what stands in the way of the next minor, looked up in the cluster as it is now."""

from __future__ import annotations

import re
from typing import Any

from lab_helpers.eks import plane
from lab_helpers.eks.model import clusters, versions
from lab_helpers.eks.model.account import Account, Cluster, new_id, now
from lab_helpers.eks.model.addons import catalog
from lab_helpers.eks.model.errors import not_found
from lab_helpers.eks.model.jobs import job, start
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages
from lab_helpers.errors import LabError

_SKEW = 3
_Found = tuple[str, str, list[dict[str, Any]], dict[str, Any]]
_REQUESTED = re.compile(r"apiserver_requested_deprecated_apis\{(.*)\} 1")


def _next(cluster: Cluster) -> str:
    major, _, minor = cluster.version.partition(".")
    return f"{major}.{int(minor) + 1}"


def _kubelets(cluster: Cluster) -> _Found:
    """Kubelets may be three minors behind the control plane."""
    rows, worst = [], "PASSING"
    for node in plane.kube(cluster.local, cluster.provider).list("nodes"):
        kubelet = node["status"]["nodeInfo"]["kubeletVersion"].lstrip("v")
        behind = versions.minor(_next(cluster)) - versions.minor(".".join(kubelet.split(".")[:2]))
        state = "ERROR" if behind > _SKEW else "WARNING" if behind == _SKEW else "PASSING"
        worst = max(worst, state, key=["PASSING", "WARNING", "ERROR"].index)
        if state != "PASSING":
            where = {"kubernetesResourceUri": f"/api/v1/nodes/{node['metadata']['name']}"}
            rows.append({"insightStatus": {"status": state, "reason": f"kubelet {kubelet}"}, **where})
    return worst, f"{len(rows)} nodes whose kubelet is old" if rows else "Node kubelet versions match the cluster.", rows, {}


def _addons(cluster: Cluster) -> _Found:
    """Add-ons that have no build for the next minor in the version that they are."""
    details, rows = [], []
    for name, shown in cluster.addons.items():
        fitting = catalog.versions(name, _next(cluster))
        if fitting and shown["addonVersion"] not in fitting:
            details.append({"name": name, "compatibleVersions": fitting})
            state = {"status": "ERROR", "reason": f"{shown['addonVersion']} is not for Kubernetes {_next(cluster)}"}
            rows.append({"insightStatus": state, "arn": shown["addonArn"]})
    words = f"{len(rows)} add-ons must be updated first" if rows else "All installed EKS add-on versions fit the next version."
    return "ERROR" if rows else "PASSING", words, rows, {"addonCompatibilityDetails": details}


def _deprecated(cluster: Cluster) -> _Found:
    """Deprecated APIs that somebody asked for since the API server started: its own metric."""
    text = str(plane.kube(cluster.local, cluster.provider).raw("GET", "/metrics", accept="text/plain").get("text", ""))
    details = []
    for line in text.splitlines():
        if match := _REQUESTED.match(line):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', match.group(1)))
            usage = f"/apis/{labels.get('group')}/{labels.get('version')}/{labels.get('resource')}"
            details.append({"usage": usage, "stopServingVersion": labels.get("removed_release", ""), "clientStats": []})
    soon = [one for one in details if one["stopServingVersion"] in (_next(cluster), cluster.version)]
    state = "ERROR" if soon else "WARNING" if details else "PASSING"
    words = f"{len(details)} deprecated APIs were asked for" if details else "No deprecated API usage detected."
    return state, words, [], {"deprecationDetails": details}


_CHECKS = (
    ("Kubelet version skew", _kubelets, "Update the nodes before the control plane."),
    ("EKS add-on version compatibility", _addons, "Update the add-ons to a version that fits."),
    ("Deprecated APIs removed in a later version", _deprecated, "Change manifests and clients to the newer API version."),
)


def look(account: Account, cluster: Cluster) -> None:
    """Look again; an insight keeps its id."""
    for name, check, cure in _CHECKS:
        old: dict[str, Any] = next((one for one in cluster.insights.values() if one["name"] == name), {})
        try:
            state, reason, rows, summary = check(cluster)
        except LabError as error:
            state, reason, rows, summary = "UNKNOWN", error.text(), [], {}
        changed = old.get("insightStatus", {}).get("status") != state
        shown: dict[str, Any] = {
            "id": old.get("id") or new_id(),
            "name": name,
            "category": "UPGRADE_READINESS",
            "kubernetesVersion": _next(cluster),
            "lastRefreshTime": now(),
            "lastTransitionTime": now() if changed else old["lastTransitionTime"],
            "description": (check.__doc__ or "").strip(),
            "insightStatus": {"status": state, "reason": reason},
            "recommendation": cure,
            "additionalInfo": {},
            "resources": rows,
            "categorySpecificSummary": summary,
        }
        cluster.insights[shown["id"]] = shown


_LISTED = (
    "id",
    "name",
    "category",
    "kubernetesVersion",
    "lastRefreshTime",
    "lastTransitionTime",
    "description",
    "insightStatus",
)


@operation
def list_insights(account: Account, parameters: Parameters) -> Result:
    """Kubelet skew, add-on compatibility and deprecated APIs, looked up now; EKS looks once a day."""
    cluster = clusters.active(account, parameters["clusterName"])
    look(account, cluster)
    asked = parameters.get("filter") or {}
    found = [
        one
        for one in cluster.insights.values()
        if one["category"] in (asked.get("categories") or [one["category"]])
        and one["kubernetesVersion"] in (asked.get("kubernetesVersions") or [one["kubernetesVersion"]])
        and one["insightStatus"]["status"] in (asked.get("statuses") or [one["insightStatus"]["status"]])
    ]
    return pages([{key: one[key] for key in _LISTED} for one in found], parameters, "insights")


@operation
def describe_insight(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster = account.cluster(parameters["clusterName"])
    if parameters["id"] not in cluster.insights:
        raise not_found(f"No insight found for id: {parameters['id']}", clusterName=cluster.name)
    return {"insight": cluster.insights[parameters["id"]]}


@operation
def start_insights_refresh(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster = clusters.active(account, parameters["clusterName"])
    cluster.refresh = {"message": "Insights refresh is in progress", "status": "IN_PROGRESS", "startedAt": now()}
    start(account, refresh, cluster.name)
    return {key: cluster.refresh[key] for key in ("message", "status")}


@job
def refresh(account: Account, name: str) -> None:
    """IN_PROGRESS → COMPLETED."""
    cluster = account.clusters.get(name)
    if cluster:
        look(account, cluster)
        cluster.refresh |= {"message": "Insights refresh is complete", "status": "COMPLETED", "endedAt": now()}


@operation
def describe_insights_refresh(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster = account.cluster(parameters["clusterName"])
    if not cluster.refresh:
        raise not_found("No insights refresh was started", clusterName=cluster.name)
    return cluster.refresh
