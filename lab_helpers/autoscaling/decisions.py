"""What a cluster autoscaler decides: pure functions from API objects to decisions, to be read from top to bottom.

It decides as upstream's Cluster Autoscaler does, with its names and words (kubernetes/autoscaler, cluster-autoscaler/: FAQ.md,
estimator/, expander/, simulator/; now moving to kubernetes-sigs/cluster-autoscaler). It is simpler: it knows only those filters
of the scheduler that room.py lists, does not balance similar groups, and knows no GPUs and no limits of cores or memory.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from lab_helpers.autoscaling.expanders import Expansion
from lab_helpers.autoscaling.options import Group, Options
from lab_helpers.autoscaling.room import Object, Room, annotation, misfit, need, owned_by, pod_name, selects
from lab_helpers.views.facts import seconds

TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"
MAX_SIZE = "max node group size reached"
_NOT_YET = {f"node.kubernetes.io/{what}" for what in ("not-ready", "disk-pressure", "network-unavailable")}
_REPLICATED = ("ReplicaSet", "ReplicationController", "Job", "StatefulSet")


# -- which Pods need a node? ------------------------------------------------------------------------------------------


def unschedulable(pods: Iterable[Object], options: Options, now: float) -> list[Object]:
    """Pods that the scheduler has found no node for, and that a new node may be bought for."""
    return [pod for pod in pods if _waits(pod) and not owned_by(pod, "DaemonSet") and not expendable(pod, options)
            and not pod["status"].get("nominatedNodeName")  # it waits for others to be preempted
            and now - seconds(pod["metadata"]["creationTimestamp"]) >= _delay(pod, options)]  # fmt: skip


def _waits(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    refused = any((c["type"], c["status"], c.get("reason")) == ("PodScheduled", "False", "Unschedulable") for c in conditions)
    return refused and not pod["spec"].get("nodeName") and "deletionTimestamp" not in pod["metadata"]


def _delay(pod: Object, options: Options) -> float:
    own = re.fullmatch(r"(\d+)s", annotation(pod, "pod-scale-up-delay"))
    return float(own[1]) if own else options.new_pod_scale_up_delay


def expendable(pod: Object, options: Options) -> bool:
    """Below the cutoff: no node is bought for it, and none is kept because of it."""
    return int(pod["spec"].get("priority") or 0) < options.expendable_pods_priority_cutoff


# -- which of them fit where something is there already? ------------------------------------------------------------------


def rooms(nodes: Iterable[Object], pods: Iterable[Object], options: Options) -> list[Room]:
    """The nodes as they are: those that are Ready and not on their way out, with the Pods that count."""
    found = {node["metadata"]["name"]: Room(node) for node in nodes if _ready(node) and not _leaving(node)}
    for pod in pods:
        where = found.get(pod["spec"].get("nodeName") or pod["status"].get("nominatedNodeName", ""))
        if where and pod["status"].get("phase") not in ("Succeeded", "Failed") and not expendable(pod, options):
            where.take(pod)
    return list(found.values())


def _ready(node: Object) -> bool:
    # A node that has just said Ready keeps its taint until the node controller has seen it: nothing goes there yet, so it is
    # still coming. Upstream counts it so too (utils/kubernetes/ready.go); otherwise a second node is bought for the same Pods.
    tainted = any(taint["key"] in _NOT_YET for taint in node.get("spec", {}).get("taints") or [])
    return not tainted and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


def _leaving(node: Object) -> bool:
    return any(taint["key"] == TO_BE_DELETED for taint in node.get("spec", {}).get("taints") or [])


def without_room(pending: Iterable[Object], places: Sequence[Room]) -> list[Object]:
    """Pods that fit on no node that is there or booting; the others wait for the scheduler only. Important ones first."""
    left = []
    for pod in sorted(pending, key=lambda pod: -int(pod["spec"].get("priority") or 0)):
        size = need(pod)  # to compare it first is quickest: most nodes are full
        if place := next((room for room in places if room.fits(size) and not misfit(pod, room, size)), None):
            place.take(pod, size)
        else:
            left.append(pod)
    return left


# -- which group, and how many? ---------------------------------------------------------------------------------------


def fresh(group: Group, daemons: Iterable[Object] = ()) -> Room:
    """A new node of a group: its template, with the Pods of the DaemonSets that would run there."""
    room = Room(group.template)
    for pod in daemons:
        if not misfit(pod, room):
            room.take(pod)
    return room


def alike(pods: Iterable[Object]) -> list[list[Object]]:
    """Pods that are the same to the scheduler, together: what is found out about one of them holds for all."""
    found: dict[str, list[Object]] = {}
    for pod in pods:
        key = [need(pod), *(pod["spec"].get(name) for name in ("nodeSelector", "affinity", "tolerations"))]
        found.setdefault(repr(key), []).append(pod)
    return list(found.values())


def estimate(
    pods: Iterable[list[Object]], group: Group, limit: float, daemons: Sequence[Object] = ()
) -> tuple[int, list[Object]]:
    """How many new nodes these Pods (as `alike` puts them) take, and which of them fit: first-fit decreasing.

    The largest first, where large is CPU's share of the node plus memory's; each goes to the first new node with room.
    """
    empty, whole = fresh(group, daemons), Room(group.template)
    sized = [(need(some[0]), some) for some in pods]
    sized.sort(key=lambda entry: -(entry[0][0] / max(1, whole.cpu) + entry[0][1] / max(1, whole.memory)))
    nodes, packed = list[Room](), list[Object]()
    for size, some in [entry for entry in sized if not empty.lacks(entry[0])]:
        cpu, memory = size
        roomy = (room for room in nodes if room.cpu >= cpu and room.memory >= memory and room.places)
        room = None
        for pod in some:
            if room is None or not room.fits(size):
                room = next(roomy, None)  # nodes before it are too full for a Pod of this size, and stay so
            if room is None:
                if len(nodes) >= limit:
                    break
                nodes.append(room := Room(group.template, empty.pods))
            room.take(pod, size)
            packed.append(pod)
    return len(nodes), packed


def expansions(
    pods: Iterable[Object], groups: Iterable[Group], total: int, options: Options, daemons: Sequence[Object] = ()
) -> tuple[list[Expansion], dict[str, Counter[str]]]:
    """Every group that would help, and for each Pod why the other groups do not: reason → number of groups.

    Args:
        total: nodes in the cluster, those of no group included.
    """
    found, kinds = list[Expansion](), alike(pods)
    refused, sizes = [Counter[str]() for _ in kinds], [need(kind[0]) for kind in kinds]
    for group in groups:
        limit = min(group.maximum - group.size, options.max_nodes_total - total if options.max_nodes_total else inf)
        empty, fitting = fresh(group, daemons), list[list[Object]]()
        for kind, size, counts in zip(kinds, sizes, refused, strict=True):
            reasons = misfit(kind[0], empty, size) if limit > 0 else [MAX_SIZE]  # a full group is not looked at
            counts.update(reasons)
            fitting += [] if reasons else [kind]
        nodes, packed = estimate(fitting, group, limit, daemons)
        if nodes:
            found.append(Expansion(group, nodes, packed))
    return found, {pod_name(pod): counts for kind, counts in zip(kinds, refused, strict=True) for pod in kind}


def reasons_message(reasons: Mapping[str, int]) -> str:
    """The text of a NotTriggerScaleUp event; the numbers count node groups."""
    return "pod didn't trigger scale-up: " + ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))


# -- which nodes are not needed? --------------------------------------------------------------------------------------


@dataclass
class Verdict:
    """What is thought of one node.

    Attributes:
        reason: why it stays, in upstream's word; empty: it is not needed.
        about: the Pod or the figures behind it.
        utilization: the larger of its requests' shares of CPU and memory.
        moves: Pod → the node where it would go.
    """

    reason: str = ""
    about: str = ""
    utilization: float = 0.0
    moves: dict[str, str] = field(default_factory=dict)


def utilization(room: Room, options: Options) -> float:
    """Requests over allocatable, of CPU or memory, whichever is more."""
    whole = Room(room.node)
    for pod in room.pods if options.ignore_daemonsets_utilization else []:
        if owned_by(pod, "DaemonSet"):
            whole.take(pod)
    parts = (whole.cpu - room.cpu, whole.cpu), (whole.memory - room.memory, whole.memory)
    return max(asked / there if there else 0.0 for asked, there in parts)


def movable(pod: Object, now: float) -> bool:
    """Whether a Pod has to be moved at all: not one of a DaemonSet, not a static one, not one that is long on its way out."""
    meta = pod["metadata"]
    late = 30 + pod["spec"].get("terminationGracePeriodSeconds", 30)
    gone = "deletionTimestamp" in meta and seconds(meta["deletionTimestamp"]) + late < now
    static = "kubernetes.io/config.mirror" in (meta.get("annotations") or {})
    return not (gone or static or owned_by(pod, "DaemonSet"))


def blocker(pod: Object, budgets: Iterable[Object], options: Options) -> str:
    """Why a Pod may not be evicted, in upstream's word; empty: it may (simulator/drainability/rules)."""
    said = annotation(pod, "safe-to-evict")
    mine = [one for one in budgets if _covers(one, pod)]
    if said == "true" or pod["status"].get("phase") in ("Succeeded", "Failed"):
        return ""
    if not owned_by(pod, *_REPLICATED):
        return "NotReplicated"
    if options.skip_nodes_with_system_pods and pod["metadata"].get("namespace") == "kube-system" and not mine:
        return "UnmovableKubeSystemPod"
    if said == "false":
        return "NotSafeToEvictAnnotation"
    if options.skip_nodes_with_local_storage and _local(pod) - set(annotation(pod, "safe-to-evict-local-volumes").split(",")):
        return "LocalStorageRequested"
    return "NotEnoughPdb" if any(one["status"].get("disruptionsAllowed", 0) < 1 for one in mine) else ""


