"""metrics-server beside an embedded cluster: a local process that the API server asks for metrics.k8s.io."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from lab_helpers import toolchain
from lab_helpers.clusters.processnode.launch import LABEL
from lab_helpers.kube import Kube

NAME = "metrics-server"
_API = "v1beta1.metrics.k8s.io"


def prepare(folder: Path, port: int) -> None:
    """Choose its port, once for the cluster's life."""
    (folder / "metrics.json").write_text(json.dumps({"port": port}))


def wanted(folder: Path) -> bool:
    """Whether the cluster has one."""
    return (folder / "metrics.json").exists()


def _port(folder: Path) -> int:
    return int(json.loads((folder / "metrics.json").read_text())["port"])


def command(folder: Path) -> list[str]:
    """Program and arguments."""
    pki, config = folder / "pki", str(folder / "kubeconfig.yaml")
    arguments = {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "secure-port": str(_port(folder)),
        "tls-cert-file": f"{pki}/admin.crt",
        "tls-private-key-file": f"{pki}/admin.key",
        "kubelet-certificate-authority": f"{pki}/ca.crt",
        "kubelet-client-certificate": f"{pki}/admin.crt",
        "kubelet-client-key": f"{pki}/admin.key",
        "kubelet-preferred-address-types": "InternalIP",
        "metric-resolution": "10s",  # the shortest it takes
        "kubelet-request-timeout": "5s",
        "node-selector": LABEL,  # simulated nodes would only be errors in its log
    }
    return [
        str(toolchain.path(NAME)),
        *(f"--{key}={value}" for key, value in arguments.items()),
        "--kubelet-use-node-status-port",
    ]


def register(folder: Path, kube: Kube) -> None:
    """Tell the API server where metrics.k8s.io is answered: an ExternalName Service that leads to this machine."""
    port = _port(folder)
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": "kube-system"},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"name": "https", "port": port}]},
    }
    registration: dict[str, Any] = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": _API},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,  # its certificate is the administrator's, which names no host
            "service": {"name": NAME, "namespace": "kube-system", "port": port},
        },
    }
    kube.apply([service, registration])


def answers(folder: Path, timeout: float = 2.0) -> bool:
    """Whether it lives. Ready it is only when it has metrics of a node, which a cluster may have none of."""
    context = ssl._create_unverified_context()
    try:
        connection = http.client.HTTPSConnection("127.0.0.1", _port(folder), timeout=timeout, context=context)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return False
