"""A lab that is open: its cluster, its environment, and what the learner can do with it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from lab_helpers import clusters, processes, settings, toolchain
from lab_helpers.clusters import Cluster, NodeShape, Provider
from lab_helpers.errors import CheckFailed, ClusterError, LabError, ProgramError, WaitTimeout
from lab_helpers.kube import Kube
from lab_helpers.teaching import audit, lesson, panels, progress, shell, waiting
from lab_helpers.teaching.lesson import Lesson
from lab_helpers.teaching.ownership import Ownership
from lab_helpers.teaching.recorder import Recorder
from lab_helpers.views import Live, Picture, cluster_map, node_fill, sequence, timeline

_open: Lab | None = None


class Lab:
    """One open lab.

    Attributes:
        name: its folder's name.
        lesson: what the folder says.
        cluster: its cluster, or None where it needs none.
        kube: the cluster's API as raw JSON.
        scenes: the exercises whose scene was set in this kernel.
    """

    def __init__(self, room: Lesson, maker: Provider, owner: Ownership) -> None:
        self.name, self.title, self.lesson = room.name, room.title, room
        self.scenes: set[str] = set()
        self._maker, self._owner = maker, owner
        self._before: dict[str, str] = {}
        self._marks: list[tuple[float, str]] = []
        self._recorder: Recorder | None = None
        self._cluster: Cluster | None = None
        self._kube: Kube | None = None
        self.opened = time.time()

    # -- life -----------------------------------------------------------------------------------------------------

    def _enter(self) -> None:
        programs = [*(self._maker.programs(self.lesson.profile) if self.lesson.profile else ["kubectl"]), *self.lesson.programs]
        waiting.ensure(programs)
        if self.lesson.profile:
            self._cluster = _usable_cluster(self.name, self.lesson.profile, self._maker)
            self._kube = Kube(self._cluster.kubeconfig)
        self._before = dict(os.environ)
        wanted = clusters.environment(self._cluster, self._maker, toolchain.bin_folder(dict.fromkeys(programs)))
        _become(wanted)
        if self._kube:
            self._recorder = Recorder(self._kube)
        self._marks = []

    def _leave(self) -> None:
        """Let go of the lab without ending its cluster."""
        if self._recorder:
            self._recorder.stop()
        if self._before:
            _become(self._before)
            self._before = {}

    def reset(self) -> None:
        """Begin anew: the cluster is made again, empty. Progress stays."""
        self._leave()
        self._maker.delete(self.name)
        self.scenes.clear()
        self._enter()
        print("A new cluster: everything is as at the beginning. Your progress is kept.")

    def close(self) -> None:
        """End the lab: its cluster, its processes and its files are gone. Progress stays."""
        global _open
        self._leave()
        self._maker.delete(self.name)
        self._owner.release()
        _open = None
        done = len([name for name in progress.passed(self.name) if name in self.lesson.exercises])
        print(
            f"{self.name} is closed and nothing of it is left running. {done} of {len(self.lesson.exercises)} exercises passed."
        )

    # -- the cluster ------------------------------------------------------------------------------------------------

    @property
    def cluster(self) -> Cluster:
        """The lab's cluster."""
        if self._cluster is None:
            raise ClusterError(f"{self.name} has no cluster.")
        return self._cluster

    @property
    def kube(self) -> Kube:
        """The cluster's API."""
        if self._kube is None:
            raise ClusterError(f"{self.name} has no cluster.")
        return self._kube

    def health(self) -> dict[str, str]:
        """Each component's state: running, unhealthy, stopped (by you) or dead."""
        return self._maker.health(self.cluster)

    def is_running(self, component: str) -> bool:
        """Whether a component runs and answers."""
        return self.health().get(component) == "running"

    def stop(self, component: str) -> None:
        """Stop one component of the control plane."""
        self._maker.stop(self.cluster, component)
        self.mark(f"{component} stopped")
        print(f"{component} is stopped.")

    def start(self, component: str) -> None:
        """Start it again; returns when it is healthy."""
        self._maker.start(self.cluster, component)
        self.mark(f"{component} started")
        print(f"{component} runs again.")

    def add_node(self, shape: NodeShape) -> None:
        """Add a node; returns when it is Ready."""
        self._maker.add_node(self.cluster, shape)

    def remove_node(self, name: str) -> None:
        """Take a node away with its machine."""
        self._maker.remove_node(self.cluster, name)

    def fail_node(self, name: str) -> None:
        """The node's machine is lost: its heartbeats end."""
        self._maker.fail_node(self.cluster, name)
        self.mark(f"{name} lost")

    def recover_node(self, name: str) -> None:
        """The machine comes back."""
        self._maker.recover_node(self.cluster, name)
        self.mark(f"{name} back")

    def log(self, component: str, lines: int = 20) -> str:
        """The last lines of a component's log."""
        return processes.tail(self._maker.log(self.cluster, component), lines)

    # -- what happened ------------------------------------------------------------------------------------------------

    def mark(self, words: str) -> None:
        """Remember this moment for the timeline."""
        self._marks.append((time.time(), words))

    def map(self, until: Callable[[], object] | None = None, seconds: float = 30, namespace: str | None = None) -> None:
        """Draw the cluster; with `until`, live until that is true.

        Raises:
            WaitTimeout: `until` was not true within so many seconds.
        """
        self._draw(lambda nodes, pods: cluster_map(nodes, pods, namespace=namespace), until, seconds)

    def fill(self, until: Callable[[], object] | None = None, seconds: float = 30, namespace: str | None = None) -> None:
        """Draw how full each node is; with `until`, live."""
        self._draw(lambda nodes, pods: node_fill(nodes, pods, namespace=namespace), until, seconds)

    def _draw(self, picture: Callable[..., Picture], until: Callable[[], object] | None, seconds: float) -> None:
        end = time.monotonic() + seconds
        with Live() as live:
            while True:
                over = until is None or bool(until())  # asked first: the last frame shows what made it true
                live.show(picture(self.kube.list("nodes"), self.kube.list("pods")))
                if over:
                    return
                if time.monotonic() > end:
                    raise WaitTimeout(
                        f"It did not happen within {seconds:.0f} s.", next_step="look at the picture: what is missing?"
                    )
                time.sleep(0.2)

    def timeline(self, last: float | None = None, namespace: str | None = None) -> None:
        """Draw what happened to Pods and nodes since the lab was opened, or in the `last` seconds."""
        from IPython.display import display

        if self._recorder is None:
            raise ClusterError(f"{self.name} has no cluster.")
        since = time.time() - last if last else None
        display(timeline(self._recorder.catch_up(), self._marks, namespace=namespace, since=since))

    def audit(
        self, name: str = "", *, since: float = 0.0, reads: bool = False, match: Callable[[audit.Event], object] | None = None
    ) -> list[audit.Event]:
        """Audit events, oldest first.

        Args:
            name: only those about an object of this name, or one whose name begins with `NAME-`.
            since: only those after this moment (seconds since 1970).
            reads: also those that only read (get, list).
            match: only those for which this function is true.
        """
        found = audit.read(self._maker.log(self.cluster, "audit"), since)
        return [
            event
            for event in found
            if (not name or audit.about(event, name))
            and (reads or event["verb"] not in ("get", "list", "watch"))
            and (match is None or match(event))
        ]

    def sequence(self, name: str, *, since: float = 0.0, reads: bool = False, title: str = "") -> None:
        """Draw who asked the API server for what about an object, from the audit log."""
        from IPython.display import display

        events = [
            event for event in self.audit(name, since=since, reads=reads) if event["objectRef"].get("resource") != "events"
        ]
        display(sequence(events, title=title or f"Requests about {name}"))

    @property
    def last_error(self) -> str:
        """What the last failed `!command` said, for the cell after one that is meant to fail."""
        return shell.last_failure

    # -- exercises ------------------------------------------------------------------------------------------------------

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