def _covers(budget: Object, pod: Object) -> bool:
    same = budget["metadata"].get("namespace", "default") == pod["metadata"].get("namespace", "default")
    return same and selects(budget["spec"].get("selector") or {}, pod["metadata"].get("labels") or {})


def _local(pod: Object) -> set[str]:
    disk = [v for v in pod["spec"].get("volumes") or [] if (v.get("emptyDir") or {}).get("medium") != "Memory"]
    return {volume["name"] for volume in disk if "hostPath" in volume or "emptyDir" in volume}


def unneeded(
    places: Sequence[Room], groups: Sequence[Group], budgets: Sequence[Object], options: Options, now: float,
    before: Collection[str] = (),
) -> dict[str, Verdict]:  # fmt: skip
    """What is thought of each node: first of empty ones, then of those that were unneeded `before`.

    A Pod that was moved in thought stays there, so two nodes never count on one place.
    """
    budgets = [{**one, "status": dict(one["status"])} for one in budgets]
    left = {room.name: room for room in places}
    verdicts = {room.name: Verdict(utilization=utilization(room, options)) for room in places}
    empty = {room.name for room in places if not any(movable(pod, now) for pod in room.pods)}
    for room in sorted(places, key=lambda room: (room.name not in empty, room.name not in before)):
        verdict = verdicts[room.name]
        if annotation(room.node, "scale-down-disabled") == "true":
            verdict.reason = "ScaleDownDisabledAnnotation"
        elif not any(group.holds(room.node) for group in groups):
            verdict.reason = "NotAutoscaled"
        elif verdict.utilization >= options.scale_down_utilization_threshold:
            verdict.reason, verdict.about = "NotUnderutilized", f"{verdict.utilization:.0%} requested"
        else:
            _move(room, [other for name, other in left.items() if name != room.name], budgets, verdict, options, now)
        if not verdict.reason:
            del left[room.name]
    return verdicts


