"""Lab 03: checks and scenes."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from lab_helpers import CheckFailed, KubernetesError, Lab, LabError

Object = dict[str, Any]
Reconcile = Callable[..., object]

SCHEDULER, MANAGER = "kube-scheduler", "kube-controller-manager"

# -- do a controller's work -------------------------------------------------------------------------------------------

LABELS = {"app": "cart"}
CALLS = 6  # of reconcile in each scene: enough for one that takes a single step each time
CALL_SECONDS = 10


def own_controller(lab: Lab) -> None:
    """`reconcile` does in six scenes what the ReplicaSet controller does.

    The real one plays them first, in the namespace `theirs`. For `yours` the controller manager is stopped: whatever
    happens there is the learner's doing.
    """
    reconcile = lab.answer("reconcile")
    if not callable(reconcile):
        raise CheckFailed(
            f"reconcile is a {type(reconcile).__name__}, not a function.", next_step="def reconcile(kube, replicaset):"
        )
    _all_run(lab)
    for namespace in ("theirs", "yours"):
        _empty(lab, namespace)
        if lab.kube.find("namespace", namespace) is None:
            lab.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        lab.kube.wait_for("serviceaccount", "default", lambda found: found, namespace)  # without it no Pod can be made
        lab.kube.create(_pod("bystander", {"app": "checkout"}), namespace)
        lab.kube.create(_pod("orphan", LABELS), namespace)
    try:
        # A controller manager that starts reads all Pods before it acts: so it surely knows the orphan.
        lab.stop(MANAGER)
        _want(lab, "theirs", SCENES[0][2])
        lab.start(MANAGER)
        expected = [_real(lab, happens, wanted) for _, happens, wanted in SCENES]
        lab.stop(MANAGER)
        for (what, happens, wanted), real in zip(SCENES, expected, strict=True):
            happens(lab, "yours")
            _want(lab, "yours", wanted)
            for _ in range(CALLS):
                _call(reconcile, lab)
            _compare(lab, what, real, _seen(lab, "yours"))
    finally:
        try:
            for namespace in ("theirs", "yours"):
                _empty(lab, namespace)
        finally:
            lab.start(MANAGER)


def _pod(name: str, labels: dict[str, str]) -> Object:
    meta = {"name": name, "labels": labels} if name else {"labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        # On a real node a container that is told to end before it listens for that would take Kubernetes' 30 seconds.
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "app", "image": "lab.local/web:1.0"}]},
    }


def _nothing(lab: Lab, namespace: str) -> None:
    pass


def _lose_one(lab: Lab, namespace: str) -> None:
    lab.kube.delete("pod", _counting(lab, namespace)[0]["metadata"]["name"], namespace)


def _fail_one(lab: Lab, namespace: str) -> None:
    """A Pod ends before its time. First it has to run: otherwise the node would report Running over it."""
    name = _counting(lab, namespace)[0]["metadata"]["name"]
    lab.kube.wait_for("pod", name, "Ready", namespace, deadline=60)
    if lab.provider == "kind":  # a real kubelet writes Running over what others say of its Pods: it has to end this one
        lab.kube.patch("pod", name, {"spec": {"activeDeadlineSeconds": 1}}, namespace)
    else:
        lab.kube.patch("pod", name, {"status": {"phase": "Failed", "reason": "Evicted"}}, namespace, subresource="status")
    lab.kube.wait_for("pod", name, lambda pod: pod and pod["status"].get("phase") == "Failed", namespace, deadline=60)


# What happens, and how many replicas are wanted from then on.
SCENES: list[tuple[str, Callable[[Lab, str], None], int]] = [
    ("three are wanted; an orphan with the right labels is there already", _nothing, 3),
    ("one Pod is deleted", _lose_one, 3),
    ("one Pod has failed", _fail_one, 3),
    ("five are wanted", _nothing, 5),
    ("two are wanted", _nothing, 2),
    ("none is wanted", _nothing, 0),
]


def _want(lab: Lab, namespace: str, replicas: int) -> None:
    """Write the wish: a real ReplicaSet. Server-side apply, so that it is made the first time and changed later."""
    template = {"metadata": {"labels": LABELS}, "spec": _pod("", LABELS)["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    lab.kube.apply({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "cart"}, "spec": spec}, namespace, True)


def _counting(lab: Lab, namespace: str) -> list[Object]:
    """The Pods that count for a ReplicaSet: the right labels, not ended, not on their way out."""
    pods = lab.kube.list("pods", namespace, labels="app=cart")
    ended = ("Failed", "Succeeded")
    return [p for p in pods if p["status"].get("phase") not in ended and "deletionTimestamp" not in p["metadata"]]


def _real(lab: Lab, happens: Callable[[Lab, str], None], wanted: int) -> Seen:
    """What the real controller makes of a scene. Its Pods are counted: the ReplicaSet's status may be stale."""
    happens(lab, "theirs")
    _want(lab, "theirs", wanted)
    lab.kube.wait_for(
        "replicaset", "cart", lambda _: _seen(lab, "theirs")[:2] == (wanted, wanted), "theirs", what=f"{wanted} Pods"
    )
    return _seen(lab, "theirs")


