"""The autoscaler's decisions against a table of cases, worked out by hand from what upstream says of itself.

Every case names its source, in kubernetes/autoscaler under cluster-autoscaler/: a heading of FAQ.md, a file, or an issue.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from lab_helpers.autoscaling import decisions
from lab_helpers.autoscaling.__main__ import options as flags
from lab_helpers.autoscaling.expanders import Expansion, choose, waste
from lab_helpers.autoscaling.options import Options
from lab_helpers.autoscaling.room import TAINTED, UNMATCHED, UNSCHEDULABLE, Room, misfit
from lab_helpers.errors import SettingError

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
FAQ = "FAQ.md: "
SCALE_UP, SCALE_DOWN = f"{FAQ}How does scale-up work?", f"{FAQ}How does scale-down work?"
PRIORITY = f"{FAQ}How does Cluster Autoscaler work with Pod Priority and Preemption?"
PREVENT = f"{FAQ}What types of pods can prevent CA from removing a node?"
EXPANDERS = f"{FAQ}What are Expanders?"
AFFINITY = f"{FAQ}Does CA respect node affinity when selecting node groups to scale up?"
PARAMETERS = f"{FAQ}What are the parameters to CA?"
LOW = f"{FAQ}I have a couple of nodes with low utilization, but they are not scaled down. Why?"
PENDING = f"{FAQ}I have a couple of pending pods, but there was no scale-up?"
ESTIMATOR = "estimator/binpacking_estimator.go"
ORDERER = "estimator/decreasing_pod_orderer.go"
RULES = "simulator/drainability/rules/"
ISSUES: list[str] = []
"""Every source that a case names; counted by the last test."""


def stamp(ago: float) -> str:
    return datetime.fromtimestamp(NOW - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(name="p", cpu="1", memory="1Gi", node="", owner="ReplicaSet", space="default", **more: Any) -> dict[str, Any]:
    """A Pod; without a node one that the scheduler has refused."""
    meta: dict[str, Any] = {"name": name, "namespace": space, "creationTimestamp": stamp(more.pop("age", 60))}
    meta |= {"labels": more.pop("labels", {"app": name}), "annotations": more.pop("annotations", {})}
    if owner:
        meta["ownerReferences"] = [{"kind": owner, "name": "o", "controller": True}]
    if "deleted" in more:
        meta["deletionTimestamp"] = stamp(more.pop("deleted"))
    status = more.pop("status", None)
    if status is None:
        refused = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
        status = {"phase": "Running"} if node else {"phase": "Pending", "conditions": refused}
    requests = {key: value for key, value in {"cpu": cpu, "memory": memory}.items() if value}
    spec = {"containers": [{"name": "c", "resources": {"requests": requests}}], **more}
    return {"metadata": meta, "spec": spec | ({"nodeName": node} if node else {}), "status": status}


def node(name="n", cpu="4", memory="16Gi", pods="110", ready="True", **more: Any) -> dict[str, Any]:
    room = {"cpu": cpu, "memory": memory, "pods": pods}
    labels = {"kubernetes.io/hostname": name, **more.pop("labels", {})}
    status = {"allocatable": room, "capacity": room, "conditions": [{"type": "Ready", "status": ready}]}
    meta = {"name": name, "labels": labels, "annotations": more.pop("annotations", {})}
    return {"metadata": meta, "spec": more, "status": status}


@dataclass
class Nodes:
    """A node group that is only a table."""

    name: str = "g"
    minimum: int = 0
    maximum: int = 10
    size: int = 1
    template: dict[str, Any] = field(default_factory=node)
    names: tuple[str, ...] = ()

    def holds(self, item):
        return item["metadata"]["name"] in self.names

    def set_desired(self, size):
        raise AssertionError("a decision changes nothing")

    def delete(self, item):
        raise AssertionError("a decision changes nothing")


def cases(*rows):
    """Parameters from rows of (what, source, …)."""
    ISSUES.extend(row[1] for row in rows)
    assert all(row[1] for row in rows)
    return [pytest.param(*row[2:], id=row[0]) for row in rows]


# -- which Pods need a node? ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "options", "counts"),
    cases(
        ("refused by the scheduler", SCALE_UP, pod(), {}, True),
        ("not looked at yet", SCALE_UP, pod(status={"phase": "Pending"}), {}, False),
        ("has a node", SCALE_UP, pod(node="n"), {}, False),
        ("is being deleted", "utils/kubernetes/listers.go", pod(deleted=1), {}, False),
        ("refused for a gate", "utils/kubernetes/listers.go",
         pod(status={"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}), {}, False),
        ("of a DaemonSet", "core/podlistprocessor/filter_out_daemon_sets.go", pod(owner="DaemonSet"), {}, False),
        ("priority just at the cutoff", PRIORITY, pod(priority=-10), {}, True),
        ("priority below the cutoff", PRIORITY, pod(priority=-11), {}, False),
        ("no priority", PRIORITY, pod(priority=None), {}, True),
        ("another cutoff", PARAMETERS, pod(priority=-1), {"expendable_pods_priority_cutoff": 0}, False),
        ("waits for a victim to go", PRIORITY,
         pod(status={**pod()["status"], "nominatedNodeName": "n"}), {}, False),
        ("too young", f"{FAQ}How can I modify Cluster Autoscaler reaction time?",
         pod(age=5), {"new_pod_scale_up_delay": 10}, False),
        ("old enough", f"{FAQ}How can I modify Cluster Autoscaler reaction time?",
         pod(age=11), {"new_pod_scale_up_delay": 10}, True),
        ("its own patience", f"{FAQ}How can I modify Cluster Autoscaler reaction time?",
         pod(age=60, annotations={"cluster-autoscaler.kubernetes.io/pod-scale-up-delay": "600s"}), {}, False),
    ),
)  # fmt: skip
def test_a_pod_needs_a_node(item, options, counts):
    assert bool(decisions.unschedulable([item], Options(**options), NOW)) is counts


# -- would it fit? ----------------------------------------------------------------------------------------------------

SPOT = {"key": "spot", "value": "yes", "effect": "NoSchedule"}
POOL = node(labels={"pool": "a", "size": "8"})


def required(*terms):
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"nodeAffinity": wanted}


def expression(key, operator, *values):
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("item", "place", "reasons"),
    cases(
        ("fits", SCALE_UP, pod(), node(), []),
        ("fits to the last bit", SCALE_UP, pod(cpu="4", memory="16Gi"), node(), []),
        ("too much CPU", PENDING, pod(cpu="100"), node(), ["Insufficient cpu"]),
        ("too much of both", PENDING, pod(cpu="5", memory="17Gi"), node(), ["Insufficient cpu", "Insufficient memory"]),
        ("no place", "simulator/clustersnapshot (NodeResourcesFit)", pod(), node(pods="0"), ["Too many pods"]),
        ("selector", AFFINITY, pod(nodeSelector={"pool": "a"}), POOL, []),
        ("other selector", AFFINITY, pod(nodeSelector={"pool": "b"}), POOL, [UNMATCHED]),
        ("selector goes before resources", AFFINITY, pod(cpu="9", nodeSelector={"pool": "b"}), POOL, [UNMATCHED]),
        ("affinity In", AFFINITY, pod(affinity=required(expression("pool", "In", "a", "b"))), POOL, []),
        ("affinity NotIn", AFFINITY, pod(affinity=required(expression("pool", "NotIn", "a"))), POOL, [UNMATCHED]),
        ("affinity Gt", AFFINITY, pod(affinity=required(expression("size", "Gt", "4"))), POOL, []),
        ("one term of two", AFFINITY,
         pod(affinity=required(expression("pool", "In", "z"), expression("size", "Exists"))), POOL, []),
        ("preferred affinity counts for nothing", AFFINITY,
         pod(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
             {"weight": 1, "preference": expression("pool", "In", "z")}]}}), POOL, []),
        ("taint", f"{FAQ}How does Cluster Autoscaler treat nodes with status/startup/ignore taints?",
         pod(), node(taints=[SPOT]), [TAINTED]),
        ("tolerated by value", "simulator (TaintToleration)", pod(tolerations=[SPOT]), node(taints=[SPOT]), []),
        ("tolerated whatever it is", "simulator (TaintToleration)",
         pod(tolerations=[{"operator": "Exists"}]), node(taints=[SPOT]), []),
        ("tolerated for another effect", "simulator (TaintToleration)",
         pod(tolerations=[{**SPOT, "effect": "NoExecute"}]), node(taints=[SPOT]), [TAINTED]),
        ("a soft taint keeps nobody away", "simulator (TaintToleration)",
         pod(), node(taints=[{**SPOT, "effect": "PreferNoSchedule"}]), []),
        ("cordoned", "simulator (NodeUnschedulable)", pod(), node(unschedulable=True), [UNSCHEDULABLE]),
    ),
)  # fmt: skip
def test_a_pod_fits(item, place, reasons):
    assert misfit(item, Room(place)) == reasons


@pytest.mark.parametrize(
    ("nodes", "running", "pending", "left"),
    cases(
        ("room on a node that is there", "core/podlistprocessor/filter_out_schedulable.go",
         [node()], [], [pod("a")], []),
        ("the first takes the room of the second", "core/podlistprocessor/filter_out_schedulable.go",
         [node(cpu="1")], [], [pod("a"), pod("b")], ["b"]),
        ("important ones first", "core/podlistprocessor/filter_out_schedulable.go",
         [node(cpu="1")], [], [pod("a"), pod("b", priority=5)], ["a"]),
        ("what ended takes no room", "core/podlistprocessor/filter_out_schedulable.go",
         [node(cpu="1")], [pod("old", node="n", status={"phase": "Succeeded"})], [pod("a")], []),
        ("expendable Pods take no room", "core/podlistprocessor/filter_out_expendable.go",
         [node(cpu="1")], [pod("old", node="n", priority=-20)], [pod("a")], []),
        ("a node that is not Ready", f"{FAQ}How does CA deal with unready nodes?",
         [node(ready="Unknown")], [], [pod("a")], ["a"]),
        ("a node that is Ready and may not be used yet", "utils/kubernetes/ready.go",
         [node(taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])], [],
         [pod("a", tolerations=[{"operator": "Exists"}])], ["a"]),
        ("a node on its way out", "utils/taints/taints.go",
         [node(taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}])], [], [pod("a")], ["a"]),
        ("a place that is kept for another", PRIORITY,
         [node(cpu="1")], [pod("vip", status={**pod()["status"], "nominatedNodeName": "n"})], [pod("a")], ["a"]),
    ),
)  # fmt: skip
def test_pods_that_fit_where_something_is(nodes, running, pending, left):
    places = decisions.rooms(nodes, running, Options())
    assert [one["metadata"]["name"] for one in decisions.without_room(pending, places)] == left


# -- how many nodes? --------------------------------------------------------------------------------------------------


def many(number, **shape):
    return [pod(f"p{n}", **shape) for n in range(number)]


@pytest.mark.parametrize(
    ("pods", "group", "limit", "daemons", "nodes", "packed"),
    cases(
        ("none", ESTIMATOR, [], Nodes(), 10, [], 0, 0),
        ("the ninth Pod", ESTIMATOR, many(1), Nodes(), 10, [], 1, 1),
        ("four to a node", ESTIMATOR, many(9), Nodes(), 10, [], 3, 9),
        ("memory binds", ESTIMATOR, many(4, memory="8Gi"), Nodes(), 10, [], 2, 4),
        ("max pods binds", ESTIMATOR, many(5, cpu="", memory=""), Nodes(template=node(pods="2")), 10, [], 3, 5),
        ("the limit ends it", "estimator/threshold_based_limiter.go", many(9), Nodes(), 2, [], 2, 8),
        ("too large for the node", ESTIMATOR, [*many(2), pod("big", cpu="5")], Nodes(), 10, [], 1, 2),
        # 3 + 1 and 2 + 2: the other way round 2 + 1, 2, 3 would be three nodes.
        ("large ones first", ORDERER, [pod("a", cpu="2"), pod("b", cpu="1"), pod("c", cpu="2"), pod("d", cpu="3")],
         Nodes(), 10, [], 2, 4),
        # 0.5 of the node's memory weighs more than 0.25 of its CPU: b and d first, one to a node; then a and c beside them.
        ("shares of CPU and memory are added", ORDERER,
         [pod("a", cpu="3", memory="1Gi"), pod("b", cpu="1", memory="15Gi"), pod("c", cpu="3", memory="1Gi"),
          pod("d", cpu="1", memory="15Gi")], Nodes(), 10, [], 2, 4),
        ("a DaemonSet takes its part of each", SCALE_UP, many(8), Nodes(), 10, [pod("ds", cpu="500m")], 3, 8),
        ("a DaemonSet for other nodes", SCALE_UP, many(8), Nodes(), 10, [pod("ds", nodeSelector={"gpu": "yes"})], 2, 8),
    ),
)  # fmt: skip
def test_estimate(pods, group, limit, daemons, nodes, packed):
    number, fitted = decisions.estimate(decisions.alike(pods), group, limit, daemons)
    assert (number, len(fitted)) == (nodes, packed)


FULL_A = Nodes("g1", maximum=3, size=3, template=node(labels={"pool": "a"}))
OPEN_B = Nodes("g2", maximum=5, size=1, template=node(labels={"pool": "b"}))
ONE_OF_EACH = {decisions.MAX_SIZE: 1, UNMATCHED: 1}


@pytest.mark.parametrize(
    ("item", "groups", "options", "helps", "refused"),
    cases(
        ("a full group", "issues/5692", pod(nodeSelector={"pool": "a"}), [FULL_A, OPEN_B], {}, [], ONE_OF_EACH),
        (
            "a full group is not looked at",
            "issues/1607",
            pod(nodeSelector={"pool": "c"}),
            [FULL_A, OPEN_B],
            {},
            [],
            ONE_OF_EACH,
        ),
        ("one of two", SCALE_UP, pod(nodeSelector={"pool": "b"}), [FULL_A, OPEN_B], {}, ["g2"], {decisions.MAX_SIZE: 1}),
        ("no group is large enough", PENDING, pod(cpu="100"), [OPEN_B, Nodes()], {}, [], {"Insufficient cpu": 2}),
        ("all would do", SCALE_UP, pod(), [Nodes("a"), Nodes("b")], {}, ["a", "b"], {}),
        ("from nothing", f"{FAQ}How can I scale a node group to 0?", pod(), [Nodes(size=0)], {}, ["g"], {}),
        ("the whole cluster is full", PARAMETERS, pod(), [Nodes()], {"max_nodes_total": 1}, [], {decisions.MAX_SIZE: 1}),
        ("one more is allowed", PARAMETERS, pod(), [Nodes()], {"max_nodes_total": 2}, ["g"], {}),
    ),
)
def test_groups_that_would_help(item, groups, options, helps, refused):
    found, reasons = decisions.expansions([item], groups, 1, Options(**options))
    assert [way.group.name for way in found] == helps
    assert reasons == {"default/p": Counter(refused)}


def test_the_event_counts_groups():
    said = decisions.reasons_message(Counter(ONE_OF_EACH))
    assert said == f"pod didn't trigger scale-up: 1 max node group size reached, 1 {UNMATCHED}"


# -- expanders --------------------------------------------------------------------------------------------------------


def way(name, nodes=1, pods=1, cpu="1", memory="1Gi", room=None):
    return Expansion(Nodes(name, template=room or node()), nodes, many(pods, cpu=cpu, memory=memory))


SMALL, LARGE = node(cpu="2", memory="8Gi"), node(cpu="8", memory="32Gi")
EVERY = {"eks-spot-7c01", "eks-od-7c02", "plain"}
SPOT_AND_OD = [way("eks-spot-7c01"), way("eks-od-7c02"), way("plain")]


@pytest.mark.parametrize(
    ("expander", "ways", "priorities", "left"),
    cases(
        ("random leaves all", EXPANDERS, "random", [way("a"), way("b")], None, {"a", "b"}),
        ("most Pods", EXPANDERS, "most-pods", [way("a", pods=2), way("b", pods=3)], None, {"b"}),
        ("most Pods, whatever they cost", "expander/mostpods/mostpods.go", "most-pods",
         [way("small", nodes=9, pods=9), way("large", nodes=1, pods=8)], None, {"small"}),
        ("as many Pods", "expander/mostpods/mostpods.go", "most-pods", [way("a", pods=2), way("b", pods=2)], None, {"a", "b"}),
        ("least waste takes the small node", EXPANDERS, "least-waste",
         [way("small", room=SMALL), way("large", room=LARGE)], None, {"small"}),
        # Four of 1 core and 4 GiB: two small ones are full to the last bit, one large one is half empty.
        ("least waste counts all new nodes", "expander/waste/waste.go", "least-waste",
         [way("small", 2, 4, memory="4Gi", room=SMALL), way("large", 1, 4, memory="4Gi", room=LARGE)], None, {"small"}),
        # CPU wasted 1/2 and memory 3/4, against 3/4 and 1/4: the sums 1.25 and 1.0 decide, not CPU alone.
        ("CPU and memory are added", "expander/waste/waste.go", "least-waste",
         [way("a", cpu="1", memory="4Gi", room=node(cpu="2", memory="16Gi")),
          way("b", cpu="1", memory="4Gi", room=node(cpu="4", memory="5461Mi"))], None, {"b"}),
        ("priority", "expander/priority/readme.md", "priority", SPOT_AND_OD,
         "{10: ['.*od.*'], 50: ['spot']}", {"eks-spot-7c01"}),
        ("a pattern that misses", "issues/5246", "priority", SPOT_AND_OD, "{10: ['.*od.*'], 50: ['^spot$']}", {"eks-od-7c02"}),
        ("one without a number stays out", "expander/priority/priority.go", "priority", SPOT_AND_OD, "{1: ['eks-']}",
         {"eks-spot-7c01", "eks-od-7c02"}),
        ("nothing matches", "issues/3890", "priority", SPOT_AND_OD, "{10: ['gpu']}", EVERY),
        ("no ConfigMap", "issues/2433", "priority", SPOT_AND_OD, None, EVERY),
        ("a ConfigMap that is none", "issues/2564", "priority", SPOT_AND_OD, "10: [", EVERY),
        ("one after the other", EXPANDERS, "priority,least-waste",
         [way("od", room=SMALL), way("spot-l", room=LARGE), way("spot-s", room=SMALL)], "{1: ['spot']}", {"spot-s"}),
    ),
)  # fmt: skip
def test_expanders(expander, ways, priorities, left):
    seen = []
    choose(ways, Options(expander=tuple(expander.split(","))), priorities, lambda some: seen.extend(some) or some[0])
    assert {one.group.name for one in seen} == left


def test_no_way_is_no_choice():
    assert choose([], Options(expander=("priority", "least-waste", "most-pods"))) is None
    assert waste(way("a", nodes=2, pods=2, cpu="2", memory="8Gi")) == 1.0


# -- scale-down -------------------------------------------------------------------------------------------------------

SAFE, LOCAL = "cluster-autoscaler.kubernetes.io/safe-to-evict", "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
CACHE = [{"name": "cache", "emptyDir": {}}]


def budget(allowed, space="default", **selector):
    return {"metadata": {"namespace": space}, "spec": {"selector": selector}, "status": {"disruptionsAllowed": allowed}}


@pytest.mark.parametrize(
    ("item", "budgets", "options", "why"),
    cases(
        ("of a ReplicaSet", PREVENT, pod(), [], {}, ""),
        ("without a controller", PREVENT, pod(owner=""), [], {}, "NotReplicated"),
        ("without a controller, safe", PREVENT, pod(owner="", annotations={SAFE: "true"}), [], {}, ""),
        ("of somebody's own controller", PARAMETERS, pod(owner="GameServer"), [], {}, "NotReplicated"),
        ("not safe", PREVENT, pod(annotations={SAFE: "false"}), [], {}, "NotSafeToEvictAnnotation"),
        ("emptyDir", PREVENT, pod(volumes=CACHE), [], {}, "LocalStorageRequested"),
        ("hostPath", PREVENT, pod(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), [], {}, "LocalStorageRequested"),
        ("emptyDir in memory", PREVENT, pod(volumes=[{"name": "m", "emptyDir": {"medium": "Memory"}}]), [], {}, ""),
        ("ConfigMap", PREVENT, pod(volumes=[{"name": "c", "configMap": {"name": "c"}}]), [], {}, ""),
        ("emptyDir, named as safe", PREVENT, pod(volumes=CACHE, annotations={LOCAL: "cache"}), [], {}, ""),
        ("one of two named as safe", PREVENT,
         pod(volumes=[*CACHE, {"name": "b", "emptyDir": {}}], annotations={LOCAL: "cache"}), [], {}, "LocalStorageRequested"),
        ("emptyDir, flag", PARAMETERS, pod(volumes=CACHE), [], {"skip_nodes_with_local_storage": False}, ""),
        ("emptyDir, safe", PREVENT, pod(volumes=CACHE, annotations={SAFE: "true"}), [], {}, ""),
        ("kube-system", PREVENT, pod(space="kube-system"), [], {}, "UnmovableKubeSystemPod"),
        ("kube-system with a budget", f"{FAQ}How to set PDBs to enable CA to move kube-system pods?",
         pod(space="kube-system"), [budget(1, "kube-system", matchLabels={"app": "p"})], {}, ""),
        ("kube-system, flag", PARAMETERS, pod(space="kube-system"), [], {"skip_nodes_with_system_pods": False}, ""),
        ("a budget that allows one", f"{FAQ}Does CA work with PodDisruptionBudget in scale-down?",
         pod(), [budget(1, matchLabels={"app": "p"})], {}, ""),
        ("a budget that allows none", f"{FAQ}Does CA work with PodDisruptionBudget in scale-down?",
         pod(), [budget(0, matchLabels={"app": "p"})], {}, "NotEnoughPdb"),
        ("a budget of others", f"{RULES}pdb/rule.go", pod(), [budget(0, matchLabels={"app": "x"})], {}, ""),
        ("a budget of another namespace", f"{RULES}pdb/rule.go", pod(), [budget(0, "x", matchLabels={"app": "p"})], {}, ""),
        ("an empty budget covers all", f"{RULES}pdb/rule.go", pod(), [budget(0)], {}, "NotEnoughPdb"),
        ("ended", f"{RULES}terminal/rule.go", pod(owner="", status={"phase": "Failed"}), [], {}, ""),
    ),
)  # fmt: skip
def test_what_blocks_an_eviction(item, budgets, options, why):
    assert decisions.blocker(item, budgets, Options(**options)) == why


@pytest.mark.parametrize(
    ("item", "moves"),
    cases(
        ("of a Deployment", SCALE_DOWN, pod(), True),
        ("of a DaemonSet", SCALE_DOWN, pod(owner="DaemonSet"), False),
        ("static", SCALE_DOWN, pod(annotations={"kubernetes.io/config.mirror": "x"}), False),
        ("on its way out", f"{RULES}longterminating/rule.go", pod(deleted=10), True),
        ("long on its way out", f"{RULES}longterminating/rule.go", pod(deleted=61), False),
        ("with a long grace", f"{RULES}longterminating/rule.go", pod(deleted=61, terminationGracePeriodSeconds=600), True),
    ),
)
def test_what_has_to_be_moved(item, moves):
    assert decisions.movable(item, NOW) is moves


@pytest.mark.parametrize(
    ("running", "options", "share"),
    cases(
        ("CPU", "simulator/utilization/info.go", [pod(cpu="1")], {}, 0.25),
        ("memory is more", "simulator/utilization/info.go", [pod(cpu="1", memory="8Gi")], {}, 0.5),
        ("a DaemonSet counts", PARAMETERS, [pod(), pod("ds", owner="DaemonSet")], {}, 0.5),
        ("a DaemonSet set aside", "simulator/utilization/info.go", [pod(), pod("ds", owner="DaemonSet", cpu="2")],
         {"ignore_daemonsets_utilization": True}, 0.5),
        ("empty", "simulator/utilization/info.go", [], {}, 0.0),
    ),
)  # fmt: skip
def test_utilization(running, options, share):
    assert decisions.utilization(Room(node(), running), Options(**options)) == share


def only(name):
    return {"kubernetes.io/hostname": name}


def on(name, *pods, cpu="4", **more):
    return Room(node(name, cpu=cpu, **more), pods)


ALL = [Nodes(size=3, names=("a", "b", "c", "x", "y"))]
DISABLED = {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}


@pytest.mark.parametrize(
    ("places", "groups", "budgets", "options", "reasons"),
    cases(
        ("an empty node", SCALE_DOWN, [on("a")], ALL, [], {}, {"a": ""}),
        ("half is too much", "core/scaledown/eligibility/eligibility.go", [on("a", pod(cpu="2")), on("b", pod(cpu="3"))], ALL,
         [], {}, {"a": "NotUnderutilized", "b": "NotUnderutilized"}),
        ("a Pod that can move", SCALE_DOWN, [on("a", pod()), on("b", pod(cpu="3"))], ALL, [], {},
         {"a": "", "b": "NotUnderutilized"}),
        ("a Pod without another place", PREVENT, [on("a", pod()), on("b", pod(cpu="4"))], ALL, [], {},
         {"a": "NoPlaceToMovePods", "b": "NotUnderutilized"}),
        ("a Pod that only fits here", PREVENT, [on("a", pod(nodeSelector=only("a"))), on("b")], ALL, [], {},
         {"a": "NoPlaceToMovePods", "b": ""}),
        ("a Pod that blocks", PREVENT, [on("a", pod(owner="")), on("b", pod(cpu="3"))], ALL, [], {},
         {"a": "BlockedByPod", "b": "NotUnderutilized"}),
        ("switched off", f"{FAQ}How can I prevent Cluster Autoscaler from scaling down a particular node?",
         [on("a", annotations=DISABLED)], ALL, [], {}, {"a": "ScaleDownDisabledAnnotation"}),
        ("of no group", "core/scaledown/eligibility/eligibility.go", [on("other")], ALL, [], {}, {"other": "NotAutoscaled"}),
        ("threshold 0", f"{FAQ}How can I prevent Cluster Autoscaler from scaling down non-empty nodes?",
         [on("a"), on("b", pod(cpu="1"))], ALL, [], {"scale_down_utilization_threshold": 0},
         {"a": "NotUnderutilized", "b": "NotUnderutilized"}),
        # The FAQ's own example: A and B fit on X, one of them only; C fits on Y.
        ("A, B, C, X and Y", SCALE_DOWN,
         [on("a", pod("pa", nodeSelector=only("x"))), on("b", pod("pb", nodeSelector=only("x"))),
          on("c", pod("pc", nodeSelector=only("y"))), on("x", pod("px", cpu="3")), on("y", pod("py", cpu="3"))], ALL, [], {},
         {"a": "", "b": "NoPlaceToMovePods", "c": "", "x": "NotUnderutilized", "y": "NotUnderutilized"}),
        # Both were under the threshold before: what moved in thought counts for room, not for the threshold.
        ("the threshold is asked first of all", "core/scaledown/planner/planner.go",
         [on("a", pod("pa")), on("b", pod("pb")), on("x", pod("px", cpu="2"))], ALL, [], {},
         {"a": "", "b": "", "x": "NotUnderutilized"}),
        ("two nodes do not move to each other", SCALE_DOWN, [on("a", pod("pa")), on("b", pod("pb"))], ALL, [], {},
         {"a": "", "b": "NoPlaceToMovePods"}),
        ("a budget is spent once", "core/scaledown/pdb/basic.go",
         [on("a", pod("w1", labels={"app": "w"})), on("b", pod("w2", labels={"app": "w"})), on("x", pod(cpu="2"))], ALL,
         [budget(1, matchLabels={"app": "w"})], {}, {"a": "", "b": "BlockedByPod", "x": "NotUnderutilized"}),
        ("only a DaemonSet is there", SCALE_DOWN, [on("a", pod(owner="DaemonSet", cpu="500m"))], ALL, [], {}, {"a": ""}),
        ("empty ones go first, so nobody is moved there", "processors/scaledowncandidates/emptycandidates",
         [on("a", pod()), on("b")], ALL, [], {}, {"a": "NoPlaceToMovePods", "b": ""}),
    ),
)  # fmt: skip
def test_which_nodes_are_unneeded(places, groups, budgets, options, reasons):
    found = decisions.unneeded(places, groups, budgets, Options(**options), NOW)
    assert {name: verdict.reason for name, verdict in found.items()} == reasons


@pytest.mark.parametrize(
    ("names", "occupied", "group", "ago", "options", "chosen", "reasons"),
    cases(
        ("ten minutes", SCALE_DOWN, "a", "", Nodes(size=3), 600, {}, ["a"], [""]),
        ("not yet", LOW, "a", "", Nodes(size=3), 599, {}, [], ["NotUnneededLongEnough"]),
        ("shortened", PARAMETERS, "a", "", Nodes(size=3), 10, {"scale_down_unneeded_time": 10}, ["a"], [""]),
        ("empty ones together", SCALE_DOWN, "abc", "", Nodes(size=3), 600, {}, ["a", "b", "c"], ["", "", ""]),
        ("not more than ten", PARAMETERS, "ab", "", Nodes(size=3), 600, {"max_empty_bulk_delete": 1}, ["a"], ["", ""]),
        ("one with Pods at a time", SCALE_DOWN, "ab", "ab", Nodes(size=3), 600, {}, ["a"], ["", ""]),
        ("empty ones before", SCALE_DOWN, "ab", "a", Nodes(size=3), 600, {}, ["b"], ["", ""]),
        ("minimum reached", LOW, "ab", "", Nodes(minimum=2, size=2), 600, {}, [],
         ["NodeGroupMinSizeReached", "NodeGroupMinSizeReached"]),
        ("one above the minimum", LOW, "ab", "", Nodes(minimum=1, size=2), 600, {}, ["a"], ["", "NodeGroupMinSizeReached"]),
        ("under the minimum", f"{FAQ}My cluster is below minimum / above maximum number of nodes, …",
         "a", "", Nodes(minimum=3, size=2), 600, {}, [], ["NodeGroupMinSizeReached"]),
    ),
)  # fmt: skip
def test_which_nodes_go_now(names, occupied, group, ago, options, chosen, reasons):
    group.names = tuple(names)
    verdicts = {name: decisions.Verdict(moves={"default/p": "x"} if name in occupied else {}) for name in names}
    since, nodes = dict.fromkeys(names, NOW - ago), {name: node(name) for name in names}
    assert decisions.to_delete(verdicts, since, nodes, [group], Options(**options), NOW) == chosen
    assert [verdict.reason for verdict in verdicts.values()] == reasons


def test_the_message_of_a_minimum_is_upstreams():
    verdicts = {"a": decisions.Verdict()}
    decisions.to_delete(verdicts, {"a": 0}, {"a": node("a")}, [Nodes(minimum=3, size=2, names=("a",))], Options(), NOW)
    assert verdicts["a"].about == "current: 2, min: 3"


def test_flags_are_upstreams_with_its_defaults():
    assert flags({}) == Options()
    assert flags({"expander": "priority,least-waste", "scan_interval": 2.0}).expander == ("priority", "least-waste")
    with pytest.raises(SettingError, match="no expander 'price'") as caught:
        flags({"expander": "price"})
    assert "least-waste" in caught.value.next_step


def test_there_are_sixty_cases_and_each_names_its_source():
    assert len(ISSUES) >= 60
    assert all(source.startswith(("FAQ.md: ", "issues/")) or "/" in source or "(" in source for source in ISSUES)
