"""Access entries and policies: who enters a cluster, as whom. Kept by EKS, not in the cluster.

They reach the cluster on two roads: the authenticator's file maps principals to users and groups, and each policy is a
ClusterRole with AWS's published rules (access_policies.yaml), bound to a group of its own.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lab_helpers.eks import callers, plane
from lab_helpers.eks.model.account import Account, Cluster, Entry, new_id, now
from lab_helpers.eks.model.errors import EksError, in_use, invalid, refused
from lab_helpers.eks.model.registry import Parameters
from lab_helpers.errors import KubernetesError

_RBAC = "rbac.authorization.k8s.io"
PREFIX = "arn:aws:eks::aws:cluster-access-policy/"
_MODES = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")  # a road with one direction
_NODES = {
    "EC2_LINUX": ["system:nodes"],
    "EC2_WINDOWS": ["eks:kube-proxy-windows", "system:nodes"],
    "FARGATE_LINUX": ["system:bootstrappers", "system:node-proxier", "system:nodes"],
    "HYBRID_LINUX": ["system:nodes"],
    "EC2": ["system:nodes"],
}
_TYPES = ("STANDARD", *_NODES)
_MOST = 500  # quota of EKS: access entries in a cluster
_ADMIN = PREFIX + "AmazonEKSClusterAdminPolicy"


@cache
def policies() -> dict[str, list[dict[str, Any]]]:
    """Policy's name → rules, as a ClusterRole has them. A policy whose rules are not known has none: it gives nothing."""
    return dict(yaml.safe_load((Path(__file__).parent / "access_policies.yaml").read_text())["policies"])


def settings(asked: dict[str, Any], name: str) -> dict[str, Any]:
    """accessConfig as shown.

    Raises:
        EksError: a combination that EKS refuses.
    """
    mode = asked.get("authenticationMode") or "CONFIG_MAP"
    creator_too = asked.get("bootstrapClusterCreatorAdminPermissions", True)
    if mode == "CONFIG_MAP" and not creator_too:
        words = "bootstrapClusterCreatorAdminPermissions must be true if cluster authentication mode is set to CONFIG_MAP"
        raise invalid(words, clusterName=name)
    return {"bootstrapClusterCreatorAdminPermissions": creator_too, "authenticationMode": mode}


def next_mode(cluster: Cluster, mode: str) -> str:
    """The mode, if the cluster can go there.

    Raises:
        EksError: it is the one that it has, or lies behind.
    """
    before = cluster.shown["accessConfig"]["authenticationMode"]
    step = _MODES.index(mode) - _MODES.index(before) if mode in _MODES else 0
    if step == 1:
        return mode
    raise invalid(f"Unsupported authentication mode update from {before} to {mode}", clusterName=cluster.name)


def creator(account: Account, cluster: Cluster) -> None:
    """Who makes a cluster is its administrator."""
    caller = callers.current()
    cluster.creator = caller.principal if caller else ""
    administrator(account, cluster)


def administrator(account: Account, cluster: Cluster) -> None:
    """The creator's entry, made when the cluster is or as soon as its mode knows entries; then it may be deleted."""
    known = cluster.shown["accessConfig"]["authenticationMode"] != "CONFIG_MAP"
    if known and cluster.creator and cluster.creator not in cluster.access:
        entry = _make(account, cluster, cluster.creator, "STANDARD", {})
        entry.policies[_ADMIN] = _associated(_ADMIN, {"type": "cluster", "namespaces": []})


def node_role(account: Account, cluster: Cluster, role: str, kind: str = "EC2_LINUX") -> None:
    """The role of a managed node group or a Fargate profile may join: EKS sees to that by itself."""
    if cluster.shown["accessConfig"]["authenticationMode"] != "CONFIG_MAP" and role not in cluster.access:
        _make(account, cluster, role, kind, {})
        apply(cluster)


