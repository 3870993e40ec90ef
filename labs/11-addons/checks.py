"""Lab 11: checks and scenes."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab_helpers import CheckFailed, Lab, LabError

Object = dict[str, Any]

FOLDER = Path(__file__).parent
CLUSTER, REGION, GROUP, SYSTEM = "shop", "us-east-1", "workers", "kube-system"
ORDER = f"--region {REGION} --version 1.36 --nodegroup-name {GROUP} --node-type t3.medium --nodes 2 --nodes-max 3"
OLD, NEW = "v1.12.4-eksbuild.1", "v1.13.1-eksbuild.1"
FIRST = {"vpc-cni": ("daemonset", "aws-node"), "kube-proxy": ("daemonset", "kube-proxy"), "coredns": ("deployment", "coredns")}
BUSY = ("CREATING", "UPDATING", "DELETING")
PATIENCE = 5  # seconds: what a check waits for what is under way


# -- an update that keeps your change ---------------------------------------------------------------------------------

ZONE = "corp.example"
BLOCK = f"{ZONE}:53 {{\n    errors\n    cache 30\n    forward . 10.20.0.10\n}}\n"
HOTFIX = "hotfix-2025"


def scene_keeps_change(lab: Lab) -> None:
    """CoreDNS one version behind, with two changes made by hand: one that is needed, one that is forgotten."""
    _ready(lab)
    _install(lab, "coredns", OLD)
    corefile = lab.kube.get("configmap", "coredns", SYSTEM)["data"]["Corefile"]
    _by_hand(lab, "/api/v1/namespaces/kube-system/configmaps/coredns", {"data": {"Corefile": corefile + BLOCK}})
    image = {"name": "coredns", "image": f"{_image(lab).rpartition(':')[0]}:{HOTFIX}"}
    _by_hand(lab, _path("deployments", "coredns"), {"spec": {"template": {"spec": {"containers": [image]}}}})
    _wait(lambda: _available(lab, "coredns") == 2, 30)


def keeps_change(lab: Lab) -> None:
    """The newest CoreDNS runs, resolves the old data centre's names, and nothing of the hotfix is left."""
    _look(lab)
    shown = _settled(lab, "coredns")
    corefile = (lab.kube.find("configmap", "coredns", SYSTEM) or {"data": {}})["data"].get("Corefile", "")
    if ZONE not in corefile:
        raise CheckFailed(
            f"The Corefile knows nothing of {ZONE} any more.",
            f"coredns is {shown['addonVersion']}, and its ConfigMap is EKS's own again",
            "set the scene again. What did EKS do to fields that it found changed, and who told it to?",
        )
    if shown["addonVersion"] != NEW:
        updates = _eks(lab).list_updates(name=CLUSTER, addonName="coredns")["updateIds"]
        failed = shown["status"] == "UPDATE_FAILED"
        raise CheckFailed(
            f"coredns is still {shown['addonVersion']}{', and its last update failed' if failed else ''}.",
            shown["health"]["issues"][0]["message"] if failed else f"{len(updates)} updates so far; newest version: {NEW}",
            "EKS found what somebody had changed, and asked nobody. Where do you say beforehand what is to become of it?",
        )
    image = _image(lab).rpartition(":")[2]
    if image != NEW:
        raise CheckFailed(
            f"EKS says {NEW}, and the Pods run {image}.",
            "the image, too, had been set by hand: kept, as you asked",
            "one change is to stay and one is to go. Which of them can you hand over to EKS, so that it wants the same as you?",
        )
    if not _wait(lambda: _available(lab, "coredns") == 2, PATIENCE):
        raise CheckFailed(f"coredns has {_available(lab, 'coredns')} of 2 Pods.", next_step="kubectl get pods -n kube-system")


# -- DEGRADED ---------------------------------------------------------------------------------------------------------

LIMIT, LABEL = "300Mi", "pool"
SETTINGS = {
    "nodeSelector": {LABEL: "system"},
    "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}, "limits": {"memory": LIMIT}},
}


def scene_degraded(lab: Lab) -> None:
    """CoreDNS with the settings of another cluster."""
    _ready(lab)
    for node in lab.kube.list("nodes"):
        lab.kube.patch("node", node["metadata"]["name"], {"metadata": {"labels": {LABEL: None}}})
    _install(lab, "coredns", NEW)
    _install(lab, "coredns", NEW, SETTINGS)
    _wait(lambda: _shown(lab, "coredns")["status"] == "DEGRADED", 40)


