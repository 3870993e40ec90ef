"""The embedded provider: a real control plane as local processes. No Docker, no root.

Nodes are simulated by KWOK, or run the course's own programs as local processes (processnode/).

kwokctl's binary runtime makes the keys, the arguments and the first start; from then on every component is a process
on this package's record, so that one of them can be stopped, started and mended by itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil

from lab_helpers import processes, toolchain
from lab_helpers.clusters import embedded_nodes, kwokctl, metrics
from lab_helpers.clusters.components import CONTROL_PLANE, Components
from lab_helpers.clusters.health import answers
from lab_helpers.clusters.processnode import launch
from lab_helpers.clusters.provider import COMPONENTS, Cluster, NodeShape, Profile, Say, flags
from lab_helpers.clusters.records import Kept, save
from lab_helpers.errors import ClusterError, WaitTimeout
from lab_helpers.kube import Kube
from lab_helpers.settings import Settings, plain, writable

PROGRAMS = (*COMPONENTS, "etcdctl", "etcdutl", "kwok", "kwokctl", "kubectl")
_READY_SECONDS = 180.0  # eight at once on two cores take more than a minute

_REAL_PODS = "Pods on nodes that run programs answer: their requests, probes, logs, CPU and memory are real."
_NO_CONTAINERS = (
    "These Pods are local processes of the course's own programs, not containers: nothing isolates them, their addresses "
    "are reached through a proxy of this lab."
)
_SOME_SIMULATED = "Nodes with the taint kwok.x-k8s.io/node are simulated by KWOK: no container starts there."


class Embedded(Kept):
    """See provider.Provider for what each method does."""

    name = "embedded"
    real = "etcd, the API server, the controller manager and the scheduler are the real programs, as local processes."
    simulated = "Nodes are simulated by KWOK: Pods are scheduled and shown as running, but no container starts."

    def __init__(self, settings: Settings) -> None:
        self.data = plain(settings.data)
        self.root = self.data / "clusters"

    def programs(self, profile: Profile) -> list[str]:
        wants_metrics = profile.metrics and embedded_nodes.runs_programs(profile)
        more = [kwokctl.api_server(profile.arguments), *([metrics.NAME] if wants_metrics else [])]
        return list(dict.fromkeys([*PROGRAMS, *more]))

    def described(self, profile: Profile) -> tuple[str, str]:
        """`real` and `simulated` of a cluster of this profile."""
        if not embedded_nodes.runs_programs(profile):
            return self.real, self.simulated
        others = sum(shape.runs != "programs" for shape in profile.nodes)
        return f"{self.real} {_REAL_PODS}", f"{_NO_CONTAINERS} {_SOME_SIMULATED if others else ''}".strip()

    # -- life of a cluster --------------------------------------------------------------------------------------

    def create(self, name: str, profile: Profile, say: Say) -> Cluster:
        paths = {program: plain(path.parent) / path.name for program, path in toolchain.ensure(self.programs(profile)).items()}
        writable(self.root)
        with self._lock(name):
            if self.get(name):
                raise ClusterError(f"There is a cluster {name!r} already.", next_step="lab clusters")
            self._remove(name)  # half a cluster, whose launcher was killed
            for _ in range(3):
                try:
                    return self._create(name, profile, paths, say)
                except kwokctl.PortTaken:
                    self._remove(name)
                    say("a port was taken meanwhile: again with others")
                except BaseException:
                    self._remove(name)
                    raise
        raise ClusterError(f"Cluster {name}: three times a port was taken by another program.", next_step="lab doctor")

    def _create(self, name: str, profile: Profile, paths: dict[str, Path], say: Say) -> Cluster:
        folder = self.root / name
        say("starting etcd, API server, controller manager and scheduler")
        kwokctl.create(self.data, name, profile, paths)
        cluster = Cluster(name, self.name, folder, folder / "kubeconfig.yaml", profile)
        components = self._components(cluster)
        for component, command in components.control_plane().items():
            pid = kwokctl.pid(folder, component)
            log = str(folder / "logs" / f"{component}.log")
            processes.record(folder, processes.Process(component, pid, processes.birth(pid), tuple(command), log))
        say("waiting until the API server answers")
        self._wait_usable(cluster)
        save(cluster)
        embedded_nodes.prepare(components)
        if profile.nodes:
            say(f"adding {embedded_nodes.count(profile)}")
            embedded_nodes.add(components, profile.nodes)
        return cluster

    def _wait_usable(self, cluster: Cluster) -> None:
        """Return when a Pod can be made: the API server is ready and the default service account is there."""
        kube = Kube(cluster.kubeconfig)

        def usable() -> bool:
            self._revive(cluster)
            if not answers(cluster.folder, "kube-apiserver"):
                return False
            return kube.find("serviceaccounts", "default") is not None

        try:
            processes.wait_until(usable, deadline=_READY_SECONDS, what=f"Cluster {cluster.name}: a usable API server")
        except WaitTimeout:
            states = self.health(cluster)
            worst = next((name for name, state in states.items() if state != "running"), "kube-apiserver")
            raise ClusterError(
                f"Cluster {cluster.name} did not become usable within {_READY_SECONDS:.0f} s: {worst} is {states[worst]}.",
                processes.tail(self.log(cluster, worst)),
                "lab doctor",
            ) from None

    def _revive(self, cluster: Cluster) -> None:
        """Start again, as a kubelet would, who gave up on a slow API server: the controller manager waits ten seconds only.

        Raises:
            ClusterError: a component ended for another reason.
        """
        for name, process in processes.recorded(cluster.folder).items():
            if not processes.alive(process):
                kwokctl.raise_if_port_taken(cluster.folder)
                said = processes.tail(process.log)
                if "failed to wait for apiserver being healthy" in "".join(said.splitlines()[-1:]):
                    self._components(cluster).launch(name)
                    continue
                raise ClusterError(f"{name} ended while the cluster {cluster.name} started.", said, "lab doctor")

    def names_for(self, lab: str, profile: Profile) -> list[str]:
        return [lab]  # quick to make: one for each lab

    def occupy(self, cluster: Cluster, lab: str, say: Say) -> Cluster:
        return cluster  # nobody else was in it

    def reset(self, cluster: Cluster, say: Say) -> Cluster:
        self.delete(cluster.name)
        return self.create(cluster.name, cluster.profile, say)

    def release(self, cluster: Cluster, say: Say) -> bool:
        self.delete(cluster.name)
        return True

    def _remove(self, name: str) -> None:
        folder = self.root / name
        for process in processes.recorded(folder).values():
            processes.stop(process, grace=0)  # its files go too: nothing is worth a farewell
        launch.wait_gone(folder)
        for process in _left_of(folder):
            processes.stop(process, grace=0)
        shutil.rmtree(folder, ignore_errors=True)
        kwokctl.config_file(self.data, name).unlink(missing_ok=True)
        if folder.exists():
            raise ClusterError(f"{folder} cannot be removed.", next_step=f"rm -rf '{folder}'")

    # -- components ---------------------------------------------------------------------------------------------

    def _components(self, cluster: Cluster) -> Components:
        return Components(cluster, self.data)

    def health(self, cluster: Cluster) -> dict[str, str]:
        return self._components(cluster).states()

    def mend(self, cluster: Cluster, say: Say) -> None:
        self._components(cluster).mend(say)

    def stop(self, cluster: Cluster, component: str) -> None:
        self._components(cluster).stop(component)

    def start(self, cluster: Cluster, component: str) -> None:
        self._components(cluster).start(component)

    def log(self, cluster: Cluster, component: str) -> Path:
        return self._components(cluster).log(component)

    def arguments(self, cluster: Cluster, component: str) -> dict[str, str]:
        components = self._components(cluster)
        components.known(component)
        return flags(components.commands()[component])

    def reconfigure(self, cluster: Cluster, changes: Mapping[str, Mapping[str, str | None]], say: Say) -> None:
        self._components(cluster).reconfigure(changes, say)

    def inside(self, cluster: Cluster, node: str) -> tuple[str, ...]:
        raise embedded_nodes.no_machine(self._components(cluster), node)

    def environment(self, cluster: Cluster) -> dict[str, str]:
        endpoint = f"http://127.0.0.1:{kwokctl.port(cluster.folder, 'etcd')}"
        return {"ETCDCTL_ENDPOINTS": endpoint, **launch.environment(cluster.folder)}

    # -- nodes --------------------------------------------------------------------------------------------------

    def add_node(self, cluster: Cluster, shape: NodeShape) -> None:
        embedded_nodes.add(self._components(cluster), [shape])

    def remove_node(self, cluster: Cluster, name: str) -> None:
        embedded_nodes.remove(self._components(cluster), name)

    def machines(self, cluster: Cluster) -> tuple[str, ...]:
        return ()

    def fail_node(self, cluster: Cluster, name: str) -> None:
        embedded_nodes.fail(self._components(cluster), name)

    def recover_node(self, cluster: Cluster, name: str) -> None:
        embedded_nodes.recover(self._components(cluster), name)


def _left_of(folder: Path) -> list[processes.Process]:
    """What a crash left without a record: a component is known by its arguments, which name the cluster's own folder."""
    found = []
    for candidate in psutil.process_iter(["pid", "cmdline", "uids"]):
        words = candidate.info["cmdline"] or []
        mine = candidate.info["uids"] and candidate.info["uids"].real == os.getuid()
        if mine and any(f"{folder}/" in word for word in words):
            name = Path(words[0]).name
            if name in (*CONTROL_PLANE, "kwok", "kwokctl", metrics.NAME) or launch.runs_here(words):
                found.append(processes.Process(name, candidate.pid, processes.birth(candidate.pid), tuple(words), ""))
    return found
