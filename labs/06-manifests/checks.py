"""Lab 06: the scenes that its exercises start from, and what they must have brought about in the cluster."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lab_helpers import CheckFailed

if TYPE_CHECKING:
    from lab_helpers.teaching.lab import Lab

Object = dict[str, Any]

FOLDER = Path(__file__).parent
WORK = FOLDER / "work"
HPA = "horizontalpodautoscalers"


# -- mend the manifest ------------------------------------------------------------------------------------------------


def scene_mend_manifest(lab: Lab) -> None:
    """Nothing called orders in the cluster, and Tom's file as he left it."""
    lab.kube.delete("service", "orders")
    _delete_with_pods(lab, "orders", "default")
    _lay_out("orders.yaml")


def mend_manifest(lab: Lab) -> None:
    """Three Pods of orders with 128 MiB each, and a Service that passes its port 80 on to their 8080."""
    if lab.kube.find("deployment", "orders") is None:
        raise CheckFailed(
            "There is no Deployment orders yet.",
            next_step="apply work/orders.yaml: which field does the API server object to first?",
        )
    deployment = lab.kube.get("deployment", "orders")
    wanted = deployment["spec"]["replicas"]
    if wanted != 3:
        raise CheckFailed(
            f"The Deployment orders wants {wanted} Pod{'s' if wanted != 1 else ''}; the ticket says three.",
            next_step="what became of the line in the file that says so? Did somebody keep quiet about it?",
        )
    limit = _container(deployment)["resources"].get("limits", {}).get("memory", "")
    if _bytes(limit) != 128 * 2**20:
        seen = f"limits.memory: {limit}, which is {_bytes(limit):g} bytes" if limit else "no memory limit at all"
        raise CheckFailed(
            "The containers of orders may not use 128 MiB of memory.",
            seen,
            "what does the letter after the number mean? kubectl explain does not say; the API server took it anyway",
        )
    _rolled_out(lab, "orders", "default")  # after the limit: a real node cannot start a container with a fraction of a byte
    if lab.kube.find("service", "orders") is None:
        raise CheckFailed(
            "The Pods of orders run, but there is no Service orders.",
            next_step="a file can hold several objects: what did the API server say of the second one?",
        )
    ports, ready = _endpoints(lab, "orders", "default", 3)
    if ready == 0:
        selector = lab.kube.get("service", "orders")["spec"]["selector"]
        raise CheckFailed(
            "The Service orders has no endpoints: nobody would answer.",
            f"it looks for {selector}; the Pods carry {deployment['spec']['template']['metadata']['labels']}",
            "no one refused this: which of the two labels is the odd one out in the file?",
        )
    if ports != {8080}:
        raise CheckFailed(
            f"The Service orders sends to port {', '.join(map(str, ports))}, where nothing listens.",
            "the container listens on port 8080",
            "the API server knows only that a port is a number; where in the file does it say which one is right?",
        )


# -- two owners, one field --------------------------------------------------------------------------------------------


def scene_two_owners(lab: Lab) -> None:
    """checkout, applied by shop-team with two replicas and the old image; the autoscaler has made six of them."""
    lab.kube.delete(HPA, "checkout")
    _delete_with_pods(lab, "checkout", "default")
    _lay_out("checkout.yaml")
    before = (WORK / "checkout.yaml").read_text().replace("lab.local/web:1.1", "lab.local/web:1.0")
    path = "/apis/apps/v1/namespaces/default/deployments/checkout?fieldManager=shop-team"
    made = lab.kube.raw("PATCH", path, before, "application/apply-patch+yaml")
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "checkout"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
            "minReplicas": 6,
            "maxReplicas": 12,
        },
    }
    lab.kube.create(scaler)
    lab.kube.wait_for("deployment", "checkout", lambda item: _complete(item) and _pods(item) == 6, what="six Pods")
    notes = {"lab/deployment": made["metadata"]["uid"], "lab/since": str(time.time())}
    lab.kube.patch(HPA, "checkout", {"metadata": {"annotations": notes}})


