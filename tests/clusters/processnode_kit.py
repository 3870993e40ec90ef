"""What the tests of process nodes share: manifests, requests through the proxy, kubectl with the lab's environment."""

from __future__ import annotations

import subprocess
import threading
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import psutil

from lab_helpers import toolchain
from lab_helpers.clusters import NodeShape, Profile, environment
from lab_helpers.kube import Kube
from lab_helpers.processes import birth, wait_until

WORKERS = (NodeShape("worker-1", zone="a", runs="programs"), NodeShape("worker-2", zone="b", runs="programs"))
# A lost machine is noticed after ten seconds, not after fifty.
QUICK = {"kube-controller-manager": {"node-monitor-period": "1s", "node-monitor-grace-period": "10s"}}
PROBES = {
    "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
    "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2},
}


def container(image: str = "web:1.0", **more) -> dict:
    name = image.partition(":")[0]
    return {"name": name, "image": f"lab.local/{image}" if "/" not in image else image, **more}


def pod(name: str, image: str = "web:1.0", spec: dict | None = None, **more) -> dict:
    body = {"containers": [container(image, **more)], "terminationGracePeriodSeconds": 2, **(spec or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": body}


def deployment(name: str, replicas: int, image: str = "web:1.0", spec: dict | None = None, **more) -> dict:
    made = pod(name, image, spec, **{**PROBES, **more})
    template = {"metadata": {"labels": {"app": name}}, "spec": made["spec"]}
    body = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def service(name: str, **more) -> dict:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def namespace(kube: Kube, name: str) -> str:
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    wait_until(lambda: kube.find("serviceaccounts", "default", name), deadline=30, what="its service account")
    return name


def available(kube: Kube, name: str, replicas: int, where: str, deadline: float = 60) -> None:
    kube.wait_for(
        "deployment", name, lambda item: item and item["status"].get("availableReplicas", 0) == replicas, where, deadline
    )


def first(item: dict | None) -> dict:
    """The status of a Pod's first container."""
    return ((item or {}).get("status", {}).get("containerStatuses") or [{}])[0]


def reason(item: dict | None) -> str:
    """Why a Pod's first container waits, or how it ended."""
    state = first(item).get("state", {})
    return (state.get("waiting") or state.get("terminated") or {}).get("reason", "")


class Lab:
    """A cluster as a lab has it."""

    def __init__(self, maker, cluster) -> None:
        self.maker, self.cluster, self.kube = maker, cluster, Kube(cluster.kubeconfig)
        self.env = environment(cluster, maker, Path(toolchain.path("kubectl")).parent)

    def kubectl(self, *words: str, good: bool = True) -> str:
        done = subprocess.run(["kubectl", *words], env=self.env, capture_output=True, text=True, timeout=60)
        assert not good or done.returncode == 0, done.stdout + done.stderr
        return done.stdout if good else f"{done.returncode}\n{done.stdout}{done.stderr}"

    def ask(self, url: str, proxy: str | None = None) -> tuple[int, str]:
        """Status and body of one request, through the lab's proxy."""
        handler = urllib.request.ProxyHandler({"http": proxy or self.env["http_proxy"]})
        try:
            with urllib.request.build_opener(handler).open(url, timeout=20) as answer:
                return answer.status, answer.read().decode().strip()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode().strip()

    def spread(self, url: str, count: int) -> Counter:
        """Who answers, and how often."""
        return Counter(self.ask(url)[1] for _ in range(count))

    def pids(self) -> set[int]:
        """Every process of the cluster's process nodes: agents, zygotes, containers, the proxy."""
        return {process.pid for process in psutil.process_iter(["cmdline"]) if self._mine(process.info["cmdline"] or [])}

    def _mine(self, words: list[str]) -> bool:
        return any(f"{self.cluster.folder}/" in word for word in words)

    def process_of(self, name: str, where: str) -> psutil.Process:
        """The process behind a Pod's first container."""
        item = self.kube.get("pod", name, where)
        return psutil.Process(int(first(item)["containerID"].removeprefix("process://").partition("-")[0]))


class Requests:
    """Requests that go on beside a test, twenty a second; `outcomes` counts what came back."""

    def __init__(self, lab: Lab, url: str) -> None:
        self.outcomes: Counter = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(lab, url))

    def _send(self, lab: Lab, url: str) -> None:
        while not self._over.wait(0.05):
            try:
                self.outcomes[lab.ask(url)[0]] += 1
            except OSError as error:
                self.outcomes[type(error).__name__] += 1

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()


def ended(process: psutil.Process) -> bool:
    """Whether a process is gone, or only its parent has not asked for its exit code yet."""
    return birth(process.pid) == "" or not process.is_running()


def profile(**more) -> Profile:
    return Profile(WORKERS, **more)
