"""Lab 19: checks and scenes."""

from __future__ import annotations

import time
from typing import Any

from lab_helpers import CheckFailed, Lab
from lab_helpers.views import facts

Object = dict[str, Any]

NINE, CORES = 9, 1.0
WHOLE, HALF = 0.612, 0.306  # dollars an hour: a c6a.4xlarge on demand, and half of it
PATIENCE = 90  # seconds: a machine is being replaced
QUIET = 10  # seconds without a change, after which none is to come


def scene_half_the_bill(lab: Lab) -> None:
    """Nine Pods on one machine on demand, and the NodePool as in the file."""
    folder = lab.lesson.folder
    if not lab.karpenter.running:
        lab.karpenter.start()
    lab.kube.delete("deployment", "nine")
    for claim in lab.kube.list("nodeclaims"):  # else six Pods more would be six Pods more, on a second machine
        lab.kube.delete("nodeclaim", claim["metadata"]["name"], wait=False)
    _until(lambda: not lab.kube.list("nodeclaims") and not lab.kube.list("nodes"), 50)
    lab.kube.delete("nodepool", "default")
    lab.kube.apply(folder / "nine.yaml", force=True)
    _until(lambda: len(lab.kube.list("pods", "default")) == NINE, 10)
    lab.kube.apply(folder / "nodepool.yaml", force=True)  # last: so all nine are seen at once, however busy the machine is
    _until(lambda: lab.karpenter.settled("nine") and round(lab.karpenter.hourly(), 3) == WHOLE, 50)


def half_the_bill(lab: Lab) -> None:
    """All nine Pods run, want what they wanted, and their machines cost at most half."""
    deployment = lab.kube.find("deployment", "nine")
    if deployment is None:
        raise CheckFailed("The Deployment nine is gone.", next_step='scene("half-the-bill") brings it back')
    wanted = deployment["spec"].get("replicas", 1)
    if wanted != NINE:
        raise CheckFailed(f"Nine Pods were to run: there are {wanted}.", next_step="what else makes machines cheaper?")
    if facts.requests({"spec": deployment["spec"]["template"]["spec"]}, "cpu") < CORES:
        raise CheckFailed(
            "A Pod of nine wants less than it did.", next_step="its team needs what it asked for: change the NodePool"
        )
    quiet = time.monotonic()

    def decided() -> bool:
        """It is done, or nothing has moved for a while."""
        nonlocal quiet
        if not lab.karpenter.settled("nine") or any(_drifted(one) for one in lab.kube.list("nodeclaims")):
            quiet = time.monotonic()
        return lab.karpenter.settled("nine") and (lab.karpenter.hourly() <= HALF or time.monotonic() - quiet > QUIET)

    _until(decided, PATIENCE)
    cost = lab.karpenter.hourly()
    if cost > HALF:
        names = ", ".join(sorted(_machine(node) for node in lab.kube.list("nodes")))
        raise CheckFailed(
            f"The machines cost {cost:.3f} dollars an hour, and are to cost {HALF}.",
            names,
            "which of the NodePool's requirements keeps the cheaper ones out?",
        )
    if not lab.karpenter.settled("nine"):
        raise CheckFailed("Not all nine Pods run yet, or a machine is on its way.", next_step="kubectl get nodeclaims,pods")


def _drifted(claim: Object) -> bool:
    return any(one["type"] == "Drifted" and one["status"] == "True" for one in claim.get("status", {}).get("conditions") or [])


def _machine(node: Object) -> str:
    labels = node["metadata"]["labels"]
    return f"{labels.get('node.kubernetes.io/instance-type')}, {labels.get('karpenter.sh/capacity-type')}"


def _until(holds: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (true := bool(holds())) and time.monotonic() < end:
        time.sleep(0.5)
    return true
