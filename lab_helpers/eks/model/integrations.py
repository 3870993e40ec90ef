"""What EKS makes in other services for objects of a cluster: a load balancer for a Service; for a claim see `volumes`.

A Service of type LoadBalancer gets a network load balancer whose targets are its Pods' addresses, as EKS Auto Mode makes it;
no traffic goes through it.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from typing import Any

from moto.elbv2.models import elbv2_backends

from lab_helpers.eks import changes, plane
from lab_helpers.eks.model import volumes
from lab_helpers.eks.model.account import Account, Cluster
from lab_helpers.eks.model.network import REFUSALS, ec2
from lab_helpers.errors import KubernetesError
from lab_helpers.kube import Kube


def look(account: Account, cluster: Cluster) -> None:
    """Make what is missing, and remove what nobody wants any more."""
    kube = plane.kube(cluster.local, cluster.provider)
    _balancers(account, cluster, kube)
    volumes.look(account, cluster, kube)


# -- load balancers ----------------------------------------------------------------------------------------------


def _elbv2(account: Account) -> Any:
    return elbv2_backends[account.account_id][account.region_name]


def _balancers(account: Account, cluster: Cluster, kube: Kube) -> None:
    services = {
        f"{item['metadata']['namespace']}/{item['metadata']['name']}": item
        for item in kube.list("services")
        if item["spec"].get("type") == "LoadBalancer" and not item["metadata"].get("deletionTimestamp")
    }
    for key in set(cluster.balancers) - set(services):
        _remove_balancer(account, cluster.balancers.pop(key))
        changes.changed()
    for key, service in services.items():
        if key not in cluster.balancers:
            cluster.balancers[key] = _make_balancer(account, cluster, service)
            changes.changed()
        _publish(account, cluster.balancers[key], kube, service)
        _register(account, cluster, cluster.balancers[key], kube, service)


def _make_balancer(account: Account, cluster: Cluster, service: dict[str, Any]) -> str:
    meta = service["metadata"]
    name = f"k8s-{meta['namespace'][:8]}-{meta['name'][:8]}-{hashlib.sha256(meta['uid'].encode()).hexdigest()[:10]}"
    schemes = "service.beta.kubernetes.io/aws-load-balancer-scheme"
    tags = {f"elbv2.k8s.aws/{key}": value for key, value in (("cluster", cluster.name), ("resource", "LoadBalancer"))}
    tags["service.k8s.aws/stack"] = f"{meta['namespace']}/{meta['name']}"
    subnets = cluster.shown["resourcesVpcConfig"]["subnetIds"]
    by_zone = {ec2(account).get_subnet(one).availability_zone: one for one in reversed(subnets)}
    made = _elbv2(account).create_load_balancer(
        name=name,
        security_groups=[cluster.shown["resourcesVpcConfig"]["clusterSecurityGroupId"]],
        subnet_ids=list(by_zone.values()),
        subnet_mappings=[],
        scheme=meta.get("annotations", {}).get(schemes, "internal"),
        loadbalancer_type="network",
        tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    return str(made.arn)


def _remove_balancer(account: Account, arn: str) -> None:
    backend = _elbv2(account)
    with suppress(*REFUSALS):
        groups = [one.arn for one in list(backend.target_groups.values()) if arn in one.load_balancer_arns]
        backend.delete_load_balancer(arn)
        for group in groups:
            backend.delete_target_group(group)


def _publish(account: Account, arn: str, kube: Kube, service: dict[str, Any]) -> None:
    """The Service's status says its address."""
    balancer = _elbv2(account).load_balancers.get(arn)
    if balancer is None:
        return
    wanted = [{"hostname": balancer.dns_name}]
    if service.get("status", {}).get("loadBalancer", {}).get("ingress") != wanted:
        meta = service["metadata"]
        with suppress(KubernetesError):
            kube.patch("service", meta["name"], {"status": {"loadBalancer": {"ingress": wanted}}}, meta["namespace"], "status")


def _register(account: Account, cluster: Cluster, arn: str, kube: Kube, service: dict[str, Any]) -> None:
    """A target group for each port; its targets are the addresses of the Pods that are ready."""
    backend, meta = _elbv2(account), service["metadata"]
    if arn not in backend.load_balancers:
        return
    slices = kube.list("endpointslices", meta["namespace"], labels=f"kubernetes.io/service-name={meta['name']}")
    ready = {
        address
        for one in slices
        for endpoint in one.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready", True)
        for address in endpoint["addresses"]
    }
    ports = {one.get("name") or "": one["port"] for piece in slices for one in piece.get("ports") or []}
    for port in service["spec"]["ports"]:
        number = ports.get(port.get("name") or "", 0)
        mark = hashlib.sha256(f"{arn}{port['port']}".encode()).hexdigest()[:10]
        name = f"k8s-{re.sub('[^a-zA-Z0-9]', '', meta['name'])[:10]}-{mark}"
        group = next((one for one in list(backend.target_groups.values()) if one.name == name), None)
        if group is None:
            group = backend.create_target_group(
                name,
                protocol="TCP",
                port=str(number or port["port"]),
                vpc_id=cluster.shown["resourcesVpcConfig"]["vpcId"],
                target_type="ip",
            )
            action = {"Type": "forward", "TargetGroupArn": group.arn}
            backend.create_listener(arn, "TCP", str(port["port"]), "", "", [action])
        there = set(group.targets)
        if new := ready - there:
            group.register([{"Id": address, "Port": str(number or port["port"])} for address in sorted(new)])
        if gone := there - ready:
            group.deregister([{"Id": address} for address in gone])
