"""The API's operations on add-ons."""

from __future__ import annotations

import json
import logging
from typing import Any

from lab_helpers.eks import plane
from lab_helpers.eks.model import clusters, pod_identity, pod_network, updates, versions
from lab_helpers.eks.model.account import Account, Cluster, new_id, now
from lab_helpers.eks.model.addons import catalog, health, objects
from lab_helpers.eks.model.errors import in_use, invalid, not_found
from lab_helpers.eks.model.jobs import job, start
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages
from lab_helpers.errors import LabError

_log = logging.getLogger(__name__)
SELF_MANAGED = ("vpc-cni", "kube-proxy", "coredns")
"""What a cluster has by itself, unless `bootstrapSelfManagedAddons` says no."""


def _items(account: Account, shown: dict[str, Any]) -> list[dict[str, Any]]:
    name = shown["addonName"]
    settings = catalog.settings(name, shown["configurationValues"]) if shown.get("configurationValues") else {}
    role = shown.get("serviceAccountRoleArn", "")
    endpoint = _address(account.clusters[shown["clusterName"]])
    return objects.made(name, shown["addonVersion"], account.region_name, endpoint, settings, role)


def _address(cluster: Cluster) -> str:
    """The API server's, as the cluster's nodes know it."""
    return f"https://{cluster.local}-control-plane:6443" if cluster.provider == "kind" else str(cluster.shown["endpoint"])


def apply_self_managed(account: Account, cluster: Cluster) -> None:
    """The add-ons that a new cluster has without EKS managing them."""
    kube = plane.kube(cluster.local, cluster.provider)
    for name in SELF_MANAGED:
        version = catalog.versions(name, cluster.version)[0]
        items = objects.made(name, version, account.region_name, _address(cluster), {})
        for item in items:
            item["metadata"]["labels"].pop("app.kubernetes.io/managed-by")
        objects.apply(kube, items)


clusters.SELF_MANAGED.append(apply_self_managed)


def _version(cluster: Cluster, name: str, asked: str | None) -> str:
    members = {"clusterName": cluster.name, "addonName": name}
    found = catalog.versions(name, cluster.version)
    if name not in catalog.table():
        raise invalid(f"Addon {name} specified is not supported", **members)
    if asked and asked not in found:
        words = f"Addon version specified is not supported: {name} {asked} on Kubernetes {cluster.version}."
        words += f" Supported: {', '.join(found)}"
        raise invalid(words, **members)
    return asked or found[0]


def _addon(cluster: Cluster, name: str) -> dict[str, Any]:
    if name not in cluster.addons:
        raise not_found(f"No addon: {name} found in cluster: {cluster.name}", clusterName=cluster.name, addonName=name)
    return cluster.addons[name]


@operation
def create_addon(account: Account, parameters: Parameters) -> Result:
    """Its objects are applied; their Pods are simulated where their node is, and on a machine see `catalog.images`."""
    cluster, name = clusters.active(account, parameters["clusterName"]), parameters["addonName"]
    members = {"clusterName": cluster.name, "addonName": name}
    if name in cluster.addons:
        raise in_use("Addon already exists.", **members)
    version = _version(cluster, name, parameters.get("addonVersion"))
    resolve = parameters.get("resolveConflicts") or "NONE"
    if resolve == "PRESERVE":
        raise invalid("PRESERVE is for updates: create-addon takes NONE or OVERWRITE", **members)
    if values := parameters.get("configurationValues"):
        catalog.settings(name, values, **members)
    if role := parameters.get("serviceAccountRoleArn"):
        clusters.role(role, **members)
    row = catalog.table()[name]
    shown = {
        "addonName": name,
        "clusterName": cluster.name,
        "status": "CREATING",
        "addonVersion": version,
        "health": {"issues": []},
        "addonArn": account.arn("addon", cluster.name, name, new_id()),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(parameters.get("tags") or {}),
        "publisher": row.get("publisher", "eks"),
        "owner": row.get("owner", "aws"),
        "namespaceConfig": {"namespace": "kube-system"},
        **({"configurationValues": values} if values else {}),
        **({"serviceAccountRoleArn": role} if role else {}),
    }
    if identities := parameters.get("podIdentityAssociations"):
        made = [
            pod_identity.put(account, cluster, {"namespace": "kube-system", **one}, owner=shown["addonArn"])
            for one in identities
        ]
        shown["podIdentityAssociations"] = [one["associationArn"] for one in made]
    cluster.addons[name] = shown
    start(account, bring_up_addon, cluster.name, name, resolve)
    return {"addon": shown}


