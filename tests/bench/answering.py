"""Figures of Pods that answer on process nodes: from created to Ready, and a thousand requests through a Service."""

from __future__ import annotations

import statistics
import time
import urllib.request
from collections import Counter

from lab_helpers.clusters import NodeShape, Profile
from lab_helpers.clusters.embedded import Embedded
from lab_helpers.kube import Kube
from lab_helpers.processes import wait_until

Row = tuple[str, str, str, bool]
NODES = tuple(NodeShape(f"worker-{number}", zone=zone, runs="programs") for number, zone in enumerate("ab", 1))
PODS, REQUESTS = 3, 1000


def pod(name: str) -> dict:
    """A web server with a readiness probe."""
    probe = {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1}
    container = {"name": "web", "image": "lab.local/web:1.0", "ports": [{"containerPort": 8080}], "readinessProbe": probe}
    meta = {"name": name, "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}


def to_ready(kube: Kube, name: str) -> float:
    """Seconds from a Pod's creation until it is Ready, seen by a watch."""
    events = kube.watch("pods", "default")
    began = time.monotonic()
    kube.create(pod(name))
    for _, item in events:
        said = {entry["type"]: entry["status"] for entry in item.get("status", {}).get("conditions", [])}
        if item["metadata"]["name"] == name and said.get("Ready") == "True":
            events.close()
            return time.monotonic() - began
    raise AssertionError("the watch ended")


def ask(opener: urllib.request.OpenerDirector) -> str:
    """Who answered, or what went wrong."""
    try:
        with opener.open("http://web.default/hostname", timeout=10) as answer:
            return answer.read().decode().strip()
    except OSError as error:
        return f"error: {error}"


def rows(maker: Embedded, say) -> list[Row]:
    """Both figures, from one cluster."""
    cluster = maker.create("answering", Profile(NODES), say)
    kube = Kube(cluster.kubeconfig)
    seconds = [to_ready(kube, f"web-{number}") for number in range(PODS + 10)]
    for number in range(PODS, PODS + 10):
        kube.delete("pod", f"web-{number}", wait=False)
    kube.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
    )
    proxy = maker.environment(cluster)["http_proxy"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    wanted = {f"web-{number}" for number in range(PODS)}
    wait_until(lambda: {ask(opener) for _ in range(20)} == wanted, deadline=60, what="exactly the three Pods answer")
    began = time.monotonic()
    answered = Counter(ask(opener) for _ in range(REQUESTS))
    took = time.monotonic() - began
    errors = sum(count for who, count in answered.items() if who not in wanted)
    spread = "/".join(str(answered[who]) for who in sorted(wanted))
    # Four standard deviations of a fair choice: 1000 requests over 3 Pods are 333 ± 60.
    fair = all(abs(answered[who] - REQUESTS / PODS) <= 60 for who in wanted)
    median = statistics.median(seconds)
    return [
        ("Pod created to Ready, process node", f"{median * 1000:.0f} ms (median of {len(seconds)})", "≤ 1 s", median <= 1),
        (
            f"{REQUESTS} requests through a Service",
            f"{spread}, {errors} errors, {took:.1f} s",
            "0 errors",
            fair and errors == 0,
        ),
    ]
