"""Lab 05: checks and scenes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab_helpers import CheckFailed, Lab, LabError, WaitTimeout

Object = dict[str, Any]

FOLDER = Path(__file__).parent
NODE = "node-2"
KUBELET = f"kubelet@{NODE}"
CONFIG = "/var/lib/kubelet/config.yaml"
SILENT = 15.0  # seconds: a kubelet renews its lease every ten


# -- a node that is NotReady ------------------------------------------------------------------------------------------


def scene_not_ready(lab: Lab) -> None:
    """node-2 is silent. On kind its kubelet cannot read its configuration; on embedded its agent is stopped."""
    if lab.kube.find("node", NODE) is None:
        lab.remove_node(NODE)  # its machine
        lab.add_node(next(shape for shape in lab.cluster.profile.nodes if shape.name == NODE))
    if lab.provider == "kind":
        spoil = f"sed -i 's/^maxPods: .*/maxPods: many/' {CONFIG} && systemctl restart kubelet"
        lab.node(NODE, "sh", "-c", spoil)
    else:
        lab.stop(KUBELET)
    lab.kube.wait_for("node", NODE, lambda node: not _ready(node), deadline=90, what="NotReady")


def not_ready(lab: Lab) -> None:
    """node-2 is Ready by its own word, takes Pods, and runs one."""
    node = lab.kube.find("node", NODE)
    if node is None:
        raise CheckFailed(
            f"There is no {NODE} any more.",
            "its machine still stands, and its kubelet is as silent as before",
            "set the scene again: what does deleting the object do for the kubelet?",
        )
    if not _ready(node):
        looks = "what does its kubelet write on its own machine (journalctl -u kubelet)?"
        raise CheckFailed(
            f"{NODE} is still NotReady.",
            _condition(node).get("message", ""),
            looks if lab.provider == "kind" else "what does lab.health() say of its kubelet?",
        )
    end = time.monotonic() + 4  # its status may be a moment ahead of its lease
    while (quiet := _silence(lab)) > SILENT and time.monotonic() < end:
        time.sleep(0.3)
    if quiet > SILENT:
        raise CheckFailed(
            f"{NODE} says Ready, and is silent.",
            f"its lease was last renewed {quiet:.0f} s ago",
            "the word in its status was not its own: who renews a lease?",
        )
    if node["spec"].get("unschedulable"):
        raise CheckFailed(f"{NODE} is Ready, and cordoned.", "no new Pod comes to it", "who may lift that?")
    _runs_a_pod(lab)


def _runs_a_pod(lab: Lab) -> None:
    container = {"name": "proof", "image": "lab.local/shell:1.0"}
    spec = {"nodeName": NODE, "terminationGracePeriodSeconds": 1, "containers": [container]}
    lab.kube.delete("pod", "proof")
    lab.kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "proof"}, "spec": spec})
    try:
        lab.kube.wait_for("pod", "proof", "Ready", deadline=40)
    except WaitTimeout as late:
        raise CheckFailed(f"{NODE} is Ready, and a Pod on it does not run.", late.seen, "what does its kubelet say?") from None
    finally:
        lab.kube.delete("pod", "proof")


def _condition(node: Object) -> Object:
    return next((entry for entry in node["status"].get("conditions", []) if entry["type"] == "Ready"), {})


def _ready(node: Object | None) -> bool:
    return node is not None and _condition(node).get("status") == "True"


def _silence(lab: Lab) -> float:
    """Seconds since node-2's lease was renewed."""
    lease = lab.kube.find("lease", NODE, "kube-node-lease")
    stamp = (lease or {}).get("spec", {}).get("renewTime")
    if not stamp:
        return float("inf")
    return (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()


def _mend(lab: Lab) -> None:
    """node-2 as it was, whatever was done to it: exercises stand alone."""
    lab.kube.patch("node", "node-1", {"spec": {"unschedulable": None}})
    node = lab.kube.find("node", NODE)
    if node is None:
        lab.remove_node(NODE)
        lab.add_node(next(shape for shape in lab.cluster.profile.nodes if shape.name == NODE))
        return
    if node["spec"].get("unschedulable"):
        lab.kube.patch("node", NODE, {"spec": {"unschedulable": None}})
    if _ready(node) and _silence(lab) < SILENT:
        return
    if lab.provider == "kind":
        lab.node(NODE, "sed", "-i", "s/^maxPods: many/maxPods: 110/", CONFIG)
        lab.node(NODE, "systemctl", "restart", "kubelet")
    lab.start(KUBELET)
    lab.kube.wait_for("node", NODE, _ready, deadline=60, what="Ready")


# -- a Service whose rules are missing --------------------------------------------------------------------------------


def scene_no_rules(lab: Lab) -> None:
    """orders: two Pods that are Ready, and a Service that nobody answers."""
    _mend(lab)
    lab.kube.delete("endpointslice", "orders-by-hand")
    lab.kube.delete("service", "orders")
    lab.kube.apply(FOLDER / "exercise" / "orders.yaml", force=True)
    _rolled_out(lab, "orders")
    if lab.kube.find("deployment", "web") is None:
        lab.kube.apply(FOLDER / "web.yaml")


def no_rules(lab: Lab) -> None:
    """http://orders is answered by the Pods of orders, also after one of them was replaced."""
    service = lab.kube.find("service", "orders")
    if service is None:
        raise CheckFailed("There is no Service orders any more.", next_step="set the scene again")
    if all(port["port"] != 80 for port in service["spec"].get("ports", [])):
        raise CheckFailed(
            "The Service orders has no port 80 any more.",
            f"its ports: {', '.join(str(port['port']) for port in service['spec'].get('ports', []))}",
            "everybody asks for http://orders: which of a Service's two ports is the customers', which the Pods'?",
        )
    _answered(lab, "nobody answers at http://orders")
    pods = _pods(lab, "orders")
    lab.kube.delete("pod", pods[0]["metadata"]["name"], deadline=60)
    _rolled_out(lab, "orders")
    _answered(lab, "It answered, until a Pod was replaced")


def _answered(lab: Lab, otherwise: str) -> None:
    """Forty requests find the Pods of orders. Rules follow a moment after the slices, so the first try may be early."""
    own = {pod["metadata"]["name"] for pod in _pods(lab, "orders")}
    end = time.monotonic() + 5
    while (asked := lab.ask("http://orders/", 40, timeout=1)).lost and time.monotonic() < end:
        time.sleep(0.5)
    lost = asked.lost
    if lost:
        raise CheckFailed(
            f"{otherwise}." if otherwise[0].isupper() else f"Of 40 requests {len(lost)} failed: {otherwise}.",
            _rules_seen(lab),
            "where do a rule's address and port come from, and who keeps them in step with the Pods?",
        )
    if strangers := set(asked.counts()) - own:
        raise CheckFailed(
            "http://orders is answered by Pods that are not those of orders.",
            f"by {', '.join(sorted(strangers))}",
            "the selector was right: what else does a destination need besides a Pod?",
        )


def _rules_seen(lab: Lab) -> str:
    slices = lab.kube.list("endpointslices", "default", labels="kubernetes.io/service-name=orders")
    said = []
    for part in slices:
        ports = [str(port.get("port")) for port in part.get("ports") or []]
        count = len(part.get("endpoints") or [])
        said.append(f"{part['metadata']['name']}: {count} addresses, {'port ' + ', '.join(ports) if ports else 'no port'}")
    if lab.provider == "kind":
        rules = lab.rules("node-1", "orders")
        said.append(f"rules of node-1: {rules or 'none'}")
    return "; ".join(said)


def _pods(lab: Lab, app: str) -> list[Object]:
    pods = lab.kube.list("pods", "default", labels=f"app={app}")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _rolled_out(lab: Lab, name: str) -> None:
    """The Deployment is complete, and no Pod of it is on its way out."""

    def complete(item: Object | None) -> bool:
        if item is None:
            return False
        status, wanted = item["status"], item["spec"]["replicas"]
        newest = status.get("observedGeneration") == item["metadata"]["generation"] and status.get("updatedReplicas") == wanted
        left = lab.kube.list("pods", "default", labels=f"app={name}")
        return newest and status.get("availableReplicas") == wanted and len(left) == wanted

    lab.kube.wait_for("deployment", name, complete, deadline=90, what="complete")


# -- drain without an outage ------------------------------------------------------------------------------------------


def scene_drain(lab: Lab) -> None:
    """Both Pods of pay are on node-2, and node-1 has room."""
    _mend(lab)
    lab.kube.delete("poddisruptionbudget", "pay")
    lab.kube.delete("deployment", "pay")
    for name in ("crasher", "notice-node-1"):  # Pods that nobody would make again: drain would stop at them
        lab.kube.delete("pod", name, wait=False)
    for pod in lab.kube.list("pods", "default", labels="app=pay"):
        lab.kube.wait_for("pod", pod["metadata"]["name"], "deleted", deadline=60)
    lab.kube.patch("node", "node-1", {"spec": {"unschedulable": True}})
    try:
        lab.kube.apply(FOLDER / "exercise" / "pay.yaml", force=True)
        _rolled_out(lab, "pay")
    finally:
        lab.kube.patch("node", "node-1", {"spec": {"unschedulable": None}})


def drain(lab: Lab) -> None:
    """node-2 is empty, pay runs elsewhere, and no request was lost meanwhile."""
    requests = lab.answer("requests")
    node = lab.kube.get("node", NODE)
    left = [name for pod in lab.kube.list("pods", fields=f"spec.nodeName={NODE}") if (name := _movable(pod))]
    budget = lab.kube.find("poddisruptionbudget", "pay")
    if left and budget and not budget["status"].get("disruptionsAllowed") and not _moving(lab):
        raise CheckFailed(
            "The budget of pay allows no eviction.",
            f"{budget['status'].get('desiredHealthy')} have to be there, {budget['status'].get('currentHealthy')} are",
            "what does a budget have to leave free, so that a drain can ever end?",
        )
    if not node["spec"].get("unschedulable"):
        raise CheckFailed(f"{NODE} still takes Pods.", f"it holds: {', '.join(left) or 'none'}", "what does drain do first?")
    if left:
        raise CheckFailed(
            f"{NODE} still holds {', '.join(left)}.",
            "a cordoned node takes no new Pods; those that are there stay",
            "which command asks each of them to go?",
        )
    try:
        lab.kube.wait_for("deployment", "pay", "Available", deadline=60)
    except LabError as late:
        raise CheckFailed("pay is not complete again.", late.seen, "what do its Pods wait for?") from None
    asked = len(requests.answers)
    if not requests.ended and (not asked or time.time() - requests.answers[-1].at > 10):
        raise CheckFailed("Nobody is asking any more.", "the requests ended after 15 minutes", "set the scene again")
    requests.stop()
    requests.over_time(by="node", title="Requests to pay, by the node that answered")
    if lost := requests.lost:
        how = ", ".join(sorted({answer.lost for answer in lost}))
        raise CheckFailed(
            f"{len(lost)} requests were lost.",
            f"of {len(requests.answers)}, within {lost[-1].at - lost[0].at:.1f} s: {how}",
            "how many Pods of pay were serving then? Who could have said “not yet” to the second eviction?",
        )


def _moving(lab: Lab) -> bool:
    """Whether a successor of a Pod of pay is on its way."""
    return any(pod["spec"].get("nodeName") != NODE for pod in lab.kube.list("pods", "default", labels="app=pay"))


def _movable(pod: Object) -> str:
    """The name of a Pod that a drain moves; empty for one that belongs to its node, or that has ended."""
    meta = pod["metadata"]
    bound = any(owner["kind"] in ("DaemonSet", "Node") for owner in meta.get("ownerReferences", []))
    over = pod["status"].get("phase") in ("Succeeded", "Failed")
    return "" if bound or over else str(meta["name"])
