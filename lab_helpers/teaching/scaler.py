"""The cluster autoscaler of a lab: a process of its own, started and stopped here; its log, its reasons, its bill."""

from __future__ import annotations

import inspect
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import yaml

from lab_helpers import processes, settings
from lab_helpers.autoscaling import upstream
from lab_helpers.autoscaling.groups import LABEL
from lab_helpers.autoscaling.groups import rows as read
from lab_helpers.clusters import kwok
from lab_helpers.clusters.ports import free_ports
from lab_helpers.eks import meter
from lab_helpers.errors import KubernetesError, LessonError, ProgramError
from lab_helpers.teaching.shown import Log
from lab_helpers.teaching.told import Reasons, Story
from lab_helpers.views import Coming, facts, packing
from lab_helpers.views.packing import TYPE
from lab_helpers.views.picture import Picture

if TYPE_CHECKING:
    from lab_helpers.teaching.lab import Lab

Object = dict[str, Any]

NAME = "cluster-autoscaler"
_GREW = r"→|setting group"
# A line of our loop's log, or of upstream's: `I1129 08:00:00.123456  4711 orchestrator.go:12] words`.
_LINE = r"(?:[IWEF]\d{4} )?(\d\d):(\d\d):(\d\d\.\d+) +(?:\d+ \S+:\d+\] )?(.*)"
SHORTENED = {
    "scan-interval": ("1s", "10s"),
    "scale-down-unneeded-time": ("6s", "10m"),
    "scale-down-delay-after-add": ("4s", "10m"),
    "scale-down-delay-after-failure": ("4s", "3m"),
    "node-delete-delay-after-taint": ("1s", "5s"),
}
"""Flag → what it is here, what upstream's default is: a lesson cannot wait for ten minutes."""


