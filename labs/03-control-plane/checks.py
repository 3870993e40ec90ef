"""Lab 03: checks and scenes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lab_helpers import CheckFailed, KubernetesError

if TYPE_CHECKING:
    from lab_helpers.teaching.lab import Lab

Pod = dict[str, Any]

# -- do a controller's work -------------------------------------------------------------------------------------------

LABELS = {"app": "mine"}
ROUNDS = 6


def _pod(name: str, labels: dict[str, str]) -> Pod:
    spec = {"containers": [{"name": "app", "image": "mine:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def _active(lab: Lab, namespace: str) -> list[Pod]:
    """Pods that count for a controller: not failed, not completed, not on their way out."""
    pods = lab.kube.list("pods", namespace, labels="app=mine")
    ended = ("Failed", "Succeeded")
    return [p for p in pods if p["status"].get("phase") not in ended and "deletionTimestamp" not in p["metadata"]]


def _orphan(lab: Lab, namespace: str) -> None:
    lab.kube.create(_pod("orphan", LABELS), namespace)


def _lose_one(lab: Lab, namespace: str) -> None:
    lab.kube.delete("pod", _active(lab, namespace)[0]["metadata"]["name"], namespace)


def _fail_one(lab: Lab, namespace: str) -> None:
    name = _active(lab, namespace)[0]["metadata"]["name"]
    lab.kube.patch("pod", name, {"status": {"phase": "Failed", "reason": "Evicted"}}, namespace, subresource="status")


def _nothing(lab: Lab, namespace: str) -> None:
    pass


# What happens, and how many replicas are wanted afterwards.
SCENES: list[tuple[str, Callable[[Lab, str], None], int]] = [
    ("three are wanted, an orphan with the same labels is there already", _orphan, 3),
    ("one Pod is deleted", _lose_one, 3),
    ("one Pod has failed", _fail_one, 3),
    ("five are wanted", _nothing, 5),
    ("two are wanted", _nothing, 2),
    ("none is wanted", _nothing, 0),
]


def own_controller(lab: Lab) -> None:
    """`reconcile` does in six scenes what the ReplicaSet controller does."""
    reconcile = lab.answer("reconcile")
    for namespace in ("real", "yours"):
        _prepare(lab, namespace)
    for what, happens, wanted in SCENES:
        happens(lab, "real")
        _real(lab, wanted)
        expected = _settled(lab, "real", wanted)
        happens(lab, "yours")
        for _ in range(ROUNDS):
            _call(reconcile, lab, wanted)
        _compare(lab, what, expected)


def _prepare(lab: Lab, namespace: str) -> None:
    """A namespace with one Pod of somebody else, and nothing of an earlier attempt."""
    lab.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    lab.kube.wait_for("serviceaccount", "default", lambda found: found, namespace)
    lab.kube.delete("replicaset", "mine", namespace)
    for pod in lab.kube.list("pods", namespace):
        lab.kube.delete("pod", pod["metadata"]["name"], namespace)
    lab.kube.create(_pod("bystander", {"app": "other"}), namespace)


def _real(lab: Lab, replicas: int) -> None:
    """Ask the real ReplicaSet controller for so many Pods."""
    template = {"metadata": {"labels": LABELS}, "spec": _pod("", LABELS)["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    meta = {"name": "mine", "namespace": "real"}
    lab.kube.apply({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": spec}, force=True)


def _settled(lab: Lab, namespace: str, wanted: int) -> int:
    lab.kube.wait_for(
        "replicaset",
        "mine",
        lambda _: len(_active(lab, namespace)) == wanted,
        namespace,
        what=f"{wanted} Pods of the real ReplicaSet (is kube-controller-manager running?)",
    )
    return len(_active(lab, namespace))


def _call(reconcile: Callable[..., object], lab: Lab, wanted: int) -> None:
    try:
        reconcile(lab.kube, "yours", dict(LABELS), wanted)
    except KubernetesError as error:
        raise CheckFailed(f"Your reconcile asked for something impossible: {error.headline}", error.seen) from None
    except Exception as error:
        raise CheckFailed("Your reconcile raised an error of its own.", f"{type(error).__name__}: {error}") from None


def _compare(lab: Lab, what: str, expected: int) -> None:
    if not lab.kube.find("pod", "bystander", "yours"):
        raise CheckFailed(
            "Your controller deleted a Pod of somebody else.", "bystander has the label app=other", "whom may it touch?"
        )
    got = len(_active(lab, "yours"))
    if got != expected:
        question = {
            True: "which Pods does it still count, or never make?",
            False: "does it look before it acts, each time, and can it also take away?",
        }[got < expected]
        raise CheckFailed(
            f"“{what}”: the real controller has {expected} Pods, yours {got}.",
            ", ".join(f"{p['metadata']['name']} {p['status'].get('phase')}" for p in lab.kube.list("pods", "yours")),
            question,
        )


# -- bind by hand -----------------------------------------------------------------------------------------------------


def scene_bind_by_hand(lab: Lab) -> None:
    _start_all(lab)
    lab.stop("kube-scheduler")
    lab.kube.delete("pod", "checkout")
    lab.kube.create(_pod("checkout", {"app": "checkout"}))


def bind_by_hand(lab: Lab) -> None:
    """`checkout` runs on node-2 and the scheduler had no part in it."""
    if lab.is_running("kube-scheduler"):
        raise CheckFailed(
            "The scheduler is running, so this proves nothing about you.",
            next_step='run the cell with scene("bind-by-hand") again, and bind it by hand',
        )
    pod = lab.kube.find("pod", "checkout")
    if not pod:
        raise CheckFailed("There is no Pod checkout any more.", next_step='scene("bind-by-hand") brings it back')
    node = pod["spec"].get("nodeName")
    if not node:
        raise CheckFailed("checkout is still Pending: no node is set.", "spec.nodeName is empty", 'hint("bind-by-hand")')
    if node != "node-2":
        raise CheckFailed(
            f"checkout runs on {node}.", next_step="a binding cannot be changed: what would you have to do to move the Pod?"
        )
    lab.kube.wait_for("pod", "checkout", "Ready", deadline=20)


# -- name the culprit ---------------------------------------------------------------------------------------------------

SUSPECTS = ("etcd", "kube-controller-manager", "kube-scheduler")


def scene_culprit(lab: Lab) -> None:
    import contextlib
    import io

    _start_all(lab)
    lab.kube.delete("deployment", "probe")
    lab.kube.wait_for("deployment", "probe", lambda _: not lab.kube.list("pods", "default", labels="app=probe"))
    with contextlib.redirect_stdout(io.StringIO()):  # its name is what is asked for
        lab._maker.stop(lab.cluster, random.choice(SUSPECTS))


def culprit(lab: Lab) -> None:
    """The variable `culprit` names the component that is stopped."""
    named = str(lab.answer("culprit"))
    states = lab.health()
    stopped = [name for name, state in states.items() if state == "stopped"]
    if not stopped:
        raise CheckFailed(
            "Nothing is stopped any more, so there is nothing to name.",
            next_step='scene("culprit") draws anew; this time only look',
        )
    if named not in states:
        raise CheckFailed(f"{named!r} is no component of this cluster.", next_step=f"one of: {', '.join(states)}")
    if named not in stopped:
        raise CheckFailed(
            f"{named} is not the one that is stopped.",
            next_step="make a small Deployment: how far does it get, and whose turn would it be then?",
        )


def _start_all(lab: Lab) -> None:
    for component, state in lab.health().items():
        if state == "stopped":
            lab.start(component)
