"""Self-managed nodes: instances that the learner or Karpenter starts, with the tag `kubernetes.io/cluster/NAME`.

They join as at work: only if the role of their instance profile may (a mapping in aws-auth, or an access entry of type
EC2_LINUX). An instance without one runs, costs, and never appears in `kubectl get nodes`.
"""

from __future__ import annotations

from typing import Any

from moto.core.utils import utcnow

from lab_helpers.eks.model import aws_auth, bootstrap
from lab_helpers.eks.model.account import Account, Cluster
from lab_helpers.eks.model.network import ec2

BOOT_SECONDS = 3.0
"""From the start of an instance with a NodeConfig until its kubelet registers; 30 to 60 s at AWS."""


def running(account: Account, cluster: Cluster) -> list[Any]:
    """The instances that may join this cluster, and have booted."""
    tag = f"kubernetes.io/cluster/{cluster.name}"
    found = []
    for reservation in list(ec2(account).reservations.values()):
        for instance in list(reservation.instances):
            if instance.state == "running" and tag in tags(account, instance) and _booted(cluster, instance):
                found.append(instance)
    if not found:
        return []
    held = _roles(account)
    return [instance for instance in found if _may_join(cluster, held.get(instance.id, []))]


def _booted(cluster: Cluster, instance: Any) -> bool:
    config = bootstrap.read(instance)
    if config is None:
        return True
    return config.cluster == cluster.name and (utcnow() - instance.launch_time).total_seconds() >= BOOT_SECONDS


def _may_join(cluster: Cluster, arns: list[str]) -> bool:
    if any(entry.shown["type"] == "EC2_LINUX" and arn in arns for arn, entry in cluster.access.items()):
        return bool(cluster.shown["accessConfig"]["authenticationMode"] != "CONFIG_MAP")
    if cluster.shown["accessConfig"]["authenticationMode"] == "API" or not arns:
        return False
    return bool(set(arns) & set(aws_auth.node_roles(cluster)))


def _roles(account: Account) -> dict[str, list[str]]:
    """Instance's id → ARNs of the roles of its profile."""
    found = dict[str, list[str]]()
    for one in list(ec2(account).iam_instance_profile_associations.values()):
        found.setdefault(one.instance.id, []).extend(role.arn for role in one.iam_instance_profile.roles)
    return found


def tags(account: Account, instance: Any) -> dict[str, str]:
    """An instance's tags."""
    return dict(ec2(account).tags.get(instance.id, {}))


def labels(account: Account, instance: Any) -> dict[str, str]:
    """Labels that the AMI's bootstrap is told: by a NodeConfig, or by tags of cluster-autoscaler's form."""
    if config := bootstrap.read(instance):
        return dict(config.labels)
    prefix = "k8s.io/cluster-autoscaler/node-template/label/"
    return {key.removeprefix(prefix): value for key, value in tags(account, instance).items() if key.startswith(prefix)}