def _usable_cluster(name: str, profile: clusters.Profile, maker: Provider) -> Cluster:
    """The lab's cluster: adopted and mended where there is one, otherwise made."""

    def say(line: str) -> None:
        print(f" • {line}", flush=True)

    found = maker.get(name)
    if found and found.profile != profile:
        say("the lab has changed since this cluster was made: a new one")
        maker.delete(name)
        found = None
    if found:
        try:
            maker.mend(found, say)
            return found
        except (ClusterError, ProgramError, WaitTimeout) as error:
            say(f"this cluster cannot be brought back ({error.headline}): a new one")
            maker.delete(name)
    return maker.create(name, profile, say)


def _become(wanted: dict[str, str]) -> None:
    """Make this process's environment exactly that."""
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def open_lab(name: str, provider: str | None = None) -> Lab:
    """Open a lab: its cluster, the environment of its commands, its banner.

    Args:
        name: the folder's name under labs/.
        provider: `embedded`, or None for what the settings say.

    Raises:
        LabError: no such lab, open elsewhere, or its cluster could not be made; each says what to type.
    """
    global _open
    if provider:
        os.environ["LAB_PROVIDER"] = provider
    room, chosen = lesson.find(name), settings.load()
    if _open is not None:
        _open._leave()
        _open._owner.release()
        _open = None
    lab = Lab(room, clusters.provider(chosen), Ownership(chosen, room.name))
    try:
        lab._enter()
    except BaseException:
        lab._leave()
        lab._owner.release()
        raise
    _open = lab
    _into_kernel()
    panels.banner(room, lab._maker.name, lab._maker.real, lab._maker.simulated, len(progress.passed(room.name)))
    return lab


def _into_kernel() -> None:
    if "IPython" in sys.modules:
        from IPython import get_ipython

        if kernel := get_ipython():
            shell.install(kernel)


def current() -> Lab:
    """The lab that is open in this kernel.

    Raises:
        LabError: none is.
    """
    if _open is None:
        raise LabError("No lab is open in this notebook.", next_step="run the first cell: lab = open_lab(…)")
    return _open
