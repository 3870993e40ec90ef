"""Lab 18: checks and scenes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lab_helpers import CheckFailed, Lab, NodeShape, WaitTimeout

Object = dict[str, Any]

EXERCISE = Path(__file__).parent / "exercise"
GROUP, TYPE = "lab.local/node-group", "node.kubernetes.io/instance-type"
TAINT = "ToBeDeletedByClusterAutoscaler"


# -- the expander for a bill ------------------------------------------------------------------------------------------

PODS, BUDGET = 10, 0.26
ROUNDS = 2  # who draws lots may be lucky once


def scene_bill(lab: Lab) -> None:
    """No node at all; three groups; ten Pods of render come at ten; the autoscaler wants most-pods."""
    _clean(lab, "bill-groups.yaml", {})
    lab.kube.apply(EXERCISE / "render.yaml", force=True)
    lab.autoscaler.start("--expander=most-pods", groups="exercise/bill-groups.yaml")


def bill(lab: Lab) -> None:
    """Twice, ten Pods of render arrive in an empty cluster: both times all of them run, on nodes that cost what is allowed.

    The learner's autoscaler is started anew each time, with its own flags, so that it has forgotten the nodes of before.
    """
    _running(lab)
    _has(lab, "render")
    for number in range(ROUNDS):
        _scale(lab, "render", 0)
        _wait(lambda: not _pods(lab, "render"), 30)
        lab.autoscaler.stop()
        _only(lab, "bill-groups.yaml", {})
        lab.autoscaler.again()
        _scale(lab, "render", PODS)
        _wait(lambda: _up(lab, "render") == PODS, 60)
        if (there := _up(lab, "render")) < PODS:
            step = "which group may still grow?"
            raise CheckFailed(f"{there} of {PODS} Pods of render run after a minute.", _told(lab), step)
        hourly = lab.autoscaler.hourly()
        if hourly > BUDGET + 1e-6:
            raise CheckFailed(
                f"Ten at night{', again' if number else ''}: the nodes cost ${hourly:.4f} an hour; the budget is ${BUDGET}.",
                _kinds(lab),
                "what does your expander look at when it chooses? Is it the price?",
            )


def _kinds(lab: Lab) -> str:
    kinds: dict[str, int] = {}
    for node in _nodes(lab):
        kind = node["metadata"]["labels"].get(TYPE, "?")
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{number} {kind} at ${lab.autoscaler.prices.get(kind, 0):.4f}" for kind, number in sorted(kinds.items()))


# -- the node that never goes away ------------------------------------------------------------------------------------


LEFT = 3  # Pods of shop: more than half of a node, so that theirs is no candidate


def scene_never_leaves(lab: Lab) -> None:
    """shop fills one node for good; a second one holds nothing but grafana, for two reasons."""
    _clean(lab, "../groups.yaml", {"workers": 1})
    lab.kube.apply(EXERCISE / "shop.yaml", force=True)
    _wait(lambda: _up(lab, "shop") == 4, 30)
    _add(lab, "../groups.yaml", "workers", 2)
    lab.kube.apply(EXERCISE / "grafana.yaml", force=True)
    lab.kube.wait_for("deployment", "grafana", "Available", deadline=60)
    _scale(lab, "shop", LEFT)
    _wait(lambda: len(_pods(lab, "shop")) == LEFT, 30)
    lab.autoscaler.start()
    _wait(lambda: "BlockedByPod" in str(lab.autoscaler.stays()), 30)


def never_leaves(lab: Lab) -> None:
    """One node is left, of one machine; grafana runs, and its budget protects it as before."""
    _running(lab)
    _has(lab, "grafana")
    _has(lab, "shop")
    budgets = lab.kube.list("poddisruptionbudgets", "default")
    mine = [one for one in budgets if one["spec"].get("selector", {}).get("matchLabels", {}).get("app") == "grafana"]
    if not any(_protects(one) for one in mine):
        raise CheckFailed(
            "Nothing protects grafana any more: a budget that wants one of its Pods is gone.",
            ", ".join(f"{one['metadata']['name']}: {one['spec']}" for one in mine) or "no PodDisruptionBudget",
            "set the scene again: how can a budget of one be kept while a Pod moves?",
        )
    _wait(lambda: len(_nodes(lab)) == 1, 30)
    nodes = {node["metadata"]["name"]: node for node in _nodes(lab)}
    if len(nodes) > 1:
        leaving = [name for name, node in nodes.items() if any(t["key"] == TAINT for t in node["spec"].get("taints") or [])]
        seen = f"{leaving[0]} is being drained, and an eviction is refused" if leaving else str(lab.autoscaler.stays())
        step = "read the reason: one is gone, perhaps. Is it another one now?"
        raise CheckFailed(f"{len(nodes)} nodes are still there.", seen, step)
    _wait(lambda: sum(_machines(lab).values()) == 1, 5)
    if sum(_machines(lab).values()) > 1:
        raise CheckFailed(
            f"One Node is left, and the group still has {sum(_machines(lab).values())} machines: you go on paying.",
            f"desired capacity: {_machines(lab)}",
            "a Node object is an entry in a list. Who can give the machine back? Set the scene again",
        )
    _wait(lambda: _up(lab, "grafana") >= 1, 30)
    if _up(lab, "grafana") < 1:
        raise CheckFailed("grafana does not run.", _told(lab), "where is its Pod?")
    if _up(lab, "shop") < LEFT:
        step = "set the scene again: only one node was to go"
        raise CheckFailed(f"shop has {_up(lab, 'shop')} of {LEFT} Pods.", next_step=step)


def _protects(budget: Object) -> bool:
    """Whether a budget of grafana's is worth something."""
    spec = budget["spec"]
    return str(spec.get("minAvailable", "0")) not in ("0", "0%") or str(spec.get("maxUnavailable", "")) in ("1", "50%")


