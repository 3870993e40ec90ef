"""Node groups that are AWS Auto Scaling groups: found by their tags, moved by their desired capacity.

As upstream (kubernetes/autoscaler, cluster-autoscaler/cloudprovider/aws): auto_scaling_groups.go finds and moves them,
aws_manager.go makes the template of a node that is not there yet, managed_nodegroup_cache.go asks EKS for labels and taints.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lab_helpers.autoscaling.room import Object
from lab_helpers.clusters import NodeShape, kwok
from lab_helpers.eks import shapes
from lab_helpers.errors import ClusterError, SettingError

Client = Callable[[str], Any]
"""Service's name → boto3 client."""

TEMPLATE = "k8s.io/cluster-autoscaler/node-template/"
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
_TEMPLATES_LAST = 60.0  # seconds: what EKS and EC2 said of a group is asked again after that (upstream: a minute)


def clients() -> Client:
    """boto3's clients, as the environment has region, keys and proxy."""
    import boto3
    from botocore.config import Config

    session, made = boto3.Session(), dict[str, Any]()

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.client(service, config=Config(retries={"total_max_attempts": 2}, read_timeout=30))
        return made[service]

    return client


def wanted_tags(discovery: Iterable[str]) -> list[str]:
    """Tags from `--node-group-auto-discovery asg:tag=one,two`.

    Raises:
        SettingError: it is written otherwise.
    """
    tags = list[str]()
    for text in discovery:
        found = re.fullmatch(r"asg:tag=(.+)", text)
        if not found:
            step = "--node-group-auto-discovery asg:tag=k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/NAME"
            raise SettingError(f"{text!r} finds no groups.", next_step=step)
        tags += found[1].split(",")
    return tags


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """What AWS refuses, and an AWS that does not answer, as an error of the lab: the loop logs it and tries again."""
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        raise ClusterError(f"AWS refused {what}.", f"{said.get('Code', '')}: {said.get('Message', '')}") from None
    except BotoCoreError as error:
        raise ClusterError(f"AWS did not answer {what}.", str(error)) from None


class Discovery:
    """The groups that carry all of these tags; called at each scan.

    Args:
        client: boto3's clients.
        tags: `KEY`, or `KEY=VALUE`.
    """

    def __init__(self, client: Client, tags: Iterable[str]) -> None:
        self._client, self._tags = client, [tag.partition("=") for tag in tags]
        self._templates: dict[str, tuple[float, Object]] = {}

    def __call__(self) -> list[ScalingGroup]:
        """The groups as they are now, by name."""
        filters = [
            {"Name": f"tag:{key}", "Values": [value]} if equals else {"Name": "tag-key", "Values": [key]}
            for key, equals, value in self._tags
        ]
        with _asking("DescribeAutoScalingGroups"):
            pages = self._client("autoscaling").get_paginator("describe_auto_scaling_groups").paginate(Filters=filters)
            rows = [row for page in pages for row in page["AutoScalingGroups"] if self._tagged(row)]
        rows.sort(key=lambda row: str(row["AutoScalingGroupName"]))
        return [ScalingGroup(row, self._template(row), self._client) for row in rows]

    def _tagged(self, row: Object) -> bool:
        """Whether a group carries every tag; several filters of AWS's mean the same."""
        there = tags(row)
        return all(key in there and (not equals or there[key] == value) for key, equals, value in self._tags)

    def _template(self, row: Object) -> Object:
        name, now = str(row["AutoScalingGroupName"]), time.monotonic()
        at, found = self._templates.get(name, (float("-inf"), {}))
        if now - at > _TEMPLATES_LAST:
            found = template(row, self._client)
            self._templates[name] = now, found
        return found


