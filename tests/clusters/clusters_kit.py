"""What the tests of clusters share: shapes, and looking at what runs."""

from __future__ import annotations

import psutil

from lab_helpers.clusters import NodeShape, Profile
from lab_helpers.kube import Kube

ONE = Profile((NodeShape("node-1"),))
ALL = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller")


def quiet(line: str) -> None:
    pass


def running_for(folder) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(f"{folder}/" in word for word in words):
            found.append(" ".join(words)[:100])
    return found


def pod_runs(cluster, name: str) -> None:
    kube = Kube(cluster.kubeconfig)
    spec = {"containers": [{"name": "app", "image": "app"}]}
    kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    kube.wait_for("pod", name, "Ready", deadline=60)


def listening(pids: set[int]) -> list[tuple[str, int]]:
    return [
        (c.laddr.ip, c.laddr.port) for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.pid in pids
    ]