def _machines(lab: Lab) -> dict[str, int]:
    return lab.autoscaler.sizes()


# -- the Pod that no group can hold -----------------------------------------------------------------------------------

CORES = 7500  # thousandths, as the ticket says


def scene_no_group(lab: Lab) -> None:
    """train is Pending: one group has other labels, one is full, one has a taint, and none is large enough."""
    _clean(lab, "no-group.yaml", {"memory": 1})
    lab.autoscaler.start(groups="exercise/no-group.yaml")
    lab.kube.apply(EXERCISE / "train.yaml", force=True)
    _wait(lambda: "NotTriggerScaleUp" in _told(lab), 30)


def no_group(lab: Lab) -> None:
    """train runs on a node of the batch group, with what the ticket grants it."""
    _running(lab)
    _has(lab, "train")
    _wait(lambda: _up(lab, "train") >= 1, 20)
    pods = _pods(lab, "train")
    if not pods:
        raise CheckFailed("train has no Pod.", next_step="its manifest is exercise/train.yaml")
    pod = max(pods, key=lambda one: one["metadata"]["creationTimestamp"])
    asked = _cores(pod["spec"]["containers"][0].get("resources", {}).get("requests", {}).get("cpu", "0"))
    if asked < CORES:
        raise CheckFailed(
            f"train asks for {asked}m CPU: the ticket grants it at least {CORES}m.",
            "with less it is not ready by morning",
            "how much of the machine's 8 cores may a Pod have, then?",
        )
    if not pod["spec"].get("nodeName"):
        step = "the numbers count groups: which one is which, and what is its reason now?"
        raise CheckFailed("train is still Pending.", _told(lab), step)
    home = lab.kube.get("node", pod["spec"]["nodeName"])["metadata"]["labels"].get(GROUP, "no group")
    if home != "batch":
        raise CheckFailed(f"train runs on a node of {home}.", next_step="the ticket wants it on the batch team's own machines")
    lab.kube.wait_for("pod", pod["metadata"]["name"], "Ready", deadline=30)


# -- room kept ready --------------------------------------------------------------------------------------------------

NORMAL, RUSH, PATIENCE = 4, 8, 6.0


