"""Updates: begun, shown, cancelled; and those of the cluster itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from lab_helpers.eks import plane
from lab_helpers.eks.model import access, clusters, network, versions
from lab_helpers.eks.model.account import Account, Cluster, Update, new_id, now
from lab_helpers.eks.model.errors import EksError, in_use, invalid, not_found
from lab_helpers.eks.model.jobs import job, start
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages
from lab_helpers.errors import LabError

_log = logging.getLogger(__name__)

_SKEW = 3  # minors that a kubelet may be behind


def begin(cluster: Cluster, kind: str, values: dict[str, Any], of: str = "") -> Update:
    """Put an update on record, if nothing else of the same thing is being updated.

    Args:
        kind: the model's UpdateType, for instance `VersionUpdate`.
        values: what is shown as `params`.
        of: see Update.

    Raises:
        EksError: another update is in progress.
    """
    for other in cluster.updates.values():
        if other.of == of and other.shown["status"] == "InProgress":
            what = of.partition("/")[2] or cluster.name
            kind_of = {"nodegroup": "Nodegroup", "addon": "Addon"}.get(of.partition("/")[0], "cluster")
            words = f"Cannot {kind} because {kind_of} {what} currently has update {other.shown['id']} in progress"
            raise in_use(words, clusterName=cluster.name)
    texts = [{"type": key, "value": value if isinstance(value, str) else json.dumps(value)} for key, value in values.items()]
    shown: dict[str, Any] = {
        "id": new_id(),
        "status": "InProgress",
        "type": kind,
        "params": texts,
        "createdAt": now(),
        "errors": [],
    }
    cluster.updates[shown["id"]] = Update(shown, of)
    return cluster.updates[shown["id"]]


def carry_out(update: Update, work: Callable[[], list[dict[str, Any]]]) -> None:
    """Run an update's work and record how it ended; `work` returns the update's errors."""
    try:
        errors = work()
    except Exception as error:
        _log.exception("update %s", update.shown)
        words = error.text() if isinstance(error, LabError) else str(error) or repr(error)
        errors = [{"errorCode": "Unknown", "errorMessage": words, "resourceIds": []}]
    update.shown["errors"] = errors
    if update.cancel and update.shown["status"] == "Cancelled":
        return
    update.shown["status"] = "Failed" if errors else "Successful"


def _of(parameters: Parameters) -> str:
    for key, kind in (("nodegroupName", "nodegroup"), ("addonName", "addon"), ("capabilityName", "capability")):
        if parameters.get(key):
            return f"{kind}/{parameters[key]}"
    return ""


def _found(cluster: Cluster, parameters: Parameters) -> Update:
    update = cluster.updates.get(parameters["updateId"])
    if update is None or update.of != _of(parameters):
        raise not_found(f"No update found for ID: {parameters['updateId']}", clusterName=cluster.name)
    return update


@operation
def describe_update(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return {"update": _found(account.cluster(parameters["name"]), parameters).shown}


@operation
def list_updates(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster = account.cluster(parameters["name"])
    ids = [key for key, update in cluster.updates.items() if update.of == _of(parameters)]
    return pages(ids, parameters, "updateIds")


@operation
def cancel_update(account: Account, parameters: Parameters) -> Result:
    """A version update of a node group ends after the node that it is at; a cluster's can be cancelled before it restarts."""
    cluster = account.cluster(parameters["name"])
    update = cluster.updates.get(parameters["updateId"])
    if update is None:
        raise not_found(f"No update found for ID: {parameters['updateId']}", clusterName=cluster.name)
    if update.shown["status"] != "InProgress" or update.shown["type"] != "VersionUpdate":
        words = f"Update {update.shown['id']} is {update.shown['status']}: it cannot be cancelled"
        raise EksError("InvalidStateException", words, clusterName=cluster.name)
    update.cancel = True
    update.shown["cancellation"] = {"status": "InProgress", "reason": "asked for by CancelUpdate"}
    return {"update": update.shown}


def cancelled(update: Update) -> None:
    """The work has ended early, as asked."""
    update.shown["status"] = "Cancelled"
    update.shown["cancellation"] = {"status": "Successful", "reason": "asked for by CancelUpdate"}


# -- the cluster's own -------------------------------------------------------------------------------------------


@operation
def update_cluster_version(account: Account, parameters: Parameters) -> Result:
    """One minor up, or back by the one that it last went up; the workloads stay. The newest minor emulates older ones."""
    name, version = parameters["name"], parameters["version"]
    cluster = clusters.active(account, name)
    kind = _direction(cluster, version)
    versions.required(version, name)
    behind = [
        group for group, kubelet in _kubelets(cluster).items() if versions.minor(version) - versions.minor(kubelet) > _SKEW
    ]
    if behind and not parameters.get("force"):
        words = f"Nodegroups {', '.join(behind)} must be updated to match cluster version {cluster.version}"
        words += " before updating cluster version"
        raise invalid(words, clusterName=name)
    values = {"Version": version, "PlatformVersion": versions.platform(version)}
    update = begin(cluster, kind, values)
    start(account, change_version, name, version, update.shown["id"])
    return {"update": update.shown}


def _direction(cluster: Cluster, version: str) -> str:
    from_, to = (versions.minor(text) if text.partition(".")[2].isdigit() else -1 for text in (cluster.version, version))
    if to == from_ + 1:
        return "VersionUpdate"
    came_up = any(
        update.shown["type"] == "VersionUpdate"
        and update.of == ""
        and update.shown["status"] == "Successful"
        and {"type": "Version", "value": cluster.version} in update.shown["params"]
        for update in cluster.updates.values()
    )
    if to == from_ - 1 and came_up:
        return "VersionRollback"
    words = f"Unsupported Kubernetes minor version update from {cluster.version} to {version}"
    raise invalid(words, clusterName=cluster.name)


