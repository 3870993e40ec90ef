"""An add-on's Kubernetes objects: made from its file, applied as EKS does (server-side, field manager `eks`), removed."""

from __future__ import annotations

import copy
import re
from typing import Any

import yaml

from lab_helpers.eks.model.addons import catalog
from lab_helpers.errors import KubernetesError
from lab_helpers.kube import Kube

_APPLY = "application/apply-patch+yaml"
_WORKLOADS = ("Deployment", "DaemonSet")
_PATHS = {
    "ServiceAccount": "/api/v1/namespaces/kube-system/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ConfigMap": "/api/v1/namespaces/kube-system/configmaps",
    "Service": "/api/v1/namespaces/kube-system/services",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/kube-system/poddisruptionbudgets",
    "Deployment": "/apis/apps/v1/namespaces/kube-system/deployments",
    "DaemonSet": "/apis/apps/v1/namespaces/kube-system/daemonsets",
    "CSIDriver": "/apis/storage.k8s.io/v1/csidrivers",
}


def made(name: str, version: str, region: str, endpoint: str, settings: dict[str, Any], role: str = "") -> list[dict[str, Any]]:
    """The objects of an add-on.

    Args:
        endpoint: the API server's address, as its nodes know it.
        settings: its configurationValues.
        role: ARN of an IAM role for its service account (IRSA).
    """
    text = (catalog.FOLDER / f"{name}.yaml").read_text()
    for word, value in (("VERSION", version), ("REGION", region), ("ENDPOINT", endpoint)):
        text = text.replace(word, value)
    items = list(yaml.safe_load_all(text))
    for item in items:
        item["metadata"]["labels"] |= {"app.kubernetes.io/managed-by": "EKS", "eks.amazonaws.com/component": name}
        if (
            item["kind"] == "ServiceAccount"
            and role
            and item["metadata"]["name"] == catalog.table()[name].get("service_account")
        ):
            item["metadata"]["annotations"] = {"eks.amazonaws.com/role-arn": role}
        if item["kind"] in _WORKLOADS:
            part = "controller" if item["kind"] == "Deployment" else "node"
            _configure(item, settings)
            _configure(item, settings.get(part) or {})
        if item["kind"] == "ConfigMap" and "corefile" in settings:
            item["data"]["Corefile"] = settings["corefile"]
        if item["metadata"]["name"] == "kube-proxy-config" and "mode" in settings:
            item["data"]["config"] = re.sub("mode: .*", f"mode: {settings['mode']}", item["data"]["config"])
    return items


def _configure(item: dict[str, Any], settings: dict[str, Any]) -> None:
    spec = item["spec"]["template"]["spec"]
    if item["kind"] == "Deployment":
        item["spec"]["replicas"] = settings.get("replicaCount", settings.get("replicas", item["spec"]["replicas"]))
    main = spec["containers"][0]
    for key in ("tolerations", "nodeSelector", "affinity", "topologySpreadConstraints"):
        if key in settings:
            spec[key] = settings[key]
    if "resources" in settings:
        main["resources"] = settings["resources"]
    for key, value in (settings.get("env") or {}).items():
        main["env"] = [*(one for one in main.get("env", []) if one["name"] != key), {"name": key, "value": str(value)}]
    meta = item["spec"]["template"]["metadata"]
    meta["labels"] |= settings.get("podLabels") or {}
    if settings.get("podAnnotations"):
        meta["annotations"] = settings["podAnnotations"]


def path(item: dict[str, Any]) -> str:
    """Where an object is in the API."""
    return f"{_PATHS[item['kind']]}/{item['metadata']['name']}"


def conflicts(kube: Kube, items: list[dict[str, Any]]) -> list[str]:
    """What applying would take from another field manager, as `Deployment.apps coredns - .spec.replicas`."""
    found = []
    for item in items:
        for field in _conflicting(kube, item):
            group = item["apiVersion"].rpartition("/")[0]
            found.append(f"{item['kind']}{'.' + group if group else ''} {item['metadata']['name']} - {field}")
    return found


