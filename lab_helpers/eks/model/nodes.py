"""EC2 instances ↔ Kubernetes nodes: what runs in the account's node groups stands in `kubectl get nodes`, within seconds.

A watcher compares moto's instances with what the lab has put into each cluster, twice a second and in memory alone; only a
difference costs calls of Kubernetes. So it does not matter which service changed an instance, or how.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.eks.models import eks_backends

from lab_helpers.clusters import NodeShape
from lab_helpers.eks import changes, plane
from lab_helpers.eks.model import bootstrap, instances, machines, pod_network, self_managed, versions
from lab_helpers.eks.model.account import Account, Cluster, Nodegroup
from lab_helpers.errors import KubernetesError, LabError
from lab_helpers.kube import Kube

_log = logging.getLogger(__name__)
_PAUSE = 0.5
_OTHERS = 2.0  # seconds between looks that ask the API server
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}

_locks: dict[str, threading.RLock] = {}
_locks_lock = threading.Lock()


@contextmanager
def _locked(cluster: Cluster) -> Iterator[None]:
    with _locks_lock:
        lock = _locks.setdefault(cluster.local, threading.RLock())
    with lock:
        yield


def groups(account: Account) -> dict[str, Any]:
    """moto's Auto Scaling groups by name."""
    return dict(autoscaling_backends[account.account_id][account.region_name].autoscaling_groups)


def running(account: Account, group: Nodegroup) -> list[Any]:
    """The instances of a node group that run."""
    found = groups(account).get(group.group)
    return [state.instance for state in list(found.instance_states) if state.instance.state == "running"] if found else []


def wanted(account: Account, cluster: Cluster) -> dict[str, tuple[Any, Nodegroup | None]]:
    """Node → its instance and managed node group (None: it is self-managed), as the account has them now."""
    found: dict[str, tuple[Any, Nodegroup | None]] = {}
    for group in list(cluster.nodegroups.values()):
        found |= {instance.private_dns_name: (instance, group) for instance in running(account, group)}
    managed = {instance.id for instance, _ in found.values()}
    for instance in self_managed.running(account, cluster):
        if instance.id not in managed:
            found[instance.private_dns_name] = (instance, None)
    return found


def differs(account: Account, cluster: Cluster) -> bool:
    """Whether nodes and instances are not the same."""
    return {node: pair[0].id for node, pair in wanted(account, cluster).items()} != cluster.nodes


def sync(account: Account, cluster: Cluster) -> None:
    """Make the cluster's nodes those of the account's instances; return when all of them are Ready."""
    with _locked(cluster):
        now = wanted(account, cluster)
        there = plane.find(cluster.local, cluster.provider)
        if there is None:
            return
        gone = [node for node, number in cluster.nodes.items() if node not in now or now[node][0].id != number]
        new = [node for node in now if node not in cluster.nodes or node in gone]
        _together(lambda node: _remove(there, cluster, node), gone)
        with machines.room(cluster, [node for node in new if now[node][1]]) as real:
            # Machines first: on a simulated node CoreDNS would answer nobody.
            _together(lambda node: _add(account, there, cluster, node, *now[node], machine=True), real)
            rest = [node for node in new if node not in real]
            _together(lambda node: _add(account, there, cluster, node, *now[node]), rest)
    if gone or new:
        changes.changed()


def _together(work: Callable[[str], None], nodes: Iterable[str]) -> None:
    nodes = list(nodes)
    if nodes:
        with ThreadPoolExecutor(max_workers=min(8, len(nodes))) as pool:
            for done in [pool.submit(work, node) for node in nodes]:
                done.result()


def _remove(there: Any, cluster: Cluster, node: str) -> None:
    plane.remove_node(there, node)
    machines.forget(cluster, node)
    cluster.nodes.pop(node, None)


