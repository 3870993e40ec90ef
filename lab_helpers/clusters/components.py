"""The processes of one embedded cluster: the control plane, KWOK, and where its nodes run programs their agents and proxy."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from lab_helpers import processes, toolchain
from lab_helpers.clusters import kwok, kwokctl, metrics
from lab_helpers.clusters.health import answers
from lab_helpers.clusters.ports import free
from lab_helpers.clusters.processnode import launch
from lab_helpers.clusters.provider import COMPONENTS, Cluster, Say
from lab_helpers.errors import ClusterError, WaitTimeout
from lab_helpers.kube import Kube

CONTROL_PLANE = (*COMPONENTS, "kwok-controller")
_NEEDS: dict[str, list[str]] = {"etcd": [], "kube-apiserver": ["etcd"]}

Command = list[str]


class Components:
    """One cluster's processes, by name.

    Args:
        data: the folder in which the provider keeps its clusters' state.
    """

    def __init__(self, cluster: Cluster, data: Path) -> None:
        self.cluster, self.folder, self._data = cluster, cluster.folder, data

    @property
    def names(self) -> list[str]:
        """Every component, in the order in which they start."""
        own = [metrics.NAME] if metrics.wanted(self.folder) else []
        return [*CONTROL_PLANE, *launch.components(self.folder), *own]

    def control_plane(self) -> dict[str, Command]:
        """Program and arguments of the control plane and KWOK, as kwokctl chose them."""
        return {item["name"]: [item["binary"], *item["args"]] for item in kwokctl.components(self.folder)}

    def commands(self) -> dict[str, Command]:
        """Program and arguments of each component."""
        found = {**self.control_plane(), **launch.commands(self.folder)}
        return found | ({metrics.NAME: metrics.command(self.folder)} if metrics.wanted(self.folder) else {})

    def known(self, component: str) -> None:
        """Raise ClusterError where there is no such component."""
        if component not in self.names:
            raise ClusterError(f"There is no component {component!r}.", next_step=f"one of: {', '.join(self.names)}")

    def states(self) -> dict[str, str]:
        """State of each: running, unhealthy, stopped or dead."""
        found = processes.recorded(self.folder)
        return {name: self._state(name, found.get(name)) for name in self.names}

    def _state(self, name: str, process: processes.Process | None) -> str:
        if self.mark(name).exists():
            return "stopped"
        if process is None or not processes.alive(process):
            return "dead"
        return "running" if answers(self.folder, name) else "unhealthy"

    def alive(self, name: str) -> bool:
        """Whether its process runs."""
        process = processes.recorded(self.folder).get(name)
        return process is not None and processes.alive(process)

    def mark(self, name: str) -> Path:
        """The file that says: stopped by the learner."""
        return self.folder / "pids" / f"{name}.stopped"

    def log(self, name: str) -> Path:
        """A component's log."""
        return self.folder / "logs" / f"{name}.log"

    # -- one component ------------------------------------------------------------------------------------------

    def launch(self, name: str) -> None:
        """Start a component's process."""
        if name == "kwok-controller":
            kwok.release_leases(Kube(self.cluster.kubeconfig))
        if name == "kube-apiserver":
            self._wait_port()
        env = kwokctl.environment(self._data)
        processes.start(name, self.commands()[name], folder=self.folder, cwd=self.folder, env=env)
        if name == "kube-apiserver":
            self.wait(name, 40)

    def _wait_port(self) -> None:
        """The last threads of an API server that was killed may hold its port for a moment; the next does not try twice."""
        port = int(kwokctl.server(self.folder).rpartition(":")[2])
        with contextlib.suppress(WaitTimeout):  # somebody else has it: the API server's own words say so
            processes.wait_until(lambda: free(port), deadline=5, what=f"port {port}: free")

    def wait(self, name: str, deadline: float) -> None:
        """Return when a component answers."""
        processes.wait_until(
            lambda: answers(self.folder, name),
            deadline=deadline,
            what=f"{name}: a healthy answer",
            seen=lambda: processes.tail(self.log(name), 5),
        )

    def end(self, name: str, grace: float = 1) -> None:
        """End a component's process and forget it; a node's agent takes its containers along."""
        if process := processes.recorded(self.folder).get(name):
            processes.stop(process, grace=grace)
            processes.forget(self.folder, name)
        if node := launch.node_of(name):
            launch.wait_gone(self.folder, node)

    def stop(self, name: str) -> None:
        """Stop a component, as the learner asked. A node's agent is frozen: its containers go on without it, as on a
        machine whose kubelet is stopped."""
        self.known(name)
        self.mark(name).touch()
        process = processes.recorded(self.folder).get(name)
        if launch.node_of(name) and process and processes.alive(process):
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(process.pid).suspend()
        else:
            self.end(name)  # etcd and the API server would wait for their clients

    def start(self, name: str) -> None:
        """Start it again and return when it is healthy, if what it needs is there."""
        self.known(name)
        process = processes.recorded(self.folder).get(name)
        if process is None or not processes.alive(process):
            self.launch(name)
        elif launch.node_of(name):
            psutil.Process(process.pid).resume()
        self.mark(name).unlink(missing_ok=True)
        states = self.states()
        if all(states[need] in ("running", "unhealthy") for need in _NEEDS.get(name, ["etcd", "kube-apiserver"])):
            self.wait(name, 40)
        if name in ("etcd", "kube-apiserver") and "stopped" not in (states["etcd"], states["kube-apiserver"]):
            self._hasten_api_server()
            self._wake_clients()

    def reconfigure(self, changes: Mapping[str, Mapping[str, str | None]], say: Say) -> None:
        """Restart components with other arguments, the API server first; return when all of them answer."""
        for name in changes:
            self.known(name)
        another = "emulated-version" in changes.get("kube-apiserver", {})
        program = kwokctl.api_server(changes)
        kwokctl.reconfigure(self.folder, changes, toolchain.ensure([program])[program] if another else None)
        for name in [one for one in self.names if one in changes]:
            say(f"starting {name} again")
            self.end(name)
            self.launch(name)
        if "kube-apiserver" in changes:
            self._wake_clients()
            if self.alive("kwok-controller"):
                self.end("kwok-controller")
                self.launch("kwok-controller")
        for name in changes:
            self.wait(name, 60)

    def _hasten_api_server(self) -> None:
        """Have the API server answer soon after etcd is back.

        It looks for a lost etcd more and more seldom (seen: not within 40 s after 170 s without). At work its kubelet would
        see the failing health check and start it anew.
        """
        try:
            self.wait("kube-apiserver", 3)
        except WaitTimeout:
            self.end("kube-apiserver")
            self.launch("kube-apiserver")

    def _wake_clients(self) -> None:
        """Start controller manager and scheduler anew once the API server is back.

        Their watches back off up to a minute (seen: 50 s after 30 s without it). At work they would have lost their lease
        after ten seconds, ended, and been started again by their kubelet.
        """
        found = processes.recorded(self.folder)
        for name in ("kube-controller-manager", "kube-scheduler"):
            if name in found and processes.alive(found[name]):
                processes.stop(found[name], grace=1)
                self.launch(name)
        for name in ("kube-controller-manager", "kube-scheduler"):
            if not self.mark(name).exists():
                self.wait(name, 40)

    # -- all of them --------------------------------------------------------------------------------------------

    def mend(self, say: Say) -> None:
        """Start again what died by itself, and what does not answer."""
        states = self.states()
        dead = [name for name, state in states.items() if state == "dead"]
        for name in dead:
            say(f"starting {name} again: it had ended")
            if node := launch.node_of(name):
                launch.wait_gone(self.folder, node)
            self.launch(name)
        both_wanted = "stopped" not in (states["etcd"], states["kube-apiserver"])
        if both_wanted and ("kube-apiserver" in dead or "etcd" in dead):
            self._wake_clients()
        if any(state == "unhealthy" for state in states.values()) or dead:
            self._wait_answers([name for name, state in states.items() if state != "stopped"], say)

    def _wait_answers(self, names: Sequence[str], say: Say) -> None:
        if "etcd" not in names or "kube-apiserver" not in names:
            return  # without them nothing else can be healthy, and the learner stopped them
        for name in names:
            try:
                self.wait(name, 20)
            except WaitTimeout:
                say(f"starting {name} again: it did not answer")
                self.end(name)
                self.launch(name)
                self.wait(name, 40)
