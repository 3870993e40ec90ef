"""Lab 19: checks and scenes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lab_helpers import CheckFailed, Lab, WaitTimeout
from lab_helpers.views import facts

Object = dict[str, Any]

ROOM = Path(__file__).parent
EXERCISE = ROOM / "exercise"
POOL, TYPE, CAPACITY = "karpenter.sh/nodepool", "node.kubernetes.io/instance-type", "karpenter.sh/capacity-type"
DISRUPTED = "karpenter.sh/disrupted"
NINE = 9


# -- half the bill ----------------------------------------------------------------------------------------------------

WHOLE, HALF = 0.612, 0.306  # dollars an hour: a c6a.4xlarge on demand, and half of it
PATIENCE = 90  # seconds: a machine is being replaced
QUIET = 10  # seconds without a change, after which none is to come


def scene_half_the_bill(lab: Lab) -> None:
    """Nine Pods on one machine on demand, and the NodePool as in the file."""
    _nine(lab, ROOM / "nodepool.yaml", lambda: round(lab.karpenter.hourly(), 3) == WHOLE)


def half_the_bill(lab: Lab) -> None:
    """All nine Pods run, want what they wanted, and their machines cost at most half."""
    _nine_as_they_were(lab)
    quiet = time.monotonic()

    def decided() -> bool:
        """It is done, or nothing has moved for a while."""
        nonlocal quiet
        if not lab.karpenter.settled("nine") or _drifted(lab):
            quiet = time.monotonic()
        return lab.karpenter.settled("nine") and (lab.karpenter.hourly() <= HALF or time.monotonic() - quiet > QUIET)

    _wait(decided, PATIENCE)
    cost = lab.karpenter.hourly()
    if cost > HALF:
        names = ", ".join(sorted(_machine(node) for node in lab.kube.list("nodes")))
        step = "which of the NodePool's requirements keeps the cheaper ones out?"
        raise CheckFailed(f"The machines cost {cost:.3f} dollars an hour, and are to cost {HALF}.", names, step)
    if not lab.karpenter.settled("nine"):
        raise CheckFailed("Not all nine Pods run yet, or a machine is on its way.", next_step="kubectl get nodeclaims,pods")


def _nine_as_they_were(lab: Lab) -> None:
    deployment = lab.kube.find("deployment", "nine")
    if deployment is None:
        raise CheckFailed("The Deployment nine is gone.", next_step="the cell with scene(…) above brings it back")
    wanted = deployment["spec"].get("replicas", 1)
    if wanted != NINE:
        step = "their number is their team's affair: what can be done without touching it?"
        raise CheckFailed(f"Nine Pods were to run: there are {wanted}.", next_step=step)
    if facts.requests({"spec": deployment["spec"]["template"]["spec"]}, "cpu") < 1:
        step = "its team needs what it asked for: leave the requests as they are"
        raise CheckFailed("A Pod of nine wants less than it did.", next_step=step)


# -- a machine is taken back ------------------------------------------------------------------------------------------

LEFT = 5  # Pods of nine that have to run at any moment
TWO_MINUTES = 30  # seconds here; a machine boots in 3 s, at AWS in 30 to 60


def scene_taken_back(lab: Lab) -> None:
    """Nine Pods on one spot machine; nothing says how many of them may be missing."""

    def one_on_spot() -> bool:
        return [node["metadata"]["labels"].get(CAPACITY) for node in lab.kube.list("nodes")] == ["spot"] and not _drifted(lab)

    _nine(lab, ROOM / "spot.yaml", one_on_spot)


def taken_back(lab: Lab) -> None:
    """AWS takes the spot machine that holds most of nine: at least five Pods of nine run at any moment."""
    _nine_as_they_were(lab)
    _wait(lambda: lab.karpenter.settled("nine") and not _drifted(lab), 60)
    if not lab.karpenter.settled("nine"):
        raise CheckFailed("Not all nine Pods run yet, or a machine is on its way.", next_step="kubectl get nodeclaims,pods")
    where = [pod["spec"]["nodeName"] for pod in _running(lab, "nine")]
    taken = max(sorted(set(where)), key=where.count)
    node = lab.kube.get("node", taken)
    if node["metadata"]["labels"].get(CAPACITY) != "spot":
        step = "apply spot.yaml again: how does one live with machines that are taken?"
        raise CheckFailed("The nine are on demand now: safe, and three times as dear.", _machine(node), step)
    lab.karpenter.interrupt(taken)
    least, warned, ended, settled = NINE, time.monotonic(), False, False
    while time.monotonic() - warned < 90 and least >= LEFT and not settled:
        least, settled = min(least, len(_running(lab, "nine"))), lab.karpenter.settled("nine", without=taken)
        if not ended and time.monotonic() - warned > TWO_MINUTES and lab.kube.find("node", taken):
            ended = True
            lab.aws("ec2").terminate_instances(InstanceIds=[node["spec"]["providerID"].rpartition("/")[2]])
        time.sleep(0.1)
    if least < LEFT:
        seen = "they left together when the warning came"
        seen = "the machine still held them when its two minutes were over" if ended else seen
        step = "who asks before a Pod is evicted, and what would have to be answered for five to stay?"
        raise CheckFailed(f"Fewer than {LEFT} of nine ran while the machine was taken.", seen, step)
    if not settled:
        raise CheckFailed("A minute and a half later not all nine run again.", next_step="kubectl get nodeclaims,pods,events")


# -- not tonight ------------------------------------------------------------------------------------------------------

IMAGES = ("al2023@v20261013", "al2023@v20261110")
NIGHT, LOOKS = 60, 45  # seconds: Karpenter looks every ten, on a busy computer later; it says what it saw, but not always


def scene_not_tonight(lab: Lab) -> None:
    """ledger and report, each on a machine of its own, on demand."""
    _stage(lab, ROOM / "nodepool.yaml")
    there = [node["metadata"]["labels"].get(CAPACITY) for node in lab.kube.list("nodes")]
    if there != ["on-demand"] * 2:
        _no_machines(lab)
    lab.kube.apply(EXERCISE / "night.yaml", force=True)
    _must(lambda: _night_is_quiet(lab), "ledger and report on a machine each")


def not_tonight(lab: Lab) -> None:
    """A new image comes: report's machine is replaced; ledger's Pod goes on, and Karpenter has looked at its machine."""
    _must(lambda: _night_is_quiet(lab), "ledger and report, running", CheckFailed)
    for name in ("ledger", "report"):
        if sum(facts.requests(pod, "cpu") for pod in _running(lab, name)) < 1.5:
            raise CheckFailed(f"{name} has less than it had.", next_step='scene("not-tonight") brings it back')
    (pod,), (other,) = _running(lab, "ledger")[:1], _running(lab, "report")[:1]
    home, old = pod["spec"]["nodeName"], other["spec"]["nodeName"]
    before, began = _image(lab), time.monotonic()
    _new_image(lab, next(one for one in IMAGES if one != before))

    def stopped() -> bool:
        return all(one["metadata"]["uid"] != pod["metadata"]["uid"] for one in _running(lab, "ledger")) or _marked(lab, home)

    def looked() -> bool:
        return _blocked(lab, home, pod["metadata"]["creationTimestamp"]) or time.monotonic() - began > LOOKS

    _wait(lambda: stopped() or (_marked(lab, old) and looked()), NIGHT if before else 0)
    if stopped():
        said = "its machine is marked karpenter.sh/disrupted"
        step = "who is asked before a machine is replaced, the Deployment or the Pod? And by which name?"
        raise CheckFailed("ledger was stopped in the middle of its work: all of it begins again.", said, step)
    if not _marked(lab, old):
        seen = lab.karpenter.said(4)
        _new_image(lab, before)  # nothing has moved, so nothing has to move back
        step = "ledger is to be left alone, and nobody else: at what does your answer aim?"
        raise CheckFailed("report's machine still has the old image.", seen, step)


def _night_is_quiet(lab: Lab) -> bool:
    """Both run on machines of their own that are here to stay; ledger's may wait for its new image."""
    nodes = {pod["spec"]["nodeName"] for name in ("ledger", "report") for pod in _running(lab, name)}
    there = {node["metadata"]["name"] for node in lab.kube.list("nodes")}
    moving = any(_marked(lab, name) for name in there) or len(there) != len(lab.kube.list("nodeclaims"))
    return len(nodes) == 2 and nodes <= there and not moving and lab.karpenter.settled("ledger")