def scene_reserve(lab: Lab) -> None:
    """shop fills one node; a machine takes twelve seconds to boot; nothing is kept in reserve."""
    _clean(lab, "slow-groups.yaml", {"workers": 1})
    lab.kube.apply(EXERCISE / "shop.yaml", force=True)
    _wait(lambda: _up(lab, "shop") == NORMAL, 30)
    lab.autoscaler.start(groups="exercise/slow-groups.yaml")


def reserve(lab: Lab) -> None:
    """Room is kept; a rush of four more Pods of shop is served before any machine has booted; then the room is there again."""
    _running(lab)
    _has(lab, "shop")
    _scale(lab, "shop", NORMAL)
    _wait(lambda: len(_pods(lab, "shop")) == NORMAL, 30)
    kept = [pod for pod in _all(lab) if int(pod["spec"].get("priority") or 0) < 0]
    _wait(lambda: _reserved(lab) >= RUSH - NORMAL, 45 if kept else 0)
    if not kept:
        others = [pod["metadata"]["name"] for pod in _all(lab) if pod["metadata"].get("labels", {}).get("app") != "shop"]
        raise CheckFailed(
            "Nothing in this cluster would give way to shop.",
            f"of shop's own priority or higher: {', '.join(others)}" if others else "there is nobody but shop",
            "room is kept by Pods that anybody may send away: what makes one Pod give way to another?",
        )
    if (there := _reserved(lab)) < RUSH - NORMAL:
        raise CheckFailed(
            f"The reserve has {there} of the {RUSH - NORMAL} places that a rush needs.",
            _expendable(kept) or _told(lab),
            "who of your reserve has no node, and does the autoscaler buy one for it?",
        )
    _wait(lambda: _spare(lab) < RUSH - NORMAL, 60)  # a machine that an earlier rush has left empty would serve this one
    began = time.monotonic()
    try:
        _scale(lab, "shop", RUSH)
        _wait(lambda: _up(lab, "shop") == RUSH, 45)
        took = time.monotonic() - began
        if _up(lab, "shop") < RUSH or took > PATIENCE:
            raise CheckFailed(
                f"The rush: {RUSH} Pods of shop ran after {took:.0f} s; customers wait {PATIENCE:.0f}.",
                f"{_up(lab, 'shop')} of {RUSH} run; {_refused(lab, 'shop')}",
                "a machine boots for twelve seconds: who held the room that was there?",
            )
        _wait(lambda: _reserved(lab) >= RUSH - NORMAL, 60)
        if _reserved(lab) < RUSH - NORMAL:
            raise CheckFailed(
                f"The rush was served, and a minute later the reserve has {_reserved(lab)} of {RUSH - NORMAL} places.",
                _expendable(kept) or _told(lab),
                "the next rush will wait: why is no machine bought for the reserve?",
            )
    finally:
        _scale(lab, "shop", NORMAL)


def _reserved(lab: Lab) -> int:
    """Pods of negative priority that have a node."""
    return sum(int(pod["spec"].get("priority") or 0) < 0 and bool(pod["spec"].get("nodeName")) for pod in _all(lab))


def _spare(lab: Lab) -> int:
    """Places of the group's nodes that no Pod has; a node holds as many as shop usually has."""
    return NORMAL * len(_nodes(lab)) - sum(bool(pod["spec"].get("nodeName")) for pod in _all(lab))


def _refused(lab: Lab, app: str) -> str:
    """The scheduler's words about the first Pod that has no node, and whom it waits for."""
    for pod in _pods(lab, app):
        said = [c.get("message", "") for c in pod["status"].get("conditions", []) if c["type"] == "PodScheduled"]
        if not pod["spec"].get("nodeName"):
            promised = pod["status"].get("nominatedNodeName")
            return f"{pod['metadata']['name']}: {''.join(said)}" + (f" (promised: room on {promised})" if promised else "")
    return "all have a node"


def _expendable(kept: list[Object]) -> str:
    low = min((int(pod["spec"].get("priority") or 0) for pod in kept), default=0)
    return f"its priority is {low}: below -10 the autoscaler does not look at a Pod" if low < -10 else ""


