"""Fargate profiles. A Pod that matches one gets a node of its own, of the size that Fargate would bill."""

from __future__ import annotations

import math
import re
from typing import Any

from lab_helpers.clusters import NodeShape
from lab_helpers.eks import changes, plane, shapes
from lab_helpers.eks.model import access, clusters, network, versions
from lab_helpers.eks.model.account import Account, Cluster, new_id, now
from lab_helpers.eks.model.errors import EksError, in_use, invalid, not_found
from lab_helpers.eks.model.jobs import job, start
from lab_helpers.eks.model.registry import Parameters, Result, operation, pages
from lab_helpers.errors import KubernetesError

_MOST, _SELECTORS, _LABELS = 10, 5, 5  # quotas of EKS


@operation
def create_fargate_profile(account: Account, parameters: Parameters) -> Result:
    """Pods that match get a simulated node each, named as EKS names it; their scheduler is the default one."""
    cluster, name = clusters.active(account, parameters["clusterName"]), parameters["fargateProfileName"]
    members = {"clusterName": cluster.name, "fargateProfileName": name}
    if name in cluster.fargate:
        raise in_use("A Fargate Profile already exists with this name in this cluster.", clusterName=cluster.name)
    if len(cluster.fargate) >= _MOST:
        raise EksError("ResourceLimitExceededException", f"Fargate profile limit exceeded: {_MOST} in a cluster.")
    selectors = parameters.get("selectors") or []
    if not selectors:
        raise invalid("Fargate Profile requires at least one selector.", **members)
    if len(selectors) > _SELECTORS or any(len(one.get("labels") or {}) > _LABELS for one in selectors):
        raise invalid(
            f"Request contains more than {_SELECTORS} selectors, or a selector with more than {_LABELS} label pairs", **members
        )
    if any(not one.get("namespace") for one in selectors):
        raise invalid("Fargate Profile must have at least one selector with at least one namespace value.", **members)
    subnets = list(parameters.get("subnets") or _private(account, cluster))
    for subnet in subnets:
        if not _is_private(account, subnet):
            raise invalid(f"Subnet {subnet} provided in Fargate Profile is not a private subnet", **members)
    shown = {
        "fargateProfileName": name,
        "fargateProfileArn": account.arn("fargateprofile", cluster.name, name, new_id()),
        "clusterName": cluster.name,
        "createdAt": now(),
        "podExecutionRoleArn": clusters.role(parameters["podExecutionRoleArn"], **members),
        "subnets": subnets,
        "selectors": [{"namespace": one["namespace"], "labels": dict(one.get("labels") or {})} for one in selectors],
        "status": "CREATING",
        "tags": dict(parameters.get("tags") or {}),
        "health": {"issues": []},
    }
    cluster.fargate[name] = shown
    start(account, bring_up_profile, cluster.name, name)
    return {"fargateProfile": shown}


def _private(account: Account, cluster: Cluster) -> list[str]:
    return [subnet for subnet in cluster.shown["resourcesVpcConfig"]["subnetIds"] if _is_private(account, subnet)]


def _is_private(account: Account, number: str) -> bool:
    """Whether a subnet has no way to an internet gateway.

    Raises:
        EksError: there is no such subnet.
    """
    ec2 = network.ec2(account)
    try:
        subnet = ec2.get_subnet(number)
    except network.REFUSALS:
        raise invalid(f"The subnet ID '{number}' does not exist") from None
    tables = [table for table in list(ec2.route_tables.values()) if table.vpc_id == subnet.vpc_id]
    own = [table for table in tables if number in table._associations.values()]
    used = own or [table for table in tables if table.main_association_id]
    gateways = [route.gateway for table in used for route in table.routes if route.gateway is not None]
    return not any(str(gateway.id).startswith("igw-") for gateway in gateways)


@job
def bring_up_profile(account: Account, cluster_name: str, name: str) -> None:
    """CREATING → ACTIVE."""
    cluster = account.clusters.get(cluster_name)
    shown = cluster.fargate.get(name) if cluster else None
    if cluster is None or shown is None or shown["status"] != "CREATING":
        return
    access.node_role(account, cluster, shown["podExecutionRoleArn"], "FARGATE_LINUX")
    shown["status"] = "ACTIVE"


def _profile(cluster: Cluster, name: str) -> dict[str, Any]:
    if name not in cluster.fargate:
        raise not_found(f"No Fargate Profile found with name: {name}.", clusterName=cluster.name, fargateProfileName=name)
    return cluster.fargate[name]


