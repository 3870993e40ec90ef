"""The account in a lab: clients of its services, what it would cost, pictures of it, and the console's form."""

from __future__ import annotations

from typing import Any

from lab_helpers.eks import meter
from lab_helpers.teaching import bill, cloud, panels, token_path
from lab_helpers.teaching.console import Console
from lab_helpers.views import vpc_map


class Aws:
    """The account. Called with a service's name, boto3's client for it: `lab.aws("eks")`."""

    def __init__(self) -> None:
        self._meter: bill.Meter | None = None

    def __call__(self, service: str) -> Any:
        return cloud.client(service)

    def bill(self) -> bill.Bill:
        """What the account runs now, and what that would cost on AWS."""
        return bill.Bill(meter.count(_quietly))

    def meter(self) -> None:
        """A meter that goes on beside the lab until it is closed: dollars an hour, and so far."""
        self.leave()
        self._meter = bill.Meter(_quietly)

    def vpc(self, name: str) -> None:
        """Draw the VPC of an EKS cluster, with everything that the account lists in it."""
        panels.picture(vpc_map(**_parts(name)))

    def console(self, name: str) -> Console:
        """The form of the AWS console in which a cluster is created."""
        form = Console(cloud.client, name)
        form.show()
        return form

    def token_path(self, *, last: float = 120, brought: bool = False) -> None:
        """Draw the way of kubectl's latest request into the EKS cluster that the lab looks at: token, webhook, STS, rights.

        Args:
            last: so many seconds are looked at.
            brought: kubectl was given its token by `--token`.
        """
        from lab_helpers.teaching import room

        panels.picture(token_path.latest(room.current(), last, brought))

    def leave(self) -> None:
        """The lab ends: nothing asks the account any more."""
        if self._meter:
            self._meter.stop()
            self._meter = None


def _quietly(service: str) -> Any:
    return cloud.client(service, cloud.QUIET)


def _parts(name: str) -> dict[str, Any]:
    """What the account says of a cluster's VPC, as vpc_map takes it."""
    cluster = _quietly("eks").describe_cluster(name=name)["cluster"]
    vpc, ec2 = cluster["resourcesVpcConfig"]["vpcId"], _quietly("ec2")
    mine = [{"Name": "vpc-id", "Values": [vpc]}]
    running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    balancers = _quietly("elbv2").describe_load_balancers()["LoadBalancers"]
    return {
        "cluster": cluster,
        "vpc": ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0],
        "subnets": ec2.describe_subnets(Filters=mine)["Subnets"],
        "tables": ec2.describe_route_tables(Filters=mine)["RouteTables"],
        "interfaces": ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"],
        "gateways": ec2.describe_nat_gateways(Filters=mine)["NatGateways"],
        "instances": [
            one
            for reservation in ec2.describe_instances(Filters=[*mine, *running])["Reservations"]
            for one in reservation["Instances"]
        ],
        "balancers": [one for one in balancers if one["VpcId"] == vpc],
    }
