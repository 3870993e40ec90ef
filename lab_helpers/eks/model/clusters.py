"""Clusters: made, shown, deleted. What changes one that is there stands in `updates`."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from lab_helpers import settings
from lab_helpers.eks import plane
from lab_helpers.eks.model import access, network, nodes, versions
from lab_helpers.eks.model.account import Account, Cluster, new_id, now
from lab_helpers.eks.model.addons import catalog
from lab_helpers.eks.model.errors import EksError, in_use, invalid, refused
from lab_helpers.eks.model.jobs import job, start
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages
from lab_helpers.errors import LabError

_log = logging.getLogger(__name__)

_MOST = 100  # quota of EKS: clusters in a region
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/.+")
SELF_MANAGED: list[Callable[[Account, Cluster], None]] = []
"""What puts the add-ons into a new cluster that it has by itself; `addons` says so here."""
_LOG_TYPES = ["api", "audit", "authenticator", "controllerManager", "scheduler"]


def role(arn: str, **members: Any) -> str:
    """The ARN, if it is one of a role.

    Raises:
        EksError: it is not.
    """
    if not _ROLE.fullmatch(arn):
        raise invalid(f"Invalid Role Arn: {arn}", **members)
    return arn


@operation
def create_cluster(account: Account, parameters: Parameters) -> Result:
    """A real control plane on the lab's provider; `outpostConfig` is refused: there is no Outpost."""
    return {"cluster": create(account, parameters).shown}


def create(account: Account, wanted: Parameters, wait: bool = False) -> Cluster:
    """Make a cluster.

    Args:
        wait: return when it is ACTIVE or FAILED.

    Raises:
        EksError: what EKS refuses at once.
    """
    name = wanted["name"]
    token = wanted.get("clientRequestToken")
    if name in account.clusters:
        if token and account.clusters[name].shown.get("clientRequestToken") == token:
            return account.clusters[name]
        raise in_use(f"Cluster already exists with name: {name}", clusterName=name)
    if len(account.clusters) >= _MOST:
        raise EksError("ResourceLimitExceededException", f"Cluster limit exceeded: {_MOST} in this region.", clusterName=name)
    if wanted.get("outpostConfig"):
        raise invalid("The lab has no Outpost: outpostConfig cannot be used.", clusterName=name)
    version = versions.required(wanted.get("version") or versions.default(), name)
    entry = access.settings(wanted.get("accessConfig") or {}, name)
    if "resourcesVpcConfig" not in wanted:
        raise invalid("resourcesVpcConfig can not be null.", clusterName=name)
    provider = plane.chosen(settings.load())[0].name
    local = plane.local_name(account.region_name, name, provider)
    cluster = Cluster(_shown(account, wanted, version, entry), local, provider)
    account.clusters[name] = cluster
    if entry["bootstrapClusterCreatorAdminPermissions"]:
        access.creator(account, cluster)
    work = start(account, bring_up, name, wanted.get("bootstrapSelfManagedAddons", True))
    if wait:
        work.join()
    return cluster


def _shown(account: Account, wanted: Parameters, version: str, entry: dict[str, Any]) -> dict[str, Any]:
    name = wanted["name"]
    network_config = wanted.get("kubernetesNetworkConfig") or {}
    if network_config.get("ipFamily") == "ipv6":
        raise invalid("The lab's clusters have IPv4 only: ipFamily ipv6 cannot be used.", clusterName=name)
    role(wanted["roleArn"], clusterName=name)
    automatic = [wanted.get("computeConfig"), wanted.get("storageConfig", {}).get("blockStorage")]
    if any(part and part.get("enabled") for part in automatic):
        raise invalid("The lab's EKS has no Auto Mode: computeConfig and blockStorage cannot be enabled.", clusterName=name)
    enabled = {
        kind for one in (wanted.get("logging") or {}).get("clusterLogging", []) if one.get("enabled") for kind in one["types"]
    }
    issuer = f"https://oidc.eks.{account.region_name}.amazonaws.com/id/{new_id().replace('-', '').upper()}"
    return {
        "name": name,
        "arn": account.arn("cluster", name),
        "createdAt": now(),
        "version": version,
        "roleArn": wanted["roleArn"],
        "resourcesVpcConfig": network.settings(account, name, wanted["resourcesVpcConfig"]),
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": network_config.get("serviceIpv4Cidr", "10.96.0.0/16"),
            "ipFamily": "ipv4",
        },
        "logging": logging_shown(enabled),
        "identity": {"oidc": {"issuer": issuer}},
        "status": "CREATING",
        "certificateAuthority": {},
        "platformVersion": versions.platform(version),
        "tags": dict(wanted.get("tags") or {}),
        "accessConfig": entry,
        "upgradePolicy": {"supportType": (wanted.get("upgradePolicy") or {}).get("supportType", "EXTENDED")},
        "deletionProtection": wanted.get("deletionProtection", False),
        "health": {"issues": []},
        **{key: wanted[key] for key in ("encryptionConfig", "zonalShiftConfig", "clientRequestToken") if wanted.get(key)},
    }


