"""A crowd of nodes and Pods in a moment: copies of one real node and one real Pod, written into etcd.

Ten thousand Pods through the control plane keep two processors busy for many minutes, and what is measured with them is
how the API server's answer is read and drawn. To it, these are as real as the two that they are copies of.
"""

from __future__ import annotations

import base64
import json
import urllib.request
import uuid

from lab_helpers.clusters import Cluster, kwokctl
from lab_helpers.kube import Kube


def fill(cluster: Cluster, nodes: int, pods: int) -> None:
    """Copy the cluster's only node (`node-0000`) and only Pod. Stop whoever would look after them before."""
    kube = Kube(cluster.kubeconfig)
    (node,), (pod,) = kube.list("nodes"), kube.list("pods")
    uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]

    def another_node(number: int) -> dict[str, str]:
        return {"node-0000": f"node-{number:04d}", node["metadata"]["uid"]: str(uuid.uuid4())}

    def another_pod(number: int) -> dict[str, str]:
        return {name: f"{name[:-5]}{number:05d}", "node-0000": f"node-{number % nodes:04d}", uid: str(uuid.uuid4())}

    _copy(cluster, "/registry/minions/node-0000", [another_node(number) for number in range(1, nodes)])
    _copy(cluster, f"/registry/pods/default/{name}", [another_pod(number) for number in range(1, pods)])


def _copy(cluster: Cluster, key: str, others: list[dict[str, str]]) -> None:
    """Copies of one stored object, with other names of the same length (they are protocol buffers)."""
    (found,) = _etcd(cluster, "range", {"key": _text(key.encode())})["kvs"]
    original, puts = base64.b64decode(found["value"]), []
    for words in others:
        value, place = original, key
        for old, new in words.items():
            value, place = value.replace(old.encode(), new.encode()), place.replace(old, new)
        puts.append({"requestPut": {"key": _text(place.encode()), "value": _text(value)}})
    for first in range(0, len(puts), 100):  # etcd takes 128 operations at once
        _etcd(cluster, "txn", {"success": puts[first : first + 100]})


def _etcd(cluster: Cluster, call: str, body: dict) -> dict:
    url = f"http://127.0.0.1:{kwokctl.port(cluster.folder, 'etcd')}/v3/kv/{call}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return json.load(direct.open(request, timeout=60))


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
