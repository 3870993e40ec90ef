"""What a cluster's nodes and Pods wait for where add-ons of the network are missing: `aws-node` (VPC CNI) and kube-proxy.

As at work: a node that joins gets Ready when its `aws-node` has written the network's configuration, and `aws-node` starts only
where kube-proxy's rules lead it to the API server. Each new Pod gets its address from the `aws-node` of its node. What runs
already goes on.

KWOK would play every simulated node and its Pods at once; it leaves alone what carries its mark. On Pods
a MutatingAdmissionPolicy puts the mark while an add-on is missing (API of 1.36; an older minor shows it on new nodes alone).
A cluster that never had `aws-node` is left alone: it may have another plugin.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lab_helpers.clusters import NodeShape
from lab_helpers.clusters.kwok import FAKE, MARK
from lab_helpers.eks import plane
from lab_helpers.eks.model import events, machines
from lab_helpers.eks.model.account import Account, Cluster
from lab_helpers.errors import ClusterError, KubernetesError, LabError
from lab_helpers.kube import Kube, ready

Object = dict[str, Any]

CNI, PROXY = "aws-node", "kube-proxy"
_NAME = "eks-lab-no-network"
_API = "/apis/admissionregistration.k8s.io/v1"
_WAITS = "no-network"
_JOINING = "node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule"  # what a node of EKS begins with
_NOT_READY = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)
_NEW_PODS = "!(has(object.spec.hostNetwork) && object.spec.hostNetwork)"
_NEW_CNI = f"has(object.metadata.labels) && object.metadata.labels[?'k8s-app'].orValue('') == '{CNI}'"
_SANDBOX = (
    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "{id}": '
    'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: Error received from AddNetwork gRPC call: rpc error: '
    'code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:50051: '
    'connect: connection refused"'
)
_PATIENCE = 20.0
_SURE = 10.0  # seconds: an API server may know a policy a moment longer than it is there
_UNHEALTHY = 'Readiness probe failed: {"level":"info","msg":"timeout: failed to connect service \\":50051\\" within 5s"}'
_locks: dict[str, threading.RLock] = defaultdict(threading.RLock)
_leaving: set[tuple[str, str]] = set()
_trouble: dict[str, float] = {}  # cluster → when something was missing or waited last, by the monotonic clock


def look(account: Account, cluster: Cluster) -> None:
    """Hold what waits for a missing add-on, and let go what waits no more."""
    look_again(cluster)


def look_again(cluster: Cluster) -> None:
    """The same, for whoever waits for what it does."""
    with _locks[cluster.local]:
        _look(cluster)


@contextmanager
def leaving(account: Account, cluster: Cluster, addon: str) -> Iterator[None]:
    """While an add-on's objects are removed: from the first moment on, nothing is let in that would need them."""
    mark = (cluster.local, {"vpc-cni": CNI, "kube-proxy": PROXY}.get(addon, ""))
    _leaving.add(mark)
    try:
        look(account, cluster)
        yield
    finally:
        _leaving.discard(mark)


def _look(cluster: Cluster) -> None:
    kube = plane.kube(cluster.local, cluster.provider)
    going = set(_leaving)  # read before the list: what is taken out of it meanwhile may still stand in the list
    there = _daemons(kube)
    cluster.network = cluster.network or CNI in there
    missing = {CNI, PROXY} - {name for name in there if (cluster.local, name) not in going}
    last = _trouble.setdefault(cluster.local, time.monotonic())
    real = machines.names(cluster, kube)
    if real:
        system = kube.list("pods", "kube-system")
        on = {name: _nodes_with(name, system) if name in there else set() for name in (CNI, PROXY)}
        machines.switch(cluster, real, on[CNI], on[PROXY])
    if not cluster.network or (not missing and time.monotonic() - last > _SURE):
        return
    _policy(kube, missing)
    nodes = [node for node in kube.list("nodes") if _marked(node)]
    pods = kube.list("pods")
    held = [pod for pod in pods if _marked(pod) and pod["spec"].get("nodeName") not in real]
    running = {name: _nodes_with(name, pods) for name in (CNI, PROXY)}
    for node in nodes:
        if node["metadata"]["name"] in running[CNI]:
            _let_go(kube, node)
        elif ready(node):  # KWOK had a heartbeat under way when the node was marked
            _not_ready(kube, node["metadata"]["name"])
    waiting = {node["metadata"]["name"] for node in nodes}
    for pod in held:
        _hold(kube, pod, running, waiting)
    if missing or nodes or held:
        _trouble[cluster.local] = time.monotonic()