def _kubelets(cluster: Cluster) -> dict[str, str]:
    return {name: group.shown["version"] for name, group in cluster.nodegroups.items()}


@job
def change_version(account: Account, name: str, version: str, number: str) -> None:
    """The control plane restarts on the same etcd as another minor."""
    cluster = account.clusters.get(name)
    if cluster is None or cluster.updates[number].shown["status"] != "InProgress":
        return
    update = cluster.updates[number]
    if update.cancel:
        cancelled(update)
        return
    cluster.shown["status"] = "UPDATING"

    def work() -> list[dict[str, Any]]:
        plane.change_version(cluster.local, cluster.provider, version)
        cluster.shown |= {"version": version, "platformVersion": versions.platform(version)}
        address, authority = plane.endpoint(plane.get(cluster.local, cluster.provider))
        cluster.shown |= {"endpoint": address, "certificateAuthority": {"data": authority}}
        return []

    try:
        carry_out(update, work)
    finally:
        cluster.shown["status"] = "ACTIVE"


@operation
def update_cluster_config(account: Account, parameters: Parameters) -> Result:
    """Endpoint, subnets, logging, access mode, upgrade policy, protection: recorded and shown; mode and protection act."""
    cluster = clusters.active(account, parameters["name"])
    given = {key: value for key, value in parameters.items() if key not in ("name", "clientRequestToken") and value is not None}
    if not given:
        raise invalid("No changes needed for the cluster: give one configuration to update.", clusterName=cluster.name)
    unknown = [key for key in given if key not in _CHANGES]
    if unknown:
        raise invalid(f"The lab's EKS cannot change {', '.join(unknown)}.", clusterName=cluster.name)
    if len(given) > 1:
        raise invalid("Only one type of update can be allowed at a time.", clusterName=cluster.name)
    key, value = next(iter(given.items()))
    kind, change = _CHANGES[key]
    shown = change(account, cluster, value)
    update = begin(cluster, kind, value if isinstance(value, dict) else {key: value})
    start(account, change_config, cluster.name, update.shown["id"], shown)
    return {"update": update.shown}


def _vpc(account: Account, cluster: Cluster, value: dict[str, Any]) -> dict[str, Any]:
    before = cluster.shown["resourcesVpcConfig"]
    after = {**before, **value}
    if after == before:
        raise invalid("Cluster is already at the desired configuration", clusterName=cluster.name)
    if not after["endpointPublicAccess"] and not after["endpointPrivateAccess"]:
        raise invalid("Private and public endpoint access cannot be false", clusterName=cluster.name)
    network.subnets(account, after["subnetIds"], cluster.name)
    return {"resourcesVpcConfig": after}


def _logging(account: Account, cluster: Cluster, value: dict[str, Any]) -> dict[str, Any]:
    rows = cluster.shown["logging"]["clusterLogging"]
    enabled = {kind for row in rows if row["enabled"] for kind in row["types"]}
    for row in value.get("clusterLogging", []):
        change = enabled.update if row.get("enabled") else enabled.difference_update
        change(row.get("types") or [])
    return {"logging": clusters.logging_shown(enabled)}


def _access(account: Account, cluster: Cluster, value: dict[str, Any]) -> dict[str, Any]:
    mode = access.next_mode(cluster, value.get("authenticationMode", ""))
    return {"accessConfig": {**cluster.shown["accessConfig"], "authenticationMode": mode}}


def _plain(key: str) -> Callable[[Account, Cluster, Any], dict[str, Any]]:
    return lambda account, cluster, value: {key: value}


_CHANGES: dict[str, tuple[str, Callable[[Account, Cluster, Any], dict[str, Any]]]] = {
    "resourcesVpcConfig": ("EndpointAccessUpdate", _vpc),
    "logging": ("LoggingUpdate", _logging),
    "accessConfig": ("AccessConfigUpdate", _access),
    "upgradePolicy": ("UpgradePolicyUpdate", _plain("upgradePolicy")),
    "zonalShiftConfig": ("ZonalShiftConfigUpdate", _plain("zonalShiftConfig")),
    "deletionProtection": ("DeletionProtectionUpdate", _plain("deletionProtection")),
}


@job
def change_config(account: Account, name: str, number: str, shown: dict[str, Any]) -> None:
    """What DescribeCluster shows, and who may enter."""
    cluster = account.clusters.get(name)
    if cluster is None:
        return
    cluster.shown["status"] = "UPDATING"

    def work() -> list[dict[str, Any]]:
        before = cluster.shown["accessConfig"]["authenticationMode"]
        cluster.shown |= shown
        if before == "CONFIG_MAP":
            # Users guide, "Access entries": EKS makes the entry of the cluster's creator, with an administrator's rights.
            access.administrator(account, cluster)
        access.apply(cluster)
        return []

    try:
        carry_out(cluster.updates[number], work)
    finally:
        cluster.shown["status"] = "ACTIVE"


@operation
def associate_encryption_config(account: Account, parameters: Parameters) -> Result:
    """Recorded and shown; etcd's data of the lab are not encrypted by a KMS key."""
    cluster = clusters.active(account, parameters["clusterName"])
    if cluster.shown.get("encryptionConfig"):
        raise invalid("Encryption is already enabled for this cluster", clusterName=cluster.name)
    update = begin(cluster, "AssociateEncryptionConfig", {"EncryptionConfig": parameters["encryptionConfig"]})
    shown = {"encryptionConfig": parameters["encryptionConfig"]}
    start(account, change_config, cluster.name, update.shown["id"], shown)
    return {"update": update.shown}
