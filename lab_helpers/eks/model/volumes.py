"""A claim becomes an EBS volume, or an access point of an EFS file system, where the driver that its class names runs.

Two add-ons bring a driver each. Where its controller has no Pod that is available, nobody makes a volume and nobody deletes
one: the claim stays Pending, a volume stays in the account, as at work. An EBS volume is in the zone of the node that the
claim's first Pod was put on, and is for one node alone. On kind it holds what Pods write: it is a folder of this computer.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from moto.efs.models import efs_backends

from lab_helpers.eks import changes, plane
from lab_helpers.eks.model import events
from lab_helpers.eks.model.account import Account, Cluster
from lab_helpers.eks.model.network import REFUSALS, ec2
from lab_helpers.errors import KubernetesError
from lab_helpers.kube import Kube

Object = dict[str, Any]

EBS, EFS = "ebs.csi.aws.com", "efs.csi.aws.com"
_CONTROLLERS = {EBS: "ebs-csi-controller", EFS: "efs-csi-controller"}
_SELECTED = "volume.kubernetes.io/selected-node"
_told: set[tuple[str, str]] = set()  # claims whose refusal was told, with its words


class _Refused(Exception):
    """The driver cannot do what the claim asks for."""


def look(account: Account, cluster: Cluster, kube: Kube) -> None:
    """Make what is claimed, and delete what is claimed no more."""
    drivers = {driver for driver, name in _CONTROLLERS.items() if _runs(kube, name)}
    if not drivers:
        return
    classes = {item["metadata"]["name"]: item for item in kube.list("storageclasses") if item.get("provisioner") in drivers}
    claims = {item["metadata"]["uid"]: item for item in kube.list("persistentvolumeclaims")}
    for uid, claim in claims.items():
        kind = classes.get(claim["spec"].get("storageClassName", ""))
        if uid not in cluster.volumes and kind and not claim["spec"].get("volumeName"):
            node = claim["metadata"].get("annotations", {}).get(_SELECTED)
            if kind.get("volumeBindingMode") != "WaitForFirstConsumer" or node:
                _provision(account, cluster, kube, claim, kind, node)
    for uid in set(cluster.volumes) - set(claims):
        if (EFS if cluster.volumes[uid].startswith("fsap-") else EBS) in drivers:
            _remove(account, cluster, kube, uid)


def _runs(kube: Kube, controller: str) -> bool:
    item = kube.find("deployment", controller, "kube-system")
    return bool(item and item.get("status", {}).get("availableReplicas"))


def _provision(account: Account, cluster: Cluster, kube: Kube, claim: Object, kind: Object, node: str | None) -> None:
    driver = kind["provisioner"]
    make = _ebs if driver == EBS else _efs
    try:
        number, spec = make(account, cluster, kube, claim, kind, node)
    except _Refused as refused:
        words = f'failed to provision volume with StorageClass "{kind["metadata"]["name"]}": rpc error: {refused}'
        if (claim["metadata"]["uid"], words) not in _told:
            _told.add((claim["metadata"]["uid"], words))
            events.warn(kube, claim, "ProvisioningFailed", words, f"{driver}_{_CONTROLLERS[driver]}")
        return
    cluster.volumes[claim["metadata"]["uid"]] = number
    if cluster.provider == "kind":
        spec = _folder(cluster, number, spec)
    kube.create(_volume(claim, kind, spec))
    changes.changed()


def _volume(claim: Object, kind: Object, spec: Object) -> Object:
    meta, driver = claim["metadata"], kind["provisioner"]
    reference = {key: meta[key] for key in ("name", "namespace", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{meta['uid']}", "annotations": {"pv.kubernetes.io/provisioned-by": driver}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": kind.get("reclaimPolicy", "Delete"),
            "storageClassName": kind["metadata"]["name"],
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
            **spec,
        },
    }


def _folder(cluster: Cluster, number: str, spec: Object) -> Object:
    """The volume as a folder of this computer, which every machine of the cluster sees: no driver of AWS's runs in them."""
    plane.volume(cluster.local, number)
    where = {"hostPath": {"path": f"{plane.VOLUMES}/{number}", "type": "Directory"}}
    return {**{key: value for key, value in spec.items() if key != "csi"}, **where}


def _ebs(account: Account, cluster: Cluster, kube: Kube, claim: Object, kind: Object, node: str | None) -> tuple[str, Object]:
    meta, text = claim["metadata"], claim["spec"]["resources"]["requests"]["storage"]
    if not set(claim["spec"]["accessModes"]) <= {"ReadWriteOnce", "ReadWriteOncePod"}:
        words = "Volume capabilities not supported. Only AccessModes[ReadWriteOnce] supported for a file system."
        raise _Refused(f"code = InvalidArgument desc = {words}")
    zone = kube.get("node", node)["metadata"]["labels"]["topology.kubernetes.io/zone"] if node else f"{account.region_name}a"
    gib = max(1, int(float(re.sub(r"\D+$", "", text))))
    volume = ec2(account).create_volume(gib, zone, volume_type=(kind.get("parameters") or {}).get("type", "gp3"))
    tags = {
        "Name": f"{cluster.name}-dynamic-pvc-{meta['uid']}",
        f"kubernetes.io/cluster/{cluster.name}": "owned",
        "kubernetes.io/created-for/pvc/name": meta["name"],
        "kubernetes.io/created-for/pvc/namespace": meta["namespace"],
        "ebs.csi.aws.com/cluster": "true",
    }
    ec2(account).create_tags([volume.id], tags)
    here = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
    return str(volume.id), {
        "csi": {"driver": EBS, "volumeHandle": volume.id, "fsType": "ext4"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }


def _efs(account: Account, cluster: Cluster, kube: Kube, claim: Object, kind: Object, node: str | None) -> tuple[str, Object]:
    backend, asked = efs_backends[account.account_id][account.region_name], kind.get("parameters") or {}
    system = asked.get("fileSystemId", "")
    if asked.get("provisioningMode") != "efs-ap":
        mode = asked.get("provisioningMode", "")
        raise _Refused(f"code = InvalidArgument desc = Provisioning mode {mode!r} is not supported. Only efs-ap is supported.")
    if system not in backend.file_systems_by_id:
        raise _Refused(f"code = InvalidArgument desc = File System does not exist: {system!r}")
    uid = claim["metadata"]["uid"]
    root = {"Path": f"/pvc-{uid}", "CreationInfo": {"OwnerUid": 1000, "OwnerGid": 1000, "Permissions": "700"}}
    tags = [{"Key": "efs.csi.aws.com/cluster", "Value": "true"}]
    point = backend.create_access_point(uid, tags, system, {"Uid": 1000, "Gid": 1000}, root)
    return str(point.access_point_id), {"csi": {"driver": EFS, "volumeHandle": f"{system}::{point.access_point_id}"}}


def _remove(account: Account, cluster: Cluster, kube: Kube, uid: str) -> None:
    number, name = cluster.volumes.pop(uid), f"pvc-{uid}"
    item = kube.find("persistentvolume", name)
    if item is None or item["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
        with suppress(*REFUSALS):
            if number.startswith("fsap-"):
                efs_backends[account.account_id][account.region_name].delete_access_point(number)
            else:
                ec2(account).delete_volume(number)
        with suppress(KubernetesError):
            kube.delete("persistentvolume", name, wait=False)
    changes.changed()
