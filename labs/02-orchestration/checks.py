"""Lab 02: the scenes that its exercises start from, and how their Pods have to behave."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab_helpers import CheckFailed, Lab

Object = dict[str, Any]

FOLDER = Path(__file__).parent
SHOP = "shop"


# -- a release without one lost request -------------------------------------------------------------------------------

PAYMENT = "http://checkout.shop/slow?ms=3000"
RATE = 10


def scene_no_lost_payment(lab: Lab) -> None:
    """checkout as it was last Friday: two Pods that work, and a manifest that loses payments at each release."""
    _lay_out(lab, "checkout")
    lab.kube.wait_for("deployment", "checkout", _complete, SHOP, deadline=60, what="both Pods run")
    _until(lambda: not lab.ask("http://checkout.shop", 4).lost, 30)


def no_lost_payment(lab: Lab) -> None:
    """The other release is rolled out while payments come in, ten a second, three seconds each; none is lost."""
    _there(lab, "checkout")
    if not _until(lambda: _settled(lab, "checkout"), 60):
        seen = lab.kube.explain(lab.kube.get("deployment", "checkout", SHOP))
        raise CheckFailed(
            "checkout is not up yet, so nothing can be released.", seen, "kubectl get pods -n shop -l app=checkout"
        )
    if not _until(lambda: not lab.ask("http://checkout.shop", 6).lost, 15):
        why = {answer.lost for answer in lab.ask("http://checkout.shop", 6).lost}
        raise CheckFailed(
            "checkout does not answer, even before the release.",
            ", ".join(sorted(why)),
            "curl http://checkout.shop: what does the Service say?",
        )
    payments = lab.traffic(PAYMENT, rate=RATE, timeout=8)
    try:
        _until(lambda: len(payments.answers) > 3, 15)
        release = _release(lab)
        fewest = 10**6

        def over() -> bool:
            nonlocal fewest
            fewest = min(fewest, len(_ready_addresses(lab, "checkout")))
            return _settled(lab, "checkout")

        # Its answers come later than its Pods: the start takes time, and so does a payment.
        came = _until(over, 60) and _until(lambda: release in payments.counts("version"), 20)
    finally:
        payments.stop()
    if not came:
        seen = lab.kube.explain(lab.kube.get("deployment", "checkout", SHOP))
        raise CheckFailed(
            "The new release did not come.", seen, "kubectl get pods -n shop -l app=checkout: what do they wait for?"
        )
    if payments.lost:
        _explain(len(payments.lost), len(payments.answers), {answer.lost for answer in payments.lost}, fewest)


def _release(lab: Lab) -> str:
    """Release the other version, and change nothing else; which one."""
    deployment = lab.kube.get("deployment", "checkout", SHOP)
    containers = deployment["spec"]["template"]["spec"]["containers"]
    version = "1.1" if containers[0]["image"].endswith(":1.0") else "1.0"
    containers[0]["image"] = f"lab.local/web:{version}"
    lab.kube.patch("deployment", "checkout", {"spec": {"template": {"spec": {"containers": containers}}}}, SHOP)
    return version


def _explain(lost: int, total: int, why: set[str], fewest: int) -> None:
    headline = f"{lost} of {total} payments were lost during the release."
    if fewest == 0:
        raise CheckFailed(
            headline,
            "at one moment the Service had no ready Pod at all",
            "how many of the two may be missing at once? Which part of the Deployment says so?",
        )
    if "cut off" in why:
        raise CheckFailed(
            headline,
            "some were cut off in the middle: their Pod ended before the answer was complete",
            "a payment takes 3 s. How long may a Pod take to finish what it has begun?",
        )
    raise CheckFailed(
        headline,
        f"{', '.join(sorted(why))}: the Service sent them to a Pod that did not listen",
        "from when on may a new Pod get requests, and who says so? And may a Pod stop before the Service knows?",
    )


# -- a probe that restarts a healthy Pod ------------------------------------------------------------------------------

HANGS = 15  # seconds in which a Pod that hangs has to be started again


def scene_slow_start(lab: Lab) -> None:
    """search, which was killed at least once before it listened."""
    _lay_out(lab, "search")
    _until(lambda: any(_restarts(pod) for pod in _pods(lab, "search")), 40)


def slow_start(lab: Lab) -> None:
    """A new Pod of search starts in peace; one that hangs is started again."""
    _there(lab, "search")
    _until(lambda: _observed(lab.kube.get("deployment", "search", SHOP)), 20)
    before = {pod["metadata"]["uid"] for pod in _newest(lab, "search")}
    for pod in _newest(lab, "search"):
        lab.kube.delete("pod", pod["metadata"]["name"], SHOP, wait=False)

    def fresh(decided: Callable[[Object], object]) -> list[Object]:
        return [pod for pod in _newest(lab, "search") if pod["metadata"]["uid"] not in before and decided(pod)]

    if not _until(lambda: fresh(lambda pod: _restarts(pod) or _ready(pod)), 60):
        seen = "; ".join(lab.kube.explain(pod) for pod in fresh(bool)) or "no Pod"
        raise CheckFailed(
            "A new Pod of search is not ready after a minute.", seen, "kubectl describe pods -n shop -l app=search"
        )
    if killed := fresh(_restarts):
        raise CheckFailed(
            "A new Pod of search was killed again before it listened.",
            _event(lab, killed[0], "Killing") or lab.kube.explain(killed[0]),
            "it needs 5 s to start. Which probe kills it, after how many seconds, and which one could keep that one waiting?",
        )
    pod = (fresh(_ready) or fresh(bool))[0]
    lab.ask(f"http://{pod['status']['podIP']}:8080/fail/live")
    name = pod["metadata"]["name"]
    if not _until(lambda: _killed(lab.kube.find("pod", name, SHOP)), HANGS):
        raise CheckFailed(
            f"A Pod of search hangs, and after {HANGS} s nobody has started it again.",
            f"{name}: /healthz says 500, restarts: 0",
            "patience at the start is one thing, patience for life another: which probe is asked only at the start?",
        )


def _killed(pod: Object | None) -> bool:
    """Whether its container was ended: counted as a restart, or waiting for one."""
    return pod is None or bool(_restarts(pod)) or "running" not in _status(pod).get("state", {})


# -- a Service without endpoints --------------------------------------------------------------------------------------


def scene_no_endpoints(lab: Lab) -> None:
    """cart: two Pods run, and nobody reaches them."""
    lab.kube.delete("service", "cart", SHOP)
    for part in lab.kube.list("endpointslices", SHOP, labels="kubernetes.io/service-name=cart"):
        lab.kube.delete("endpointslice", part["metadata"]["name"], SHOP)
    for pod in lab.kube.list("pods", SHOP, labels="app=carts"):
        lab.kube.delete("pod", pod["metadata"]["name"], SHOP, wait=False)
    _lay_out(lab, "cart")
    _until(lambda: sum("running" in _status(pod).get("state", {}) for pod in _pods(lab, "cart")) == 2, 40)


def no_endpoints(lab: Lab) -> None:
    """cart answers; its Service follows the Deployment's Pods, and leaves out one that says it is not ready."""
    _there(lab, "cart")
    if lab.kube.find("service", "cart", SHOP) is None:
        raise CheckFailed("There is no Service cart.", next_step='scene("no-endpoints") brings it back')
    if not _until(lambda: _ready_addresses(lab, "cart"), 15):
        known = _addresses(lab, "cart")
        if not known:
            labels = lab.kube.get("deployment", "cart", SHOP)["spec"]["template"]["metadata"]["labels"]
            raise CheckFailed(
                "The Service cart has no addresses at all.",
                f"its EndpointSlice is empty; the Pods carry the labels {labels}",
                "which labels does the Service look for? (kubectl describe service says)",
            )
        raise CheckFailed(
            f"The Service cart knows {len(known)} addresses, and none of them is ready.",
            "; ".join(filter(None, (_event(lab, pod, "Unhealthy") for pod in _pods(lab, "cart")[:1]))) or "READY 0/1",
            "the Pods run, but their readiness probe fails: whom does it ask, and who listens there?",
        )
    lost = lab.ask("http://cart.shop", 10).lost
    if lost:
        raise CheckFailed(
            f"{len(lost)} of 10 requests to cart were lost.",
            lost[0].lost,
            "to which port does the Service send, and who listens there?",
        )
    _follows(lab)
    _leaves_out(lab)