class ScalingGroup:
    """One Auto Scaling group; see options.Group for what it does.

    Args:
        row: as DescribeAutoScalingGroups shows it.
        template: the Node object that a new instance would become.
    """

    def __init__(self, row: Object, template: Object, client: Client) -> None:
        self.name: str = row["AutoScalingGroupName"]
        self.minimum: int = row["MinSize"]
        self.maximum: int = row["MaxSize"]
        self._size: int = row["DesiredCapacity"]
        self._template, self._client = template, client
        self._instances = {str(one["InstanceId"]) for one in row["Instances"]}

    @property
    def size(self) -> int:
        """The desired capacity."""
        return self._size

    @property
    def template(self) -> Object:
        """The node that would come next."""
        return self._template

    def holds(self, node: Object) -> bool:
        """Whether a node's instance is one of the group: `spec.providerID` ends with the instance's id."""
        return str(node.get("spec", {}).get("providerID", "")).rpartition("/")[2] in self._instances

    def set_desired(self, size: int) -> None:
        """SetDesiredCapacity."""
        with _asking("SetDesiredCapacity"):
            self._client("autoscaling").set_desired_capacity(
                AutoScalingGroupName=self.name, DesiredCapacity=size, HonorCooldown=False
            )
        self._size = size

    def delete(self, node: Object) -> None:
        """TerminateInstanceInAutoScalingGroup, with the decrement: without it the group would start another one."""
        number = str(node["spec"]["providerID"]).rpartition("/")[2]
        with _asking("TerminateInstanceInAutoScalingGroup"):
            self._client("autoscaling").terminate_instance_in_auto_scaling_group(
                InstanceId=number, ShouldDecrementDesiredCapacity=True
            )
        self._size -= 1
        self._instances.discard(number)


def tags(row: Object) -> dict[str, str]:
    """A group's tags."""
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in row.get("Tags", [])}


def template(row: Object, client: Client) -> Object:
    """The node that a group's next instance would become: its type's size, and labels and taints from what EKS knows of a
    managed node group, then from the group's node-template tags, which win.

    Raises:
        ClusterError: AWS refuses, or does not know the type.
    """
    there = tags(row)
    group = _managed(there, client)
    kind = _kind(row, group, client)
    if not kind:
        raise ClusterError(f"Nobody says what instances {row['AutoScalingGroupName']} would start.")
    with _asking("DescribeInstanceTypes"):
        [facts] = client("ec2").describe_instance_types(InstanceTypes=[kind])["InstanceTypes"]
    shape, zone = shapes.shape(facts), row["AvailabilityZones"][0] if row.get("AvailabilityZones") else ""
    labels = {
        "kubernetes.io/arch": shape.architecture,
        "node.kubernetes.io/instance-type": kind,
        "topology.kubernetes.io/region": zone[:-1],
        **({"eks.amazonaws.com/nodegroup": group["nodegroupName"]} if group else {}),
        **({"eks.amazonaws.com/capacityType": group["capacityType"]} if group else {}),
        **group.get("labels", {}),
        **_under("label/", there),
    }
    taints = [f"{t['key']}={t.get('value', '')}:{_EFFECTS[t['effect']]}" for t in group.get("taints", [])]
    taints += [f"{key}={value}" for key, value in _under("taint/", there).items()]
    more = _under("resources/", there)
    status = {"capacity": {**shape.capacity, **more}, "allocatable": {**shape.allocatable, **more}}
    name = f"template-node-for-{row['AutoScalingGroupName']}"
    return kwok.node(NodeShape(name, zone=zone, labels=labels, taints=tuple(taints), status=status))


def _under(prefix: str, there: dict[str, str]) -> dict[str, str]:
    whole = TEMPLATE + prefix
    return {key.removeprefix(whole): value for key, value in there.items() if key.startswith(whole)}


def _managed(there: dict[str, str], client: Client) -> Object:
    """What EKS says of the managed node group to which the Auto Scaling group belongs; empty: it belongs to none."""
    cluster, name = there.get("eks:cluster-name"), there.get("eks:nodegroup-name")
    if not cluster or not name:
        return {}
    with _asking("DescribeNodegroup"):
        return dict(client("eks").describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"])


def _kind(row: Object, group: Object, client: Client) -> str:
    """The instance type: of the mixed instances policy its first, else of the launch template, else what EKS says."""
    mixed = (row.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    for one in mixed.get("Overrides") or []:
        if one.get("InstanceType"):
            return str(one["InstanceType"])
    launch = row.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification")
    if launch:
        with _asking("DescribeLaunchTemplateVersions"):
            found = client("ec2").describe_launch_template_versions(
                LaunchTemplateId=launch["LaunchTemplateId"], Versions=[launch.get("Version") or "$Default"]
            )["LaunchTemplateVersions"]
        if found and found[0]["LaunchTemplateData"].get("InstanceType"):
            return str(found[0]["LaunchTemplateData"]["InstanceType"])
    return str((group.get("instanceTypes") or [""])[0])
