"""A node group's Auto Scaling group, its sizes, labels and taints."""

from __future__ import annotations

from typing import Any

from moto.autoscaling.models import autoscaling_backends

from lab_helpers.eks import plane
from lab_helpers.eks.model import nodes
from lab_helpers.eks.model.account import Account, Cluster, Nodegroup
from lab_helpers.eks.model.errors import invalid
from lab_helpers.errors import KubernetesError

_DRAIN_SECONDS = 30.0


def backend(account: Account) -> Any:
    """Auto Scaling of the same region."""
    return autoscaling_backends[account.account_id][account.region_name]


def checked(sizes: dict[str, int], members: dict[str, str]) -> dict[str, int]:
    """A scalingConfig that can be.

    Raises:
        EksError: in EKS's words.
    """
    least, most, desired = sizes["minSize"], sizes["maxSize"], sizes["desiredSize"]
    if most < 1:
        raise invalid("maxSize must be greater than 0", **members)
    if least > desired:
        raise invalid(f"Minimum capacity {least} can't be greater than desired size {desired}", **members)
    if desired > most:
        raise invalid(f"Desired capacity {desired} can't be greater than max size {most}", **members)
    return {"minSize": least, "maxSize": most, "desiredSize": desired}


def update_config(asked: dict[str, Any] | None, most: int, members: dict[str, str]) -> dict[str, Any]:
    """An updateConfig that can be; the default is one node at a time.

    Raises:
        EksError: in EKS's words.
    """
    asked = asked or {"maxUnavailable": 1}
    if "maxUnavailable" in asked and "maxUnavailablePercentage" in asked:
        raise invalid("maxUnavailable and maxUnavailablePercentage cannot be used together", **members)
    if not 1 <= asked.get("maxUnavailable", 1) <= max(most, 1):
        raise invalid("max-unavailable must be within the range 1 and max size of the node group", **members)
    return dict(asked)


def make(account: Account, cluster: Cluster, group: Nodegroup) -> None:
    """Make the Auto Scaling group, with its instances."""
    shown, name = group.shown, group.group
    tags = {
        "eks:cluster-name": cluster.name,
        "eks:nodegroup-name": shown["nodegroupName"],
        f"kubernetes.io/cluster/{cluster.name}": "owned",
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{cluster.name}": "owned",
    }
    rows = [
        {"Key": key, "Value": value, "PropagateAtLaunch": "true", "ResourceId": name, "ResourceType": "auto-scaling-group"}
        for key, value in tags.items()
    ]
    sizes = shown["scalingConfig"]
    backend(account).create_auto_scaling_group(
        name=name,
        availability_zones=[],
        desired_capacity=sizes["desiredSize"],
        max_size=sizes["maxSize"],
        min_size=sizes["minSize"],
        launch_config_name=None,
        launch_template={"LaunchTemplateId": group.template},
        vpc_zone_identifier=",".join(shown["subnets"]),
        default_cooldown=None,
        health_check_period=15,
        health_check_type="EC2",
        load_balancers=[],
        target_group_arns=[],
        placement_group=None,
        termination_policies=["AllocationStrategy", "OldestLaunchTemplate", "OldestInstance"],
        tags=rows,
        capacity_rebalance=True,
    )


def resize(account: Account, cluster: Cluster, group: Nodegroup, sizes: dict[str, int]) -> None:
    """Other sizes. What is too many is drained first, as EKS does; return when the nodes are as many."""
    found = nodes.groups(account)[group.group]
    kube = plane.kube(cluster.local, cluster.provider)
    found.min_size, found.max_size = sizes["minSize"], max(sizes["maxSize"], sizes["desiredSize"])
    too_many = nodes.running(account, group)[: max(0, found.desired_capacity - sizes["desiredSize"])]
    for instance in too_many:
        nodes.drain(kube, instance.private_dns_name, _DRAIN_SECONDS)
        backend(account).terminate_instance(instance.id, True)
        nodes.sync(account, cluster)
    found.max_size = sizes["maxSize"]
    backend(account).set_desired_capacity(group.group, sizes["desiredSize"])
    nodes.sync(account, cluster)
    group.shown["scalingConfig"] = sizes


def labels(group: Nodegroup, change: dict[str, Any]) -> dict[str, str]:
    """The labels after a change."""
    kept = {key: value for key, value in group.shown["labels"].items() if key not in (change.get("removeLabels") or [])}
    return {**kept, **(change.get("addOrUpdateLabels") or {})}


def taints(group: Nodegroup, change: dict[str, Any]) -> list[dict[str, str]]:
    """The taints after a change: one is known by key and effect."""

    def key(taint: dict[str, str]) -> tuple[str, str | None]:
        return taint["key"], taint.get("effect")

    changed = {key(taint) for taint in [*(change.get("removeTaints") or []), *(change.get("addOrUpdateTaints") or [])]}
    return [*(one for one in group.shown["taints"] if key(one) not in changed), *(change.get("addOrUpdateTaints") or [])]


def relabel(account: Account, cluster: Cluster, group: Nodegroup, before: set[str]) -> None:
    """Bring the group's labels and taints to the nodes that are there."""
    kube = plane.kube(cluster.local, cluster.provider)
    for instance in nodes.running(account, group):
        shape = nodes.shape(account, cluster, instance, group)
        gone = dict.fromkeys(before - set(group.shown["labels"]))
        item = kube.find("node", instance.private_dns_name)
        if item is None:
            continue
        others = [
            one for one in item["spec"].get("taints", []) if one["key"].startswith(("node.kubernetes.io/", "kwok.x-k8s.io/"))
        ]
        own = [dict(zip(("key", "value", "effect"), _parts(text), strict=True)) for text in shape.taints]
        try:
            kube.patch(
                "node",
                instance.private_dns_name,
                {"metadata": {"labels": {**shape.labels, **gone}}, "spec": {"taints": others + own}},
            )
        except KubernetesError as error:
            if error.status != 404:
                raise


def _parts(text: str) -> tuple[str, str, str]:
    rest, _, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    return key, value, effect