class Seen(NamedTuple):
    """What a scene has come to: how many Pods count, how many of them the ReplicaSet owns, whether the orphan lives."""

    pods: int
    owned: int
    orphan: bool


def _seen(lab: Lab, namespace: str) -> Seen:
    pods = _counting(lab, namespace)
    uid = lab.kube.get("replicaset", "cart", namespace)["metadata"]["uid"]
    owners = [owner for pod in pods for owner in pod["metadata"].get("ownerReferences", [])]
    owned = sum(owner["uid"] == uid and bool(owner.get("controller")) for owner in owners)
    return Seen(len(pods), owned, any(pod["metadata"]["name"] == "orphan" for pod in pods))


def _call(reconcile: Reconcile, lab: Lab) -> None:
    try:
        with _limit(CALL_SECONDS):
            reconcile(lab.kube, lab.kube.get("replicaset", "cart", "yours"))
    except CheckFailed:
        raise
    except KubernetesError as error:
        raise CheckFailed(f"Your reconcile got a refusal: {error.headline}", error.seen, error.next_step) from None
    except Exception as error:
        said = error.headline if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
        raise CheckFailed(
            "Your reconcile raised an error.", said, "call it by hand in a cell of your own to see the line"
        ) from None


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    """End a call that does not come back by itself."""

    def late(*_: object) -> None:
        raise CheckFailed(
            f"Your reconcile did not come back within {seconds} s.",
            next_step="it is called again and again: should the loop be inside it?",
        )

    if threading.current_thread() is not threading.main_thread():
        yield  # alarms reach the main thread only
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _compare(lab: Lab, what: str, real: Seen, yours: Seen) -> None:
    if not lab.kube.find("pod", "bystander", "yours"):
        raise CheckFailed(
            "Your controller deleted a Pod that is none of its business.",
            "the Pod bystander has the label app=checkout; the ReplicaSet selects app=cart",
            "which Pods may it look at in the first place?",
        )
    pods = [f"{p['metadata']['name']} {p['status'].get('phase')}" for p in lab.kube.list("pods", "yours", labels="app=cart")]
    if yours.pods != real.pods:
        more = "does it look at what is there before it acts, each time? Can it take away as well as add?"
        less = "are all the Pods that it counts really at work? And does it add as many as are missing?"
        raise CheckFailed(
            f"Scene “{what}”: the real controller has {real.pods} Pods, yours {yours.pods}.",
            ", ".join(pods) or "no Pod at all",
            more if yours.pods > real.pods else less,
        )
    if what == SCENES[0][0] and real.orphan and not yours.orphan:
        raise CheckFailed(
            f"Scene “{what}”: the real controller kept the orphan, yours has put another Pod in its place.",
            ", ".join(pods),
            "the orphan does the same work as the others: what does it lack to be one of them?",
        )
    if yours.owned != real.owned:
        raise CheckFailed(
            f"Scene “{what}”: the real controller owns {real.owned} of its Pods, yours {yours.owned}.",
            ", ".join(pods),
            "look at metadata.ownerReferences of a Pod of web: who wrote it, also into a Pod that was there already?",
        )


def _empty(lab: Lab, namespace: str) -> None:
    """Nothing of the scenes is left; the namespaces stay, because removing one is slow."""
    lab.kube.delete("replicaset", "cart", namespace)
    for pod in lab.kube.list("pods", namespace):
        lab.kube.delete("pod", pod["metadata"]["name"], namespace, wait=False)
    for pod in lab.kube.list("pods", namespace):
        lab.kube.wait_for("pod", pod["metadata"]["name"], "deleted", namespace)


# -- bind by hand -----------------------------------------------------------------------------------------------------


def scene_bind_by_hand(lab: Lab) -> None:
    """The scheduler is down, and checkout waits for a node."""
    _all_run(lab, but=SCHEDULER)
    lab.stop(SCHEDULER)
    lab.kube.delete("pod", "checkout")
    made = lab.kube.create(_pod("checkout", {"app": "checkout"}))
    (lab.cluster.folder / "checkout-uid").write_text(made["metadata"]["uid"])


