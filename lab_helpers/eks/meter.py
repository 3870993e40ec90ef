"""What the account runs would cost on AWS: counted from what its own services list, priced by prices.yaml.

The counting takes boto3 clients and so sees just what a learner's `aws` sees; nothing here knows how the endpoint works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from lab_helpers.eks.prices import on_demand, spot, table

Client = Callable[[str], Any]
"""Service's name → boto3 client."""

_HOURS = 730.0  # in a month


@dataclass(frozen=True)
class Item:
    """One thing that costs.

    Attributes:
        kind: what it is, for instance `instance t3.medium`.
        name: its id or name.
        hourly: dollars an hour; None: prices.yaml has no price of it.
        since: when it began, or None where the service does not say.
    """

    kind: str
    name: str
    hourly: float | None
    since: datetime | None = None

    def cost(self, now: datetime) -> float:
        """Dollars so far."""
        hours = max(0.0, (now - self.since).total_seconds() / 3600) if self.since else 0.0
        return hours * (self.hourly or 0.0)


def prices() -> dict[str, Any]:
    """prices.yaml."""
    return table()


def count(client: Client, day: date | None = None) -> list[Item]:
    """Everything in the account that costs by the hour.

    Args:
        day: for what is in extended support by then; default: today.
    """
    day = day or datetime.now(UTC).date()
    return [*_clusters(client, day), *_ec2(client), *_balancers(client)]


def hourly(items: Iterable[Item]) -> float:
    """Dollars an hour; what has no price counts nothing, see Item.hourly."""
    return sum(item.hourly or 0.0 for item in items)


def so_far(items: Iterable[Item], now: datetime | None = None) -> float:
    """Dollars until now, of what is still there."""
    now = now or datetime.now(UTC)
    return sum(item.cost(now) for item in items)


def _clusters(client: Client, day: date) -> list[Item]:
    eks, table, found = client("eks"), prices(), []
    rows = eks.describe_cluster_versions(includeAll=True)["clusterVersions"]
    extended = {row["clusterVersion"]: row["endOfStandardSupportDate"].date() <= day for row in rows}
    for name in eks.list_clusters()["clusters"]:
        cluster = eks.describe_cluster(name=name)["cluster"]
        late = extended.get(cluster["version"], False)
        price = table["cluster_extended" if late else "cluster"]
        kind = "control plane, extended support" if late else "control plane"
        found.append(Item(kind, name, price, cluster["createdAt"]))
    return found


def _ec2(client: Client) -> list[Item]:
    ec2, table, found = client("ec2"), prices(), []
    for reservation in ec2.describe_instances()["Reservations"]:
        for one in reservation["Instances"]:
            if one["State"]["Name"] in ("pending", "running"):
                kind, market = one["InstanceType"], one.get("InstanceLifecycle") == "spot"
                price = spot(kind, one["Placement"]["AvailabilityZone"]) if market else on_demand(kind)
                title = f"{'spot ' if market else ''}instance {kind}"
                found.append(Item(title, one["InstanceId"], price, one["LaunchTime"]))
    for one in ec2.describe_nat_gateways()["NatGateways"]:
        if one["State"] in ("pending", "available"):
            found.append(Item("NAT gateway", one["NatGatewayId"], table["nat_gateway"], one.get("CreateTime")))
    found += [
        Item("public IPv4 address", one["PublicIp"], table["public_ipv4"]) for one in ec2.describe_addresses()["Addresses"]
    ]
    for one in ec2.describe_volumes()["Volumes"]:
        price = one["Size"] * table["ebs_gb_month"] / _HOURS
        found.append(Item(f"EBS volume, {one['Size']} GB", one["VolumeId"], price, one["CreateTime"]))
    return found


def _balancers(client: Client) -> list[Item]:
    table = prices()
    found = [
        Item(f"{one['Type']} load balancer", one["LoadBalancerName"], table["load_balancer"], one.get("CreatedTime"))
        for one in client("elbv2").describe_load_balancers()["LoadBalancers"]
    ]
    for one in client("elb").describe_load_balancers()["LoadBalancerDescriptions"]:
        price = table["classic_load_balancer"]
        found.append(Item("classic load balancer", one["LoadBalancerName"], price, one.get("CreatedTime")))
    return found