def degraded(lab: Lab) -> None:
    """ACTIVE, after the next update too; two Pods, the colleague's memory limit, and no label on any node."""
    _look(lab)
    labelled = [node["metadata"]["name"] for node in lab.kube.list("nodes") if LABEL in node["metadata"]["labels"]]
    if labelled:
        raise CheckFailed(
            f"{labelled[0]} carries the label {LABEL} now, and is no node of a system pool.",
            "the next instance that Auto Scaling starts carries none: it would take no CoreDNS",
            "set the scene again. The nodes are right; who asks for the wrong ones?",
        )
    _settled(lab, "coredns")
    _wait(lambda: _shown(lab, "coredns")["status"] == "ACTIVE", PATIENCE)
    shown = _shown(lab, "coredns")
    item = lab.kube.find("deployment", "coredns", SYSTEM)
    if shown["status"] != "ACTIVE" or item is None:
        issues = shown["health"]["issues"]
        raise CheckFailed(
            f"coredns is {shown['status']}.",
            issues[0]["message"] if issues else "",
            "how many Pods run, how many wait, and what does the scheduler say of one that waits?",
        )
    values = json.loads(shown.get("configurationValues") or "{}")
    if values.get("nodeSelector"):
        raise CheckFailed(
            "It is ACTIVE, until the next update.",
            f"the add-on's own settings still say nodeSelector {values['nodeSelector']}",
            "you have changed what EKS had made, not what EKS was told to make. Where does that stand?",
        )
    if (item["spec"].get("replicas"), _available(lab, "coredns")) != (2, 2):
        raise CheckFailed(
            f"coredns has {_available(lab, 'coredns')} Pods; two are to run.",
            next_step="one that is lost must not stop all names",
        )
    limits = item["spec"]["template"]["spec"]["containers"][0]["resources"].get("limits", {})
    if limits.get("memory") != LIMIT:
        raise CheckFailed(
            f"The memory limit is {limits.get('memory')} again.",
            f"it had been raised to {LIMIT} for a reason",
            "set the scene again: what you send replaces all settings that were there, so it has to hold the good one too",
        )


# -- a node that never gets Ready -------------------------------------------------------------------------------------

CHECKED = "shop.example/checked"


def scene_never_ready(lab: Lab) -> None:
    """Two nodes that somebody labelled, the VPC CNI bound to that label, and a third node since."""
    _ready(lab)
    _size(lab, 2)
    for node in lab.kube.list("nodes"):
        lab.kube.patch("node", node["metadata"]["name"], {"metadata": {"labels": {CHECKED: "yes"}}})
    eks = _eks(lab)
    shown = eks.describe_nodegroup(clusterName=CLUSTER, nodegroupName=GROUP)["nodegroup"]
    if CHECKED in shown.get("labels", {}):
        eks.update_nodegroup_config(clusterName=CLUSTER, nodegroupName=GROUP, labels={"removeLabels": [CHECKED]})
    _install(lab, "vpc-cni", values={"nodeSelector": {CHECKED: "yes"}})
    _size(lab, 3)
    _wait(lambda: len(_unready(lab)) == 1, 60)


def never_ready(lab: Lab) -> None:
    """Three nodes, all Ready; and the next one would get Ready too."""
    _look(lab)
    eks = _eks(lab)
    shown, of = _settled(lab, "vpc-cni"), {"clusterName": CLUSTER, "nodegroupName": GROUP}
    _wait(lambda: _eks(lab).describe_nodegroup(**of)["nodegroup"]["status"] == "ACTIVE", PATIENCE)
    size = eks.describe_nodegroup(clusterName=CLUSTER, nodegroupName=GROUP)["nodegroup"]["scalingConfig"]["desiredSize"]
    if size != 3:
        raise CheckFailed(
            f"{GROUP} has {size} nodes; three were ordered.", next_step="set the scene again: the third is needed"
        )
    _wait(lambda: len(lab.kube.list("nodes")) == 3 and not _unready(lab), PATIENCE)
    if waiting := _unready(lab):
        raise CheckFailed(
            f"{waiting[0]['metadata']['name']} is NotReady.",
            _why(waiting[0]),
            "which Pod of kube-system would bring what the message misses? It runs on the other nodes: why not on this one?",
        )
    selector = lab.kube.get("daemonset", "aws-node", SYSTEM)["spec"]["template"]["spec"].get("nodeSelector") or {}
    settings = json.loads(shown.get("configurationValues") or "{}").get("nodeSelector") or {}
    labels = eks.describe_nodegroup(clusterName=CLUSTER, nodegroupName=GROUP)["nodegroup"].get("labels", {})
    if any(labels.get(key) != value for key, value in selector.items()):
        raise CheckFailed(
            "All three are Ready, and the fourth will not be.",
            f"aws-node goes to nodes with {', '.join(selector)}; an instance that Auto Scaling starts carries no such label",
            "who asked for the label? A cure is where no hand is needed for the next node",
        )
    if any(labels.get(key) != value for key, value in settings.items()):
        raise CheckFailed(
            "All three are Ready, until the next update.",
            f"the add-on's own settings still say nodeSelector {settings}",
            "what you changed in the cluster is what EKS makes anew. Change what it makes it from",
        )