def two_owners(lab: Lab) -> None:
    """The release came by the pipeline's own apply, no Pod too few at any time, and the two owners are parted."""
    scaler = lab.kube.find(HPA, "checkout")
    if scaler is None or scaler["spec"]["minReplicas"] != 6:
        raise CheckFailed(
            "The autoscaler does not hold six Pods any more.",
            f"minReplicas: {scaler['spec']['minReplicas']}" if scaler else "there is no HorizontalPodAutoscaler checkout",
            "set the scene again: whose work is it tonight to say how many Pods there are?",
        )
    notes = scaler["metadata"]["annotations"]
    deployment = lab.kube.find("deployment", "checkout")
    if deployment is None or deployment["metadata"]["uid"] != notes["lab/deployment"]:
        raise CheckFailed(
            "The Deployment that served the customers was deleted.",
            "its uid is gone, and with it every Pod that answered",
            "set the scene again: can the release come without taking the object away?",
        )
    image = _container(deployment)["image"]
    if image != "lab.local/web:1.1":
        raise CheckFailed(
            f"checkout still runs {image}: the release has not come.",
            next_step="run the pipeline's command and read whom it conflicts with, over which field",
        )
    if _rescues(lab, float(notes["lab/since"])) or _pods(deployment) < 6:
        raise CheckFailed(
            "The release took Pods away in the middle of the sale.",
            "replicas went down, and the autoscaler had to scale checkout up again",
            "set the scene again: does your file have to say anything about replicas?",
        )
    image_path = ("spec", "template", "spec", "containers", '{"name":"checkout"}', "image")
    if "shop-team" not in _owners(deployment, *image_path):
        raise CheckFailed(
            f"The image belongs to {', '.join(_owners(deployment, *image_path))}, not to shop-team.",
            "the file in the pipeline and the cluster have parted again",
            "set the scene again: what will the pipeline's next apply be told?",
        )
    others = [name for name in _owners(deployment, "spec", "replicas") if name != "kube-controller-manager"]
    if others:
        raise CheckFailed(
            f"{', '.join(others)} and the autoscaler own replicas together.",
            "today both say 6; as soon as the autoscaler says 7, the pipeline's next apply conflicts again",
            "which of the two should never have had an opinion?",
        )
    _rolled_out(lab, "checkout", "default")


def _rescues(lab: Lab, since: float) -> int:
    """How often the autoscaler wrote a scale since the scene was set, by the audit log."""

    def by_autoscaler(event: Object) -> bool:
        return event["objectRef"].get("subresource") == "scale" and "horizontal-pod-autoscaler" in event.get("userAgent", "")

    return len(lab.audit("checkout", since=since, match=by_autoscaler))


def _owners(item: Object, *path: str) -> list[str]:
    """The managers that own a field; list items are written as in managedFields: `{"name":"web"}`."""
    found = []
    for entry in item["metadata"].get("managedFields", []):
        tree = entry.get("fieldsV1", {})
        for step in path:
            tree = tree.get(f"k:{step}" if step.startswith("{") else f"f:{step}") if tree is not None else None
        if tree is not None:
            found.append(entry["manager"])
    return found


# -- one base, two overlays -------------------------------------------------------------------------------------------

STAGES: dict[str, Object] = {
    "dev": {"Pods": 1, "image": "lab.local/web:1.1", "LOG_LEVEL": "debug", "CURRENCY": "EUR"},
    "prod": {"Pods": 3, "image": "lab.local/web:1.0", "LOG_LEVEL": "warn", "CURRENCY": "EUR", "memory limit": "256Mi"},
}


def scene_one_base_two_overlays(lab: Lab) -> None:
    """Empty namespaces dev and prod, nothing of parcel anywhere, and a fresh base."""
    for stage in STAGES:
        if lab.kube.find("namespace", stage) is None:
            lab.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage}})
    for namespace in ("default", *STAGES):
        lab.kube.delete("service", "parcel", namespace)
        _delete_with_pods(lab, "parcel", namespace)
        for item in lab.kube.list("configmap", namespace):
            if item["metadata"]["name"].startswith("parcel-settings"):
                lab.kube.delete("configmap", item["metadata"]["name"], namespace)
    _lay_out("parcel")


def one_base_two_overlays(lab: Lab) -> None:
    """What runs in dev and prod is what the ticket's table says, and a change of the base would reach both."""
    for stage, wanted in STAGES.items():
        seen = _stage(lab, stage)
        wrong = [
            f"{key} is {seen.get(key, 'not set')}, wanted {value}" for key, value in wanted.items() if seen.get(key) != value
        ]
        if wrong:
            raise CheckFailed(
                f"In {stage}, {wrong[0]}.",
                "; ".join(wrong[1:]),
                f"what does your overlay for {stage} make of the base? kubectl kustomize shows it without applying",
            )
        _, ready = _endpoints(lab, "parcel", stage, wanted["Pods"])
        if ready != wanted["Pods"]:
            raise CheckFailed(
                f"The Service parcel in {stage} reaches {ready} of {wanted['Pods']} Pods.",
                next_step="do the Service and the Pods of this namespace still agree on their labels?",
            )
    missed = sorted(set(STAGES) - _reached_from_base())
    if missed:
        raise CheckFailed(
            f"The cluster is right today, but a change of the base would not reach {' and '.join(missed)}.",
            "the check changed a copy of work/parcel/base and built every overlay beside it again",
            "next week every Pod gets a probe: how many files would you have to touch?",
        )