def _conflicting(kube: Kube, item: dict[str, Any]) -> list[str]:
    try:
        kube.raw("PATCH", f"{path(item)}?fieldManager=eks&dryRun=All", item, _APPLY)
    except KubernetesError as error:
        if error.status != 409:
            raise
        return [cause.get("field", "") for cause in error.causes]
    return []


def apply(kube: Kube, items: list[dict[str, Any]], preserve: bool = False) -> None:
    """Make the objects so, whoever owned what; with `preserve` what somebody else changed stays as it is."""
    for item in items:
        sent = item
        if preserve:
            sent = copy.deepcopy(item)
            for field in _conflicting(kube, item):
                _drop(sent, field)
        kube.raw("PATCH", f"{path(item)}?fieldManager=eks&force=true", sent, _APPLY)


_STEP = re.compile(r"\.([^.\[\]]+)|\[([^\]]+)\]")


def _drop(item: dict[str, Any], field: str) -> None:
    """Take one field out of an object; `.spec.template.spec.containers[name="coredns"].image`."""
    steps = [(name or "", selector or "") for name, selector in _STEP.findall(field)]
    at: Any = item
    for position, (name, selector) in enumerate(steps):
        last = position == len(steps) - 1
        if name:
            if not isinstance(at, dict) or name not in at:
                return
            if last:
                del at[name]
                return
            at = at[name]
        else:
            wanted = dict(re.findall(r'(\w+)="([^"]*)"', selector))
            match = [one for one in at if all(str(one.get(key)) == value for key, value in wanted.items())]
            if not match:
                return
            if last:
                at.remove(match[0])
                return
            at = match[0]


def remove(kube: Kube, items: list[dict[str, Any]]) -> None:
    """Delete the objects."""
    for item in items:
        try:
            kube.raw("DELETE", path(item), {"propagationPolicy": "Background"})
        except KubernetesError as error:
            if error.status != 404:
                raise


def release(kube: Kube, items: list[dict[str, Any]]) -> None:
    """Leave the objects as they are, but no more EKS's."""
    label = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None, "eks.amazonaws.com/component": None}}}
    for item in items:
        try:
            kube.raw("PATCH", f"{path(item)}?fieldManager=eks", label, "application/merge-patch+json")
        except KubernetesError as error:
            if error.status != 404:
                raise


GONE, FEW = "K8sResourceNotFound", "InsufficientNumberOfReplicas"


def unhealthy(kube: Kube, items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What is wrong with an add-on's workloads, as code and words: they are gone, or have fewer Pods available than wanted."""
    found = []
    for item in items:
        if item["kind"] not in _WORKLOADS:
            continue
        try:
            there = kube.raw("GET", path(item))
        except KubernetesError as error:
            if error.status != 404:
                raise
            found.append((GONE, f"{item['kind']} {item['metadata']['name']} is not there"))
            continue
        status = there.get("status", {})
        if item["kind"] == "Deployment":
            wanted, ready = there["spec"].get("replicas", 1), status.get("availableReplicas", 0)
        else:
            wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberAvailable", 0)
        if ready < wanted:
            found.append((FEW, f"{item['kind']} {item['metadata']['name']}: {ready} of {wanted} available"))
    return found


def nowhere(kube: Kube, items: list[dict[str, Any]]) -> bool:
    """Whether the scheduler has found no node for a Pod of an add-on: waiting longer will hardly help."""
    for item in items:
        if item["kind"] in _WORKLOADS:
            labels = ",".join(f"{key}={value}" for key, value in item["spec"]["selector"]["matchLabels"].items())
            for pod in kube.list("pods", "kube-system", labels=labels):
                if any(one.get("reason") == "Unschedulable" for one in pod["status"].get("conditions", [])):
                    return True
    return False