def _daemons(kube: Kube) -> dict[str, Object]:
    found = {item["metadata"]["name"]: item for item in kube.list("daemonsets", "kube-system")}
    return {name: item for name, item in found.items() if name in (CNI, PROXY) and not _ends(item)}


def _ends(item: Object) -> bool:
    return "deletionTimestamp" in item["metadata"]


def _marked(item: Object) -> bool:
    return bool(item["metadata"].get("annotations", {}).get(MARK) == _WAITS)


def _nodes_with(name: str, pods: list[Object]) -> set[str]:
    """Nodes on which a Pod of an add-on is Ready."""
    mine = [pod for pod in pods if pod["metadata"].get("labels", {}).get("k8s-app") == name and not _ends(pod)]
    return {pod["spec"].get("nodeName", "") for pod in mine if ready(pod)}


# -- nodes -------------------------------------------------------------------------------------------------------


def add_node(cluster: Cluster, there: Any, shape: NodeShape) -> None:
    """Add a node; return when it is Ready, or where no `aws-node` comes to it, when it is seen that it is not.

    Args:
        shape: what `runs` there: nothing (it is simulated), or what a machine of this computer runs.
    """
    kube = plane.kube(cluster.local, cluster.provider)
    if not shape.runs:
        try:
            plane.add_node(there, shape)
            if _comes(_daemons(kube), shape.labels):
                machines.until_ready(kube, shape.name, lambda: look_again(cluster))
        except LabError:  # half a machine must not stand in the way of the next try
            plane.remove_node(there, shape.name)
            raise
        return
    if not cluster.network or _comes(_daemons(kube), shape.labels):
        plane.add_node(there, shape)
        return
    plane.add_node(there, replace(shape, taints=(*shape.taints, _JOINING)))
    kube.patch("node", shape.name, {"metadata": {"annotations": {MARK: _WAITS}}})
    _not_ready(kube, shape.name)
    _trouble[cluster.local] = time.monotonic()
    kube.wait_for("node", shape.name, _tainted, deadline=60, what="the taint of a node that is not Ready")
    node = kube.get("node", shape.name)
    rest = [taint for taint in node["spec"].get("taints", []) if taint["key"] != _JOINING.partition("=")[0]]
    kube.patch("node", shape.name, {"spec": {"taints": rest}})