def _add(
    account: Account, there: Any, cluster: Cluster, node: str, instance: Any, group: Nodegroup | None, machine: bool = False
) -> None:
    made = shape(account, cluster, instance, group)
    try:
        pod_network.add_node(cluster, there, replace(made, runs="") if machine else made)
    except KubernetesError as error:
        if error.status != 409:  # it is there already: the state that was loaded is older than the cluster
            raise
    cluster.nodes[node] = instance.id


def shape(account: Account, cluster: Cluster, instance: Any, group: Nodegroup | None) -> NodeShape:
    """An instance as a node, with the labels, taints and status that EKS's AMI and the cloud controller give it."""
    kind, zone, node = instance.instance_type, instance.placement.zone, instance.private_dns_name
    facts = instances.shape(kind)
    version, labels = cluster.version, self_managed.labels(account, instance)
    taints: tuple[str, ...] = ()
    if not group and (told := bootstrap.read(instance)):
        taints, facts = told.taints, replace(facts, pods=told.pods or facts.pods)
    if group:
        version, _ = group.instances.setdefault(instance.id, (group.shown["version"], group.shown["releaseVersion"]))
        labels = {**group.shown.get("labels", {}), **_managed(group, instance)}
        taints = tuple(
            f"{one['key']}={one.get('value', '')}:{_EFFECTS[one['effect']]}" for one in group.shown.get("taints", [])
        )
    everywhere = {
        "kubernetes.io/arch": facts.architecture,
        "beta.kubernetes.io/arch": facts.architecture,
        "beta.kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": kind,
        "beta.kubernetes.io/instance-type": kind,
        "topology.kubernetes.io/region": account.region_name,
        "topology.kubernetes.io/zone": zone,
        "failure-domain.beta.kubernetes.io/region": account.region_name,
        "failure-domain.beta.kubernetes.io/zone": zone,
        "k8s.io/cloud-provider-aws": "lab",
    }
    return NodeShape(
        node,
        cpu=str(facts.cpu),
        memory=f"{facts.memory * 1024}Ki",
        pods=facts.pods,
        zone=zone,
        labels={**everywhere, **labels},
        taints=taints,
        runs="nothing",
        minor="" if version == plane.newest() else version,
        provider_id=f"aws:///{zone}/{instance.id}",
        status=_status(instance, facts, version),
    )


def _managed(group: Nodegroup, instance: Any) -> dict[str, str]:
    labels = {
        "eks.amazonaws.com/nodegroup": group.shown["nodegroupName"],
        "eks.amazonaws.com/capacityType": group.shown["capacityType"],
        "eks.amazonaws.com/nodegroup-image": instance.image_id,
    }
    if group.template:
        labels |= {
            "eks.amazonaws.com/sourceLaunchTemplateId": group.template,
            "eks.amazonaws.com/sourceLaunchTemplateVersion": "1",
        }
    return labels


def _status(instance: Any, facts: instances.Shape, version: str) -> dict[str, Any]:
    node = instance.private_dns_name
    addresses = [("InternalIP", instance.private_ip), ("InternalDNS", node), ("Hostname", node)]
    if instance.public_ip:
        addresses.insert(1, ("ExternalIP", instance.public_ip))
    return {
        "capacity": facts.capacity,
        "allocatable": facts.allocatable,
        "addresses": [{"type": kind, "address": address} for kind, address in addresses],
        "nodeInfo": {
            "kubeletVersion": f"v{versions.patch(version)}-eks-lab",
            "kubeProxyVersion": "",
            "osImage": "Amazon Linux 2023 (simulated by KWOK)",
            "kernelVersion": "6.12.58-82.amzn2023",  # KWOK does not quote it: 6.12 alone would become a number
            "containerRuntimeVersion": "containerd://2.1 (simulated)",
            "operatingSystem": "linux",
            "architecture": facts.architecture,
            "machineID": instance.id,
            "systemUUID": instance.id,
            "bootID": instance.id,
        },
    }


def forget(account: Account, cluster: Cluster) -> None:
    """The cluster ends: no node of it is looked after any more."""
    with _locked(cluster):
        cluster.nodes.clear()
        cluster.fargate_nodes.clear()