@job
def bring_up_addon(account: Account, cluster_name: str, name: str, resolve: str) -> None:
    """CREATING → ACTIVE, DEGRADED or CREATE_FAILED."""
    cluster = account.clusters.get(cluster_name)
    shown = cluster.addons.get(name) if cluster else None
    if cluster is None or shown is None or shown["status"] != "CREATING":
        return
    if issues := _change(account, cluster, shown, resolve):
        shown |= {"status": "CREATE_FAILED", "health": {"issues": issues}, "modifiedAt": now()}
        return
    health.settle(cluster, shown, _items(account, shown))


def _change(account: Account, cluster: Cluster, shown: dict[str, Any], resolve: str) -> list[dict[str, Any]]:
    """Apply the objects; what stands in the way, as issues."""
    items = _items(account, shown)
    try:
        kube = plane.kube(cluster.local, cluster.provider)
        found = objects.conflicts(kube, items) if resolve == "NONE" else []
        if found:
            words = "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. Conflicts: "
            return [health.issue("ConfigurationConflict", words + "; ".join(found))]
        objects.apply(kube, items, preserve=resolve == "PRESERVE")
    except LabError as error:
        return [health.issue(health.code(error), error.text())]
    return []


@operation
def describe_addon(account: Account, parameters: Parameters) -> Result:
    """Health is looked up in the cluster when somebody asks."""
    cluster = account.cluster(parameters["clusterName"])
    shown = _addon(cluster, parameters["addonName"])
    if shown["status"] in ("ACTIVE", "DEGRADED") and cluster.status == "ACTIVE":
        try:
            health.judge(shown, objects.unhealthy(plane.kube(cluster.local, cluster.provider), _items(account, shown)))
        except LabError as error:
            shown |= {"status": "DEGRADED", "health": {"issues": [health.issue(health.code(error), error.text())]}}
    return {"addon": shown}


