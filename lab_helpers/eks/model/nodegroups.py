"""Managed node groups: an Auto Scaling group, a launch template of EKS's own, and a role that may join."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from moto.autoscaling.models import autoscaling_backends

from lab_helpers.eks import plane
from lab_helpers.eks.model import (
    access,
    asked,
    clusters,
    images,
    network,
    nodes,
    pod_network,
    rolling,
    scaling,
    updates,
)
from lab_helpers.eks.model.account import Account, Cluster, Nodegroup, new_id, now
from lab_helpers.eks.model.errors import EksError, in_use, invalid
from lab_helpers.eks.model.jobs import job, start
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages
from lab_helpers.errors import LabError

_log = logging.getLogger(__name__)

_MOST = 30  # quota of EKS: managed node groups in a cluster
_MOST_NODES = 450


@operation
def create_nodegroup(account: Account, parameters: Parameters) -> Result:
    """An Auto Scaling group whose instances become nodes; `remoteAccess`, node repair and warm pools are recorded only."""
    return {"nodegroup": create(account, parameters).shown}


def create(account: Account, wanted: Parameters, wait: bool = False) -> Nodegroup:
    """Make a node group.

    Args:
        wait: return when it is ACTIVE or CREATE_FAILED.

    Raises:
        EksError: what EKS refuses at once.
    """
    cluster, name = clusters.active(account, wanted["clusterName"]), wanted["nodegroupName"]
    members = {"clusterName": cluster.name, "nodegroupName": name}
    if name in cluster.nodegroups:
        raise in_use(f"NodeGroup already exists with name {name} and cluster name {cluster.name}", **members)
    if len(cluster.nodegroups) >= _MOST:
        raise EksError("ResourceLimitExceededException", f"Node group limit exceeded: {_MOST} in a cluster.", **members)
    template = asked.template(account, wanted, members)
    kinds = asked.kinds(wanted, template, members)
    image = asked.image_type(wanted, template, kinds, members)
    sizes = scaling.checked({"minSize": 1, "maxSize": 2, "desiredSize": 2} | (wanted.get("scalingConfig") or {}), members)
    if sizes["maxSize"] > _MOST_NODES:
        raise EksError("ResourceLimitExceededException", f"Node limit exceeded: {_MOST_NODES} in a node group.", **members)
    if not wanted["subnets"]:
        raise invalid("Subnets are not specified", **members)
    for subnet in wanted["subnets"]:
        try:
            network.ec2(account).get_subnet(subnet)
        except network.REFUSALS:
            raise invalid(f"The subnet ID '{subnet}' does not exist", **members) from None
    version = asked.version(cluster, wanted.get("version"), members)
    uid = new_id()
    shown = {
        "nodegroupName": name,
        "nodegroupArn": account.arn("nodegroup", cluster.name, name, uid),
        "clusterName": cluster.name,
        "version": version,
        "releaseVersion": wanted.get("releaseVersion") or images.release(version),
        "createdAt": now(),
        "modifiedAt": now(),
        "status": "CREATING",
        "capacityType": wanted.get("capacityType") or "ON_DEMAND",
        "scalingConfig": sizes,
        "subnets": list(wanted["subnets"]),
        "amiType": image,
        "nodeRole": clusters.role(wanted["nodeRole"], **members),
        "labels": dict(wanted.get("labels") or {}),
        "taints": [dict(one) for one in wanted.get("taints") or []],
        "health": {"issues": []},
        "updateConfig": scaling.update_config(wanted.get("updateConfig"), sizes["maxSize"], members),
        "tags": dict(wanted.get("tags") or {}),
        "resources": {"autoScalingGroups": [{"name": f"eks-{name}-{uid}"}]},
        **({} if template else {"diskSize": wanted.get("diskSize") or 20}),
        **({"instanceTypes": kinds} if not template or "InstanceType" not in template[1] else {}),
        **({"launchTemplate": template[0]} if template else {}),
        **{key: wanted[key] for key in ("remoteAccess", "nodeRepairConfig", "warmPoolConfig") if wanted.get(key)},
    }
    group = Nodegroup(shown, group=f"eks-{name}-{uid}")
    cluster.nodegroups[name] = group
    work = start(account, bring_up_nodes, cluster.name, name, kinds)
    if wait:
        work.join()
    return group


@job
def bring_up_nodes(account: Account, cluster_name: str, name: str, kinds: list[str]) -> None:
    """CREATING → ACTIVE, or CREATE_FAILED with the reason in `health`."""
    cluster = account.clusters.get(cluster_name)
    group = cluster.nodegroups.get(name) if cluster else None
    if cluster is None or group is None or group.shown["status"] != "CREATING":
        return
    try:
        if group.group not in nodes.groups(account):
            _make_group(account, cluster, group, kinds)
        nodes.sync(account, cluster)
        access.node_role(account, cluster, group.shown["nodeRole"])
        pod_network.require(cluster, {one.private_dns_name for one in nodes.running(account, group)})
        group.shown |= {"status": "ACTIVE", "modifiedAt": now()}
    except Exception as error:
        _log.exception("node group %s", name)
        words = error.text() if isinstance(error, LabError) else str(error) or repr(error)
        issue = {"code": "NodeCreationFailure", "message": words, "resourceIds": [group.group]}
        group.shown |= {"status": "CREATE_FAILED", "health": {"issues": [issue]}}


def _make_group(account: Account, cluster: Cluster, group: Nodegroup, kinds: list[str]) -> None:
    shown, ec2 = group.shown, network.ec2(account)
    data: dict[str, Any] = {}
    if template := shown.get("launchTemplate"):
        found = ec2.describe_launch_templates(template_ids=[template["id"]])[0]
        version = template["version"]
        data = dict((found.get_version(version) if version.isdigit() else found.latest_version()).data)
    if shown["amiType"] != "CUSTOM":
        date = shown["releaseVersion"].rpartition("-")[2]
        known = date if date in images.RELEASES else images.RELEASES[-1]
        data["ImageId"] = images.image(account, shown["version"], shown["amiType"], known)
    group.image = data["ImageId"]
    data = {**data, "InstanceType": kinds[0], "TagSpecifications": []}
    data.setdefault("SecurityGroupIds", [cluster.shown["resourcesVpcConfig"]["clusterSecurityGroupId"]])
    # EKS, too, makes a template of its own from the learner's.
    if group.group in ec2.launch_template_name_to_ids:
        ec2.delete_launch_template(group.group, None)
    group.template = ec2.create_launch_template(group.group, "", data, {}).id
    scaling.make(account, cluster, group)


@operation
def describe_nodegroup(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return {"nodegroup": account.nodegroup(parameters["clusterName"], parameters["nodegroupName"]).shown}


@operation
def list_nodegroups(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return pages(sorted(account.cluster(parameters["clusterName"]).nodegroups), parameters, "nodegroups")


@operation
def delete_nodegroup(account: Account, parameters: Parameters) -> Result:
    """Nodes are drained, instances, Auto Scaling group and EKS's launch template go."""
    group = account.nodegroup(parameters["clusterName"], parameters["nodegroupName"])
    delete(account, parameters["clusterName"], group)
    return {"nodegroup": group.shown}