# -- the claim --------------------------------------------------------------------------------------------------------


def scene_photos(lab: Lab) -> None:
    """A file system, two Pods that want to write to it, and a claim that is Pending."""
    _ready(lab)
    for kind, name in (("deployment", "gallery"), ("pvc", "photos"), ("storageclass", "photos")):
        lab.kube.delete(kind, name)
    _wait(lambda: not lab.kube.list("persistentvolumes"), 10)  # a driver that runs deletes what was claimed
    for name in ("aws-ebs-csi-driver", "aws-efs-csi-driver"):
        _remove(lab, name)
    text = (FOLDER / "exercise" / "gallery.yaml").read_text().replace("FILE_SYSTEM", _file_system(lab))
    lab.kube.apply(text, force=True)
    _wait(lambda: len(_gallery(lab)) == 2, 30)


def photos(lab: Lab) -> None:
    """Both Pods of gallery run and share one file system."""
    _look(lab)
    claim = lab.kube.find("pvc", "photos")
    if claim is None:
        raise CheckFailed("There is no claim photos any more.", next_step="set the scene again")
    _wait(lambda: sum(map(_runs, _gallery(lab))) == 2, PATIENCE)
    claim = lab.kube.get("pvc", "photos")
    kind = lab.kube.find("storageclass", claim["spec"].get("storageClassName", ""))
    driver = kind["provisioner"] if kind else "no class that there is"
    if claim["status"].get("phase") != "Bound":
        uid = claim["metadata"]["uid"]
        told = [one["message"] for one in lab.kube.list("events", "default") if one["involvedObject"].get("uid") == uid]
        addons = _eks(lab).list_addons(clusterName=CLUSTER)["addons"]
        raise CheckFailed(
            f"photos is still Pending: it waits for {driver}.",
            told[-1] if told else f"add-ons: {', '.join(addons)}",
            "the class names a provisioner: which add-on brings that program? And can it do what the claim asks for?",
        )
    running = sum(map(_runs, _gallery(lab)))
    if running < 2:
        raise CheckFailed(
            f"gallery has {running} of 2 Pods running.",
            f"photos is Bound, {', '.join(claim['spec']['accessModes'])}, by {driver}",
            "kubectl describe pod -l app=gallery: can the volume be where the second Pod has to be?",
        )
    if claim["spec"]["accessModes"] != ["ReadWriteMany"]:
        raise CheckFailed(
            f"photos is {', '.join(claim['spec']['accessModes'])} now.",
            next_step="both Pods write at the same time, from two nodes: set the scene again, and leave the claim as it is",
        )


def _gallery(lab: Lab) -> list[Object]:
    found = lab.kube.list("pods", "default", labels="app=gallery")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _runs(pod: Object) -> bool:
    return bool(pod["status"].get("phase") == "Running")


def _file_system(lab: Lab) -> str:
    efs = lab.aws("efs")
    found = efs.describe_file_systems(CreationToken="photos")["FileSystems"]
    return str((found[0] if found else efs.create_file_system(CreationToken="photos"))["FileSystemId"])


# -- the cluster ------------------------------------------------------------------------------------------------------


def _ready(lab: Lab) -> None:
    """The cluster is there, with its first three add-ons, as EKS makes them."""
    if CLUSTER not in _eks(lab).list_clusters()["clusters"]:
        done = subprocess.run(
            f"eksctl create cluster --name {CLUSTER} {ORDER}", shell=True, capture_output=True, text=True, timeout=600
        )
        if done.returncode:
            raise LabError(f"{CLUSTER} cannot be made.", done.stderr[-300:], "lab.reset(), then open the lab again")
    _look(lab)
    for name in FIRST:
        if not _as_made(lab, name):
            _install(lab, name)


def _eks(lab: Lab) -> Any:
    """One client for a check: to make one costs a third of a second, and checks ask again and again."""
    if not _clients:
        _clients.append(lab.aws("eks"))
    return _clients[0]


_clients: list[Any] = []