def _stage(lab: Lab, namespace: str) -> Object:
    """What runs in a namespace, in the words of the ticket's table."""
    if lab.kube.find("deployment", "parcel", namespace) is None:
        stray = lab.kube.find("deployment", "parcel", "default") is not None
        raise CheckFailed(
            f"There is no Deployment parcel in the namespace {namespace}.",
            "there is one in default" if stray else "",
            "which line of an overlay says where its objects go?" if stray else "build and apply an overlay for it",
        )
    deployment = _rolled_out(lab, "parcel", namespace)
    container = _container(deployment)
    limit = container.get("resources", {}).get("limits", {}).get("memory", "")
    return {
        "Pods": _pods(deployment),
        "image": container["image"],
        "memory limit": "256Mi" if _bytes(limit) == 256 * 2**20 else limit or "not set",
        **_variables(lab, container, namespace),
    }


def _variables(lab: Lab, container: Object, namespace: str) -> dict[str, str]:
    """The environment that a container gets from ConfigMaps and literal values."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        name = source.get("configMapRef", {}).get("name", "")
        found |= (lab.kube.find("configmap", name, namespace) or {}).get("data", {}) if name else {}
    return found | {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}


def _reached_from_base() -> set[str]:
    """The namespaces whose parcel follows a change of the base, tried out on a copy of the learner's files."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(WORK / "parcel", Path(folder, "parcel")))
        base = copy / "base" / "kustomization.yaml"
        if not base.exists():
            return set()
        base.write_text(yaml.safe_dump({**yaml.safe_load(base.read_text()), "commonAnnotations": {"lab/probe": "base"}}))
        reached = set()
        for file in copy.rglob("kustomization.y*ml"):
            built = subprocess.run(["kubectl", "kustomize", file.parent], capture_output=True, text=True, timeout=30)
            for item in yaml.safe_load_all(built.stdout):
                meta = item["metadata"]
                if item["kind"] == "Deployment" and "lab/probe" in meta.get("annotations", {}):
                    reached.add(meta.get("namespace", "default"))
        return reached


# -- shared -----------------------------------------------------------------------------------------------------------


def _lay_out(name: str) -> None:
    """A fresh copy of exercise/NAME as work/NAME; what else the learner wrote into work/ stays."""
    source, target = FOLDER / "exercise" / name, WORK / name
    WORK.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _delete_with_pods(lab: Lab, name: str, namespace: str) -> None:
    """Delete a Deployment and wait until its ReplicaSets and Pods are gone as well."""
    if lab.kube.find("deployment", name, namespace):
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}?propagationPolicy=Foreground"
        lab.kube.raw("DELETE", path)
        # A real container that does not listen yet for being told to end gets Kubernetes' 30 seconds.
        lab.kube.wait_for("deployment", name, "deleted", namespace, deadline=60)


def _complete(item: Object | None) -> bool:
    """Whether a Deployment's newest template runs in all its Pods, as `kubectl rollout status` sees it."""
    if item is None or item.get("status", {}).get("observedGeneration", 0) < item["metadata"]["generation"]:
        return False
    status, wanted = item["status"], _pods(item)
    return all(status.get(key, 0) == wanted for key in ("replicas", "updatedReplicas", "availableReplicas"))


def _rolled_out(lab: Lab, name: str, namespace: str) -> Object:
    return lab.kube.wait_for("deployment", name, _complete, namespace, deadline=45, what="rolled out")


def _pods(deployment: Object) -> int:
    return int(deployment["spec"]["replicas"])


def _container(deployment: Object) -> Object:
    container: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def _endpoints(lab: Lab, service: str, namespace: str, wanted: int) -> tuple[set[int], int]:
    """Ports and number of ready addresses behind a Service; the controller gets 5 seconds to find all of them."""
    end = time.monotonic() + 5
    while True:
        slices = lab.kube.list("endpointslices", namespace, labels=f"kubernetes.io/service-name={service}")
        ready = sum(bool(each["conditions"].get("ready")) for item in slices for each in item.get("endpoints") or [])
        if ready == wanted or time.monotonic() > end:
            return {port["port"] for item in slices for port in item.get("ports") or [] if port.get("port")}, ready
        time.sleep(0.1)


def _bytes(quantity: str) -> float:
    """A Kubernetes quantity of memory in bytes; 0 for none."""
    match = re.fullmatch(r"([\d.]+(?:[eE]\d+)?)([a-zA-Z]*)", quantity)
    if not match:
        return 0
    size = {"": 1, "m": 0.001, "k": 1000, "Ki": 1024}
    size |= {letter: 1000**power for power, letter in enumerate("MGTPE", 2)}
    size |= {f"{letter}i": 1024**power for power, letter in enumerate("MGTPE", 2)}
    return float(match[1]) * size.get(match[2], 0)
