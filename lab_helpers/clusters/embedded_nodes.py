"""Nodes of an embedded cluster, of both kinds: simulated by KWOK, or with an agent that runs programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab_helpers import processes, toolchain
from lab_helpers.clusters import health, kwok, kwokctl, metrics
from lab_helpers.clusters.components import Components
from lab_helpers.clusters.ports import free_ports
from lab_helpers.clusters.processnode import launch
from lab_helpers.clusters.provider import NodeShape, Profile
from lab_helpers.errors import ClusterError
from lab_helpers.kube import Kube

# Without it Pods that should answer would land on nodes where nothing does. The key is KWOK's own.
SIMULATED = "kwok.x-k8s.io/node=fake:NoSchedule"


def runs_programs(profile: Profile) -> bool:
    """Whether a profile has nodes whose Pods answer."""
    return any(shape.runs == "programs" for shape in profile.nodes)


def count(profile: Profile) -> str:
    """The profile's nodes in words: `2 nodes that run programs, 1 simulated node`."""
    running = sum(shape.runs == "programs" for shape in profile.nodes)
    simulated = len(profile.nodes) - running
    words = [f"{running} node{'s' if running > 1 else ''} that run{'' if running > 1 else 's'} programs"] if running else []
    words += [f"{simulated} simulated node{'s' if simulated > 1 else ''}"] if simulated else []
    return ", ".join(words)


def prepare(components: Components) -> None:
    """Start what process nodes need beside the control plane: the proxy, and metrics-server where the profile asks."""
    profile, folder = components.cluster.profile, components.folder
    if not runs_programs(profile):
        return
    ports = free_ports(2)
    launch.prepare_proxy(folder, ports[0])
    components.launch(launch.PROXY)
    if profile.metrics:
        metrics.prepare(folder, ports[1])
        metrics.register(folder, Kube(components.cluster.kubeconfig))
        components.launch(metrics.NAME)


def add(components: Components, shapes: Sequence[NodeShape]) -> None:
    """Add nodes and return when all of them are Ready."""
    kube = Kube(components.cluster.kubeconfig)
    mixed = runs_programs(components.cluster.profile)
    running = [shape for shape in shapes if shape.runs == "programs"]
    if running and not mixed:
        raise ClusterError(
            f"Node {running[0].name} cannot run programs: this cluster was made without such nodes.",
            next_step="give the lab's profile a node with `runs: programs`",
        )
    for shape in shapes:
        kube.create(_process_node(shape) if shape.runs == "programs" else kwok.node(shape, [SIMULATED] if mixed else []))
    for shape in running:
        launch.prepare_node(components.folder, shape, toolchain.version("kube-apiserver"), kwokctl.server(components.folder))
        components.launch(launch.agent(shape.name))
    for shape in running:
        _wait_agent(components, shape.name)
    kwok.wait_usable(kube, [shape.name for shape in shapes])


def _wait_agent(components: Components, name: str) -> None:
    """Return when a node's agent answers.

    Raises:
        ClusterError: it ended; with its last words.
    """
    agent = launch.agent(name)

    def answers() -> bool:
        if not components.alive(agent):
            raise ClusterError(f"The agent of node {name} ended.", processes.tail(components.log(agent)), "lab doctor")
        return health.answers(components.folder, agent)

    processes.wait_until(answers, deadline=60, what=f"{agent}: a healthy answer")


def _process_node(shape: NodeShape) -> dict[str, Any]:
    """The Node object of a process node. Its agent does not make it: NodeRestriction would refuse some labels."""
    item = kwok.node(shape, [])
    item["metadata"]["annotations"] = {}
    del item["metadata"]["labels"]["type"], item["status"]
    item["metadata"]["labels"][launch.LABEL] = "programs"
    return item


def _agent(components: Components, name: str) -> str:
    """Name of the node's agent; empty for a simulated node."""
    return launch.agent(name) if name in launch.nodes(components.folder) else ""


def remove(components: Components, name: str) -> None:
    """Take a node away with its machine."""
    if agent := _agent(components, name):
        components.end(agent, grace=0)
        components.mark(agent).unlink(missing_ok=True)
        launch.forget_node(components.folder, name)
    kwok.remove(Kube(components.cluster.kubeconfig), name)


def fail(components: Components, name: str) -> None:
    """The machine is lost: heartbeats end, and on a process node everything that ran there."""
    if agent := _agent(components, name):
        components.mark(agent).touch()
        components.end(agent, grace=0)
    else:
        kwok.fail(Kube(components.cluster.kubeconfig), name)


def recover(components: Components, name: str) -> None:
    """The machine is back; return when the node is Ready."""
    kube = Kube(components.cluster.kubeconfig)
    if agent := _agent(components, name):
        components.start(agent)
        kwok.wait_usable(kube, [name])
    else:
        kwok.recover(kube, name)


def no_machine(components: Components, name: str) -> ClusterError:
    """What to tell somebody who wants to look into a node."""
    if Kube(components.cluster.kubeconfig).find("node", name) is None:
        return ClusterError(f"There is no node {name!r}.", next_step="kubectl get nodes")
    if agent := _agent(components, name):
        seen = f"its kubelet is the process {agent} of this machine; its folder is {components.folder / 'nodes' / name}"
        return ClusterError(f"{name} has no machine of its own to look into.", seen, f'lab.log("{agent}") shows its log')
    return ClusterError(f"{name} has no machine to look into: it is simulated.", "KWOK plays its kubelet")