def forget_node_role(account: Account, cluster: Cluster, role: str) -> None:
    """No managed node group uses the role any more: its entry goes."""
    used = {group.shown["nodeRole"] for group in cluster.nodegroups.values()}
    entry = cluster.access.get(role)
    if entry and entry.shown["type"] == "EC2_LINUX" and role not in used:
        del cluster.access[role]
        apply(cluster)


def entries(cluster: Cluster) -> dict[str, Any]:
    """What the authenticator is told: the access mode, and who is mapped by EKS itself.

    Returns:
        `mode`, and `mapUsers` and `mapRoles` as in aws-auth.
    """
    mode = cluster.shown["accessConfig"]["authenticationMode"]
    users: list[dict[str, Any]] = []
    roles: list[dict[str, Any]] = []
    rows = (
        {arn: (entry.shown["username"], groups(entry)) for arn, entry in cluster.access.items()} if mode != "CONFIG_MAP" else {}
    )
    if mode == "CONFIG_MAP" and cluster.creator:
        rows[cluster.creator] = ("kubernetes-admin", ["system:masters"])  # kept by EKS, seen nowhere
    for arn, (username, names) in rows.items():
        # STS tells of a role without its path.
        plain = f"{arn.split(':role/')[0]}:role/{arn.rsplit('/', 1)[-1]}" if ":role/" in arn else arn
        kind, rest = ("rolearn", roles) if ":role/" in arn else ("userarn", users)
        rest.append({kind: plain, "username": username, "groups": names})
    return {"mode": mode, "mapUsers": users, "mapRoles": roles}


def groups(entry: Entry) -> list[str]:
    """The Kubernetes groups of an entry: its own, and those that stand for its policies."""
    found = list(entry.shown["kubernetesGroups"])
    if entry.shown["type"] in _NODES:
        found = [*_NODES[entry.shown["type"]], *found]
    for arn, policy in entry.policies.items():
        scope = policy["accessScope"]
        names = [""] if scope["type"] == "cluster" else [f":{namespace}" for namespace in scope["namespaces"]]
        found += [f"eks-access:{arn.removeprefix(PREFIX)}{name}" for name in names]
    return found


def apply(cluster: Cluster) -> None:
    """Bring the entries to the cluster: to the authenticator, and as roles and bindings."""
    if plane.authenticator:
        plane.authenticator.write(cluster.local, entries(cluster))
    kube = plane.kube(cluster.local, cluster.provider)
    for entry in list(cluster.access.values()):
        for arn, policy in entry.policies.items():
            _bind(kube, arn.removeprefix(PREFIX), policy["accessScope"])


def _bind(kube: Any, name: str, scope: dict[str, Any]) -> None:
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"eks-access:{name}"},
        "rules": policies()[name],
    }
    kube.apply(role, force=True)
    for namespace in [""] if scope["type"] == "cluster" else scope["namespaces"]:
        group = f"eks-access:{name}{':' + namespace if namespace else ''}"
        binding: dict[str, Any] = {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
            "metadata": {"name": f"eks-access:{name}"},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": f"eks-access:{name}"},
            "subjects": [{"kind": "Group", "apiGroup": _RBAC, "name": group}],
        }
        try:
            kube.apply(binding, namespace=namespace or "default", force=True)
        except KubernetesError as error:
            # EKS takes scopes of namespaces that do not exist yet; they begin to hold when somebody looks again.
            if error.status != 404:
                raise


def put(account: Account, cluster: Cluster, wanted: Parameters) -> Entry:
    """Put an entry on record.

    Raises:
        EksError: what EKS refuses.
    """
    arn, kind, own = wanted["principalArn"], wanted.get("type") or "STANDARD", wanted.get("kubernetesGroups") or []
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] not in ("iam", "sts") or not parts[5].startswith(("user/", "role/")):
        raise invalid(f"The principalArn parameter format is not valid: {arn}", clusterName=cluster.name)
    if kind not in _TYPES:
        raise invalid(f"The type parameter {kind} is not valid. Allowed: {', '.join(_TYPES)}", clusterName=cluster.name)
    if kind != "STANDARD" and (own or wanted.get("username")):
        words = "The kubernetesGroups and username parameters can only be set for entries of type STANDARD"
        raise invalid(words, clusterName=cluster.name)
    checked(cluster, own, wanted.get("username"))
    if arn in cluster.access:
        raise in_use("The specified access entry resource is already in use on this cluster.", clusterName=cluster.name)
    if len(cluster.access) >= _MOST:
        raise EksError("ResourceLimitExceededException", f"Access entry limit exceeded: {_MOST}.", clusterName=cluster.name)
    return _make(account, cluster, arn, kind, wanted)


