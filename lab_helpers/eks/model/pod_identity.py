"""Pod identity associations: which service account gets which role. The agent's side is another lab's."""

from __future__ import annotations

from typing import Any

from lab_helpers.eks.model import clusters
from lab_helpers.eks.model.account import Account, Cluster, new_id, now
from lab_helpers.eks.model.errors import EksError, in_use, not_found
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages

_MOST = 5000  # quota of EKS: associations in a cluster


def put(account: Account, cluster: Cluster, wanted: Parameters, owner: str = "") -> dict[str, Any]:
    """Put an association on record.

    Args:
        owner: ARN of the add-on that it belongs to.

    Raises:
        EksError: the service account has one already.
    """
    for shown in cluster.pod_identities.values():
        if (shown["namespace"], shown["serviceAccount"]) == (wanted["namespace"], wanted["serviceAccount"]):
            raise in_use(f"Association already exists: {shown['associationId']}", clusterName=cluster.name)
    if len(cluster.pod_identities) >= _MOST:
        raise EksError("ResourceLimitExceededException", f"Association limit exceeded: {_MOST}.", clusterName=cluster.name)
    number = f"a-{new_id().replace('-', '')[:17]}"
    shown = {
        "clusterName": cluster.name,
        "namespace": wanted["namespace"],
        "serviceAccount": wanted["serviceAccount"],
        "roleArn": clusters.role(wanted["roleArn"], clusterName=cluster.name),
        "associationArn": account.arn("podidentityassociation", cluster.name, number),
        "associationId": number,
        "tags": dict(wanted.get("tags") or {}),
        "createdAt": now(),
        "modifiedAt": now(),
        "disableSessionTags": bool(wanted.get("disableSessionTags")),
        **({"ownerArn": owner} if owner else {}),
        **({"targetRoleArn": wanted["targetRoleArn"], "externalId": new_id()} if wanted.get("targetRoleArn") else {}),
        **({"policy": wanted["policy"]} if wanted.get("policy") else {}),
    }
    cluster.pod_identities[number] = shown
    return shown


def forget(cluster: Cluster, arns: list[str]) -> None:
    """Take associations away, by their ARNs."""
    for number, shown in list(cluster.pod_identities.items()):
        if shown["associationArn"] in arns:
            del cluster.pod_identities[number]


def _association(cluster: Cluster, number: str) -> dict[str, Any]:
    if number not in cluster.pod_identities:
        raise not_found(f"No association found with id: {number}", clusterName=cluster.name)
    return cluster.pod_identities[number]


@operation
def create_pod_identity_association(account: Account, parameters: Parameters) -> Result:
    """On record and shown; Pods get no credentials by it in this lab."""
    return {"association": put(account, clusters.active(account, parameters["clusterName"]), parameters)}


@operation
def describe_pod_identity_association(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return {"association": _association(account.cluster(parameters["clusterName"]), parameters["associationId"])}


@operation
def list_pod_identity_associations(account: Account, parameters: Parameters) -> Result:
    """Works."""
    found = account.cluster(parameters["clusterName"]).pod_identities.values()
    for key in ("namespace", "serviceAccount"):
        found = [one for one in found if one[key] == parameters.get(key, one[key])]  # type: ignore[assignment]
    keys = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId", "ownerArn")
    return pages([{key: one[key] for key in keys if key in one} for one in found], parameters, "associations")


@operation
def update_pod_identity_association(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster = clusters.active(account, parameters["clusterName"])
    shown = _association(cluster, parameters["associationId"])
    if parameters.get("roleArn"):
        shown["roleArn"] = clusters.role(parameters["roleArn"], clusterName=cluster.name)
    shown |= {
        key: parameters[key] for key in ("disableSessionTags", "targetRoleArn", "policy") if parameters.get(key) is not None
    }
    shown["modifiedAt"] = now()
    return {"association": shown}


@operation
def delete_pod_identity_association(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster = account.cluster(parameters["clusterName"])
    shown = _association(cluster, parameters["associationId"])
    del cluster.pod_identities[parameters["associationId"]]
    return {"association": shown}