def bind_by_hand(lab: Lab) -> None:
    """The very Pod checkout runs on node-2, and the scheduler had no part in it."""
    again = "set the scene again, and leave the scheduler alone"
    if lab.is_running(SCHEDULER):
        raise CheckFailed("The scheduler is running, so this proves nothing about you.", next_step=again)
    pod = lab.kube.find("pod", "checkout")
    if pod is None:
        raise CheckFailed("There is no Pod checkout any more.", next_step="set the scene again: this Pod may not be lost")
    uid = pod["metadata"]["uid"]
    if uid != (lab.cluster.folder / "checkout-uid").read_text():
        raise CheckFailed(
            "This is another checkout: the first one is gone, with the order that it held.",
            f"its uid is {uid}, and it was made later",
            "set the scene again: how does a Pod get a node after it has been made?",
        )
    node = pod["spec"].get("nodeName")
    if not node:
        raise CheckFailed(
            "checkout is still Pending: no node is set.",
            "spec.nodeName is empty",
            "what did the API server say to your command? What does the scheduler send to it instead?",
        )
    bound = lab.audit("checkout", verb="create", subresource="binding", code=201)
    if bound and bound[-1]["userAgent"].startswith(SCHEDULER):
        raise CheckFailed(f"The scheduler has bound checkout, to {node}.", next_step=again)
    if node != "node-2":
        raise CheckFailed(
            f"checkout runs on {node}.",
            "a binding is for ever: a Pod never moves",
            "set the scene again: which line of what you sent names the node?",
        )
    lab.kube.wait_for("pod", "checkout", "Ready", deadline=60)


# -- name the culprit -------------------------------------------------------------------------------------------------

SYMPTOMS = {
    "etcd": "kubectl would reach somebody, and get no answer in time",
    "kube-apiserver": "kubectl would reach nobody: refused at once, or hung up on (EOF, reset)",
    MANAGER: "a new Deployment would be stored, and no Pod of it would appear",
    SCHEDULER: "new Pods would appear, and stay without a node",
}


def scene_culprit(lab: Lab) -> None:
    """A healthy cluster in which only web runs; then one component, drawn by lot, is stopped."""
    _all_run(lab)
    if lab.kube.find("deployment", "web") is None:
        lab.kube.apply(lab.lesson.folder / "web.yaml")
    for deployment in lab.kube.list("deployments", "default"):
        if deployment["metadata"]["name"] != "web":
            lab.kube.delete("deployment", deployment["metadata"]["name"])
    for pod in lab.kube.list("pods", "default"):
        if pod["metadata"].get("labels", {}).get("app") != "web":
            lab.kube.delete("pod", pod["metadata"]["name"])
    _wait_until_it_works(lab)
    # Drawn without putting back: whoever plays it again meets another one.
    left = lab.cluster.folder / "suspects"
    suspects = left.read_text().split() if left.exists() else []
    # On kind a kubelet soon restarts an API server that has lost etcd: both would look dead.
    possible = [name for name in SYMPTOMS if (lab.provider, name) != ("kind", "etcd")]
    suspects = suspects or random.sample(possible, len(possible))
    left.write_text(" ".join(suspects[1:]))
    lab.stop(suspects[0])


def culprit(lab: Lab) -> None:
    """The variable `culprit` names the component that is stopped."""
    named = str(lab.answer("culprit")).strip()
    found = next((name for name in SYMPTOMS if _short(name) == _short(named)), None)
    stopped = [name for name, state in lab.health().items() if state == "stopped"]
    if not stopped:
        raise CheckFailed(
            "Nothing is stopped any more, and with it the evidence is gone.",
            next_step="set the scene again, another one may be drawn; this time only look",
        )
    if found is None:
        raise CheckFailed(
            f"{named!r} is none of the four.", f"one name out of: {', '.join(SYMPTOMS)}", "how far does a small Deployment get?"
        )
    if found not in stopped:
        raise CheckFailed(
            f"{found} is at work.",
            f"if it were stopped, {SYMPTOMS[found]}",
            "compare that with what you saw: at which step does a small Deployment stop, and whose step is it?",
        )


def _short(name: str) -> str:
    """`Controller Manager`, `controller-manager` and `kube-controller-manager` are the same."""
    return "".join(letter for letter in name.lower().removeprefix("kube") if letter.isalnum())


# -- shared -----------------------------------------------------------------------------------------------------------


def _all_run(lab: Lab, but: str = "") -> None:
    """Start whatever is stopped, but for one."""
    stopped = [name for name, state in lab.health().items() if state == "stopped" and name != but]
    if "etcd" in stopped and "kube-apiserver" not in stopped:
        # An API server that has lost etcd tries again more and more seldom: a new one finds it at once.
        lab.stop("kube-apiserver")
        stopped.append("kube-apiserver")
    for name in ("etcd", "kube-apiserver", MANAGER, SCHEDULER):
        if name in stopped:
            lab.start(name)


def _wait_until_it_works(lab: Lab) -> None:
    """A Deployment gets a Pod, and the Pod runs. Health alone does not say so: a client of an API server that was away
    tries again more and more seldom, and may find it half a minute late."""
    template = {"metadata": {"labels": {"app": "proof"}}, "spec": _pod("", {})["spec"]}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "proof"}}, "template": template}
    lab.kube.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "proof"}, "spec": spec})
    lab.kube.wait_for("deployment", "proof", "Available", deadline=90)
    lab.kube.delete("deployment", "proof")
    for pod in lab.kube.list("pods", "default", labels="app=proof"):
        lab.kube.wait_for("pod", pod["metadata"]["name"], "deleted", deadline=60)