def checked(cluster: Cluster, own: list[str], username: str | None) -> None:
    """Refuse names that belong to Kubernetes or AWS.

    Raises:
        EksError: one of them begins so.
    """
    for group in own:
        if group.startswith(("system:", "eks:", "aws:", "amazon:", "iam:")):
            words = f"The kubernetes group name {group} is invalid, it cannot start with {group.partition(':')[0]}:"
            raise invalid(words, clusterName=cluster.name)
    if username and username.startswith(("system:", "eks:", "aws:", "amazon:", "iam:")):
        raise invalid(
            f"The username {username} is invalid, it cannot start with {username.partition(':')[0]}:", clusterName=cluster.name
        )


def _make(account: Account, cluster: Cluster, arn: str, kind: str, wanted: Parameters) -> Entry:
    if kind != "STANDARD":
        username = "system:node:{{SessionName}}" if kind == "FARGATE_LINUX" else "system:node:{{EC2PrivateDNSName}}"
    elif ":role/" in arn:
        owner, name = arn.split(":")[4], arn.rsplit("/", 1)[-1]
        username = f"arn:aws:sts::{owner}:assumed-role/{name}/{{{{SessionName}}}}"
    else:
        username = arn
    form, _, path = arn.split(":", 5)[5].partition("/")
    shown = {
        "clusterName": cluster.name,
        "principalArn": arn,
        "kubernetesGroups": list(wanted.get("kubernetesGroups") or []),
        "accessEntryArn": account.arn("access-entry", cluster.name, form, arn.split(":")[4], path, new_id()),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(wanted.get("tags") or {}),
        "username": wanted.get("username") or username,
        "type": kind,
    }
    cluster.access[arn] = Entry(shown)
    return cluster.access[arn]


def remove(cluster: Cluster, arn: str) -> None:
    """Take an entry away; there is none: nothing."""
    if cluster.access.pop(arn, None):
        apply(cluster)


def _associated(arn: str, scope: dict[str, Any]) -> dict[str, Any]:
    return {"policyArn": arn, "accessScope": scope, "associatedAt": now(), "modifiedAt": now()}


def associate(cluster: Cluster, entry: Entry, arn: str, scope: dict[str, Any]) -> dict[str, Any]:
    """Associate a policy.

    Raises:
        EksError: no such policy, or a scope that cannot be.
    """
    if not arn.startswith(PREFIX) or arn.removeprefix(PREFIX) not in policies():
        raise invalid(f"The policyArn parameter format is not valid: {arn}", clusterName=cluster.name)
    kind, namespaces = scope.get("type") or "cluster", list(scope.get("namespaces") or [])
    if (kind == "namespace") != bool(namespaces):
        words = (
            "at least one namespace must be specified"
            if kind == "namespace"
            else "namespaces can only be given with the type namespace"
        )
        raise invalid(f"The accessScope is not valid: {words}", clusterName=cluster.name)
    if entry.shown["type"] not in ("STANDARD", "EC2"):
        raise refused(
            f"Access policies cannot be associated with entries of type {entry.shown['type']}", clusterName=cluster.name
        )
    before = entry.policies.get(arn)
    entry.policies[arn] = _associated(arn, {"type": kind, "namespaces": namespaces})
    if before:
        entry.policies[arn]["associatedAt"] = before["associatedAt"]
    return entry.policies[arn]