def _follows(lab: Lab) -> None:
    """New Pods, new addresses: the Service has to follow."""
    for address in _ready_addresses(lab, "cart"):
        for pod in lab.kube.list("pods", SHOP):
            if pod["status"].get("podIP") == address and "deletionTimestamp" not in pod["metadata"]:
                lab.kube.delete("pod", pod["metadata"]["name"], SHOP, wait=False)

    def same() -> bool:
        pods = [pod["status"].get("podIP") for pod in _pods(lab, "cart") if _ready(pod)]
        return len(pods) >= 2 and sorted(pods) == sorted(_ready_addresses(lab, "cart"))

    if not _until(same, 20):
        pods = sorted(pod["status"].get("podIP", "none yet") for pod in _pods(lab, "cart"))
        ready = ", ".join(_ready_addresses(lab, "cart")) or "none"
        raise CheckFailed(
            "The Pods of cart were replaced, and the Service did not follow.",
            f"the Deployment's Pods: {', '.join(pods)}; the Service's ready addresses: {ready}",
            "new Pods are made from the template. What did you change: Pods, addresses, or what the Service looks for?",
        )


def _leaves_out(lab: Lab) -> None:
    """A Pod that says it is not ready gets nothing."""
    address = _ready_addresses(lab, "cart")[0]
    lab.ask(f"http://{address}:8080/fail/ready")
    try:
        if not _until(lambda: address not in _ready_addresses(lab, "cart"), 12):
            raise CheckFailed(
                "A Pod of cart says that it is not ready, and the Service sends customers to it all the same.",
                f"{address}: /readyz says 503",
                "the probe asked the wrong port. Does it still ask anybody?",
            )
    finally:
        lab.ask(f"http://{address}:8080/heal")