# -- shared -----------------------------------------------------------------------------------------------------------


def _running(lab: Lab) -> None:
    if not lab.autoscaler.running:
        raise CheckFailed("No autoscaler runs.", lab.autoscaler.log(3), "lab.autoscaler.start(…) starts one")


def _has(lab: Lab, name: str) -> None:
    if lab.kube.find("deployment", name) is None:
        raise CheckFailed(f"There is no Deployment {name} any more.", next_step="set the scene again")


def _all(lab: Lab) -> list[Object]:
    return [pod for pod in lab.kube.list("pods", "default") if "deletionTimestamp" not in pod["metadata"]]


def _pods(lab: Lab, app: str) -> list[Object]:
    return [pod for pod in _all(lab) if pod["metadata"].get("labels", {}).get("app") == app]


def _up(lab: Lab, app: str) -> int:
    return sum(pod["status"].get("phase") == "Running" for pod in _pods(lab, app))


def _nodes(lab: Lab) -> list[Object]:
    """The groups' nodes."""
    return lab.kube.list("nodes", labels=GROUP)


def _told(lab: Lab) -> str:
    """What the autoscaler said last of a Pod for which it buys nothing."""
    events = lab.kube.list("events", "default", fields="reason=NotTriggerScaleUp")
    living = {pod["metadata"]["uid"] for pod in _all(lab)}
    found = [event for event in events if event["involvedObject"].get("uid") in living]
    found.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    return f"NotTriggerScaleUp: {found[-1]['message']}" if found else ""


def _cores(text: object) -> int:
    """CPU in thousandths of a core."""
    return int(str(text)[:-1]) if str(text).endswith("m") else int(float(str(text)) * 1000)


def _scale(lab: Lab, name: str, replicas: int) -> None:
    lab.kube.patch("deployment", name, {"spec": {"replicas": replicas}}, "default")


def _wait(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, or so long: what holds then is looked at by the caller."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.2)


def _shape(file: str, group: str, number: int) -> NodeShape:
    row = next(row for row in yaml.safe_load((EXERCISE / file).read_text()) if row["name"] == group)
    labels = {**row["labels"], GROUP: group}
    taints = tuple(row.get("taints", ()))
    return NodeShape(f"{group}-{number}", row["cpu"], row["memory"], row["pods"], "", labels, taints, "nothing")


def _add(lab: Lab, file: str, group: str, number: int) -> None:
    lab.add_node(_shape(file, group, number))


def _only(lab: Lab, file: str, wanted: dict[str, int]) -> None:
    """No node of any group but so many of these."""
    for node in _nodes(lab):
        lab.remove_node(node["metadata"]["name"])
    for group, size in wanted.items():
        for number in range(1, size + 1):
            _add(lab, file, group, number)


def _clean(lab: Lab, file: str, wanted: dict[str, int]) -> None:
    """No autoscaler, nothing of earlier sections, and just these nodes: exercises stand alone."""
    lab.autoscaler.stop()
    for kind in ("deployment", "poddisruptionbudget"):
        for item in lab.kube.list(f"{kind}s", "default"):
            lab.kube.delete(kind, item["metadata"]["name"], "default")
    for name in ("helper",):
        lab.kube.delete("deployment", name, "kube-system")
        lab.kube.delete("poddisruptionbudget", name, "kube-system")
    lab.kube.delete("configmap", "cluster-autoscaler-priority-expander", "kube-system")
    for item in lab.kube.list("priorityclasses"):
        if not item["metadata"]["name"].startswith("system-"):
            lab.kube.delete("priorityclass", item["metadata"]["name"])
    for pod in lab.kube.list("pods", "default"):
        lab.kube.delete("pod", pod["metadata"]["name"], "default", wait=False)
    _wait(lambda: not lab.kube.list("pods", "default"), 60)
    if left := [pod["metadata"]["name"] for pod in lab.kube.list("pods", "default")]:
        raise WaitTimeout("Pods of the earlier sections do not go.", ", ".join(left), "lab.reset()")
    _only(lab, file, wanted)
