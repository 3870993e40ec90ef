"""What EKS puts into the customer's VPC for a cluster: a security group, and the control plane's network interfaces."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends
from werkzeug.exceptions import HTTPException

from lab_helpers.eks.model.account import Account, Cluster, new_id
from lab_helpers.eks.model.errors import invalid

_INTERFACES = 4  # EKS makes two to four
REFUSALS = (ServiceException, HTTPException)
"""What moto's other services raise."""


def ec2(account: Account) -> Any:
    """EC2 of the same region."""
    return ec2_backends[account.account_id][account.region_name]


def subnets(account: Account, ids: list[str], name: str) -> list[Any]:
    """The subnets, which must be there, in one VPC and in two zones.

    Raises:
        EksError: they are not.
    """
    found = []
    for subnet in ids:
        try:
            found.append(ec2(account).get_subnet(subnet))
        except REFUSALS:
            raise invalid(f"The subnet ID '{subnet}' does not exist", clusterName=name) from None
    if len({subnet.vpc_id for subnet in found}) > 1:
        raise invalid("Subnets must be in the same VPC", clusterName=name)
    if len({subnet.availability_zone for subnet in found}) < 2:
        raise invalid("Subnets specified must be in at least two different AZs", clusterName=name)
    return found


def settings(account: Account, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """resourcesVpcConfig as shown, with the cluster's security group made.

    Raises:
        EksError: subnets or security groups that EKS refuses.
    """
    if not wanted.get("subnetIds"):
        raise invalid("subnetIds must not be empty", clusterName=name)
    public, private = wanted.get("endpointPublicAccess", True), wanted.get("endpointPrivateAccess", False)
    if not public and not private:
        raise invalid("Private and public endpoint access cannot be false", clusterName=name)
    found = subnets(account, wanted["subnetIds"], name)
    for group in wanted.get("securityGroupIds") or []:
        if ec2(account).get_security_group_from_id(group) is None:
            raise invalid(f"The security group ID '{group}' does not exist", clusterName=name)
    return {
        "subnetIds": list(wanted["subnetIds"]),
        "securityGroupIds": list(wanted.get("securityGroupIds") or []),
        "clusterSecurityGroupId": _security_group(account, name, found[0].vpc_id),
        "vpcId": found[0].vpc_id,
        "endpointPublicAccess": public,
        "endpointPrivateAccess": private,
        "publicAccessCidrs": list(wanted.get("publicAccessCidrs") or (["0.0.0.0/0"] if public else [])),
    }


def _security_group(account: Account, name: str, vpc: str) -> str:
    tags = {
        "Name": (title := f"eks-cluster-sg-{name}-{int(new_id()[:8], 16)}"),
        f"kubernetes.io/cluster/{name}": "owned",
        "aws:eks:cluster-name": name,
    }
    words = "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes"
    words += ", as well as any managed workloads."
    group = ec2(account).create_security_group(title, words, vpc, tags=tags)
    inside = [{"GroupId": group.id}]
    ec2(account).authorize_security_group_ingress(group.id, "-1", None, None, [], source_groups=inside, vpc_id=vpc)
    return str(group.id)


def interfaces(account: Account, cluster: Cluster) -> list[Any]:
    """The control plane's network interfaces in the customer's subnets."""
    words = _words(cluster)
    return [eni for eni in list(ec2(account).enis.values()) if eni.description == words]


def _words(cluster: Cluster) -> str:
    return f"Amazon EKS {cluster.name}"


def attach(account: Account, cluster: Cluster) -> None:
    """Make the control plane's network interfaces, one in each zone first; those that are there stay."""
    vpc = cluster.shown["resourcesVpcConfig"]
    there = {eni.subnet.id for eni in interfaces(account, cluster)}
    by_zone: dict[str, Any] = {}
    for subnet in (ec2(account).get_subnet(one) for one in vpc["subnetIds"]):
        by_zone.setdefault(subnet.availability_zone, subnet)
    for subnet in list(by_zone.values())[:_INTERFACES]:
        if subnet.id not in there:
            groups = [vpc["clusterSecurityGroupId"], *vpc["securityGroupIds"]]
            ec2(account).create_network_interface(subnet, None, group_ids=groups, description=_words(cluster))


def detach(account: Account, cluster: Cluster) -> None:
    """Remove what `settings` and `attach` made."""
    for eni in interfaces(account, cluster):
        ec2(account).delete_network_interface(eni.id)
    if group := cluster.shown["resourcesVpcConfig"].get("clusterSecurityGroupId"):
        with suppress(*REFUSALS):  # somebody deleted it already
            ec2(account).delete_security_group(group_id=group)
