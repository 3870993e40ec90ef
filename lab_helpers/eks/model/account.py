"""What the account holds of EKS, as plain values: moto's backend for the service, one for each region.

What a `describe` call shows is kept as the very dict of that call (`shown`), with the names of botocore's model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from moto.eks import models, urls

from lab_helpers.eks.model.errors import not_found

Shown = dict[str, Any]


def now() -> datetime:
    """The time, as the API gives it."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Update:
    """One update of a cluster, a node group or an add-on.

    Attributes:
        shown: what DescribeUpdate answers.
        of: `""` for the cluster, `nodegroup/NAME` or `addon/NAME`.
        cancel: whether somebody asked that it ends early.
    """

    shown: Shown
    of: str = ""
    cancel: bool = False


@dataclass
class Nodegroup:
    """A managed node group.

    Attributes:
        shown: what DescribeNodegroup answers.
        group: name of its Auto Scaling group.
        template: id of the launch template that EKS made for it.
        image: id of the AMI that its next instance starts from.
        instances: id → Kubernetes version and release of the AMI that the instance was started from.
        rolling: an update replaces its nodes: surplus instances are meant.
    """

    shown: Shown
    group: str
    template: str = ""
    image: str = ""
    instances: dict[str, tuple[str, str]] = field(default_factory=dict)
    rolling: bool = False


@dataclass
class Entry:
    """An access entry, with the policies that are associated: ARN → what ListAssociatedAccessPolicies answers."""

    shown: Shown
    policies: dict[str, Shown] = field(default_factory=dict)


@dataclass
class Cluster:
    """A cluster.

    Attributes:
        shown: what DescribeCluster answers.
        local: its name among the lab's clusters.
        provider: who makes it there.
        creator: ARN of the principal that made it.
        nodes: Kubernetes node → instance id, of every node that the lab has put there.
        fargate_nodes: Kubernetes node → `namespace/pod` of its only Pod.
        network: whether it ever had `aws-node`; see pod_network.
        volumes: a claim's uid → the EBS volume or EFS access point that was made for it.
    """

    shown: Shown
    local: str
    provider: str
    creator: str = ""
    nodegroups: dict[str, Nodegroup] = field(default_factory=dict)
    fargate: dict[str, Shown] = field(default_factory=dict)
    addons: dict[str, Shown] = field(default_factory=dict)
    access: dict[str, Entry] = field(default_factory=dict)
    updates: dict[str, Update] = field(default_factory=dict)
    pod_identities: dict[str, Shown] = field(default_factory=dict)
    identity_providers: dict[str, Shown] = field(default_factory=dict)
    insights: dict[str, Shown] = field(default_factory=dict)
    refresh: Shown = field(default_factory=dict)
    authorities: dict[str, Shown] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    fargate_nodes: dict[str, str] = field(default_factory=dict)
    balancers: dict[str, str] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    network: bool = False

    @property
    def name(self) -> str:
        """The name in EKS."""
        return str(self.shown["name"])

    @property
    def status(self) -> str:
        """CREATING, ACTIVE, UPDATING, DELETING, FAILED or PENDING."""
        return str(self.shown["status"])

    @property
    def version(self) -> str:
        """Its Kubernetes minor, for instance `1.36`."""
        return str(self.shown["version"])


class Account(models.EKSBackend):  # type: ignore[misc]
    """EKS in one region of the account."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.clusters: dict[str, Cluster] = {}
        self.jobs: dict[str, tuple[str, tuple[Any, ...]]] = {}
        self.published = False

    @property
    def _url_module(self) -> Any:
        return urls

    def arn(self, kind: str, *parts: str) -> str:
        """An ARN of EKS in this region."""
        return f"arn:{self.partition}:eks:{self.region_name}:{self.account_id}:{'/'.join((kind, *parts))}"

    def cluster(self, name: str) -> Cluster:
        """A cluster by its name.

        Raises:
            EksError: there is none.
        """
        if name not in self.clusters:
            raise not_found(f"No cluster found for name: {name}.", clusterName=name)
        return self.clusters[name]

    def nodegroup(self, cluster: str, name: str) -> Nodegroup:
        """A node group by its name.

        Raises:
            EksError: there is none.
        """
        groups = self.cluster(cluster).nodegroups
        if name not in groups:
            raise not_found(f"No node group found for name: {name}.", clusterName=cluster, nodegroupName=name)
        return groups[name]

    def tagged(self) -> Iterator[Shown]:
        """Everything that can carry tags, as shown."""
        for cluster in self.clusters.values():
            yield cluster.shown
            yield from (group.shown for group in cluster.nodegroups.values())
            yield from (entry.shown for entry in cluster.access.values())
            for some in (cluster.fargate, cluster.addons, cluster.pod_identities, cluster.identity_providers):
                yield from some.values()


def new_id() -> str:
    """A UUID."""
    return str(uuid4())