def _look(lab: Lab) -> None:
    """After a kernel has started again, this lab looks at no cluster yet."""
    try:
        here = lab.cluster.name
    except LabError:
        here = ""
    if not here.startswith(f"eks-{CLUSTER}"):
        if CLUSTER not in _eks(lab).list_clusters()["clusters"]:
            raise CheckFailed(f"There is no cluster {CLUSTER}.", next_step="set the scene again: it makes it anew")
        lab.use(CLUSTER)


def _shown(lab: Lab, name: str) -> Object:
    eks = _eks(lab)
    try:
        return dict(eks.describe_addon(clusterName=CLUSTER, addonName=name)["addon"])
    except eks.exceptions.ResourceNotFoundException:
        return {"status": "gone", "addonVersion": "gone", "health": {"issues": []}}


def _settled(lab: Lab, name: str) -> Object:
    """An add-on that nothing is being done to.

    Raises:
        CheckFailed: there is none.
    """
    if not _wait(lambda: _shown(lab, name)["status"] not in BUSY, PATIENCE):
        raise CheckFailed(f"EKS is still at work on {name}.", _shown(lab, name)["status"], "in a moment, check once more")
    shown = _shown(lab, name)
    if shown["status"] == "gone":
        raise CheckFailed(f"There is no add-on {name} any more.", next_step="set the scene again, or create it")
    return shown


def _install(lab: Lab, name: str, version: str = "", values: Object | None = None) -> None:
    """An add-on of EKS's making, whatever was changed by hand."""
    eks, of = _eks(lab), {"clusterName": CLUSTER, "addonName": name}
    _wait(lambda: _shown(lab, name)["status"] not in BUSY, 60)
    before, wanted = _shown(lab, name), json.dumps(values or {})
    more = {"configurationValues": wanted, "resolveConflicts": "OVERWRITE"} | ({"addonVersion": version} if version else {})
    if before["status"] == "gone":
        eks.create_addon(**of, **more)
    else:
        eks.update_addon(**of, **more)
    _wait(lambda: _shown(lab, name)["status"] not in BUSY, 60)


def _as_made(lab: Lab, name: str) -> bool:
    """Whether an add-on of the first three is there, well, without settings, and nobody else has set a field of it."""
    shown, item = _shown(lab, name), lab.kube.find(*FIRST[name], SYSTEM)
    if shown["status"] != "ACTIVE" or item is None or json.loads(shown.get("configurationValues") or "{}"):
        return False
    return {one["manager"] for one in item["metadata"]["managedFields"]} <= {"eks", "kube-controller-manager"}


def _remove(lab: Lab, name: str) -> None:
    if _shown(lab, name)["status"] != "gone":
        _wait(lambda: _shown(lab, name)["status"] not in BUSY, 60)
        _eks(lab).delete_addon(clusterName=CLUSTER, addonName=name)
        _wait(lambda: _shown(lab, name)["status"] == "gone", 60)


def _size(lab: Lab, nodes: int) -> None:
    """The node group has so many nodes, and they are in the cluster."""
    eks, of = _eks(lab), {"clusterName": CLUSTER, "nodegroupName": GROUP}
    _wait(lambda: eks.describe_nodegroup(**of)["nodegroup"]["status"] == "ACTIVE", 60)
    eks.update_nodegroup_config(**of, scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": nodes})
    _wait(lambda: eks.describe_nodegroup(**of)["nodegroup"]["status"] == "ACTIVE", 90)
    _wait(lambda: len(lab.kube.list("nodes")) == nodes, 60)


def _unready(lab: Lab) -> list[Object]:
    return [node for node in lab.kube.list("nodes") if _condition(node).get("status") != "True"]


def _condition(node: Object) -> Object:
    found = node["status"].get("conditions", [])
    return next((dict(one) for one in found if one["type"] == "Ready"), {})


def _why(node: Object) -> str:
    return str(_condition(node).get("message", ""))


def _image(lab: Lab) -> str:
    item = lab.kube.get("deployment", "coredns", SYSTEM)
    return str(item["spec"]["template"]["spec"]["containers"][0]["image"])


def _available(lab: Lab, name: str) -> int:
    item = lab.kube.find("deployment", name, SYSTEM)
    status = item["status"] if item else {}
    return int(status.get("availableReplicas", 0)) if status.get("unavailableReplicas", 0) == 0 else 0


def _path(plural: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{SYSTEM}/{plural}/{name}"


def _by_hand(lab: Lab, path: str, change: Object) -> None:
    """A change as `kubectl edit` makes it: the field belongs to somebody else then."""
    lab.kube.raw("PATCH", f"{path}?fieldManager=kubectl-edit", change, "application/strategic-merge-patch+json")


def _wait(holds: Callable[[], object], seconds: float) -> bool:
    """Wait until something holds, or so long; whether it does."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True