def delete(account: Account, cluster: str, group: Nodegroup, wait: bool = False) -> None:
    """Delete a node group.

    Raises:
        EksError: it is being made or updated.
    """
    name, state = group.shown["nodegroupName"], group.shown["status"]
    if state in ("CREATING", "UPDATING"):
        words = f"Nodegroup {name} is {state}: it cannot be deleted now"
        raise in_use(words, clusterName=cluster, nodegroupName=name)
    if state != "DELETING":
        group.shown["status"] = "DELETING"
        work = start(account, take_down_nodes, cluster, name)
        if wait:
            work.join()


@job
def take_down_nodes(account: Account, cluster_name: str, name: str) -> None:
    """DELETING → gone."""
    cluster = account.clusters.get(cluster_name)
    group = cluster.nodegroups.get(name) if cluster else None
    if cluster is None or group is None:
        return
    with suppress(LabError):  # the control plane may be gone
        kube = plane.kube(cluster.local, cluster.provider)
        for instance in nodes.running(account, group):
            nodes.drain(kube, instance.private_dns_name, rolling.LAST_SECONDS)
    asgs: Any = autoscaling_backends[account.account_id][account.region_name]
    if group.group in asgs.autoscaling_groups:
        asgs.autoscaling_groups[group.group].min_size = 0
        asgs.set_desired_capacity(group.group, 0)
        asgs.delete_auto_scaling_group(group.group)
    ec2 = network.ec2(account)
    if group.template in ec2.launch_templates:
        ec2.delete_launch_template(None, group.template)
    cluster.nodegroups.pop(name, None)
    nodes.sync(account, cluster)
    access.forget_node_role(account, cluster, group.shown["nodeRole"])


