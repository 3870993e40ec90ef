"""Whether a component of the embedded provider answers for itself: a process that runs may still be dead inside."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path

from lab_helpers.clusters import kwokctl, metrics
from lab_helpers.clusters.processnode import launch

_PATHS = {"etcd": "/health", "kube-apiserver": "/readyz"}


def answers(folder: Path, component: str, timeout: float = 2.0) -> bool:
    """Whether the component says that it is healthy. The Kubernetes client is not used: its import takes 0.7 s."""
    if component == metrics.NAME:
        return metrics.answers(folder, timeout)
    if component == launch.PROXY or launch.node_of(component):
        return launch.answers(folder, component, timeout)
    try:
        port = kwokctl.port(folder, component)
        connection = _connection(folder, component, port, timeout)
        try:
            connection.request("GET", _PATHS.get(component, "/healthz"))
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, StopIteration, ValueError):
        return False


def _connection(folder: Path, component: str, port: int, timeout: float) -> http.client.HTTPConnection:
    if component in ("etcd", "kwok-controller"):
        return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    # Controller manager and scheduler make their serving certificates at each start: there is nothing to verify by.
    context = ssl._create_unverified_context()
    if component == "kube-apiserver":
        # With cafile the system's own certificates are not loaded (80 ms).
        context = ssl.create_default_context(cafile=str(folder / "pki" / "ca.crt"))
        context.load_cert_chain(folder / "pki" / "admin.crt", folder / "pki" / "admin.key")
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