# -- shared -----------------------------------------------------------------------------------------------------------


def _lay_out(lab: Lab, name: str) -> None:
    """The exercise's Deployment and Service as its file has them, with new Pods."""
    if lab.kube.find("namespace", SHOP) is None:
        lab.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}})
    lab.kube.wait_for("serviceaccount", "default", bool, SHOP)  # without it no Pod can be made
    if lab.kube.find("deployment", name, SHOP):
        path = f"/apis/apps/v1/namespaces/{SHOP}/deployments/{name}?propagationPolicy=Foreground"
        lab.kube.raw("DELETE", path)
        for pod in lab.kube.list("pods", SHOP, labels=f"app={name}"):
            lab.kube.delete("pod", pod["metadata"]["name"], SHOP, wait=False)
        lab.kube.wait_for("deployment", name, "deleted", SHOP, deadline=60)
    lab.kube.apply(FOLDER / "exercise" / f"{name}.yaml", force=True)


def _there(lab: Lab, name: str) -> None:
    if lab.kube.find("deployment", name, SHOP) is None:
        raise CheckFailed(f"There is no Deployment {name} in the namespace shop.", next_step="run the cell with scene(…) first")


def _complete(item: Object | None) -> bool:
    """Whether a Deployment is as its spec wants it, and nothing older is left of it."""
    if item is None:
        return False
    counts = [item.get("status", {}).get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return _observed(item) and counts == [item["spec"].get("replicas", 1)] * 3


def _observed(deployment: Object) -> bool:
    """Whether its controller has acted on its latest spec."""
    return deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"]["generation"]


def _settled(lab: Lab, name: str) -> bool:
    """Whether a rollout is over, and also the last old Pod gone."""
    pods = lab.kube.list("pods", SHOP, labels=f"app={name}")
    leaving = any("deletionTimestamp" in pod["metadata"] for pod in pods)
    return not leaving and _complete(lab.kube.find("deployment", name, SHOP))


def _pods(lab: Lab, name: str) -> list[Object]:
    """Its Pods that are not on their way out, the youngest last."""
    pods = [pod for pod in lab.kube.list("pods", SHOP, labels=f"app={name}") if "deletionTimestamp" not in pod["metadata"]]
    return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])


def _newest(lab: Lab, name: str) -> list[Object]:
    """The Pods of a Deployment's newest template."""

    def revision(item: Object) -> int:
        return int(item["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", 0))

    sets = sorted(lab.kube.list("replicasets", SHOP, labels=f"app={name}"), key=revision)
    template = sets[-1]["metadata"]["labels"]["pod-template-hash"] if sets else ""
    return [pod for pod in _pods(lab, name) if pod["metadata"]["labels"].get("pod-template-hash") == template]


def _status(pod: Object) -> Object:
    return (pod.get("status", {}).get("containerStatuses") or [{}])[0]


def _restarts(pod: Object) -> int:
    return _status(pod).get("restartCount", 0)


def _ready(pod: Object) -> bool:
    return bool(_status(pod).get("ready"))


def _event(lab: Lab, pod: Object, reason: str) -> str:
    """The latest event of a Pod with this reason, in its own words."""
    uid = pod["metadata"]["uid"]
    events = lab.kube.list("events", SHOP, fields=f"involvedObject.uid={uid},reason={reason}")
    return events[-1]["message"] if events else ""


def _endpoints(lab: Lab, name: str) -> list[Object]:
    slices = lab.kube.list("endpointslices", SHOP, labels=f"kubernetes.io/service-name={name}")
    return [endpoint for part in slices for endpoint in part.get("endpoints") or []]


def _addresses(lab: Lab, name: str) -> list[str]:
    return [endpoint["addresses"][0] for endpoint in _endpoints(lab, name)]


def _ready_addresses(lab: Lab, name: str) -> list[str]:
    return [endpoint["addresses"][0] for endpoint in _endpoints(lab, name) if endpoint.get("conditions", {}).get("ready", True)]


def _until(holds: Callable[[], object], seconds: float) -> bool:
    """Whether it came true within so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
