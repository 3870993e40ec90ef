"""Components of a real control plane: stopped, started, killed, frozen, mended; a reboot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from clusters_kit import ALL, ONE, pod_runs, quiet

from lab_helpers import processes
from lab_helpers.errors import ClusterError, KubernetesError
from lab_helpers.kube import Kube


@pytest.mark.parametrize("component", ALL)
def test_one_component_stops_and_starts(shared, component):
    maker, cluster, _ = shared
    maker.stop(cluster, component)
    assert maker.health(cluster)[component] == "stopped"
    maker.mend(cluster, quiet)
    assert maker.health(cluster)[component] == "stopped", "what the learner stopped stays so"
    maker.start(cluster, component)
    assert maker.health(cluster) == dict.fromkeys(ALL, "running")
    pod_runs(cluster, f"after-{component}")


def test_controllers_work_at_once_when_the_api_server_is_back(shared):
    """client-go's watches back off up to a minute; a learner who looked around meanwhile must not wait for that."""
    maker, cluster, kube = shared
    maker.stop(cluster, "kube-apiserver")
    before = processes.recorded(cluster.folder)["kube-controller-manager"]
    maker.start(cluster, "kube-apiserver")
    assert processes.recorded(cluster.folder)["kube-controller-manager"] != before
    labels = {"app": "back"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    kube.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "back"}, "spec": spec})
    kube.wait_for("deployment", "back", "Available", deadline=30)


def test_an_unknown_component_is_named(shared):
    maker, cluster, _ = shared
    with pytest.raises(ClusterError, match="kubelet"):
        maker.stop(cluster, "kubelet")


def test_a_components_arguments_are_those_it_was_started_with(shared):
    maker, cluster, _ = shared
    assert maker.arguments(cluster, "kube-controller-manager")["node-monitor-grace-period"] == "50s"
    with pytest.raises(ClusterError, match="no component 'kubelet'"):
        maker.arguments(cluster, "kubelet")


@pytest.mark.parametrize(("node", "says"), [("node-1", "it is simulated"), ("nowhere", "There is no node 'nowhere'")])
def test_a_node_without_a_machine_cannot_be_looked_into(shared, node, says):
    maker, cluster, _ = shared
    with pytest.raises(ClusterError, match=says):
        maker.inside(cluster, node)


def test_a_dead_api_server_is_said_in_plain_words(shared):
    maker, cluster, _ = shared
    maker.stop(cluster, "kube-apiserver")
    try:
        with pytest.raises(KubernetesError, match="does not answer") as caught:
            Kube(cluster.kubeconfig).list("pods")
        assert caught.value.status == 0
    finally:
        maker.start(cluster, "kube-apiserver")


def test_a_killed_component_is_seen_and_mended(maker):
    cluster = maker.create("crash", ONE, quiet)
    for component in ("kube-scheduler", "kube-apiserver", "etcd"):
        process = processes.recorded(cluster.folder)[component]
        os.kill(process.pid, signal.SIGKILL)
        processes.wait_until(lambda p=process: not processes.alive(p), deadline=10, what="the end")
    assert maker.health(cluster)["kube-scheduler"] == "dead"
    said: list[str] = []
    maker.mend(cluster, said.append)
    assert any("kube-scheduler" in line for line in said)
    assert maker.health(cluster) == dict.fromkeys(ALL, "running")
    pod_runs(cluster, "mended")


def test_a_frozen_component_is_unhealthy_and_mended(maker):
    cluster = maker.create("frozen", ONE, quiet)
    os.kill(processes.recorded(cluster.folder)["kube-scheduler"].pid, signal.SIGSTOP)
    assert maker.health(cluster)["kube-scheduler"] == "unhealthy"
    maker.mend(cluster, quiet)
    assert maker.health(cluster)["kube-scheduler"] == "running"
    pod_runs(cluster, "thawed")


def test_a_reboot_ends_everything_and_the_cluster_comes_back(maker):
    cluster = maker.create("reboot", ONE, quiet)
    pod_runs(cluster, "before")
    for process in processes.recorded(cluster.folder).values():
        os.kill(process.pid, signal.SIGKILL)
    found = maker.get("reboot")
    processes.wait_until(lambda: set(maker.health(found).values()) == {"dead"}, deadline=10, what="all dead")
    maker.mend(found, quiet)
    assert Kube(found.kubeconfig).get("pod", "before")["status"]["phase"] == "Running"
    began = time.monotonic()
    pod_runs(found, "after")
    # An old lease would have kept the node waiting for 40 s; this bound only tells the two apart.
    assert time.monotonic() - began < 30


def test_a_record_whose_pid_went_to_somebody_else_is_not_touched(maker):
    cluster = maker.create("stale", ONE, quiet)
    scheduler = processes.recorded(cluster.folder)["kube-scheduler"]
    processes.stop(scheduler)
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        fake = processes.Process("kube-scheduler", stranger.pid, scheduler.birth, scheduler.command, scheduler.log)
        processes.record(cluster.folder, fake)
        assert maker.health(cluster)["kube-scheduler"] == "dead"
        maker.delete("stale")
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")
