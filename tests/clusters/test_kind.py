"""The kind provider on a real engine: one cluster for most of it, since each takes half a minute to make."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from engine_use import engine_use

from lab_helpers import processes, settings
from lab_helpers.clusters import NodeShape, Profile, engine, environment, inventory, nodeimage, worker
from lab_helpers.clusters.kind import Kind
from lab_helpers.errors import ClusterError
from lab_helpers.kube import Kube, ready

SMALL = NodeShape("node-1", cpu="1", memory="1Gi", pods=12, zone="a", labels={"disk": "ssd"}, taints=("team=blue:NoSchedule",))
PROFILE = Profile((SMALL, NodeShape("node-2", cpu="2", memory="2Gi", zone="b", runs="programs")))


def quiet(line: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def maker():
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    before = os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = str(folder)
    made = Kind(replace(settings.load(), provider="kind"))
    with engine_use(alone=False):
        yield made
        made.delete_all()
        engine.clean()
    if before is None:
        del os.environ["XDG_DATA_HOME"]
    else:
        os.environ["XDG_DATA_HOME"] = before
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(maker):
    return maker.create(maker.names_for("05-room", PROFILE)[0], PROFILE, quiet)


@pytest.fixture
def kube(cluster):
    return Kube(cluster.kubeconfig)


def kubectl(maker, cluster, *words: str) -> str:
    from lab_helpers import toolchain

    env = environment(cluster, maker, toolchain.bin_folder(["kubectl", "etcdctl"]))
    return subprocess.run(["kubectl", *words], env=env, capture_output=True, text=True, check=True, timeout=120).stdout


def pod(name: str, image: str = "lab.local/web:1.0", **more) -> dict:
    container = {"name": "web", "image": image, "ports": [{"containerPort": 8080}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **more},
    }


def test_nodes_are_as_the_profile_asks(kube):
    node = kube.get("node", "node-1")
    assert node["status"]["capacity"]["cpu"] == "1"
    assert node["status"]["capacity"]["memory"] == "1Gi"
    assert node["status"]["capacity"]["pods"] == "12"
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "a"
    assert node["metadata"]["labels"]["disk"] == "ssd"
    assert {"key": "team", "value": "blue", "effect": "NoSchedule"} in node["spec"]["taints"]


def test_containers_carry_the_labs_labels_and_everything_listens_on_loopback(maker, cluster):
    names = worker.states(cluster.name)
    assert sorted(names) == sorted([f"{cluster.name}-control-plane", f"{cluster.name}-node-1", f"{cluster.name}-node-2"])
    ports = engine.docker("ps", "--filter", f"label=io.x-k8s.kind.cluster={cluster.name}", "--format", "{{.Ports}}")
    for mapping in ports.replace(",", "\n").split("\n"):
        assert not mapping.strip() or mapping.strip().startswith("127.0.0.1:"), ports


def test_a_pod_answers_by_its_services_name(maker, cluster, kube):
    kube.create(pod("front"))
    kube.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "front"},
            "spec": {"selector": {"app": "front"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
    )
    kube.wait_for("pod", "front", "Ready", deadline=60)
    env = environment(cluster, maker, Path("/nowhere"))

    def asked(url: str) -> str:
        return subprocess.run(["curl", "-s", "-m", "10", url], env=env, capture_output=True, text=True).stdout

    processes.wait_until(lambda: '"front"' in asked("http://front.default/"), deadline=30, what="an answer of front")
    assert '"front"' in asked("http://front/"), "a short name is one of the namespace default"
    assert "DNS knows no" in asked("http://nobody.default/")
    kube.delete("pod", "front")
    processes.wait_until(lambda: "no ready endpoints" in asked("http://front.default/"), deadline=30, what="503")


def test_an_image_that_the_course_does_not_have_is_said(kube):
    kube.create(pod("strange", image="lab.local/nothing:1.0"))
    reasons = ("ErrImagePull", "ImagePullBackOff")
    kube.wait_for("pod", "strange", lambda item: any(word in str(item) for word in reasons), deadline=60)
    kube.delete("pod", "strange")


@pytest.mark.parametrize("component", ["kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"])
def test_a_component_is_stopped_and_started(maker, cluster, component):
    maker.stop(cluster, component)
    assert maker.health(cluster)[component] == "stopped"
    maker.start(cluster, component)
    assert set(maker.health(cluster).values()) == {"running"}


def test_an_unknown_component_gets_the_names(maker, cluster):
    with pytest.raises(ClusterError) as caught:
        maker.stop(cluster, "kube-sheduler")
    assert "kubelet@node-1" in caught.value.next_step


def test_logs_and_audit_are_readable(maker, cluster, kube):
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen-in-audit"}})
    kube.delete("configmap", "seen-in-audit")
    assert "seen-in-audit" in maker.log(cluster, "audit").read_text()
    assert maker.log(cluster, "kube-scheduler").read_text().strip()
    assert maker.log(cluster, "kubelet@node-1").read_text().strip()


def test_etcdctl_is_let_in(maker, cluster):
    from lab_helpers import toolchain

    env = environment(cluster, maker, toolchain.bin_folder(["etcdctl"]))
    said = subprocess.run(
        ["etcdctl", "get", "--prefix", "--keys-only", "/registry/namespaces/"], env=env, capture_output=True, text=True
    )
    assert "/registry/namespaces/kube-system" in said.stdout, said.stderr


def test_a_kubelet_is_stopped_and_a_machine_lost(maker, cluster, kube):
    maker.stop(cluster, "kubelet@node-2")
    assert maker.health(cluster)["kubelet@node-2"] == "stopped"
    maker.start(cluster, "kubelet@node-2")
    maker.fail_node(cluster, "node-2")
    kube.wait_for("node", "node-2", lambda item: not ready(item), deadline=90, what="NotReady")
    maker.recover_node(cluster, "node-2")
    assert ready(kube.get("node", "node-2"))


def test_a_machine_is_looked_into(maker, cluster):
    def on(*words: str) -> str:
        return subprocess.run([*maker.inside(cluster, "node-1"), *words], capture_output=True, text=True, check=True).stdout

    assert on("hostname").strip() == "node-1"
    assert "KUBE-SERVICES" in on("iptables-save", "-t", "nat")
    assert "TASK" in on("ctr", "-n", "k8s.io", "tasks", "list")
    assert maker.arguments(cluster, "kube-controller-manager")["leader-elect"] == "false"
    with pytest.raises(ClusterError, match="no node 'nowhere'"):
        maker.inside(cluster, "nowhere")
    with pytest.raises(ClusterError, match="'kubelet' is no component"):
        maker.arguments(cluster, "kubelet")


def test_lab_ssh_runs_a_command_where_kubectl_looks(maker, cluster):
    def ssh(*words: str, **more: str) -> subprocess.CompletedProcess:
        env = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), **more}
        command = [sys.executable, "-m", "lab_helpers.cli", "ssh", *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, input="two words")

    assert ssh("node-1", "--", "cat").stdout == "two words"
    assert ssh("node-1", "--", "sh", "-c", "exit 7").returncode == 7
    strange = ssh("node-1", "--", "cat", KUBECONFIG="/nowhere")
    assert strange.returncode == 1 and "No cluster of the lab is kubectl's here" in strange.stderr


def test_a_worker_comes_and_goes(maker, cluster, kube):
    labels = {"node.kubernetes.io/instance-type": "t3.small", "eks.amazonaws.com/nodegroup": "blue"}
    maker.add_node(cluster, NodeShape("ip-10-0-0-7", cpu="2", memory="2Gi", pods=11, labels=labels, provider_id="aws:///a/i-1"))
    node = kube.get("node", "ip-10-0-0-7")
    assert node["spec"]["providerID"] == "aws:///a/i-1" and node["metadata"]["labels"].items() >= labels.items()
    maker.remove_node(cluster, "ip-10-0-0-7")
    assert kube.find("node", "ip-10-0-0-7") is None
    assert f"{cluster.name}-ip-10-0-0-7" not in worker.states(cluster.name)


def test_simulated_nodes_stand_beside_real_ones(maker, cluster, kube):
    maker.add_node(cluster, NodeShape("simulated-1", runs="nothing"))
    node = kube.get("node", "simulated-1")
    assert any(mark["key"] == "kwok.x-k8s.io/node" for mark in node["spec"]["taints"])
    kube.create(pod("dream", nodeName="simulated-1"))
    kube.wait_for("pod", "dream", "Ready", deadline=30)
    on_it = kube.list("pods", fields="spec.nodeName=simulated-1")
    assert [item["metadata"]["name"] for item in on_it] == ["dream"], "no DaemonSet's Pod goes there"
    kube.delete("pod", "dream")
    maker.remove_node(cluster, "simulated-1")


def test_a_reset_empties_everything_and_proves_it(maker, cluster, kube):
    """What a careless learner leaves: namespaces, finalizers, webhooks, labels, taints, cordons, a stopped component."""
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "left"}})
    stuck = {"name": "stuck", "namespace": "left", "finalizers": ["lab.local/never"]}
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": stuck})
    kube.create(pod("left", tolerations=[{"operator": "Exists"}]))
    kube.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "left"}})
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "left", "namespace": "kube-system"}})
    kube.patch("node", "node-1", {"metadata": {"labels": {"left": "yes", "disk": None}}, "spec": {"unschedulable": True}})
    engine.exec(f"{cluster.name}-node-2", "sh", "-c", "echo '{}' > /etc/kubernetes/manifests/left.yaml")
    maker.stop(cluster, "kube-scheduler")
    maker.stop(cluster, "kubelet@node-2")
    own = inventory.take(kube)
    assert len(own) > 50
    began = time.monotonic()
    again = maker.reset(cluster, quiet)
    took = time.monotonic() - began
    assert again.folder == cluster.folder and set(maker.health(cluster).values()) == {"running"}
    assert kube.find("namespace", "left") is None and kube.find("clusterrole", "left") is None
    assert kube.find("configmap", "left", "kube-system") is None
    node = kube.get("node", "node-1")
    assert node["metadata"]["labels"]["disk"] == "ssd" and "left" not in node["metadata"]["labels"]
    assert not node["spec"].get("unschedulable")
    print(f"reset: {took:.1f} s")


def test_what_another_lab_left_is_emptied_before_the_next_comes_in(maker, cluster, kube):
    maker.occupy(cluster, "02-room", quiet)
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-02"}})
    assert maker.names_for("02-room", PROFILE)[0] == cluster.name
    maker.occupy(cluster, "02-room", quiet)
    assert kube.find("configmap", "of-02"), "the same lab finds its things"
    said: list[str] = []
    maker.occupy(cluster, "05-room", said.append)
    assert kube.find("configmap", "of-02") is None and any("02-room" in line for line in said)


def test_a_stopped_engine_or_machine_is_mended(maker, cluster, kube):
    names = sorted(worker.states(cluster.name))
    engine.docker("stop", "--time", "1", *names, timeout=120)
    assert set(maker.health(cluster).values()) == {"dead"}
    maker.mend(cluster, quiet)
    assert set(maker.health(cluster).values()) == {"running"}
    kube.create(pod("after", tolerations=[{"operator": "Exists"}]))
    kube.wait_for("pod", "after", "Ready", deadline=60)
    kube.delete("pod", "after")


def test_a_strangers_cluster_of_the_same_name_is_never_touched(maker):
    profile = Profile((NodeShape("other"),))
    name = maker.names_for("x", profile)[0]
    stranger = f"{name}-control-plane"
    engine.docker("create", "--name", stranger, "--label", f"io.x-k8s.kind.cluster={name}", nodeimage.present(settings.load()))
    try:
        with pytest.raises(ClusterError, match="not the lab's"):
            maker.create(name, profile, quiet)
        assert engine.exists("container", stranger)
    finally:
        engine.docker("rm", "--force", "--volumes", stranger)


def test_interrupted_in_the_middle_nothing_is_left(maker):
    profile = Profile(())
    name = maker.names_for("y", profile)[0]

    def interrupt(line: str) -> None:
        threading.Timer(6, lambda: os.kill(os.getpid(), 2)).start()

    with pytest.raises(KeyboardInterrupt):
        maker.create(name, profile, interrupt)
    assert worker.states(name) == {} and not (maker.root / name).exists()


def test_deleted_behind_our_back_it_is_said_and_made_anew(maker, cluster):
    """Last: it ends the cluster of this module."""
    names = sorted(worker.states(cluster.name))
    engine.docker("rm", "--force", "--volumes", *names)
    with pytest.raises(ClusterError, match="are gone"):
        maker.mend(cluster, quiet)
    said: list[str] = []
    again = maker.reset(cluster, said.append)
    assert any("a new one" in line for line in said)
    assert set(maker.health(again).values()) == {"running"}
    maker.delete(again.name)
    assert worker.states(again.name) == {} and not again.folder.exists()