def _not_ready(kube: Kube, name: str) -> None:
    """What the kubelet of a node says whose network is missing."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": _NOT_READY}
    body = {"status": {"conditions": [{**state, "lastHeartbeatTime": now, "lastTransitionTime": now}]}}
    with suppress(KubernetesError):  # it is gone
        kube.raw("PATCH", f"/api/v1/nodes/{name}/status", body, "application/strategic-merge-patch+json")


def _tainted(node: Object | None) -> bool:
    marks = (node or {}).get("spec", {}).get("taints", [])
    return any(mark["key"] == "node.kubernetes.io/not-ready" for mark in marks)


def _comes(there: Mapping[str, Object], labels: Mapping[str, str]) -> bool:
    """Whether `aws-node` will run on a node with these labels."""
    if {CNI, PROXY} - set(there):
        return False
    selector = there[CNI]["spec"]["template"]["spec"].get("nodeSelector") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _let_go(kube: Kube, item: Object) -> None:
    """KWOK plays it from now on."""
    meta = item["metadata"]
    with suppress(KubernetesError):  # it is gone
        kube.patch(item["kind"].lower(), meta["name"], {"metadata": {"annotations": {MARK: None}}}, meta.get("namespace", ""))


def require(cluster: Cluster, names: set[str]) -> None:
    """Return when none of these nodes waits for its network.

    Raises:
        ClusterError: one still does; EKS has a patience of more than half an hour.
    """
    if not cluster.network:
        return
    kube, end = plane.kube(cluster.local, cluster.provider), time.monotonic() + _PATIENCE
    while waiting := sorted(names & {node["metadata"]["name"] for node in kube.list("nodes") if _waits_for_it(node)}):
        if time.monotonic() > end:
            raise ClusterError("Unhealthy nodes in the kubernetes cluster", ", ".join(waiting))
        time.sleep(0.5)


def _waits_for_it(node: Object) -> bool:
    simulated = node["metadata"].get("annotations", {}).get(FAKE)
    return _marked(node) if simulated else not ready(node)


# -- Pods --------------------------------------------------------------------------------------------------------


def _hold(kube: Kube, pod: Object, running: Mapping[str, set[str]], waiting: set[str]) -> None:
    """What the kubelet of its node does with a Pod that waits."""
    node, meta = pod["spec"].get("nodeName", ""), pod["metadata"]
    if not node:
        return
    if _ends(pod):
        kube.delete("pod", meta["name"], meta["namespace"], wait=False, grace=0)
    elif meta.get("labels", {}).get("k8s-app") == CNI:
        if node in running[PROXY] or node not in waiting:  # a node that had kube-proxy keeps its rules
            _let_go(kube, pod)
        else:
            _show(kube, pod, "CrashLoopBackOff", "Unhealthy", _UNHEALTHY)
    elif node in running[CNI]:
        _let_go(kube, pod)
    else:
        _show(kube, pod, "ContainerCreating", "FailedCreatePodSandBox", _SANDBOX.format(id=secrets.token_hex(32)))


def _show(kube: Kube, pod: Object, state: str, reason: str, words: str) -> None:
    """What `kubectl get pods` and `describe` say of it; once."""
    if pod["status"].get("containerStatuses"):
        return
    meta, waits = pod["metadata"], {"ready": False, "restartCount": 0, "imageID": "", "state": {"waiting": {"reason": state}}}
    rows = [{"name": one["name"], "image": one["image"], **waits} for one in pod["spec"]["containers"]]
    with suppress(KubernetesError):  # it is gone
        kube.patch("pod", meta["name"], {"status": {"containerStatuses": rows}}, meta["namespace"], "status")
    events.warn(kube, pod, reason, words, "kubelet", pod["spec"]["nodeName"])


def _policy(kube: Kube, missing: set[str]) -> None:
    """New Pods that wait carry KWOK's mark from the first; returns when it is so."""
    conditions = [_NEW_PODS] if CNI in missing else []
    conditions += [_NEW_CNI] if PROXY in missing else []
    binding = f"{_API}/mutatingadmissionpolicybindings/{_NAME}"
    if not conditions:
        for path in (binding, f"{_API}/mutatingadmissionpolicies/{_NAME}"):
            with suppress(KubernetesError):
                kube.raw("DELETE", path)
        return
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    change = f'Object{{metadata: Object.metadata{{annotations: {{"{MARK}": "{_WAITS}"}}}}}}'
    spec = {
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": rules},
        "matchConditions": [{"name": "waits", "expression": " || ".join(f"({one})" for one in conditions)}],
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": change}}],
    }
    made = _put(kube, "mutatingadmissionpolicies", "MutatingAdmissionPolicy", spec)
    if made and _put(kube, "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", {"policyName": _NAME}):
        _wait_active(kube, CNI in missing)


def _put(kube: Kube, plural: str, kind: str, spec: Object) -> bool:
    """Whether the API server has it and has it so."""
    item = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": _NAME}, "spec": spec}
    try:
        kube.raw("PATCH", f"{_API}/{plural}/{_NAME}?fieldManager=eks&force=true", item, "application/apply-patch+yaml")
    except KubernetesError as error:
        if error.status != 404:  # an older minor's API
            raise
        return False
    return True


def _wait_active(kube: Kube, any_pod: bool) -> None:
    """The API server compiles a policy a moment after it was made."""
    labels = {} if any_pod else {"k8s-app": CNI}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _NAME, "labels": labels},
        "spec": {"containers": [{"name": "none", "image": "none"}]},
    }
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with suppress(KubernetesError):
            if _marked(kube.raw("POST", "/api/v1/namespaces/kube-system/pods?dryRun=All", pod)):
                return
        time.sleep(0.1)