def _marked(lab: Lab, name: str) -> bool:
    """Whether a machine is being replaced, or is gone."""
    node = lab.kube.find("node", name)
    return node is None or any(taint["key"] == DISRUPTED for taint in node["spec"].get("taints") or [])


def _blocked(lab: Lab, node: str, since: str) -> bool:
    """Whether Karpenter has said of a node since then that a Pod on it forbids its disruption.

    Its other reasons pass by themselves, for instance that the node is meant for a Pod that waits.
    """
    events = lab.kube.list("events", fields=f"reason=DisruptionBlocked,involvedObject.name={node}")
    mine = [event for event in events if re.search("do-not-disrupt|pdb", event.get("message", ""), re.I)]
    return any((event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]) >= since for event in mine)


def _image(lab: Lab) -> str:
    return str(lab.kube.get("ec2nodeclass", "default")["spec"]["amiSelectorTerms"][0].get("alias", ""))


def _new_image(lab: Lab, alias: str) -> None:
    lab.kube.patch("ec2nodeclass", "default", {"spec": {"amiSelectorTerms": [{"alias": alias}]}})


# -- a NodePool that matches nothing ----------------------------------------------------------------------------------

CORES, FAMILY = 6, "c6a"
THINKS = 14  # seconds within which Karpenter has looked again at a Pod for which there was nothing


