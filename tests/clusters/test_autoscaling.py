"""The autoscaler at work on a real API server: the ninth Pod, the Pod that no group can hold, and nodes that go again."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace

import pytest
import yaml

from lab_helpers import processes
from lab_helpers.autoscaling.decisions import TO_BE_DELETED
from lab_helpers.autoscaling.groups import LABEL, LabGroup
from lab_helpers.autoscaling.loop import Autoscaler
from lab_helpers.autoscaling.options import Options
from lab_helpers.autoscaling.status import Lease
from lab_helpers.clusters import NodeShape
from lab_helpers.kube import ready
from lab_helpers.processes import wait_until

SHAPE = NodeShape("any", cpu="4", memory="16Gi", pods=4)
OPTIONS = Options(
    scan_interval=0.5,
    scale_down_unneeded_time=2,
    scale_down_delay_after_add=1,
    scale_down_delay_after_failure=1,
    node_delete_delay_after_taint=0,
)


@pytest.fixture
def at_work(shared):
    """(Kube, group, lines) of an autoscaler that runs: nodes for four Pods each, two of them there already."""
    maker, cluster, kube = shared
    for number in (1, 2, 3):
        kube.patch("node", f"node-{number}", {"spec": {"unschedulable": True}})
    lines: list[str] = []
    group = LabGroup("workers", 0, 4, SHAPE, maker, cluster, kube, boot=1.0, say=lines.append)
    group.set_desired(2)
    _until(lambda: _ready(kube) == 2, "two nodes")
    stop = threading.Event()
    scaler = Autoscaler(kube, lambda: [group], OPTIONS, lines.append)
    thread = threading.Thread(target=scaler.run, args=(stop,))
    thread.start()
    yield kube, group, lines
    stop.set()
    thread.join(60)
    group.close()
    for item in kube.list("deployments", "default"):
        kube.delete("deployment", item["metadata"]["name"])
    for node in kube.list("nodes", labels=LABEL):
        maker.remove_node(cluster, node["metadata"]["name"])


def _until(holds, what: str, seconds: float = 60) -> None:
    wait_until(holds, deadline=seconds, what=what)


def _ready(kube) -> int:
    return sum(ready(node) for node in kube.list("nodes", labels=LABEL))


def _deploy(kube, name: str, replicas: int, cpu: str = "500m") -> None:
    container = {"name": "app", "image": "app", "resources": {"requests": {"cpu": cpu}}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}, force=True)


def _events(kube, reason: str) -> list[str]:
    return [event["message"] for event in kube.list("events", fields=f"reason={reason}")]


def _placed(kube, name: str) -> int:
    return sum("nodeName" in pod["spec"] for pod in kube.list("pods", "default", labels=f"app={name}"))


def test_the_ninth_pod_gets_a_node_of_its_own_and_the_node_goes_with_it(at_work):
    kube, group, lines = at_work
    _deploy(kube, "web", 8)
    _until(lambda: _placed(kube, "web") == 8, "eight Pods on two nodes")
    assert group.size == 2, "no more than needed"
    kube.patch("deployment", "web", {"spec": {"replicas": 9}})
    _until(lambda: _placed(kube, "web") == 9, "the ninth Pod")
    assert group.size == 3 and _ready(kube) == 3, lines
    assert any("workers 2->3 (max: 4)" in message for message in _events(kube, "TriggeredScaleUp"))
    table = yaml.safe_load(kube.get("configmap", "cluster-autoscaler-status", "kube-system")["data"]["status"])
    assert table["nodeGroups"][0]["health"]["maxSize"] == 4

    kube.patch("deployment", "web", {"spec": {"replicas": 2}})
    _until(lambda: _ready(kube) == 1, "one node that is left", 90)
    _until(lambda: _placed(kube, "web") == 2, "both Pods, moved where it was needed")
    assert group.size == 1
    assert any("removed" in message for message in [*_events(kube, "ScaleDown"), *_events(kube, "ScaleDownEmpty")])


def test_a_pod_that_no_group_can_hold_says_why(at_work):
    kube, group, _ = at_work
    _deploy(kube, "huge", 1, cpu="64")
    wanted = "pod didn't trigger scale-up: 1 Insufficient cpu"
    _until(lambda: wanted in _events(kube, "NotTriggerScaleUp"), "the event")
    assert group.size <= 2


def test_a_taint_of_an_autoscaler_that_was_killed_is_taken_away(shared):
    _, _, kube = shared
    mark = {"key": TO_BE_DELETED, "value": "1", "effect": "NoSchedule"}
    before = kube.get("node", "node-1")["spec"].get("taints") or []
    kube.patch("node", "node-1", {"spec": {"taints": [*before, mark]}})
    assert Autoscaler(kube, list, OPTIONS, lambda line: None).clean_up()
    assert mark["key"] not in [taint["key"] for taint in kube.get("node", "node-1")["spec"].get("taints") or []]


def test_only_one_autoscaler_acts(shared):
    _, _, kube = shared
    first, second = Lease(kube), Lease(kube)
    assert first.hold() and first.hold()
    assert not second.hold()
    first.release()
    assert second.hold()
    assert not first.hold()
    second.release()


def test_a_node_is_kept_when_a_budget_forbids_it(at_work):
    kube, group, _ = at_work
    _deploy(kube, "pay", 1)
    _until(lambda: _placed(kube, "pay") == 1, "the Pod")
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "pay"}}
    kube.create({**budget, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "pay"}}}})
    home = kube.list("pods", "default", labels="app=pay")[0]["spec"]["nodeName"]
    _until(lambda: group.size == 1, "the other node to go", 60)
    time.sleep(4)
    assert kube.find("node", home) is not None
    table = yaml.safe_load(kube.get("configmap", "cluster-autoscaler-status", "kube-system")["data"]["status"])
    stays = table["nodesThatStay"][home]
    assert stays.startswith("BlockedByPod default/pay-") and stays.endswith("NotEnoughPdb")
    kube.delete("poddisruptionbudget", "pay")


@pytest.fixture
def processes_of(shared, tmp_path, monkeypatch):
    """Starts the loop as a process of its own beside one node of its group; all of them are ended, node and Pod too."""
    maker, cluster, kube = shared
    for number in (1, 2, 3):
        kube.patch("node", f"node-{number}", {"spec": {"unschedulable": True}})
    monkeypatch.setenv("XDG_DATA_HOME", str(next(one.parent for one in cluster.folder.parents if one.name == "eks-lab")))
    groups = tmp_path / "groups.yaml"
    groups.write_text('- {name: drained, max: 3, cpu: "4", memory: 16Gi, pods: 4}\n')
    command = [sys.executable, "-m", "lab_helpers.autoscaling", "--cluster", cluster.name, "--groups", str(groups)]
    command += ["--scan-interval=0.5s", "--scale-down-delay-after-add=0s", "--scale-down-delay-after-failure=1s"]
    shape = NodeShape("drained-1", cpu="4", memory="16Gi", pods=4, runs="nothing", labels={LABEL: "drained"})
    for name in ("drained-1", "drained-2"):
        maker.add_node(cluster, replace(shape, name=name))
    started = []

    def start(name: str, *flags: str):
        started.append(processes.start(name, [*command, *flags], folder=tmp_path))
        return started[-1]

    yield start
    for process in started:
        processes.stop(process)
    for item in kube.list("deployments", "default"):
        kube.delete("deployment", item["metadata"]["name"])
    for pod in kube.list("pods", "default"):
        kube.patch("pod", pod["metadata"]["name"], {"metadata": {"finalizers": None}})
    for name in ("drained-1", "drained-2"):
        if kube.find("node", name):
            maker.remove_node(cluster, name)


def _tainted(kube) -> list[str]:
    found = {node["metadata"]["name"]: node["spec"].get("taints") or [] for node in kube.list("nodes")}
    return [name for name, taints in found.items() if TO_BE_DELETED in [taint["key"] for taint in taints]]


def test_killed_in_the_middle_of_a_drain_and_started_twice_it_leaves_no_node_tainted(shared, processes_of):
    """A Pod that does not go holds the drain; the next loop waits for the dead one's lease, the one after that for the next."""
    kube = shared[2]
    container = {"name": "app", "image": "app", "resources": {"requests": {"cpu": "1"}}}
    template = {"metadata": {"labels": {"app": "slow"}, "finalizers": ["lab.local/slow"]}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "slow"}}, "template": template}
    kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "slow"}, "spec": spec}, force=True)
    _until(lambda: _placed(kube, "slow") == 2, "both Pods")
    first = processes_of("first", "--scale-down-unneeded-time=0s")
    wait_until(lambda: _tainted(kube), deadline=60, what="a drain", seen=lambda: processes.tail(first.log))
    home = _tainted(kube)[0]
    _until(lambda: [p for p in kube.list("pods", "default") if "deletionTimestamp" in p["metadata"]], "an eviction")
    processes.stop(first, kill=True)
    assert _tainted(kube) == [home] and kube.find("node", home), "killed, it cannot clean up"

    second = processes_of("second", "--scale-down-enabled=false")
    _until(lambda: not _tainted(kube), "the taint is taken away")
    assert "taint of an earlier run taken away" in processes.tail(second.log) and kube.find("node", home)
    third = processes_of("third", "--scale-down-enabled=false")
    _until(lambda: "another autoscaler is at work" in processes.tail(third.log), "the third steps back")
    processes.stop(second)
    status = "cluster-autoscaler-status"
    before = kube.get("configmap", status, "kube-system")["metadata"]["resourceVersion"]
    _until(lambda: kube.get("configmap", status, "kube-system")["metadata"]["resourceVersion"] != before, "it takes over", 10)
