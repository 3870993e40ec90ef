"""What the lab puts into a kind cluster of its own: the way in for `curl http://web.shop`, and metrics-server."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from lab_helpers.clusters import images, kindconfig
from lab_helpers.clusters.ports import way_in
from lab_helpers.clusters.provider import Cluster, Profile
from lab_helpers.kube import Kube
from lab_helpers.processes import wait_until

_METRICS = Path(__file__).parent / "manifests" / "metrics-server.yaml"
_METRICS_NEWS = "/apis/metrics.k8s.io/v1beta1/nodes"


def has_way_in(profile: Profile) -> bool:
    """Whether Pods of this cluster are meant to be reached from this machine."""
    return any(shape.runs == "programs" for shape in profile.nodes)


def install(cluster: Cluster, kube: Kube) -> None:
    """Install what the cluster's profile asks for."""
    if has_way_in(cluster.profile):
        token = cluster.folder / "proxy-token"
        token.write_text(secrets.token_hex(12))
        token.chmod(0o600)
        kube.apply(_proxy(token.read_text()))
    if cluster.profile.metrics:
        kube.apply(_METRICS)


def wait(cluster: Cluster, kube: Kube) -> None:
    """Wait until there are figures of every real node: a HorizontalPodAutoscaler that asks before would be told nothing."""
    if cluster.profile.metrics:
        real = sum(shape.runs != "nothing" for shape in cluster.profile.nodes)
        wait_until(lambda: _measured(kube) >= real, deadline=120, what="metrics-server: figures of every node")


def _measured(kube: Kube) -> int:
    from lab_helpers.errors import KubernetesError

    try:
        return len(kube.raw("GET", _METRICS_NEWS).get("items", []))
    except KubernetesError:
        return 0  # the API server cannot reach it yet


def environment(cluster: Cluster) -> dict[str, str]:
    """Variables by which programs on this machine reach the cluster's Services by name."""
    if not has_way_in(cluster.profile):
        return {}
    port = json.loads((cluster.folder / "ports.json").read_text())[str(kindconfig.PROXY_PORT)]
    token = (cluster.folder / "proxy-token").read_text()
    return way_in(f"http://default:{token}@127.0.0.1:{port}")


def _proxy(token: str) -> dict[str, Any]:
    """A Pod on the control plane's machine and in its network, where a port of this machine's 127.0.0.1 leads."""
    image = next(name for name, image in images.IMAGES.items() if image.program == "proxy")
    name = "lab-proxy"
    container = {
        "name": "proxy",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "PORT", "value": str(kindconfig.PROXY_PORT)}, {"name": "TOKEN", "value": token}],
        "readinessProbe": {"tcpSocket": {"port": kindconfig.PROXY_PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "hostNetwork": True,
                    "dnsPolicy": "ClusterFirstWithHostNet",
                    # A question that is lost while kube-proxy writes its rules anew is asked again before a client gives up.
                    "dnsConfig": {"options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "4"}]},
                    "priorityClassName": "system-cluster-critical",
                    "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
                    "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
                    "containers": [container],
                },
            },
        },
    }