def scene_no_match(lab: Lab) -> None:
    """train waits; its NodePool can buy nothing."""
    _clear(lab, "nine", "ledger", "report", "train")
    if lab.kube.find("nodepool", "batch"):
        lab.kube.delete("nodepool", "batch")
        _must(lambda: not lab.kube.list("nodeclaims", labels=f"{POOL}=batch"), "no machine of batch")
    _runs_karpenter(lab)
    for file in (ROOM / "nodepool.yaml", EXERCISE / "batch.yaml", EXERCISE / "train.yaml"):
        lab.kube.apply(file, force=True)
    _must(lambda: "train" in lab.karpenter.said(30), "Karpenter's word about train")


def no_match(lab: Lab) -> None:
    """train runs on a machine of batch, with what it asked for."""
    deployment = lab.kube.find("deployment", "train")
    if deployment is None:
        raise CheckFailed("The Deployment train is gone.", next_step='scene("no-match") brings it back')
    if facts.requests({"spec": deployment["spec"]["template"]["spec"]}, "cpu") < CORES:
        step = "train is another team's: what hinders your NodePool?"
        raise CheckFailed(f"train asks for less than {CORES} cores now.", next_step=step)
    _wait(lambda: _running(lab, "train") or _ordered(lab), THINKS)
    _wait(lambda: _running(lab, "train"), 40 if _ordered(lab) else 3)
    pods = _running(lab, "train")
    if not pods:
        step = "that is of batch as it is now: which of its lines is in the way?"
        seen = lab.karpenter.log(1, "could not schedule pod", "train")
        raise CheckFailed("train is still Pending.", seen or lab.karpenter.said(1, "train"), step)
    node = lab.kube.get("node", pods[0]["spec"]["nodeName"])
    if node["metadata"]["labels"].get(POOL) != "batch":
        step = "the bill goes to another team now: let it run on the batch team's own machines"
        raise CheckFailed(f"train runs on a machine of {node['metadata']['labels'].get(POOL)}.", _machine(node), step)
    if not node["metadata"]["labels"][TYPE].startswith(f"{FAMILY}."):
        raise CheckFailed(f"The contract says {FAMILY}.", _machine(node), "which requirement contradicts the contract?")


# -- shared -----------------------------------------------------------------------------------------------------------


