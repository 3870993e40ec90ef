"""Nodes that are machines: on kind a managed node group's instances are real nodes, as many as this computer holds.

Each is a container with a kubelet (clusters/worker.py); instances beyond are simulated by KWOK, as `kubectl get nodes -o wide`
says. Of the images of AWS's registry kube-proxy and CoreDNS are the node's own programs; the rest are stand-ins. `aws-node` is
one: when it is Ready, the node's network of Pods is started here, and ends with it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

from lab_helpers import processes
from lab_helpers.clusters.kwok import FAKE
from lab_helpers.eks import plane
from lab_helpers.eks.model.account import Cluster
from lab_helpers.errors import LabError
from lab_helpers.kube import Kube, ready

Object = dict[str, Any]

MOST = 4
"""Machines at once, of all clusters; less where this computer has fewer processors."""
_PATIENCE = 120.0  # seconds from a machine's registration to Ready
_CONFIGURATION = "/etc/cni/net.d/10-lab.conflist"
_BEGIN = "systemctl enable --quiet --now lab-cni"  # it has to be there again when the machine restarts
# Without `aws-node` the plugin on a node of EKS is there and gets no answer: what runs goes on, new Pods get no address.
_END = (
    "systemctl disable --quiet --now lab-cni; "
    f"""test -e {_CONFIGURATION} && echo '{{"cniVersion":"1.0.0","name":"aws-cni","plugins":[{{"type":"aws-cni"}}]}}' """
    f"> {_CONFIGURATION}; true"
)
_lock = threading.Lock()
_coming: set[tuple[str, str]] = set()
_networks: dict[tuple[str, str], bool] = {}


@contextmanager
def room(cluster: Cluster, nodes: Iterable[str]) -> Iterator[list[str]]:
    """Those of these nodes for which a machine may be made; while the block runs, the places are taken."""
    with _lock:
        free = min(MOST, os.cpu_count() or 1) - len(plane.machines() | _coming) if cluster.provider == "kind" else 0
        places = {(cluster.local, node): node for node in islice(nodes, max(0, free))}
        _coming.update(places)
    try:
        yield list(places.values())
    finally:
        _coming.difference_update(places)


def names(cluster: Cluster, kube: Kube) -> set[str]:
    """The cluster's nodes that are machines."""
    if cluster.provider != "kind":
        return set()
    return {node["metadata"]["name"] for node in kube.list("nodes") if not node["metadata"].get("annotations", {}).get(FAKE)}


def switch(cluster: Cluster, machines: set[str], cni: set[str], proxy: set[str]) -> None:
    """Start the network of Pods where `aws-node` has become Ready, and end it where it is gone.

    Args:
        machines: the cluster's nodes that are machines.
        cni, proxy: nodes on which `aws-node` and kube-proxy are Ready.
    """
    for node in machines:
        key = (cluster.local, node)
        # It needs kube-proxy's rules when it starts, and not afterwards.
        wanted = node in cni and (node in proxy or _networks.get(key, False))
        if _networks.get(key) != wanted:
            with suppress(LabError):  # the machine is gone, or paused: next time
                _inside(cluster, node, _BEGIN if wanted else _END)
                _networks[key] = wanted


def forget(cluster: Cluster, node: str) -> None:
    """A machine is gone: another may come under its name."""
    _networks.pop((cluster.local, node), None)


def until_ready(kube: Kube, node: str, look: Callable[[], None]) -> None:
    """Return when a node that has joined is Ready.

    Args:
        look: called again and again meanwhile: what it waits for may be `switch`.
    """

    def there() -> bool:
        look()
        return ready(kube.get("node", node))

    processes.wait_until(there, deadline=_PATIENCE, what=f"{node}: Ready", seen=lambda: kube.explain(kube.get("node", node)))


def _inside(cluster: Cluster, node: str, script: str) -> None:
    there = plane.get(cluster.local, cluster.provider)
    processes.run([*plane.maker(cluster.provider).inside(there, node), "sh", "-c", script], timeout=30)