def _move(room: Room, others: list[Room], budgets: list[Object], verdict: Verdict, options: Options, now: float) -> None:
    """Find another place for every Pod of a node; if one has none, all stay."""
    moved = list[tuple[Object, Room]]()
    for pod in [pod for pod in room.pods if movable(pod, now)]:
        why = blocker(pod, budgets, options)
        place = None if why else next((other for other in others if not misfit(pod, other)), None)
        if place is None:
            verdict.reason = "BlockedByPod" if why else "NoPlaceToMovePods"
            verdict.about = f"{pod_name(pod)} {why}".strip()
            for one, where in moved:
                where.give(one)
            return
        place.take(pod)
        moved.append((pod, place))
    verdict.moves = {pod_name(pod): place.name for pod, place in moved}
    for pod, _ in moved:
        for budget in [one for one in budgets if _covers(one, pod)]:
            budget["status"]["disruptionsAllowed"] -= 1


def to_delete(
    verdicts: Mapping[str, Verdict], since: Mapping[str, float], nodes: Mapping[str, Object], groups: Sequence[Group],
    options: Options, now: float,
) -> list[str]:  # fmt: skip
    """The nodes to remove now, and `reason` set on those that have to wait: empty ones together, else one with Pods.

    Args:
        since: when each node was first found unneeded, without a break.
    """
    sizes = {group.name: group.size for group in groups}
    ready = list[str]()
    for name in [name for name, verdict in verdicts.items() if not verdict.reason]:
        group = next(one for one in groups if one.holds(nodes[name]))
        if now - since.get(name, now) < options.scale_down_unneeded_time:
            verdicts[name].reason = "NotUnneededLongEnough"
        elif sizes[group.name] <= group.minimum:
            verdicts[name].reason = "NodeGroupMinSizeReached"
            verdicts[name].about = f"current: {sizes[group.name]}, min: {group.minimum}"
        else:
            sizes[group.name] -= 1
            ready.append(name)
    empty = [name for name in ready if not verdicts[name].moves]
    return empty[: options.max_empty_bulk_delete] or ready[:1]