def _stage(lab: Lab, pool: Path) -> None:
    """Karpenter runs; nothing of other scenes; the NodePool default as in a file. What does not fit it any more goes."""
    _runs_karpenter(lab)
    _clear(lab)
    for item in lab.kube.list("nodepools"):
        if item["metadata"]["name"] != "default":
            lab.kube.delete("nodepool", item["metadata"]["name"])
    if not lab.kube.find("ec2nodeclass", "default"):
        lab.kube.apply(ROOM / "nodepool.yaml", force=True)
    asked = next(one for one in yaml.safe_load_all(pool.read_text()) if one["kind"] == "NodePool")
    for _ in range(2):
        lab.kube.apply(asked, force=True)
        there, wanted = lab.kube.get("nodepool", "default")["spec"], asked["spec"]
        if there["limits"] == wanted["limits"] and there["template"]["spec"] == wanted["template"]["spec"]:
            break
        lab.kube.delete("nodepool", "default")  # something was added that is not in the file
    if any(node["metadata"]["labels"].get(POOL) != "default" for node in lab.kube.list("nodes")):
        _no_machines(lab)


def _nine(lab: Lab, pool: Path, right: Callable[[], bool]) -> None:
    """Nine Pods on the right machine; if there is another one or none, on a new one."""
    _stage(lab, pool)
    _wait(lambda: right() or not _moving(lab), 20)
    kept = right()
    if not kept:
        _no_machines(lab)
        lab.kube.delete("nodepool", "default")  # comes last: all nine are seen at once, however busy the computer is
    lab.kube.apply(ROOM / "nine.yaml", force=True)
    _must(lambda: len(lab.kube.list("pods", "default")) == NINE, "nine Pods")
    if not kept:
        lab.kube.apply(pool, force=True)
    _must(lambda: lab.karpenter.settled("nine") and right(), "nine Pods on the right machine")


def _runs_karpenter(lab: Lab) -> None:
    if not lab.karpenter.running:
        lab.karpenter.start()


def _clear(lab: Lab, *names: str) -> None:
    """No Deployments of these names (none: any), no Pods of theirs, no budgets."""
    for kind in ("deployment", "poddisruptionbudget"):
        for item in lab.kube.list(f"{kind}s", "default"):
            if not names or item["metadata"]["name"] in names:
                lab.kube.delete(kind, item["metadata"]["name"])

    def gone() -> bool:
        return not [pod for pod in lab.kube.list("pods", "default") if not names or facts.owner(pod) in names]

    _must(gone, "no Pods")


def _no_machines(lab: Lab) -> None:
    for claim in lab.kube.list("nodeclaims"):
        lab.kube.delete("nodeclaim", claim["metadata"]["name"], wait=False)
    _must(lambda: not lab.kube.list("nodeclaims") and not lab.kube.list("nodes"), "no machines")


def _ordered(lab: Lab) -> bool:
    """Whether a machine is coming."""
    return any(not _true(claim, "Initialized") for claim in lab.kube.list("nodeclaims"))


def _moving(lab: Lab) -> bool:
    """Whether a machine is coming or going."""
    return _ordered(lab) or any(claim["metadata"].get("deletionTimestamp") for claim in lab.kube.list("nodeclaims"))


def _true(claim: Object, condition: str) -> bool:
    conditions = claim.get("status", {}).get("conditions") or []
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def _running(lab: Lab, deployment: str) -> list[Object]:
    """A Deployment's Pods that run and are not on their way out."""
    return [p for p in lab.kube.list("pods", "default") if facts.owner(p) == deployment and facts.state(p) == "Running"]


def _drifted(lab: Lab) -> bool:
    return any(_true(claim, "Drifted") for claim in lab.kube.list("nodeclaims"))


def _machine(node: Object) -> str:
    labels = node["metadata"]["labels"]
    return f"{labels.get(TYPE)}, {labels.get(CAPACITY)}"


def _wait(holds: Callable[[], object], seconds: float) -> bool:
    """Wait until something holds, or so long: what holds then is looked at by the caller."""
    end = time.monotonic() + seconds
    while not (true := bool(holds())) and time.monotonic() < end:
        time.sleep(0.3)
    return true


def _must(holds: Callable[[], object], what: str, error: type[WaitTimeout | CheckFailed] = WaitTimeout) -> None:
    if not _wait(holds, 70):
        step = "kubectl get nodeclaims,nodes,pods; then set the scene again"
        raise error(f"It did not come to this: {what}.", next_step=step)
