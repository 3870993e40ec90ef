"""kind's configuration of a control plane made from a profile. Facts: kind v0.33.0, kubeadm v1beta4.

The nodes of the profile are not in it: worker.py joins each by itself, with the name, zone and size that the lab asks for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lab_helpers.clusters import relay
from lab_helpers.clusters.audit_policy import AUDIT_POLICY
from lab_helpers.clusters.provider import Profile

LAB = "/kind/lab"
"""The lab's own folder inside the control plane's machine."""

AUDIT_LOG = f"{LAB}/audit/audit.log"
ETCD_PORT = 2379
PROXY_PORT = 30999
"""Node port of the proxy that takes a cell's `curl http://web.shop` into the cluster."""

RELAY = "/kind/relay"
"""Where the sockets lie that lead to this machine's loopback (relay.py)."""

_NOTHING: dict[str, Any] = {"disableDefaultCNI": True, "kubeProxyMode": "none"}
_SECTIONS = {"kube-apiserver": "apiServer", "kube-controller-manager": "controllerManager", "kube-scheduler": "scheduler"}


def write(folder: Path, name: str, profile: Profile, ports: dict[int, int], patches: dict[str, list[str]]) -> Path:
    """Write the configuration and the audit policy into `folder`; the configuration's path.

    Args:
        ports: port of the control plane's machine → port of 127.0.0.1 on this one.
        patches: what the machine needs besides (nodeimage.patches).
    """
    policy = folder / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(AUDIT_POLICY))
    configuration: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": name,
        "networking": {"apiServerAddress": "127.0.0.1", **(_NOTHING if profile.managed else {})},
        **patches,
        "kubeadmConfigPatches": [*_kubeadm(profile), *patches.get("kubeadmConfigPatches", [])],
        "nodes": [
            {
                "role": "control-plane",
                "extraMounts": _mounts(folder, profile, policy),
                "extraPortMappings": [
                    {"containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1"}
                    for inside, outside in ports.items()
                ],
            }
        ],
    }
    path = folder / "kind.yaml"
    path.write_text(yaml.safe_dump(configuration, sort_keys=False))
    return path


def _mounts(folder: Path, profile: Profile, policy: Path) -> list[dict[str, Any]]:
    """What of this machine the control plane's machine sees."""
    same = [{"hostPath": file, "containerPath": file, "readOnly": True} for file in profile.files]
    # The folder, not the sockets in it: a relay that starts again makes new ones.
    sockets = [{"hostPath": str(relay.folder(folder)), "containerPath": RELAY}] if profile.reaches else []
    return [{"hostPath": str(policy), "containerPath": f"{LAB}/audit-policy.yaml", "readOnly": True}, *same, *sockets]


def _kubeadm(profile: Profile) -> list[str]:
    """What kubeadm is told besides what kind tells it."""
    phases = {"kind": "InitConfiguration", "skipPhases": ["preflight", "addon/coredns", "addon/kube-proxy"]}
    return [yaml.safe_dump(part) for part in (_cluster_configuration(profile), *([phases] if profile.managed else []))]


def _cluster_configuration(profile: Profile) -> dict[str, Any]:
    """kubeadm's ClusterConfiguration: what the lab adds, and what the profile asks for."""
    arguments: dict[str, dict[str, str]] = {
        "kube-apiserver": {
            "audit-policy-file": f"{LAB}/audit-policy.yaml",
            "audit-log-path": AUDIT_LOG,
            "audit-log-maxsize": "50",
            "audit-log-maxbackup": "1",
        },
        # One of each: an election would only make a restart wait 15 s for the old lease.
        "kube-controller-manager": {"leader-elect": "false"},
        "kube-scheduler": {"leader-elect": "false"},
    }
    for component, more in profile.arguments.items():
        arguments.setdefault(component, {}).update(more)
    sections: dict[str, Any] = {
        _SECTIONS[component]: {"extraArgs": [{"name": key, "value": str(value)} for key, value in values.items()]}
        for component, values in arguments.items()
        if component in _SECTIONS
    }
    if "etcd" in arguments:
        sections["etcd"] = {"local": {"extraArgs": [{"name": k, "value": str(v)} for k, v in arguments["etcd"].items()]}}
    sections["apiServer"]["extraVolumes"] = [
        {"name": "lab", "hostPath": LAB, "mountPath": LAB, "pathType": "DirectoryOrCreate"},
        *(
            {"name": f"file-{number}", "hostPath": file, "mountPath": file, "readOnly": True, "pathType": "File"}
            for number, file in enumerate(profile.files)
        ),
    ]
    return {"kind": "ClusterConfiguration", **sections}
