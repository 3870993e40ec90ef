"""The process around the decisions: scan, act, tell. Events, the status ConfigMap and the taint are upstream's.

Sources: kubernetes/autoscaler, cluster-autoscaler/: core/static_autoscaler.go, core/scaledown/actuation, clusterstate/api.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from lab_helpers.autoscaling import decisions, status
from lab_helpers.autoscaling.decisions import TO_BE_DELETED, Verdict
from lab_helpers.autoscaling.expanders import Expansion, choose
from lab_helpers.autoscaling.options import Group, Options
from lab_helpers.autoscaling.room import Object, Room, pod_name
from lab_helpers.autoscaling.status import BACKOFF
from lab_helpers.errors import KubernetesError, LabError
from lab_helpers.kube import Kube

_BACKOFF_SECONDS = 300.0  # upstream's initial-node-group-backoff-duration
_EVICTION_SECONDS = 120.0  # upstream's max-pod-eviction-time
_EXPANDER_MAP = "cluster-autoscaler-priority-expander"


class Autoscaler:
    """One autoscaler of one cluster.

    Args:
        groups: the node groups it may move; asked anew at each scan.
        say: takes each line of the log.
    """

    def __init__(
        self, kube: Kube, groups: Callable[[], Sequence[Group]], options: Options, say: Callable[[str], None] = print
    ) -> None:
        self.kube, self.groups, self.options, self.say = kube, groups, options, say
        self.tell = status.Events(kube)
        self.since: dict[str, float] = {}  # unneeded nodes: since when
        self.verdicts: dict[str, Verdict] = {}
        self._asked: dict[str, float] = {}  # group → when it was last raised
        self._backoff: dict[str, float] = {}  # group → until when it is left alone
        self._added = self._failed = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Scan until told to stop; whatever fails is logged, and tried again at the next scan."""
        lease = status.Lease(self.kube)
        cleaned = False
        while not stop.is_set():
            try:
                if not lease.hold():
                    self.say(f"another autoscaler is at work ({lease.holder}): waiting")
                else:
                    cleaned = cleaned or self.clean_up()
                    self.scan()
            except LabError as error:
                cleaned = False  # a drain that the API server went away from could not take its taint back
                self.say(f"this scan failed: {error.headline} {error.seen}")
            stop.wait(self.options.scan_interval)
        with contextlib.suppress(LabError):  # the API server may be gone for good; then nobody waits for the lease
            lease.release()

    def clean_up(self) -> bool:
        """Take away the taints that an autoscaler left which was killed in the middle of a drain."""
        for node in self.kube.list("nodes"):
            if any(taint["key"] == TO_BE_DELETED for taint in node["spec"].get("taints") or []):
                self.say(f"{node['metadata']['name']}: taint of an earlier run taken away")
                self._taint(node, False)
        return True

    # -- one scan ---------------------------------------------------------------------------------------------------

    def scan(self, now: float | None = None) -> None:
        """Look once, and act: more nodes where Pods need them, else fewer where nodes are not needed."""
        now = time.time() if now is None else now
        nodes, pods, groups = self.kube.list("nodes"), self.kube.list("pods"), list(self.groups())
        daemons = [status.daemon_pod(item) for item in self.kube.list("daemonsets")]
        places = decisions.rooms(nodes, pods, self.options)
        coming = [room for group in groups for room in self._coming(group, places, daemons, now)]
        pending = decisions.unschedulable(pods, self.options, now)
        left = decisions.without_room(pending, [*places, *coming])
        if left:
            self._scale_up(left, groups, len(nodes) + len(coming), daemons, now)
        else:
            places = decisions.rooms(nodes, pods, self.options)  # without what was placed in thought
            self._scale_down(places, groups, now)
        status.write(self.kube, groups, nodes, len(left), self.verdicts, self._backoff, now)

    def _coming(self, group: Group, places: Sequence[Room], daemons: Sequence[Object], now: float) -> list[Room]:
        """Nodes of a group that were asked for and are not there yet; given up after the time that they may take."""
        there = sum(group.holds(room.node) for room in places)
        missing = group.size - there
        if missing > 0 and now - self._asked.setdefault(group.name, now) > self.options.max_node_provision_time:
            self.say(f"{group.name}: {missing} nodes did not come in {self.options.max_node_provision_time:.0f} s")
            self._backoff[group.name] = now + _BACKOFF_SECONDS
            group.set_desired(there)
            return []
        return [decisions.fresh(group, daemons) for _ in range(missing)]

    def _scale_up(self, pods: list[Object], groups: Sequence[Group], total: int, daemons: Sequence[Object], now: float) -> None:
        self._backoff = {name: until for name, until in self._backoff.items() if until > now}
        open_ones = [group for group in groups if group.name not in self._backoff]
        ways, refused = decisions.expansions(pods, open_ones, total, self.options, daemons)
        way = choose(ways, self.options, self._priorities())
        for pod in pods if way is None else []:
            reasons = refused[pod_name(pod)].copy()
            reasons.update([BACKOFF] * (len(groups) - len(open_ones)))
            self.tell(pod, "NotTriggerScaleUp", decisions.reasons_message(reasons))
        if way:
            self._grow(way, now)

    def _priorities(self) -> str | None:
        found = self.kube.find("configmap", _EXPANDER_MAP, "kube-system") if "priority" in self.options.expander else None
        return found["data"].get("priorities") if found else None

    def _grow(self, way: Expansion, now: float) -> None:
        group, before = way.group, way.group.size
        after = before + way.nodes
        self.say(f"{len(way.pods)} Pods need {way.nodes} nodes of {group.name}: {before} → {after}")
        try:
            group.set_desired(after)
        except LabError as error:
            self._backoff[group.name] = now + _BACKOFF_SECONDS
            self.tell.on_status("FailedToScaleUpGroup", f"Scale-up failed for group {group.name}: {error.headline}", "Warning")
            return
        self._asked[group.name] = self._added = now
        size = f"{group.name} size set to {after} instead of {before} (max: {group.maximum})"
        self.tell.on_status("ScaledUpGroup", f"Scale-up: group {size}")
        for pod in way.pods:
            self.tell(
                pod, "TriggeredScaleUp", f"pod triggered scale-up: [{{{group.name} {before}->{after} (max: {group.maximum})}}]"
            )

    # -- fewer nodes ------------------------------------------------------------------------------------------------

    def _scale_down(self, places: list[Room], groups: Sequence[Group], now: float) -> None:
        budgets = self.kube.list("poddisruptionbudgets")
        self.verdicts = decisions.unneeded(places, groups, budgets, self.options, now, self.since)
        self.since = {name: self.since.get(name, now) for name, one in self.verdicts.items() if not one.reason}
        calm = now - self._added >= self.options.scale_down_delay_after_add
        calm = calm and now - self._failed >= self.options.scale_down_delay_after_failure
        if not self.options.scale_down_enabled or not calm:
            return
        rooms = {room.name: room for room in places}
        nodes = {name: room.node for name, room in rooms.items()}
        for name in decisions.to_delete(self.verdicts, self.since, nodes, groups, self.options, now):
            self._remove(rooms[name], next(group for group in groups if group.holds(nodes[name])))

    def _remove(self, room: Room, group: Group) -> None:
        """Taint, drain by eviction, take away; if a Pod does not go, or the cloud refuses, the node is kept."""
        pods = [pod for pod in room.pods if decisions.movable(pod, time.time())]
        self.say(f"{room.name} is not needed: {len(pods)} Pods to move")
        self._taint(room.node, True)
        self.tell(room.node, "ScaleDown", "marked the node as toBeDeleted/unschedulable")
        try:
            for pod in pods:
                self.tell(pod, "ScaleDown", "deleting pod for node scale down")
            self._drain(pods)
            time.sleep(self.options.node_delete_delay_after_taint)
            group.delete(room.node)
        except LabError as error:
            self._failed = time.time()
            self._taint(room.node, False)
            self.tell(room.node, "ScaleDownFailed", f"failed to remove the node: {error.headline}", "Warning")
            self.say(f"{room.name} is kept: {error.headline}")
            return
        self.since.pop(room.name, None)
        how = f"node {room.name} removed with drain" if pods else f"empty node {room.name} removed"
        self.tell.on_status("ScaleDown" if pods else "ScaleDownEmpty", f"Scale-down: {how}")

    def _drain(self, pods: list[Object]) -> None:
        """Evict, again and again where a budget refuses, and wait until all are gone."""
        end, left = time.monotonic() + _EVICTION_SECONDS, list(pods)
        while left:
            left = [pod for pod in left if not self._evicted(pod)]
            if left and time.monotonic() > end:
                raise LabError(f"{pod_name(left[0])} could not be evicted within {_EVICTION_SECONDS:.0f} s.")
            time.sleep(0.2 if left else 0)
        for pod in pods:
            meta = pod["metadata"]

            def gone(found: Object | None, uid: str = meta["uid"]) -> bool:
                return found is None or found["metadata"]["uid"] != uid

            self.kube.wait_for("pod", meta["name"], gone, meta["namespace"], self.options.max_graceful_termination_sec, "gone")

    def _evicted(self, pod: Object) -> bool:
        meta = pod["metadata"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        }
        try:
            self.kube.raw("POST", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction", body)
        except KubernetesError as error:
            if error.status not in (404, 429):
                raise
            return error.status == 404
        return True

    def _taint(self, node: Object, leaving: bool) -> None:
        name = node["metadata"]["name"]
        if now := self.kube.find("node", name):
            taints = [taint for taint in now["spec"].get("taints") or [] if taint["key"] != TO_BE_DELETED]
            mark = {"key": TO_BE_DELETED, "value": str(int(time.time())), "effect": "NoSchedule"}
            self.kube.patch("node", name, {"spec": {"taints": [*taints, *([mark] if leaving else [])] or None}})