@operation
def update_nodegroup_config(account: Account, parameters: Parameters) -> Result:
    """Sizes drain what is too many; labels and taints also reach the nodes that are there."""
    cluster, name = clusters.active(account, parameters["clusterName"]), parameters["nodegroupName"]
    group, members = account.nodegroup(cluster.name, name), {"clusterName": cluster.name, "nodegroupName": name}
    _idle(group, members)
    keys = ("labels", "taints", "scalingConfig", "updateConfig", "nodeRepairConfig", "warmPoolConfig")
    given = {key: parameters[key] for key in keys if parameters.get(key)}
    sizes = scaling.checked({**group.shown["scalingConfig"], **given.get("scalingConfig", {})}, members)
    if "updateConfig" in given:
        given["updateConfig"] = scaling.update_config(given["updateConfig"], sizes["maxSize"], members)
    shown: dict[str, Any] = {key: given[key] for key in ("updateConfig", "nodeRepairConfig", "warmPoolConfig") if key in given}
    shown |= {
        "labels": scaling.labels(group, given.get("labels") or {}),
        "taints": scaling.taints(group, given.get("taints") or {}),
    }
    values = {**given.pop("scalingConfig", {}), **given}
    update = updates.begin(
        cluster, "ConfigUpdate", {key[0].upper() + key[1:]: v for key, v in values.items()}, f"nodegroup/{name}"
    )
    group.shown["status"] = "UPDATING"
    start(account, change_nodegroup, cluster.name, name, update.shown["id"], shown, sizes)
    return {"update": update.shown}


def _idle(group: Nodegroup, members: dict[str, str]) -> None:
    if group.shown["status"] not in ("ACTIVE", "DEGRADED"):
        words = f"Nodegroup {group.shown['nodegroupName']} is not in ACTIVE status: it is {group.shown['status']}"
        raise in_use(words, **members)


@job
def change_nodegroup(
    account: Account, cluster_name: str, name: str, number: str, shown: dict[str, Any], sizes: dict[str, int]
) -> None:
    """Labels, taints and sizes."""
    cluster = account.clusters.get(cluster_name)
    group = cluster.nodegroups.get(name) if cluster else None
    if cluster is None or group is None:
        return
    before = set(group.shown["labels"])
    group.shown |= shown

    def work() -> list[dict[str, Any]]:
        scaling.relabel(account, cluster, group, before)
        scaling.resize(account, cluster, group, sizes)
        return []

    updates.carry_out(cluster.updates[number], work)
    group.shown |= {"status": "ACTIVE", "modifiedAt": now()}


@operation
def update_nodegroup_version(account: Account, parameters: Parameters) -> Result:
    """Nodes are replaced as EKS does it: a new one, drain, terminate; a PodDisruptionBudget is respected, or ends it."""
    cluster, name = clusters.active(account, parameters["clusterName"]), parameters["nodegroupName"]
    group, members = account.nodegroup(cluster.name, name), {"clusterName": cluster.name, "nodegroupName": name}
    _idle(group, members)
    wanted = parameters.get("version") or ".".join((parameters.get("releaseVersion") or "").split(".")[:2])
    version = asked.version(cluster, wanted or cluster.version, members)
    release = parameters.get("releaseVersion") or images.release(version)
    update = rolling.begin(
        account, cluster, group, version, release, bool(parameters.get("force")), parameters.get("launchTemplate")
    )
    return {"update": update.shown}