def logging_shown(enabled: set[str]) -> dict[str, Any]:
    """`logging` as DescribeCluster has it."""
    rows = [
        {"types": [kind for kind in _LOG_TYPES if (kind in enabled) == wanted], "enabled": wanted} for wanted in (True, False)
    ]
    return {"clusterLogging": [row for row in rows if row["types"]]}


@job
def bring_up(account: Account, name: str, self_managed: bool) -> None:
    """CREATING → ACTIVE, or FAILED with the reason in `health`."""
    cluster = account.clusters.get(name)
    if cluster is None or cluster.status != "CREATING":
        return
    try:
        network.attach(account, cluster)
        issuer = cluster.shown["identity"]["oidc"]["issuer"]
        entries, images = access.entries(cluster), catalog.images(account.region_name)
        made = plane.ensure(cluster.local, cluster.provider, name, cluster.version, entries, issuer, images)
        address, authority = plane.endpoint(made)
        cluster.shown |= {"endpoint": address, "certificateAuthority": {"data": authority}}
        access.apply(cluster)
        for fill in SELF_MANAGED if self_managed else ():
            fill(account, cluster)
        cluster.shown["status"] = "ACTIVE"
    except Exception as error:
        words = error.text() if isinstance(error, LabError) else repr(error)
        _log.exception("cluster %s", name)
        issue = {"code": "InternalFailure", "message": words, "resourceIds": [name]}
        cluster.shown |= {"status": "FAILED", "health": {"issues": [issue]}}


@operation
def describe_cluster(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return {"cluster": account.cluster(parameters["name"]).shown}


@operation
def list_clusters(account: Account, parameters: Parameters) -> Result:
    """Works; `include` changes nothing: there are no clusters outside EKS."""
    return pages(sorted(account.clusters), parameters, "clusters")


@operation
def delete_cluster(account: Account, parameters: Parameters) -> Result:
    """The control plane ends, with everything that EKS made for it."""
    cluster = account.cluster(parameters["name"])
    delete(account, cluster)
    return {"cluster": cluster.shown}


def delete(account: Account, cluster: Cluster, wait: bool = False) -> None:
    """Delete a cluster.

    Raises:
        EksError: it has node groups or Fargate profiles, is busy, or protected.
    """
    name = cluster.name
    if cluster.shown.get("deletionProtection"):
        raise refused(f"Cluster {name} cannot be deleted: deletion protection is enabled", clusterName=name)
    if cluster.nodegroups:
        raise in_use("Cluster has nodegroups attached", clusterName=name, nodegroupName=",".join(cluster.nodegroups))
    if cluster.fargate:
        raise in_use("Cluster has Fargate profiles attached", clusterName=name)
    busy = [update.shown["id"] for update in cluster.updates.values() if update.shown["status"] == "InProgress"]
    if busy:
        raise in_use(f"Cannot delete because cluster {name} currently has update {busy[0]} in progress", clusterName=name)
    if cluster.status == "CREATING":
        raise in_use(f"Cluster '{name}' is being created: it can be deleted when it is ACTIVE or FAILED", clusterName=name)
    if cluster.status != "DELETING":
        cluster.shown["status"] = "DELETING"
        work = start(account, take_down, name)
        if wait:
            work.join()


@job
def take_down(account: Account, name: str) -> None:
    """DELETING → gone."""
    cluster = account.clusters.get(name)
    if cluster is None:
        return
    nodes.forget(account, cluster)
    cluster.balancers.clear()  # what the cluster's controllers made stays in the account, and costs: as on AWS
    cluster.volumes.clear()
    plane.delete(cluster.local, cluster.provider)
    network.detach(account, cluster)
    account.clusters.pop(name, None)


def active(account: Account, name: str) -> Cluster:
    """A cluster that can be worked on.

    Raises:
        EksError: there is none, or it is not ACTIVE.
    """
    cluster = account.cluster(name)
    if cluster.status not in ("ACTIVE", "UPDATING"):
        raise refused(f"Cluster '{name}' is not in ACTIVE status", clusterName=name)
    return cluster