def drain(kube: Kube, node: str, seconds: float, stop: Callable[[], bool] = lambda: False) -> bool:
    """Cordon a node and evict its Pods by the eviction API; whether all of them went.

    Args:
        seconds: how long an eviction may be refused, as a PodDisruptionBudget does.
        stop: asked again and again; True ends the drain early.
    """
    try:
        kube.patch("node", node, {"spec": {"unschedulable": True}})
    except KubernetesError as error:
        if error.status == 404:
            return True
        raise
    end = time.monotonic() + seconds
    while True:
        pods = [pod["metadata"] for pod in kube.list("pods", fields=f"spec.nodeName={node}") if not _of_the_node(pod)]
        if not pods:
            return True
        if time.monotonic() > end or stop():
            return False
        for meta in pods:
            _evict(kube, meta)
        time.sleep(0.3)


def _of_the_node(pod: dict[str, Any]) -> bool:
    owners = {owner["kind"] for owner in pod["metadata"].get("ownerReferences", [])}
    return bool(owners & {"DaemonSet", "Node"})


def _evict(kube: Kube, meta: dict[str, Any]) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": meta["name"], "namespace": meta["namespace"]}}
    try:
        kube.raw("POST", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction", body)
    except KubernetesError as error:
        if error.status not in (404, 409, 429, 500):  # gone; being deleted; a budget says not now; two budgets
            raise


def uncordon(kube: Kube, node: str) -> None:
    """Let Pods come again."""
    kube.patch("node", node, {"spec": {"unschedulable": False}})


def accounts() -> Iterator[Account]:
    """EKS of every region that somebody has called."""
    for regions in list(eks_backends.values()):
        yield from (account for account in list(regions.values()) if isinstance(account, Account))


def every() -> Iterator[tuple[Account, Cluster]]:
    """Every cluster, with its account."""
    for account in accounts():
        yield from ((account, cluster) for cluster in list(account.clusters.values()))


class Watcher:
    """The thread that keeps nodes and instances the same.

    Args:
        also: called for each ACTIVE cluster after its nodes; for Fargate, load balancers and volumes.
    """

    def __init__(self, also: tuple[Callable[[Account, Cluster], None], ...] = ()) -> None:
        self._also, self._end = also, threading.Event()
        self._busy: set[str] = set()
        self._looked: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="eks watcher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when it has."""
        self._end.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._end.wait(_PAUSE):
            for account, cluster in every():
                if cluster.status in ("ACTIVE", "UPDATING") and cluster.local not in self._busy:
                    self._busy.add(cluster.local)
                    threading.Thread(target=self._look, args=(account, cluster), daemon=True).start()

    def _look(self, account: Account, cluster: Cluster) -> None:
        try:
            if differs(account, cluster):
                sync(account, cluster)
            sizes(account, cluster)
            if time.monotonic() - self._looked.get(cluster.local, 0.0) > _OTHERS:
                self._looked[cluster.local] = time.monotonic()
                for look in self._also:
                    look(account, cluster)
        except LabError as error:
            if cluster.status == "ACTIVE":  # while it is updated or deleted it may well not answer
                _log.warning("watching %s: %s", cluster.name, error.text())
        except Exception:
            _log.exception("watching %s", cluster.name)
        finally:
            self._busy.discard(cluster.local)


def sizes(account: Account, cluster: Cluster) -> None:
    """What somebody set by the Auto Scaling API shows in DescribeNodegroup."""
    found = groups(account)
    for group in list(cluster.nodegroups.values()):
        scaling = found.get(group.group)
        if scaling and not group.rolling and group.shown["status"] in ("ACTIVE", "DEGRADED"):
            sizes = {"minSize": scaling.min_size, "maxSize": scaling.max_size, "desiredSize": scaling.desired_capacity}
            if sizes != group.shown["scalingConfig"]:
                group.shown["scalingConfig"] = sizes
                changes.changed()
