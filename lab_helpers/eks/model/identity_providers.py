"""OIDC identity providers of a cluster: one at most, as on EKS."""

from __future__ import annotations

from typing import Any

from lab_helpers.eks.model import clusters, updates
from lab_helpers.eks.model.account import Account, Cluster, new_id
from lab_helpers.eks.model.errors import EksError, in_use, invalid, not_found
from lab_helpers.eks.model.jobs import job, start
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages


@operation
def associate_identity_provider_config(account: Account, parameters: Parameters) -> Result:
    """On record and shown; the API server is not told of the issuer, which it could not reach."""
    cluster, oidc = clusters.active(account, parameters["clusterName"]), parameters["oidc"]
    name = oidc["identityProviderConfigName"]
    if name in cluster.identity_providers:
        raise in_use(f"Identity provider config already exists with name: {name}", clusterName=cluster.name)
    if cluster.identity_providers:
        raise EksError("InvalidRequestException", "A cluster can have one OIDC identity provider.", clusterName=cluster.name)
    if not oidc["issuerUrl"].startswith("https://"):
        raise invalid("The issuerUrl must start with https://", clusterName=cluster.name)
    tags = dict(parameters.get("tags") or {})
    update = updates.begin(cluster, "AssociateIdentityProviderConfig", {"IdentityProviderConfig": oidc})
    cluster.identity_providers[name] = {
        **oidc,
        "identityProviderConfigArn": account.arn("identityproviderconfig", cluster.name, "oidc", name, new_id()),
        "clusterName": cluster.name,
        "tags": tags,
        "status": "CREATING",
    }
    start(account, change_provider, cluster.name, name, update.shown["id"], "ACTIVE")
    return {"update": update.shown, "tags": tags}


@job
def change_provider(account: Account, cluster_name: str, name: str, number: str, status: str) -> None:
    """CREATING → ACTIVE, or DELETING → gone."""
    cluster = account.clusters.get(cluster_name)
    if cluster is None:
        return

    def work() -> list[dict[str, Any]]:
        if status == "ACTIVE":
            cluster.identity_providers[name]["status"] = status
        else:
            cluster.identity_providers.pop(name, None)
        return []

    updates.carry_out(cluster.updates[number], work)


def _provider(cluster: Cluster, wanted: dict[str, str]) -> dict[str, Any]:
    if wanted["type"] != "oidc" or wanted["name"] not in cluster.identity_providers:
        words = f"No identity provider config found with type {wanted['type']} and name {wanted['name']}"
        raise not_found(words, clusterName=cluster.name)
    return cluster.identity_providers[wanted["name"]]


@operation
def describe_identity_provider_config(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster = account.cluster(parameters["clusterName"])
    return {"identityProviderConfig": {"oidc": _provider(cluster, parameters["identityProviderConfig"])}}


@operation
def list_identity_provider_configs(account: Account, parameters: Parameters) -> Result:
    """Works."""
    names = sorted(account.cluster(parameters["clusterName"]).identity_providers)
    return pages([{"type": "oidc", "name": name} for name in names], parameters, "identityProviderConfigs")


@operation
def disassociate_identity_provider_config(account: Account, parameters: Parameters) -> Result:
    """Works."""
    cluster = clusters.active(account, parameters["clusterName"])
    shown = _provider(cluster, parameters["identityProviderConfig"])
    name = shown["identityProviderConfigName"]
    update = updates.begin(cluster, "DisassociateIdentityProviderConfig", {"IdentityProviderConfig": name})
    shown["status"] = "DELETING"
    start(account, change_provider, cluster.name, name, update.shown["id"], "")
    return {"update": update.shown}
