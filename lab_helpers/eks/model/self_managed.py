"""Self-managed nodes: instances that the learner starts, with the tag `kubernetes.io/cluster/NAME`.

They join as at work: only if the role of their instance profile may (a mapping in aws-auth, or an access entry of type
EC2_LINUX). An instance without one runs, costs, and never appears in `kubectl get nodes`.
"""

from __future__ import annotations

from typing import Any

from lab_helpers.eks.model import aws_auth
from lab_helpers.eks.model.account import Account, Cluster
from lab_helpers.eks.model.network import ec2


def running(account: Account, cluster: Cluster) -> list[Any]:
    """The instances that may join this cluster."""
    tag = f"kubernetes.io/cluster/{cluster.name}"
    found = []
    for reservation in list(ec2(account).reservations.values()):
        for instance in list(reservation.instances):
            if instance.state == "running" and tag in tags(account, instance) and _may_join(account, cluster, instance):
                found.append(instance)
    return found


def _may_join(account: Account, cluster: Cluster, instance: Any) -> bool:
    arns = roles(account, instance)
    if any(entry.shown["type"] == "EC2_LINUX" and arn in arns for arn, entry in cluster.access.items()):
        return bool(cluster.shown["accessConfig"]["authenticationMode"] != "CONFIG_MAP")
    if cluster.shown["accessConfig"]["authenticationMode"] == "API" or not arns:
        return False
    return bool(set(arns) & set(aws_auth.node_roles(cluster)))


def roles(account: Account, instance: Any) -> list[str]:
    """ARNs of the roles of an instance's profile."""
    found = list(ec2(account).iam_instance_profile_associations.values())
    return [role.arn for one in found if one.instance.id == instance.id for role in one.iam_instance_profile.roles]


def tags(account: Account, instance: Any) -> dict[str, str]:
    """An instance's tags."""
    return dict(ec2(account).tags.get(instance.id, {}))


def labels(account: Account, instance: Any) -> dict[str, str]:
    """Labels that the AMI's bootstrap is told by tags of cluster-autoscaler's form."""
    prefix = "k8s.io/cluster-autoscaler/node-template/label/"
    return {key.removeprefix(prefix): value for key, value in tags(account, instance).items() if key.startswith(prefix)}
