"""The API's operations on access entries and policies."""

from __future__ import annotations

from lab_helpers.eks.model import access, clusters
from lab_helpers.eks.model.account import Account, Cluster, Entry, now
from lab_helpers.eks.model.errors import not_found, refused
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages


def _with_api(account: Account, name: str) -> Cluster:
    cluster = account.cluster(name)
    if cluster.shown["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        words = "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation."
        raise refused(words, clusterName=name)
    return clusters.active(account, name)


def _entry(cluster: Cluster, arn: str) -> Entry:
    if arn not in cluster.access:
        hint = "You can view your available access entries with 'list-access-entries'."
        words = f"The specified principalArn could not be found. {hint} Seen: {arn}"
        raise not_found(words, clusterName=cluster.name)
    return cluster.access[arn]


@operation
def create_access_entry(account: Account, parameters: Parameters) -> Result:
    """Works; the authenticator knows the principal at once."""
    cluster = _with_api(account, parameters["clusterName"])
    entry = access.put(account, cluster, parameters)
    access.apply(cluster)
    return {"accessEntry": entry.shown}


@operation
def describe_access_entry(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return {"accessEntry": _entry(_with_api(account, parameters["clusterName"]), parameters["principalArn"]).shown}


@operation
def list_access_entries(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster, policy = _with_api(account, parameters["clusterName"]), parameters.get("associatedPolicyArn")
    arns = [arn for arn, entry in cluster.access.items() if not policy or policy in entry.policies]
    return pages(sorted(arns), parameters, "accessEntries")


@operation
def update_access_entry(account: Account, parameters: Parameters) -> Result:
    """Works; acts at once."""
    cluster = _with_api(account, parameters["clusterName"])
    entry = _entry(cluster, parameters["principalArn"])
    changed = {key: parameters[key] for key in ("kubernetesGroups", "username") if parameters.get(key) is not None}
    if changed and entry.shown["type"] != "STANDARD":
        raise refused("Only entries of type STANDARD can be updated", clusterName=cluster.name)
    access.checked(cluster, changed.get("kubernetesGroups", []), changed.get("username"))
    entry.shown |= {**changed, "modifiedAt": now()}
    access.apply(cluster)
    return {"accessEntry": entry.shown}


@operation
def delete_access_entry(account: Account, parameters: Parameters) -> Result:
    """Works; acts at once."""
    cluster = _with_api(account, parameters["clusterName"])
    _entry(cluster, parameters["principalArn"])
    access.remove(cluster, parameters["principalArn"])
    return {}


@operation
def associate_access_policy(account: Account, parameters: Parameters) -> Result:
    """AWS's published rules as a ClusterRole; a policy whose rules are not published gives nothing."""
    cluster = _with_api(account, parameters["clusterName"])
    entry = _entry(cluster, parameters["principalArn"])
    shown = access.associate(cluster, entry, parameters["policyArn"], parameters["accessScope"])
    access.apply(cluster)
    return {"clusterName": cluster.name, "principalArn": parameters["principalArn"], "associatedAccessPolicy": shown}


@operation
def disassociate_access_policy(account: Account, parameters: Parameters) -> Result:
    """Works; acts at once."""
    cluster = _with_api(account, parameters["clusterName"])
    entry = _entry(cluster, parameters["principalArn"])
    if entry.policies.pop(parameters["policyArn"], None) is None:
        raise not_found(f"The policy {parameters['policyArn']} is not associated", clusterName=cluster.name)
    access.apply(cluster)
    return {}


@operation
def list_associated_access_policies(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster = _with_api(account, parameters["clusterName"])
    entry = _entry(cluster, parameters["principalArn"])
    page = pages(list(entry.policies.values()), parameters, "associatedAccessPolicies")
    return {"clusterName": cluster.name, "principalArn": parameters["principalArn"], **page}


@operation
def list_access_policies(account: Account, parameters: Parameters) -> Result:
    """The policies that AWS publishes; those without rules here give nothing."""
    rows = [{"name": name, "arn": access.PREFIX + name} for name in sorted(access.policies())]
    # The operation has no error for a token that nobody gave: it begins at the start.
    token = str(parameters.get("nextToken") or "")
    return pages(rows, {**parameters, "nextToken": token if token.isdigit() else None}, "accessPolicies")
