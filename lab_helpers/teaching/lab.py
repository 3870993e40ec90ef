"""What a learner can do with a lab that is open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lab_helpers import processes, settings
from lab_helpers.clusters import COMPONENTS, Cluster, NodeShape, Provider
from lab_helpers.errors import CheckFailed, ClusterError
from lab_helpers.kube import Kube
from lab_helpers.teaching import audit, autoscaling, cloud, nodes, panels, scheduling, shell
from lab_helpers.teaching.aws import Aws
from lab_helpers.teaching.following import follow
from lab_helpers.teaching.karpenter import Karpenter
from lab_helpers.teaching.lesson import Lesson
from lab_helpers.teaching.recorder import Recorder
from lab_helpers.teaching.scaler import Scaler
from lab_helpers.teaching.shown import Calls, Health, Log
from lab_helpers.teaching.traffic import Traffic
from lab_helpers.views import Picture, cluster_map, node_fill, scores, sequence, timeline

T = TypeVar("T")


class Lab:
    """One open lab.

    Attributes:
        name, title: of the lab.
        lesson: what its folder says.
        provider: who made its cluster: `kind` or `embedded`.
        own: its cluster; None where it has none. What is looked at may be another: see `use`.
        aws: the account; `aws("eks")` is boto3's client for one of its services.
        programs: the folder that comes first in PATH.
        autoscaler: of the cluster; it runs once it is started.
        karpenter: beside the EKS cluster that is looked at; it runs once it is started.
        opened, entered: when its cluster was entered, and the lab, in seconds since 1970.
    """

    def __init__(self, room: Lesson, maker: Provider, cluster: Cluster | None, programs: Path) -> None:
        self.name, self.title, self.lesson, self.programs, self.aws = room.name, room.title, room, programs, Aws()
        self._maker, self.provider, self._quiet, self._marks = maker, maker.name, False, list[tuple[float, str]]()
        self.move(cluster)

    def move(self, cluster: Cluster | None) -> None:
        """Begin with a cluster of the lab's own, or without one."""
        self.own, self.entered = cluster, time.time()
        self.inhabit(cluster)

    def inhabit(self, cluster: Cluster | None) -> None:
        """Look at a cluster from now on, the lab's own or another."""
        self.opened = time.time()
        self._cluster, self._kube = cluster, Kube(cluster.kubeconfig) if cluster else None
        self._recorder: Recorder | None = None
        self._traffic: Traffic | None = None
        self._marks.clear()
        self.autoscaler = Scaler(self)
        self.karpenter = Karpenter(self)

    def record(self) -> None:
        """Begin to write down what happens."""
        if self._kube:
            self._recorder = Recorder(self._kube)

    def leave(self) -> None:
        """Let go of the cluster; it goes on."""
        if self._recorder:
            self._recorder.stop()
        if self._traffic:
            self._traffic.stop()
        self.autoscaler.stop()
        self.karpenter.stop()
        self._cluster = self._kube = self._recorder = None

    def reset(self) -> None:
        """Begin anew: the cluster is made again, empty. Progress and your files stay."""
        from lab_helpers.teaching import room

        room.reset(self)

    def close(self) -> None:
        """End the lab: its cluster, its processes and its files are gone. Progress and your files stay."""
        from lab_helpers.teaching import room

        room.close(self)

    # -- the cluster ------------------------------------------------------------------------------------------------

    @property
    def cluster(self) -> Cluster:
        """The lab's cluster."""
        return self._has(self._cluster)

    @property
    def kube(self) -> Kube:
        """The cluster's API: raw JSON in, raw JSON out."""
        return self._has(self._kube)

    def _has(self, part: T | None) -> T:
        if part is None:
            why, step = "is closed", f'lab = open_lab("{self.name}") opens it again'
            if not self.lesson.profile:
                why, step = "has no cluster", 'lab.use("NAME") looks at an EKS cluster of yours' if self.lesson.aws else ""
            raise ClusterError(f"{self.name} {why}.", next_step=step)
        return part

    def use(self, name: str) -> None:
        """Look at an EKS cluster from now on: its API, its pictures, its logs are those of this lab."""
        self.leave()
        found = cloud.cluster(settings.load(), name)
        self._maker, self.provider = cloud.maker(found), found.provider  # who made it when it was ordered
        self.inhabit(found)
        self.record()

    def calls(self, *names: str, last: float | None = None) -> Calls:
        """What AWS was asked since the lab was opened, or in the `last` seconds; names of services or operations choose."""
        return cloud.recorded(settings.load(), names, time.time() - last if last else self.entered)

    def health(self) -> Health:
        """Each component's state: running, unhealthy, stopped (by you) or dead."""
        return Health(self._maker.health(self.cluster))

    def is_running(self, component: str) -> bool:
        """Whether a component runs and answers."""
        return self._known(component, self.health()) == "running"

    def _known(self, component: str, states: dict[str, str]) -> str:
        if component not in states:
            near = ", ".join(states)
            raise ClusterError(f"There is no component {component!r}.", next_step=f"one of: {near}")
        return states[component]

    def stop(self, component: str) -> None:
        """Stop one component of the control plane."""
        self._maker.stop(self.cluster, component)
        self._tell(f"{component} stopped", f"{component} is stopped.")

    def start(self, component: str) -> None:
        """Start it again; returns when it is healthy."""
        self._maker.start(self.cluster, component)
        self._tell(f"{component} started", f"{component} runs again.")

    def add_node(self, shape: NodeShape) -> None:
        """Add a node; returns when it is Ready."""
        self._maker.add_node(self.cluster, shape)
        self._tell(f"{shape.name} added", f"{shape.name} is Ready.")

    def remove_node(self, name: str) -> None:
        """Take a node away with its machine."""
        self._maker.remove_node(self.cluster, name)
        self._tell(f"{name} removed", f"{name} is gone.")

    def fail_node(self, name: str) -> None:
        """The node's machine is lost: its heartbeats end."""
        self._maker.fail_node(self.cluster, name)
        self._tell(f"{name} lost", f"{name} sends no more heartbeats.")

    def recover_node(self, name: str) -> None:
        """The machine comes back; returns when it is Ready."""
        self._maker.recover_node(self.cluster, name)
        self._tell(f"{name} back", f"{name} is Ready again.")

    def _tell(self, mark: str, words: str) -> None:
        if not self._quiet:
            self.mark(mark)
            print(words)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """While a scene is set or a check looks: what they do is not told, it might be the answer."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def log(self, component: str, lines: int = 20) -> str:
        """The last lines of a component's log."""
        if component == "authenticator":
            return Log(processes.tail(cloud.log(settings.load(), self.cluster.name), lines))
        if component not in (*COMPONENTS, "kwok-controller", "audit"):
            self._known(component, self.health())
        return Log(processes.tail(self._maker.log(self.cluster, component), lines))

    # -- nodes ------------------------------------------------------------------------------------------------------

    def arguments(self, component: str) -> dict[str, str]:
        """The command-line arguments that a component of the control plane was started with."""
        return self._maker.arguments(self.cluster, component)

    def node(self, name: str, *command: str) -> str:
        """What a command says on a node's machine; `lab ssh NAME -- COMMAND` in a terminal."""
        return nodes.run(self._maker.inside(self.cluster, name), name, command)

    def rules(self, name: str, service: str, namespace: str = "default") -> nodes.Rules:
        """What a node's iptables hold for a Service: `IP:port` → endpoint → its share of new connections."""
        return nodes.rules(self.node(name, "iptables-save"), f"{namespace}/{service}")

    def heartbeats(self, seconds: float = 25) -> None:
        """Draw the nodes' heartbeats for so long, with the node controller's patience."""
        patience = self.arguments("kube-controller-manager").get("node-monitor-grace-period", "50s")
        nodes.watch(self.kube, nodes.duration(patience), seconds)

    def path(self, client: str, service: str, answer: str) -> None:
        """Draw the path of a request that the Pod `client` sent to a Service and that was answered so."""
        panels.picture(nodes.path(self, client, service, answer))

    # -- pictures ---------------------------------------------------------------------------------------------------

    def map(self, until: Callable[[], object] | float | None = None, seconds: float = 30, namespace: str | None = None) -> None:
        """Draw the cluster; with `until` (a function, or seconds to watch) live, and the last frame stays.

        Raises:
            WaitTimeout: the function was not true within so many seconds.
        """
        self._draw(lambda nodes, pods, title: cluster_map(nodes, pods, title=title, namespace=namespace), until, seconds)

    def fill(
        self, until: Callable[[], object] | float | None = None, seconds: float = 30, namespace: str | None = None
    ) -> None:
        """Draw how full each node is; with `until` live, as `map`."""
        self._draw(lambda nodes, pods, title: node_fill(nodes, pods, title=title, namespace=namespace), until, seconds)

    def _draw(self, picture: Callable[..., Picture], until: Callable[[], object] | float | None, seconds: float) -> None:
        if until is None:
            panels.picture(picture(self.kube.list("nodes"), self.kube.list("pods"), ""))
        else:
            follow(self._has(self._recorder), picture, until, seconds)

    def mark(self, words: str) -> None:
        """Remember this moment for the timeline."""
        self._marks.append((time.time(), words))

    def timeline(
        self, last: float | None = None, namespace: str | None = None, marks: Sequence[tuple[float, str]] = ()
    ) -> None:
        """Draw what happened to Pods and nodes since the lab was opened, or in the `last` seconds.

        Args:
            marks: (seconds since 1970, words), beside what you stopped, started and marked.
        """
        recorder = self._has(self._recorder)
        recorder.catch_up()
        since = time.time() - last if last else None
        panels.picture(timeline(recorder.history(), sorted([*self._marks, *marks]), namespace=namespace, since=since))

    def audit(self, *names: str, **options: Any) -> list[audit.Event]:
        """Audit events about objects of these names (and those whose names begin so), oldest first.

        Args:
            options: since, reads, match, and fields: see audit.read.
        """
        return audit.read(self._maker.log(self.cluster, "audit"), names, **options)

    def sequence(self, *names: str, title: str = "", **options: Any) -> None:
        """Draw who asked the API server for what, from the audit log; names and options as for `audit`."""
        events = [e for e in self.audit(*names, **options) if e.get("objectRef", {}).get("resource") != "events"]
        panels.picture(sequence(events, title=title or f"Requests about {', '.join(names) or 'anything'}"))

    def scores(self, name: str, namespace: str = "default") -> None:
        """Draw the scheduler's own points for a Pod, from its log; for a Deployment's name, those of its latest Pod."""
        found = scheduling.latest(name, namespace, lambda: self._maker.log(self.cluster, "kube-scheduler").read_text())
        panels.picture(scores(found.pod.partition("/")[2], found.scores, found.totals, found.node,
                              evaluated=found.evaluated, feasible=found.feasible, said=found.said))  # fmt: skip

    # -- requests -----------------------------------------------------------------------------------------------------

    def traffic(self, url: str, rate: float = 20, timeout: float = 2.0) -> Traffic:
        """Send requests to Pods in the background, `rate` a second, until the next `traffic` or its `stop`.

        Args:
            url: `http://SERVICE.NAMESPACE/path`, or a Pod's address.
            timeout: seconds after which a request counts as lost.
        """
        if self._traffic:
            self._traffic.stop()
        self._traffic = Traffic(url, rate, timeout=timeout, marks=lambda: self._marks)
        return self._traffic

    def ask(self, url: str, count: int = 1, timeout: float = 2.0) -> Traffic:
        """Send `count` requests, one as soon as another is answered, and return when all are over."""
        return Traffic(url, 0, count, timeout, marks=lambda: self._marks).wait()

    def scaling(self, name: str, traffic: Traffic, until: int, namespace: str = "default", seconds: float = 90) -> None:
        """Draw load and replicas until a HorizontalPodAutoscaler has brought its workload to so many; see autoscaling."""
        autoscaling.follow(self.kube, name, traffic, until, namespace=namespace, seconds=seconds, marks=self._marks)

    # -- what the learner typed ---------------------------------------------------------------------------------------

    @property
    def last_error(self) -> str:
        """What the last failed command or cell said, for the cell after one that is meant to fail."""
        return shell.last_failure

    def answer(self, name: str) -> Any:
        """What the learner's exercise cell calls by this name.

        Raises:
            CheckFailed: there is nothing of that name yet.
        """
        from IPython import get_ipython

        kernel = get_ipython()
        names = kernel.user_ns if kernel else {}
        if name not in names:
            raise CheckFailed(
                f"There is no {name} yet.", next_step="fill in the exercise cell above, run it, then this one again"
            )
        return names[name]