@operation
def describe_fargate_profile(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return {"fargateProfile": _profile(account.cluster(parameters["clusterName"]), parameters["fargateProfileName"])}


@operation
def list_fargate_profiles(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return pages(sorted(account.cluster(parameters["clusterName"]).fargate), parameters, "fargateProfileNames")


@operation
def delete_fargate_profile(account: Account, parameters: Parameters) -> Result:
    """Its Pods and their nodes go."""
    cluster, name = account.cluster(parameters["clusterName"]), parameters["fargateProfileName"]
    shown = _profile(cluster, name)
    if any(one["status"] == "DELETING" for one in cluster.fargate.values()):
        raise in_use("Cannot delete Fargate Profile because another one is being deleted", clusterName=cluster.name)
    shown["status"] = "DELETING"
    start(account, take_down_profile, cluster.name, name)
    return {"fargateProfile": shown}


@job
def take_down_profile(account: Account, cluster_name: str, name: str) -> None:
    """DELETING → gone, with the nodes of its Pods."""
    cluster = account.clusters.get(cluster_name)
    if cluster is None:
        return
    shown = cluster.fargate.pop(name, None)
    there = plane.find(cluster.local, cluster.provider)
    if shown and there:
        for node, pod in list(cluster.fargate_nodes.items()):
            if _matches_any(cluster, *_pod(plane.kube(cluster.local, cluster.provider), pod)) is None:
                plane.remove_node(there, node)
                cluster.fargate_nodes.pop(node, None)


def _pod(kube: Any, pod: str) -> tuple[str, dict[str, str]]:
    namespace, _, name = pod.partition("/")
    item = kube.find("pod", name, namespace) or {"metadata": {}}
    return namespace, item["metadata"].get("labels", {})


def _matches_any(cluster: Cluster, namespace: str, labels: dict[str, str]) -> str | None:
    for name, shown in sorted(cluster.fargate.items()):
        for one in shown["selectors"]:
            fits = re.fullmatch(one["namespace"].replace("*", ".*").replace("?", "."), namespace)
            if shown["status"] == "ACTIVE" and fits and all(labels.get(key) == value for key, value in one["labels"].items()):
                return name
    return None


# -- nodes -------------------------------------------------------------------------------------------------------


def size(pod: dict[str, Any]) -> tuple[float, float]:
    """The vCPU and GiB that Fargate gives (and bills) a Pod: its requests plus 256 MiB, rounded up to a configuration."""
    cpu, memory = 0.0, 0.0
    for container in pod["spec"].get("containers", []):
        requests = container.get("resources", {}).get("requests", {})
        cpu += _quantity(requests.get("cpu", "0"))
        memory += _quantity(requests.get("memory", "0")) / 2**30
    return shapes.fargate(cpu, memory)


_SUFFIX = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "": 1}


def _quantity(text: str) -> float:
    number, suffix = re.fullmatch(r"([\d.]+)(\D*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * _SUFFIX.get(suffix, 1)


def look(account: Account, cluster: Cluster) -> None:
    """Give each Pending Pod that matches a profile a node of its own, and take away the nodes of Pods that are gone.

    On EKS an admission webhook gives such a Pod the scheduler `fargate-scheduler`. Here the Pod is bound to its node as soon
    as nobody else has bound it: where EC2 nodes have room, the default scheduler may be quicker.
    """
    if not cluster.fargate and not cluster.fargate_nodes:
        return
    kube, there = plane.kube(cluster.local, cluster.provider), plane.find(cluster.local, cluster.provider)
    if there is None:
        return
    pods = {f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod for pod in kube.list("pods")}
    for node, key in list(cluster.fargate_nodes.items()):
        if key not in pods:
            plane.remove_node(there, node)
            cluster.fargate_nodes.pop(node, None)
            changes.changed()
    served = set(cluster.fargate_nodes.values())
    for key, pod in pods.items():
        meta = pod["metadata"]
        profile = _matches_any(cluster, meta["namespace"], meta.get("labels", {}))
        if profile and key not in served and not pod["spec"].get("nodeName") and not meta.get("deletionTimestamp"):
            if any(owner["kind"] == "DaemonSet" for owner in meta.get("ownerReferences", [])):
                continue
            _serve(account, cluster, there, kube, pod, profile)


def _serve(account: Account, cluster: Cluster, there: Any, kube: Any, pod: dict[str, Any], profile: str) -> None:
    meta, subnets = pod["metadata"], cluster.fargate[profile]["subnets"]
    subnet = network.ec2(account).get_subnet(subnets[len(cluster.fargate_nodes) % len(subnets)])
    address = subnet.get_available_subnet_ip(meta["uid"])
    node = f"fargate-ip-{address.replace('.', '-')}.ec2.internal"
    vcpu, gib = size(pod)
    capacity = {"cpu": str(math.ceil(vcpu)), "memory": f"{int(gib * 2**20)}Ki", "pods": "1", "ephemeral-storage": "20Gi"}
    labels = {
        "eks.amazonaws.com/compute-type": "fargate",
        "topology.kubernetes.io/zone": subnet.availability_zone,
        "topology.kubernetes.io/region": account.region_name,
    }
    shape = NodeShape(
        node,
        cpu=capacity["cpu"],
        memory=capacity["memory"],
        pods=1,
        zone=subnet.availability_zone,
        labels=labels,
        taints=("eks.amazonaws.com/compute-type=fargate:NoSchedule",),
        runs="nothing",
        provider_id=f"aws:///{subnet.availability_zone}/{meta['uid'][:10]}-{new_id().replace('-', '')}/{node}",
        status={
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "InternalDNS", "address": node}],
            "nodeInfo": _info(cluster),
        },
    )
    plane.add_node(there, shape)
    cluster.fargate_nodes[node] = f"{meta['namespace']}/{meta['name']}"
    changes.changed()
    note = {"CapacityProvisioned": f"{vcpu}vCPU {gib:g}GB"}
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "annotations": note},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    try:
        label = {"metadata": {"labels": {"eks.amazonaws.com/fargate-profile": profile}, "annotations": note}}
        kube.patch("pod", meta["name"], label, meta["namespace"])
        kube.raw("POST", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding", body)
    except KubernetesError as error:
        if error.status not in (404, 409):
            raise


def _info(cluster: Cluster) -> dict[str, str]:
    return {
        "kubeletVersion": f"v{versions.patch(cluster.version)}-eks-lab",
        "kubeProxyVersion": "",
        "osImage": "Amazon Linux 2 (simulated by KWOK)",
        "kernelVersion": "5.10.245-241.976.amzn2",
        "containerRuntimeVersion": "containerd://2.1 (simulated)",
        "operatingSystem": "linux",
        "architecture": "amd64",
        "machineID": "",
        "systemUUID": "",
        "bootID": "",
    }
