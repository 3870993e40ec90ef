"""Lab 04: checks and scenes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab_helpers import CheckFailed, Lab, WaitTimeout

Object = dict[str, Any]

EXERCISE = Path(__file__).parent / "exercise"
ZONE = "topology.kubernetes.io/zone"
SPACES = ("default", "pay", "batch")


# -- one in each zone -------------------------------------------------------------------------------------------------


def scene_one_per_zone(lab: Lab) -> None:
    """quorum runs, three Pods, wherever the scheduler put them."""
    _clean(lab)
    lab.kube.apply(EXERCISE / "quorum.yaml", force=True)
    _available(lab, "default", "quorum", 3)


def one_per_zone(lab: Lab) -> None:
    """Three Pods of quorum, one in each zone, also when a zone takes none for a while: the third then waits for it.

    The check cordons the only node of zone b, has quorum start from nothing, looks, and lets the node take Pods again.
    """
    deployment = lab.kube.find("deployment", "quorum")
    if deployment is None:
        raise CheckFailed("There is no Deployment quorum any more.", next_step="set the scene again")
    _scale(lab, "default", "quorum", 0)
    # Those on their way out count too: anti-affinity keeps away from them.
    _wait(lambda: not lab.kube.list("pods", "default", labels="app=quorum"), 30)
    try:
        lab.kube.patch("node", "node-3", {"spec": {"unschedulable": True}})
        _scale(lab, "default", "quorum", 3)
        _wait(lambda: len(_pods(lab, "default", "quorum")) == 3 and all(map(_decided, _pods(lab, "default", "quorum"))), 30)
        _no_two(lab, "while zone b took no Pods")
    finally:
        lab.kube.patch("node", "node-3", {"spec": {"unschedulable": None}})
        _scale(lab, "default", "quorum", 3)
    _wait(lambda: all(pod["spec"].get("nodeName") for pod in _pods(lab, "default", "quorum")), 40)
    waiting = [pod for pod in _pods(lab, "default", "quorum") if not pod["spec"].get("nodeName")]
    if waiting:
        raise CheckFailed(
            f"Every zone takes Pods again, and quorum has {3 - len(waiting)} of 3.",
            _why(waiting[0]),
            "which node would satisfy your rule? Count for each zone what it says",
        )
    _no_two(lab, "with every zone open")


def _no_two(lab: Lab, when: str) -> None:
    zones = {node["metadata"]["name"]: node["metadata"]["labels"].get(ZONE, "none") for node in lab.kube.list("nodes")}
    pods = [pod for pod in _pods(lab, "default", "quorum") if pod["spec"].get("nodeName")]
    counts = Counter(zones[pod["spec"]["nodeName"]] for pod in pods)
    zone, number = counts.most_common(1)[0] if counts else ("", 0)
    if number > 1:
        places = ", ".join(sorted(pod["spec"]["nodeName"] for pod in pods))
        raise CheckFailed(
            f"Zone {zone} holds {'two' if number == 2 else number} of quorum.",
            f"{when}: {places}",
            "is your rule about zones or about nodes? And is it a wish, or must it hold?",
        )


# -- pending for three reasons ----------------------------------------------------------------------------------------


def scene_three_reasons(lab: Lab) -> None:
    """pay fills node-2; node-3 has a taint and a Pod left over from its maintenance; report waits."""
    _clean(lab)
    lab.kube.apply(EXERCISE / "pay.yaml", force=True)
    _available(lab, "default", "pay", 3)
    lab.kube.wait_for("pod", "disk-test", "Ready", deadline=60)
    lab.kube.patch("node", "node-3", {"spec": {"taints": [{"key": "maintenance", "value": "disk", "effect": "NoSchedule"}]}})
    _remember(lab, [pod["metadata"]["uid"] for pod in _pods(lab, "default", "pay")])
    lab.kube.apply(EXERCISE / "report.yaml", force=True)
    lab.kube.wait_for("pod", "report", lambda pod: pod is not None and _decided(pod), what="looked at by the scheduler")


def three_reasons(lab: Lab) -> None:
    """report runs as it was ordered, on a node that has an SSD; nothing was taken from pay."""
    pay = _pods(lab, "default", "pay")
    same = [pod for pod in pay if pod["metadata"]["uid"] in _remembered(lab)]
    if len(same) < 3:
        raise CheckFailed(
            f"pay has {len(pay)} of 3 Pods, {len(same)} of them the ones that were there.",
            "customers were paying meanwhile",
            "set the scene again: whose room may report take, and whose not?",
        )
    pod = lab.kube.find("pod", "report")
    if pod is None:
        raise CheckFailed("There is no Pod report any more.", next_step="its manifest is exercise/report.yaml")
    asked = pod["spec"]["containers"][0].get("resources", {}).get("requests", {}).get("cpu", "none")
    if asked not in ("1500m", "1.5"):
        raise CheckFailed(
            f"report asks for {asked} CPU: it was ordered with 1500m.",
            "with less it would not be ready by Monday",
            "the Pod was right: what is wrong with the nodes?",
        )
    node = pod["spec"].get("nodeName")
    if not node:
        raise CheckFailed(
            "report is still Pending.", _why(pod), "one reason is gone, perhaps: read again. Which node is meant by which one?"
        )
    if node not in [shape.name for shape in lab.cluster.profile.nodes if shape.labels.get("disk") == "ssd"]:
        raise CheckFailed(
            f"report runs on {node}, which has no SSD.",
            "it will take a week there; a label is only a promise about the machine",
            "set the scene again: which two nodes really have one, and what keeps report off each of them?",
        )
    used = sum(_milli(one) for one in lab.kube.list("pods", fields=f"spec.nodeName={node}"))
    room = _cores(lab.kube.get("node", node)["status"]["allocatable"]["cpu"])
    if used > room or pod["status"].get("phase") == "Failed":
        raise CheckFailed(
            f"{node} is overbooked: its Pods ask for {used}m CPU, it has {room}m.",
            f"report: {pod['status'].get('phase')} {pod['status'].get('reason', '')}",
            "spec.nodeName goes past the scheduler, and past all that it checks: what takes up that room?",
        )
    lab.kube.wait_for("pod", "report", "Ready", deadline=60)


# -- the right of way -------------------------------------------------------------------------------------------------

NORMAL, NOON, BUG = 2, 8, 40
LEAST = 2


def scene_right_of_way(lab: Lab) -> None:
    """till has two Pods; the batch has taken every other place."""
    _clean(lab)
    for space in ("pay", "batch"):
        if lab.kube.find("namespace", space) is None:
            lab.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
        lab.kube.wait_for("serviceaccount", "default", lambda found: found, space)
    lab.kube.apply(EXERCISE / "rush.yaml", force=True)
    _wait(lambda: _running(lab, "pay", "till") == NORMAL, 60)
    if _running(lab, "pay", "till") < NORMAL:  # the batch was quicker
        _scale(lab, "batch", "worker", 0)
        _available(lab, "pay", "till", NORMAL)
        _scale(lab, "batch", "worker", 20)
    _settled(lab)


def right_of_way(lab: Lab) -> None:
    """till gets its eight Pods at noon; the batch uses what till leaves, and two of its Pods go on whatever till asks for."""
    for space, name in (("pay", "till"), ("batch", "worker")):
        if lab.kube.find("deployment", name, space) is None:
            raise CheckFailed(f"There is no Deployment {name} in {space} any more.", next_step="set the scene again")
    try:
        _scale(lab, "pay", "till", NORMAL)
        _wait(lambda: _workers(lab) >= 10, 40)
        if _workers(lab) < 10:
            raise CheckFailed(
                f"The batch runs {_workers(lab)} Pods, while half of the cluster is empty.",
                "till needs two places at this hour; there are fifteen",
                "the batch may use what nobody else needs: how does it give way only when it has to?",
            )
        _scale(lab, "pay", "till", NOON)
        _wait(lambda: _running(lab, "pay", "till") >= NOON, 40)
        if (got := _running(lab, "pay", "till")) < NOON:
            raise CheckFailed(
                f"Noon: till has {got} of {NOON} Pods.",
                _short_of(lab),
                "who holds the places that till needs, and what would make the scheduler take them away?",
            )
        _scale(lab, "pay", "till", BUG)
        _settled(lab)
        if _workers(lab) < LEAST:
            raise CheckFailed(
                f"The bug again: till asked for {BUG} Pods, and the batch stands still.",
                f"{_running(lab, 'pay', 'till')} Pods of till run, {_workers(lab)} of the batch",
                "precedence has no end by itself: what limits how much a namespace may ask for at all?",
            )
        if (got := _running(lab, "pay", "till")) < NOON:
            raise CheckFailed(f"Asked for {BUG}, till has {got} Pods.", _short_of(lab), f"it needs {NOON}: what holds it?")
    finally:
        _scale(lab, "pay", "till", NORMAL)


def _workers(lab: Lab) -> int:
    """Pods of the batch that run, whatever Deployments it is made of now."""
    return sum(pod["status"].get("phase") == "Running" for pod in _living(lab, "batch"))


def _short_of(lab: Lab) -> str:
    waiting = [pod for pod in _pods(lab, "pay", "till") if not pod["spec"].get("nodeName")]
    if waiting:
        return _why(waiting[0])
    for item in lab.kube.list("replicasets", "pay"):
        for condition in item["status"].get("conditions", []):
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                return str(condition.get("message", ""))
    return f"{len(_pods(lab, 'pay', 'till'))} Pods are there"


def _settled(lab: Lab, still: float = 5, seconds: float = 60) -> None:
    """Wait until nobody comes or goes any more."""
    end, since, last = time.monotonic() + seconds, time.monotonic(), None
    while time.monotonic() < end:
        now = (_running(lab, "pay", "till"), _workers(lab), len(_living(lab, "pay")))
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > still:
            return
        time.sleep(0.4)


# -- shared -----------------------------------------------------------------------------------------------------------


def _living(lab: Lab, space: str) -> list[Object]:
    return [pod for pod in lab.kube.list("pods", space) if "deletionTimestamp" not in pod["metadata"]]


def _pods(lab: Lab, space: str, app: str) -> list[Object]:
    return [pod for pod in _living(lab, space) if pod["metadata"].get("labels", {}).get("app") == app]


def _running(lab: Lab, space: str, app: str) -> int:
    return sum(pod["status"].get("phase") == "Running" for pod in _pods(lab, space, app))


def _decided(pod: Object) -> bool:
    """Whether the scheduler has looked at a Pod: it has a node, or the reason why not."""
    return bool(pod["spec"].get("nodeName")) or bool(_why(pod))


def _why(pod: Object) -> str:
    for condition in pod["status"].get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", ""))
    return ""


def _scale(lab: Lab, space: str, name: str, replicas: int) -> None:
    lab.kube.patch("deployment", name, {"spec": {"replicas": replicas}}, space)


def _available(lab: Lab, space: str, name: str, number: int) -> None:
    def enough(item: Object | None) -> bool:
        return item is not None and item["status"].get("availableReplicas", 0) >= number

    lab.kube.wait_for("deployment", name, enough, space, deadline=90, what=f"{number} Pods available")


def _wait(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, or so long: what holds then is looked at by the caller."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.3)


def _cores(text: str) -> int:
    """CPU in thousandths of a core."""
    return int(text[:-1]) if text.endswith("m") else int(float(text) * 1000)


def _milli(pod: Object) -> int:
    if pod["status"].get("phase") in ("Failed", "Succeeded"):
        return 0
    containers = pod["spec"]["containers"]
    return sum(_cores(str(c.get("resources", {}).get("requests", {}).get("cpu", "0"))) for c in containers)


def _remember(lab: Lab, uids: list[str]) -> None:
    (lab.cluster.folder / "pay-uids").write_text("\n".join(uids))


def _remembered(lab: Lab) -> list[str]:
    return (lab.cluster.folder / "pay-uids").read_text().split()


def _clean(lab: Lab) -> None:
    """Nothing but empty nodes as lab.yaml describes them: exercises stand alone."""
    for space in SPACES:
        if lab.kube.find("namespace", space) is None:
            continue
        for kind in ("deployment", "resourcequota", "poddisruptionbudget"):
            for item in lab.kube.list(f"{kind}s", space):
                lab.kube.delete(kind, item["metadata"]["name"], space)
        for pod in lab.kube.list("pods", space):
            lab.kube.delete("pod", pod["metadata"]["name"], space, wait=False)
    for item in lab.kube.list("priorityclasses"):
        if not item["metadata"]["name"].startswith("system-"):
            lab.kube.delete("priorityclass", item["metadata"]["name"])
    for shape in lab.cluster.profile.nodes:
        node = lab.kube.get("node", shape.name)
        kept = [taint for taint in node["spec"].get("taints", []) if "kubernetes.io/not-ready" in taint["key"]]
        wanted = {"disk": None, "dedicated": None, ZONE: shape.zone, **shape.labels}
        change = {"metadata": {"labels": wanted}, "spec": {"unschedulable": None, "taints": kept or None}}
        lab.kube.patch("node", shape.name, change)
    _wait(lambda: not any(lab.kube.list("pods", space) for space in SPACES), 60)
    left = [pod["metadata"]["name"] for space in SPACES for pod in lab.kube.list("pods", space)]
    if left:
        raise WaitTimeout("Pods of the earlier sections do not go.", ", ".join(left), "lab.reset()")
