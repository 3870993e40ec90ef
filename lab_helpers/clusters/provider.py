"""What every provider of clusters does, and the words they share.

A *profile* says what a lab needs; a *provider* (embedded or kind) makes a cluster of it. Labs, checks and the teaching
layer know only this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Say = Callable[[str], None]
"""Called with one line for each step of long work."""

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
"""The control plane of every provider, in the order in which it starts."""


@dataclass(frozen=True)
class NodeShape:
    """One node as a lab asks for it.

    Attributes:
        name: the node's name.
        cpu: cores, as a Kubernetes quantity.
        memory: as a Kubernetes quantity.
        pods: how many Pods it may hold.
        zone: value of the label topology.kubernetes.io/zone; empty: none.
        labels: further labels.
        taints: as `kubectl taint` writes them: `key=value:Effect`.
        runs: what becomes of its Pods. Empty: what the provider does by itself (real containers on kind, simulated by
            KWOK on embedded). `programs`: they answer (containers on kind, local processes on embedded). `nothing`:
            simulated by KWOK on either.
        provider_id: the node's spec.providerID, for instance `aws:///us-east-1a/i-0abc`; empty: the provider's own.
        minor: of a real node's kubelet, for instance `1.35`; empty: that of the lab's own programs.
        status: what a simulated node's status says besides.
    """

    name: str
    cpu: str = "4"
    memory: str = "16Gi"
    pods: int = 110
    zone: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    runs: str = ""
    provider_id: str = ""
    minor: str = ""
    status: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """What a lab needs of its cluster.

    Attributes:
        nodes: the nodes that are there when the lab opens.
        arguments: further command-line arguments per component, for instance
            `{"kube-scheduler": {"v": "10"}}`.
        ports: ports of the control plane's machine that are reached on this machine's 127.0.0.1, for instance a NodePort.
            On embedded there is nothing to map: its control plane is this machine.
        metrics: whether metrics-server runs, for `kubectl top` and the HorizontalPodAutoscaler. On embedded it needs
            nodes that run programs: nothing else has usage.
        managed: the control plane is a cloud's: it is no node of the cluster, and nothing runs in the cluster but what is
            put there, not even a network. On embedded it is so anyway.
        files: files of this machine that the arguments name; the components find them under the same path.
        reaches: ports of this machine's 127.0.0.1 that the components reach under the same address, for instance a webhook's.
        images: names under which real nodes know images of theirs besides: name → one of the node's own, without its tag.
    """

    nodes: tuple[NodeShape, ...] = ()
    arguments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    metrics: bool = False
    managed: bool = False
    files: tuple[str, ...] = ()
    reaches: tuple[int, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """A cluster that exists.

    Attributes:
        name: unique among the lab's clusters.
        provider: who made it.
        folder: everything that belongs to it on disk.
        kubeconfig: its administrator's; never the user's own file.
        profile: what it was made from.
    """

    name: str
    provider: str
    folder: Path
    kubeconfig: Path
    profile: Profile


Clusters = list[Cluster]


class Provider(Protocol):
    """A maker of clusters. Every method may raise ClusterError or ProgramError."""

    name: str
    real: str
    """One sentence for the banner: what is real on this provider."""
    simulated: str
    """One sentence for the banner: what is simulated; empty: nothing."""

    def programs(self, profile: Profile) -> list[str]:
        """Names of the programs (of the toolchain) that a cluster of this profile needs."""
        ...

    def create(self, name: str, profile: Profile, say: Say) -> Cluster:
        """Make a cluster in which a Pod can be made and runs; on failure or Ctrl-C nothing of it is left."""
        ...

    def names_for(self, lab: str, profile: Profile) -> list[str]:
        """Names of clusters that a lab may have, the one it has first: its own, or those that labs of equal profile share."""
        ...

    def get(self, name: str) -> Cluster | None:
        """The cluster of that name, whatever its state, or None."""
        ...

    def list(self) -> Clusters:
        """Every cluster of this provider."""
        ...

    def names(self) -> tuple[str, ...]:
        """Names of all clusters of this provider, also of half-made ones."""
        ...

    def delete(self, name: str) -> None:
        """Remove a cluster with its processes, ports and files; no error where there is none."""
        ...

    def delete_all(self) -> int:
        """Remove every cluster of this state folder, also half-made ones; how many there were."""
        ...

    def occupy(self, cluster: Cluster, lab: str, say: Say) -> Cluster:
        """The cluster for a lab that opens: emptied first where another lab was in it and did not end."""
        ...

    def reset(self, cluster: Cluster, say: Say) -> Cluster:
        """The cluster as it was when it was made: emptied and proven empty, or made anew."""
        ...

    def release(self, cluster: Cluster, say: Say) -> bool:
        """A lab has ended: remove its cluster, or empty it for the next lab; whether it is gone."""
        ...

    def health(self, cluster: Cluster) -> dict[str, str]:
        """State of each component: `running`, `unhealthy` (runs, does not answer), `stopped` (by the learner), `dead`."""
        ...

    def mend(self, cluster: Cluster, say: Say) -> None:
        """Start again what died by itself or with the machine; components the learner stopped stay so."""
        ...

    def stop(self, cluster: Cluster, component: str) -> None:
        """Stop one component of the control plane and return when it is gone."""
        ...

    def start(self, cluster: Cluster, component: str) -> None:
        """Start it again and return when it is healthy."""
        ...

    def log(self, cluster: Cluster, component: str) -> Path:
        """The log file of a component; `audit` is the API server's audit log (one JSON event a line)."""
        ...

    def arguments(self, cluster: Cluster, component: str) -> dict[str, str]:
        """The command-line arguments that a component of the control plane was started with: name → value, without dashes."""
        ...

    def reconfigure(self, cluster: Cluster, changes: Mapping[str, Mapping[str, str | None]], say: Say) -> None:
        """Restart components of the control plane with other arguments; etcd's data stay.

        Args:
            changes: component → argument without dashes → its value, or None: it is left out.
        """
        ...

    def inside(self, cluster: Cluster, node: str) -> tuple[str, ...]:
        """The words before a command that is to run on a node's machine, as `ssh NODE` would be.

        Raises:
            ClusterError: there is no such node, or no machine behind it to look into.
        """
        ...

    def environment(self, cluster: Cluster) -> dict[str, str]:
        """Variables that only this provider's clusters need, for instance ETCDCTL_ENDPOINTS."""
        ...

    def add_node(self, cluster: Cluster, shape: NodeShape) -> None:
        """Add a node and return when it is Ready."""
        ...

    def remove_node(self, cluster: Cluster, name: str) -> None:
        """Take a node away with its machine; its Pods go with it."""
        ...

    def machines(self, cluster: Cluster) -> tuple[str, ...]:
        """The nodes that have a machine of their own; the others are simulated."""
        ...

    def fail_node(self, cluster: Cluster, name: str) -> None:
        """The node's heartbeats end: it turns NotReady after the grace period, as a lost machine does."""
        ...

    def recover_node(self, cluster: Cluster, name: str) -> None:
        """The heartbeats begin again."""
        ...


def changed(words: Iterable[str], wanted: Mapping[str, str | None]) -> list[str]:
    """A command line with other arguments: name without dashes → its value, or None: it is left out."""
    kept = [word for word in words if word[2:].partition("=")[0] not in wanted]
    return kept + [f"--{name}={value}" for name, value in wanted.items() if value is not None]


def flags(words: Iterable[str]) -> dict[str, str]:
    """`--name=value` words of a command line as a table; a bare `--name` is `true`."""
    pairs = (word[2:].partition("=") for word in words if word.startswith("--"))
    return {name: value if equals else "true" for name, equals, value in pairs}
