"""The embedded provider: a real control plane as local processes, nodes simulated by KWOK. No Docker, no root.

kwokctl's binary runtime makes the keys, the arguments and the first start; from then on every component is a process
on this package's record, so that one of them can be stopped, started and mended by itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import psutil
from filelock import FileLock

from lab_helpers import processes, toolchain
from lab_helpers.clusters import kwok, kwokctl
from lab_helpers.clusters.health import answers
from lab_helpers.clusters.provider import COMPONENTS, Cluster, Clusters, NodeShape, Profile, Say
from lab_helpers.clusters.records import load, save
from lab_helpers.errors import ClusterError, WaitTimeout
from lab_helpers.kube import Kube
from lab_helpers.settings import Settings, plain, writable

PROGRAMS = (*COMPONENTS, "etcdctl", "etcdutl", "kwok", "kwokctl", "kubectl")
_ALL = (*COMPONENTS, "kwok-controller")
_READY_SECONDS = 180.0  # eight at once on two cores take more than a minute

Command = list[str]


class Embedded:
    """See provider.Provider for what each method does."""

    name = "embedded"
    real = "etcd, the API server, the controller manager and the scheduler are the real programs, as local processes."
    simulated = "Nodes are simulated by KWOK: Pods are scheduled and shown as running, but no container starts."

    def __init__(self, settings: Settings) -> None:
        self.data = plain(settings.data)
        self.root = self.data / "clusters"

    def programs(self, profile: Profile) -> list[str]:
        return list(PROGRAMS)

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

    def _lock(self, name: str) -> FileLock:
        return FileLock(writable(self.data / "locks") / f"cluster-{name}.lock")

    def _create(self, name: str, profile: Profile, paths: dict[str, Path], say: Say) -> Cluster:
        folder = self.root / name
        say("starting etcd, API server, controller manager and scheduler")
        kwokctl.create(self.data, name, profile, paths)
        cluster = Cluster(name, self.name, folder, folder / "kubeconfig.yaml", profile)
        for component, command in self._commands(cluster).items():
            pid = kwokctl.pid(folder, component)
            log = str(folder / "logs" / f"{component}.log")
            processes.record(folder, processes.Process(component, pid, processes.birth(pid), tuple(command), log))
        say("waiting until the API server answers")
        self._wait_usable(cluster)
        save(cluster)
        if profile.nodes:
            say(f"adding {len(profile.nodes)} simulated node{'s' if len(profile.nodes) > 1 else ''}")
            kwok.add(Kube(cluster.kubeconfig), profile.nodes)
        return cluster

    def _wait_usable(self, cluster: Cluster) -> None:
        """Return when a Pod can be made: the API server is ready and the default service account is there."""
        kube = Kube(cluster.kubeconfig)

        def usable() -> bool:
            self._raise_if_dead(cluster)
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

    def _raise_if_dead(self, cluster: Cluster) -> None:
        for name, process in processes.recorded(cluster.folder).items():
            if not processes.alive(process):
                kwokctl.raise_if_port_taken(cluster.folder)
                said = processes.tail(process.log)
                raise ClusterError(f"{name} ended while the cluster {cluster.name} started.", said, "lab doctor")

    def names_for(self, lab: str, profile: Profile) -> list[str]:
        return [lab]  # quick to make: one for each lab

    def get(self, name: str) -> Cluster | None:
        return load(self.root / name, self.name)

    def list(self) -> Clusters:
        folders = sorted(self.root.iterdir()) if self.root.is_dir() else []
        return [cluster for folder in folders if (cluster := load(folder, self.name))]

    def delete(self, name: str) -> None:
        with self._lock(name):
            self._remove(name)

    def delete_all(self) -> int:
        folders = [path for path in self.root.glob("[!.]*") if path.is_dir()]
        for folder in folders:
            self.delete(folder.name)
        return len(folders)

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
        for process in _processes_of(folder):
            processes.stop(process, grace=0)  # its files go too: nothing is worth a farewell
        shutil.rmtree(folder, ignore_errors=True)
        kwokctl.config_file(self.data, name).unlink(missing_ok=True)
        if folder.exists():
            raise ClusterError(f"{folder} cannot be removed.", next_step=f"rm -rf '{folder}'")

    # -- components ---------------------------------------------------------------------------------------------

    def health(self, cluster: Cluster) -> dict[str, str]:
        found = processes.recorded(cluster.folder)
        return {name: self._state(cluster, name, found.get(name)) for name in _ALL}

    def _state(self, cluster: Cluster, name: str, process: processes.Process | None) -> str:
        if _stopped_mark(cluster, name).exists():
            return "stopped"
        if process is None or not processes.alive(process):
            return "dead"
        return "running" if answers(cluster.folder, name) else "unhealthy"

    def mend(self, cluster: Cluster, say: Say) -> None:
        states = self.health(cluster)
        dead = [name for name in _ALL if states[name] == "dead"]
        for name in dead:
            say(f"starting {name} again: it had ended")
            self._launch(cluster, name)
        both_wanted = "stopped" not in (states["etcd"], states["kube-apiserver"])
        if both_wanted and ("kube-apiserver" in dead or "etcd" in dead):
            self._wake_clients(cluster)
        if any(state == "unhealthy" for state in states.values()) or dead:
            self._wait_answers(cluster, [name for name in _ALL if states[name] != "stopped"], say)

    def _wait_answers(self, cluster: Cluster, names: Sequence[str], say: Say) -> None:
        if "etcd" not in names or "kube-apiserver" not in names:
            return  # without them nothing else can be healthy, and the learner stopped them
        for name in names:
            try:
                self._wait_component(cluster, name, 20)
            except WaitTimeout:
                say(f"starting {name} again: it did not answer")
                if process := processes.recorded(cluster.folder).get(name):
                    processes.stop(process, grace=1)
                self._launch(cluster, name)
                self._wait_component(cluster, name, 40)

    def stop(self, cluster: Cluster, component: str) -> None:
        self._known(component)
        _stopped_mark(cluster, component).touch()
        process = processes.recorded(cluster.folder).get(component)
        if process:
            processes.stop(process, grace=1)  # etcd and the API server would wait for their clients
            processes.forget(cluster.folder, component)

    def start(self, cluster: Cluster, component: str) -> None:
        self._known(component)
        process = processes.recorded(cluster.folder).get(component)
        if process is None or not processes.alive(process):
            self._launch(cluster, component)
        _stopped_mark(cluster, component).unlink(missing_ok=True)
        need = {"kube-apiserver": ["etcd"], "etcd": []}.get(component, ["etcd", "kube-apiserver"])
        states = self.health(cluster)
        if all(states[name] in ("running", "unhealthy") for name in need):
            self._wait_component(cluster, component, 40)
        if component in ("etcd", "kube-apiserver") and "stopped" not in (states["etcd"], states["kube-apiserver"]):
            self._hasten_api_server(cluster)
            self._wake_clients(cluster)

    def _hasten_api_server(self, cluster: Cluster) -> None:
        """Have the API server answer soon after etcd is back.

        It looks for a lost etcd more and more seldom (seen: not within 40 s after 170 s without). At work its kubelet would
        see the failing health check and start it anew.
        """
        try:
            self._wait_component(cluster, "kube-apiserver", 3)
        except WaitTimeout:
            if process := processes.recorded(cluster.folder).get("kube-apiserver"):
                processes.stop(process, grace=1)
            self._launch(cluster, "kube-apiserver")

    def _wake_clients(self, cluster: Cluster) -> None:
        """Start controller manager and scheduler anew once the API server is back.

        Their watches back off up to a minute (seen: 50 s after 30 s without it). At work they would have lost their lease
        after ten seconds, ended, and been started again by their kubelet.
        """
        found = processes.recorded(cluster.folder)
        for name in ("kube-controller-manager", "kube-scheduler"):
            if name in found and processes.alive(found[name]):
                processes.stop(found[name], grace=1)
                self._launch(cluster, name)
        for name in ("kube-controller-manager", "kube-scheduler"):
            if not _stopped_mark(cluster, name).exists():
                self._wait_component(cluster, name, 40)

    def _launch(self, cluster: Cluster, component: str) -> None:
        if component == "kwok-controller":
            kwok.release_leases(Kube(cluster.kubeconfig))
        command = self._commands(cluster)[component]
        processes.start(component, command, folder=cluster.folder, cwd=cluster.folder, env=kwokctl.environment(self.data))
        if component == "kube-apiserver":
            self._wait_component(cluster, component, 40)

    def _wait_component(self, cluster: Cluster, component: str, deadline: float) -> None:
        processes.wait_until(
            lambda: answers(cluster.folder, component),
            deadline=deadline,
            what=f"{component}: a healthy answer",
            seen=lambda: processes.tail(self.log(cluster, component), 5),
        )

    def _known(self, component: str) -> None:
        if component not in _ALL:
            raise ClusterError(f"There is no component {component!r}.", next_step=f"one of: {', '.join(_ALL)}")

    def _commands(self, cluster: Cluster) -> dict[str, Command]:
        """Program and arguments of each component, as kwokctl chose them."""
        return {item["name"]: [item["binary"], *item["args"]] for item in kwokctl.components(cluster.folder)}

    def log(self, cluster: Cluster, component: str) -> Path:
        return cluster.folder / "logs" / f"{component}.log"

    def environment(self, cluster: Cluster) -> dict[str, str]:
        return {"ETCDCTL_ENDPOINTS": f"http://127.0.0.1:{kwokctl.port(cluster.folder, 'etcd')}"}

    # -- nodes --------------------------------------------------------------------------------------------------

    def add_node(self, cluster: Cluster, shape: NodeShape) -> None:
        kwok.add(Kube(cluster.kubeconfig), [shape])

    def remove_node(self, cluster: Cluster, name: str) -> None:
        kwok.remove(Kube(cluster.kubeconfig), name)

    def fail_node(self, cluster: Cluster, name: str) -> None:
        kwok.fail(Kube(cluster.kubeconfig), name)

    def recover_node(self, cluster: Cluster, name: str) -> None:
        kwok.recover(Kube(cluster.kubeconfig), name)


def _stopped_mark(cluster: Cluster, component: str) -> Path:
    return cluster.folder / "pids" / f"{component}.stopped"


def _processes_of(folder: Path) -> list[processes.Process]:
    """Whatever runs for this cluster: the records, and what a crash left without one.

    A component is known by its arguments: each names the cluster's own folder.
    """
    found = {process.pid: process for process in processes.recorded(folder).values() if processes.alive(process)}
    for candidate in psutil.process_iter(["pid", "name", "cmdline", "uids"]):
        words = candidate.info["cmdline"] or []
        mine = candidate.info["uids"] and candidate.info["uids"].real == os.getuid()
        if mine and candidate.pid not in found and any(f"{folder}/" in word for word in words):
            name = Path(words[0]).name
            if name in (*_ALL, "kwok", "kwokctl"):
                found[candidate.pid] = processes.Process(name, candidate.pid, processes.birth(candidate.pid), tuple(words), "")
    return list(found.values())