@operation
def list_addons(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return pages(sorted(account.cluster(parameters["clusterName"]).addons), parameters, "addons")


@operation
def update_addon(account: Account, parameters: Parameters) -> Result:
    """Version, settings and role, with OVERWRITE, PRESERVE and NONE by server-side apply."""
    cluster, name = clusters.active(account, parameters["clusterName"]), parameters["addonName"]
    shown, members = _addon(cluster, name), {"clusterName": cluster.name, "addonName": name}
    version = _version(cluster, name, parameters.get("addonVersion") or shown["addonVersion"])
    change: dict[str, Any] = {"addonVersion": version}
    if (values := parameters.get("configurationValues")) is not None:
        catalog.settings(name, values, **members)
        change["configurationValues"] = values
    if role := parameters.get("serviceAccountRoleArn"):
        change["serviceAccountRoleArn"] = clusters.role(role, **members)
    resolve = parameters.get("resolveConflicts") or "NONE"
    values_shown = {key[0].upper() + key[1:]: value for key, value in change.items()} | {"ResolveConflicts": resolve}
    update = updates.begin(cluster, "AddonUpdate", values_shown, f"addon/{name}")
    if (identities := parameters.get("podIdentityAssociations")) is not None:
        pod_identity.forget(cluster, shown.get("podIdentityAssociations") or [])
        made = [
            pod_identity.put(account, cluster, {"namespace": "kube-system", **one}, owner=shown["addonArn"])
            for one in identities
        ]
        change["podIdentityAssociations"] = [one["associationArn"] for one in made]
    shown["status"] = "UPDATING"
    start(account, change_addon, cluster.name, name, update.shown["id"], change, resolve)
    return {"update": update.shown}


@job
def change_addon(account: Account, cluster_name: str, name: str, number: str, change: dict[str, Any], resolve: str) -> None:
    """UPDATING → ACTIVE, DEGRADED or UPDATE_FAILED; after a failure the add-on is what it was."""
    cluster = account.clusters.get(cluster_name)
    shown = cluster.addons.get(name) if cluster else None
    if cluster is None or shown is None:
        return

    def work() -> list[dict[str, Any]]:
        if issues := _change(account, cluster, {**shown, **change}, resolve):
            shown.update(status="UPDATE_FAILED", health={"issues": issues})
            return [{"errorCode": one["code"], "errorMessage": one["message"], "resourceIds": []} for one in issues]
        shown.update(change)
        health.settle(cluster, shown, _items(account, shown))
        return []

    updates.carry_out(cluster.updates[number], work)
    if shown["status"] == "UPDATING":
        shown["status"] = "UPDATE_FAILED"


@operation
def delete_addon(account: Account, parameters: Parameters) -> Result:
    """Its objects go, or with `preserve` stay without EKS."""
    cluster, name = account.cluster(parameters["clusterName"]), parameters["addonName"]
    shown = _addon(cluster, name)
    if shown["status"] != "DELETING":
        shown["status"] = "DELETING"
        start(account, take_down_addon, cluster.name, name, bool(parameters.get("preserve")))
    return {"addon": shown}


@job
def take_down_addon(account: Account, cluster_name: str, name: str, preserve: bool) -> None:
    """DELETING → gone."""
    cluster = account.clusters.get(cluster_name)
    shown = cluster.addons.get(name) if cluster else None
    if cluster is None or shown is None:
        return
    try:
        kube, items = plane.kube(cluster.local, cluster.provider), _items(account, shown)
        if preserve:
            objects.release(kube, items)
        else:
            with pod_network.leaving(account, cluster, name):
                objects.remove(kube, items)
    except LabError as error:
        shown |= {"status": "DELETE_FAILED", "health": {"issues": [health.issue(health.code(error), error.text())]}}
        return
    pod_identity.forget(cluster, shown.get("podIdentityAssociations") or [])
    cluster.addons.pop(name, None)


@operation
def describe_addon_versions(account: Account, parameters: Parameters) -> Result:
    """From a dated table: kube-proxy, CoreDNS, VPC CNI, EBS and EFS CSI, metrics-server, pod identity agent."""
    minor, name = parameters.get("kubernetesVersion"), parameters.get("addonName")
    found = []
    for key, row in catalog.table().items():
        facts = {"type": row["type"], "publisher": row.get("publisher", "eks"), "owner": row.get("owner", "aws")}
        asked = (
            (parameters.get(many), facts[one])
            for many, one in (("types", "type"), ("publishers", "publisher"), ("owners", "owner"))
        )
        if name in (None, key) and all(not wanted or fact in wanted for wanted, fact in asked):
            rows = [_row(key, one, minor) for one in row["versions"] if not minor or minor in one["for"]]
            if rows:
                found.append({"addonName": key, **facts, "addonVersions": rows, "defaultNamespace": "kube-system"})
    return pages(found, parameters, "addons")


def _row(name: str, row: dict[str, Any], minor: str | None) -> dict[str, Any]:
    return {
        "addonVersion": row["version"],
        "architecture": ["amd64", "arm64"],
        "computeTypes": ["ec2", "hybrid"] if name not in ("aws-ebs-csi-driver", "aws-efs-csi-driver") else ["ec2"],
        "compatibilities": [
            {
                "clusterVersion": one,
                "platformVersions": ["*"],
                "defaultVersion": catalog.versions(name, one)[0] == row["version"],
            }
            for one in row["for"]
            if (minor in (None, one)) and one in versions.runnable()
        ],
        "requiresConfiguration": False,
        "requiresIamPermissions": "permissions" in catalog.table()[name],
    }


@operation
def describe_addon_configuration(account: Account, parameters: Parameters) -> Result:
    """The settings that act here, as a JSON schema."""
    name, version = parameters["addonName"], parameters["addonVersion"]
    if not catalog.known(name, version):
        raise not_found(f"No addon version found: {name} {version}", addonName=name)
    row = catalog.table()[name]
    answer: Result = {"addonName": name, "addonVersion": version, "configurationSchema": json.dumps(catalog.schema(name))}
    if "permissions" in row:
        policy = f"arn:aws:iam::aws:policy/service-role/{row['permissions']}"
        answer["podIdentityConfiguration"] = [
            {"serviceAccount": row["service_account"], "recommendedManagedPolicies": [policy]}
        ]
    return answer
