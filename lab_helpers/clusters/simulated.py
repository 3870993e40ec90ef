"""KWOK's nodes beside a kind cluster's real ones: for pictures of many nodes. They are tainted, and named for what they are.

KWOK runs as a process of this machine, on the cluster's record, and looks only after the nodes that are annotated for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lab_helpers import processes, toolchain
from lab_helpers.clusters import kwok
from lab_helpers.clusters.ports import free_ports
from lab_helpers.clusters.provider import Cluster, NodeShape
from lab_helpers.kube import Kube

TAINT = "kwok.x-k8s.io/node=fake:NoSchedule"
_NAME = "kwok-controller"
_STAGES = Path(__file__).parent / "manifests" / "kwok-stages.yaml"
# A DaemonSet that tolerates every taint would put its Pods there: they would be shown as running, and do nothing.
_REAL_NODES_ONLY = {"key": "type", "operator": "NotIn", "values": ["kwok"]}


def split(shapes: Iterable[NodeShape]) -> tuple[list[NodeShape], list[NodeShape]]:
    """Real and simulated nodes of a profile."""
    shapes = list(shapes)
    return [s for s in shapes if s.runs != "nothing"], [s for s in shapes if s.runs == "nothing"]


def add(cluster: Cluster, kube: Kube, shapes: Sequence[NodeShape]) -> None:
    """Add simulated nodes; return when they are Ready."""
    running = processes.recorded(cluster.folder).get(_NAME)
    if running is None or not processes.alive(running):
        _launch(cluster)
    # A cloud's nodes are whatever its account says: all of them take Pods.
    more = () if cluster.profile.managed else (TAINT,)
    kwok.add(kube, [replace(shape, taints=tuple(dict.fromkeys((*shape.taints, *more)))) for shape in shapes])


def _launch(cluster: Cluster) -> None:
    command: list[str | Path] = [toolchain.path("kwok"), "--kubeconfig", cluster.kubeconfig, "--config", _STAGES]
    command += [
        "--config",
        kwok.READY_AGAIN,
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--disregard-status-with-annotation-selector={kwok.MARK}",
    ]
    command += ["--node-lease-duration-seconds=40", f"--server-address=127.0.0.1:{free_ports(1)[0]}", "--cidr=10.0.0.1/16"]
    processes.start(_NAME, command, folder=cluster.folder, cwd=cluster.folder)


def mend(cluster: Cluster) -> None:
    """Start KWOK again where it had ended."""
    found = processes.recorded(cluster.folder).get(_NAME)
    if found and not processes.alive(found):
        kwok.release_leases(Kube(cluster.kubeconfig))
        _launch(cluster)


def keep_daemons_away(kube: Kube) -> None:
    """Keep the cluster's own DaemonSets off simulated nodes; done when the cluster is made, because it changes them."""
    terms = {"nodeSelectorTerms": [{"matchExpressions": [_REAL_NODES_ONLY]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    for item in kube.list("daemonsets", "kube-system"):
        kube.patch(
            "daemonset", item["metadata"]["name"], {"spec": {"template": {"spec": {"affinity": affinity}}}}, "kube-system"
        )