class Scaler:
    """The autoscaler of the cluster that a lab looks at."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._since = lab, dict[str, list[float]]()
        self._groups: list[Object] = []
        self._command: list[str] = []

    # -- the process ------------------------------------------------------------------------------------------------

    def start(self, *flags: str, groups: str = "groups.yaml") -> None:
        """Start it, or start it anew with other flags; return when it has looked once.

        Args:
            flags: upstream's, `--expander=least-waste` for instance; times that are not given are shortened.
            groups: file of node groups in the lab's folder; not read with `--cloud-provider=aws`.

        Raises:
            ProgramError: it ended; with its own words.
        """
        aws = "--cloud-provider=aws" in flags
        upstreams = None if aws else upstream.program(settings.load())
        self.stop()
        given = {flag[2:].partition("=")[0] for flag in flags}
        times = {name: short for name, (short, _) in SHORTENED.items() if name not in given}
        words = [*flags, *(f"--{name}={short}" for name, short in times.items())]
        command = [sys.executable, "-m", "lab_helpers.autoscaling", *words]
        if not aws:
            file = self._lab.lesson.folder / groups
            self._groups = read(file)
            command[3:3] = ["--cluster", self._lab.cluster.name, "--groups", str(file)]
        if upstreams:
            for made in upstream.config_maps(self._groups):
                self._lab.kube.apply(made, upstream.NAMESPACE, force=True)
            command = upstream.command(upstreams, self._lab.cluster.kubeconfig, free_ports(1)[0], words)
        self._run(command)
        if not self._lab._quiet:
            print(f"$ {upstreams or NAME} {' '.join(words)}")
            if aws and settings.load().autoscaler:
                print(f"  (the course's own loop: {upstream.VARIABLE} is for the lab's own cluster)")
            print(f"  (upstream's own times: {', '.join(f'{name} {SHORTENED[name][1]}' for name in times)})" if times else "")

    def again(self) -> None:
        """Start it with the flags that it had last; what it thought of nodes and groups is forgotten."""
        self.stop()
        self._run(list(self._command))

    def _run(self, command: list[str]) -> None:
        began = time.time()
        processes.start(NAME, command, folder=self._folder)
        processes.wait_until(lambda: self._looked(began), deadline=60, what="The autoscaler's first scan", seen=self.log)

    def _looked(self, since: float) -> bool:
        if not self.running:
            raise ProgramError(
                "The autoscaler ended.", processes.tail(self._file, 8), "look at its flags and at the groups' file"
            )
        found = self._lab.kube.find("configmap", "cluster-autoscaler-status", "kube-system")
        notes = found["metadata"].get("annotations", {}) if found else {}
        last = notes.get("cluster-autoscaler.kubernetes.io/last-updated")
        return last is not None and upstream.moment(str(last)) > since

    def stop(self) -> None:
        """End it; nodes stay as they are."""
        if self._lab._cluster and (found := processes.recorded(self._folder).get(NAME)):
            self._command = list(found.command)
            # At SIGTERM upstream's takes every node away that it made.
            processes.end_recorded(self._folder, kill=upstream.is_upstream(found.command))
        self._since.clear()

    @property
    def running(self) -> bool:
        """Whether it runs."""
        found = processes.recorded(self._folder).get(NAME)
        return found is not None and processes.alive(found)

    @property
    def pid(self) -> int:
        """Its process id; 0: it does not run."""
        return processes.recorded(self._folder)[NAME].pid if self.running else 0

    @property
    def _folder(self) -> Any:
        return self._lab.cluster.folder / "autoscaler"

    @property
    def _file(self) -> Any:
        return self._folder / "logs" / f"{NAME}.log"

    # -- what it says -----------------------------------------------------------------------------------------------

    def log(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return Log(processes.tail(self._file, lines))

    def marks(self) -> list[tuple[float, str]]:
        """What its log says that it did, for a timeline: (seconds since 1970, words)."""
        done = rf"{_GREW}|is not needed|is kept|^Scale-down: removing"
        return [(at, _short(words)) for at, words in self._lines() if re.search(done, words)]

    def _lines(self) -> list[tuple[float, str]]:
        found, now = [], time.time()
        midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        for line in processes.tail(self._file, 1000).splitlines():
            if parts := re.match(_LINE, line):
                at = midnight + int(parts[1]) * 3600 + int(parts[2]) * 60 + float(parts[3])
                found.append((at if at <= now + 60 else at - 86400, parts[4]))
        return found

    def status(self) -> Object:
        """What its ConfigMap cluster-autoscaler-status says."""
        found = self._lab.kube.find("configmap", "cluster-autoscaler-status", "kube-system")
        return dict(yaml.safe_load(found["data"]["status"])) if found else {}

    def stays(self) -> Reasons:
        """Each node that is not removed now, and why, in upstream's words."""
        found = self.status()
        known = found.get("nodesThatStay") if "nodesThatStay" in found or not found else upstream.staying(self._lines())
        return Reasons(known or {})

    def sizes(self) -> dict[str, int]:
        """Each group's desired size, as the autoscaler last said."""
        return {one["name"]: one["health"]["cloudProviderTarget"] for one in self.status().get("nodeGroups", [])}

    def source(self, name: str) -> str:
        """The source of one of its functions: `unschedulable`, `estimate`, `unneeded`, …"""
        from lab_helpers.autoscaling import decisions, expanders, room

        for module in (decisions, expanders, room):
            if found := getattr(module, name, None):
                return Log(inspect.getsource(found))
        known = ", ".join(name for name, it in vars(decisions).items() if inspect.isfunction(it) and not name.startswith("_"))
        raise LessonError(f"The autoscaler has no function {name!r}.", next_step=f"for instance: {known}")

    # -- what it costs ----------------------------------------------------------------------------------------------

    @property
    def prices(self) -> dict[str, float]:
        """Instance type → dollars an hour, on demand in us-east-1, of the course's own table (`date` says of when)."""
        return dict(meter.prices()["instances"])

    @property
    def date(self) -> str:
        """The month of which the prices are."""
        return str(meter.prices()["date"])

    def hourly(self) -> float:
        """Dollars an hour of the nodes that are there; one that is of no instance type costs nothing.

        Raises:
            LessonError: a type has no price: a sum without it would be a wrong one.
        """
        kinds = [node["metadata"].get("labels", {}).get(TYPE, "") for node in self._lab.kube.list("nodes")]
        if unknown := sorted(set(kinds) - {"", *self.prices}):
            step = "choose a type that has one: lab.autoscaler.prices"
            raise LessonError(f"The table of {self.date} has no price of {', '.join(unknown)}.", next_step=step)
        return sum(self.prices[kind] for kind in kinds if kind)

    # -- pictures ---------------------------------------------------------------------------------------------------

    def packing(self, until: Callable[[], object] | float | None = None, seconds: float = 60) -> None:
        """Draw nodes with their Pods, what is empty, what it costs, and the nodes that are coming; live, as `lab.map`."""
        self._lab._draw(self._picture, until, seconds)

    def _picture(self, nodes: list[Object], pods: list[Object], title: str) -> Picture:
        return packing(nodes, pods, prices=self.prices, coming=self._coming(nodes), title=title)

    def _coming(self, nodes: list[Object]) -> list[Coming]:
        """Nodes that were asked for and have not joined, from the status ConfigMap, which is a scan older than `nodes`."""
        there = Counter((node["metadata"].get("labels") or {}).get(LABEL) for node in nodes)
        rows, now, found = {row["name"]: row for row in self._groups}, time.time(), list[Coming]()
        try:
            groups = self.status().get("nodeGroups", []) if self.running else []
        except KubernetesError:  # the API server is away: the picture says so
            groups = []
        for group in groups:
            health = group["health"]
            registered = max(health["nodeCounts"]["registered"]["total"], there[group["name"]])
            missing = health["cloudProviderTarget"] - registered
            since = self._since.setdefault(group["name"], [])
            del since[max(0, missing) :]
            since += [now] * (missing - len(since))
            row = rows.get(group["name"], {})
            kind, cpu = (row.get("labels") or {}).get(TYPE, ""), facts.quantity(row.get("cpu", "0"))
            found += [Coming(group["name"], kind, cpu, at) for at in since]
        return found

    def story(self, name: str, namespace: str = "default") -> Story:
        """What happened to a Pod (of a Deployment's: the youngest), from its birth to its start, and who did it."""
        pods = [p for p in self._lab.kube.list("pods", namespace) if name in (facts.owner(p), p["metadata"]["name"])]
        if not pods:
            raise LessonError(f"There is no Pod of {name!r}.", next_step="kubectl get pods")
        pod = max(pods, key=lambda one: (one["metadata"]["creationTimestamp"], int(one["metadata"]["resourceVersion"])))
        return Story(self._steps(pod["metadata"]["name"], facts.seconds(pod["metadata"]["creationTimestamp"])))

    def _steps(self, name: str, born: float) -> list[tuple[float, str, str]]:
        lab, steps = self._lab, list[tuple[float, str, str]]()
        node, asked = "", False
        for event in lab.audit(name, since=born - 1):
            at = facts.seconds(event["requestReceivedTimestamp"])
            target = event.get("objectRef", {})
            what, sub, body = target.get("resource"), target.get("subresource", ""), event.get("requestObject") or {}
            if what != "pods" or event.get("responseStatus", {}).get("code", 500) >= 300:
                continue
            if event["verb"] == "create" and not sub and _named(event) == name:
                steps.append((at, f"{name} is made: Pending", "ReplicaSet controller"))
            elif sub == "status" and not asked and "Unschedulable" in str(body):
                asked = True
                steps.append((at, "no node fits: condition PodScheduled=False, Unschedulable", "scheduler"))
            elif sub == "binding":
                node = body.get("target", {}).get("name", "")
                steps.append((at, f"bound to {node}", "scheduler"))
        grown = [(at, words) for at, words in self._lines() if at >= born and re.search(_GREW, words) and steps]
        steps += [(at, f"group chosen, desired capacity raised: {words}", "autoscaler") for at, words in grown[:1]]
        recorder = lab._has(lab._recorder)
        recorder.catch_up()
        history = recorder.history()
        played = kwok.FAKE in ((lab.kube.find("node", node) or {}).get("metadata", {}).get("annotations") or {})
        kubelet = "kubelet (KWOK plays it)" if played else "kubelet"
        if lane := history.nodes.get(node):
            said = {"NotReady": "has booted and joined: its Node is there", "Ready": "is Ready"}
            for at, state in lane.states:
                if at >= born and (words := said.pop(state, "")):
                    steps.append((at, f"{node} {words}", kubelet))
        for pod in history.pods.values():
            steps += [(at, f"{name} runs", kubelet) for at, s in pod.states if pod.name == name and s == "Running"]
        return sorted(steps)


def _named(event: Object) -> str:
    found = (event.get("responseObject") or {}).get("metadata") or {}
    return str(found.get("name") or event.get("objectRef", {}).get("name", ""))


def _short(words: str) -> str:
    """A line of the log as a mark: `workers: 2 → 3`; upstream's says just the new size."""
    if found := re.search(r"nodes of (\S+): (\d+ → \d+)", words):
        return f"{found[1]}: {found[2]}"
    if found := re.search(r"setting group (\S+) size to (\d+)", words):
        return f"{found[1]}: → {found[2]}"
    return words.removeprefix("Scale-down: ").partition(":")[0].partition(",")[0]
