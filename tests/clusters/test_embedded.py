"""The embedded provider against real control planes: life, crashes, reboots, neighbours, and what is left (nothing)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from lab_helpers import processes, settings
from lab_helpers.clusters import NodeShape, Profile, environment, kwokctl, provider
from lab_helpers.errors import ClusterError, KubernetesError
from lab_helpers.kube import Kube, ready

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


def test_a_created_cluster_runs_a_pod_at_once(shared):
    maker, cluster, _ = shared
    assert maker.health(cluster) == dict.fromkeys(ALL, "running")
    pod_runs(cluster, "first")


def test_every_listener_is_on_the_loopback_interface(shared):
    _, cluster, _ = shared
    pids = {process.pid for process in processes.recorded(cluster.folder).values()}
    found = listening(pids)
    assert len(found) >= 6
    assert {ip for ip, _ in found} <= {"127.0.0.1", "::1"}


def test_no_admin_of_another_name_gets_in(shared):
    _, cluster, _ = shared
    kube = Kube(cluster.kubeconfig)
    host, pool, _ = kube._connection
    server = pool.request("GET", host + "/api/v1/nodes", headers={"Authorization": "Bearer nobody"}, retries=False)
    assert server.status in (200, 401)  # the client certificate decides; a token alone is refused below
    anonymous = subprocess.run(
        ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"{host}/api/v1/nodes"], capture_output=True, text=True
    )
    assert anonymous.stdout in ("401", "403")


def test_nodes_have_the_shape_that_was_asked_for(shared):
    maker, cluster, kube = shared
    shape = NodeShape("big", "16", "64Gi", 29, "b", {"team": "shop"}, ("dedicated=lab:NoSchedule",))
    maker.add_node(cluster, shape)
    node = kube.get("node", "big")
    assert node["status"]["allocatable"] == {"cpu": "16", "memory": "64Gi", "pods": "29"}
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "b"
    assert node["metadata"]["labels"]["team"] == "shop"
    assert node["spec"]["taints"] == [{"key": "dedicated", "value": "lab", "effect": "NoSchedule"}]
    maker.remove_node(cluster, "big")
    assert kube.find("node", "big") is None


def test_pods_and_services_get_addresses_from_ranges_that_do_not_overlap(shared):
    _, cluster, kube = shared
    pod_runs(cluster, "addressed")
    assert kube.get("pod", "addressed")["status"]["podIP"].startswith(("10.128.", "10.129."))
    assert kube.get("service", "kubernetes")["spec"]["clusterIP"].startswith("10.96.")


def test_the_audit_log_names_who_did_what(shared):
    maker, cluster, kube = shared
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen-by-audit"}})

    def logged() -> bool:
        events = [json.loads(line) for line in maker.log(cluster, "audit").read_text().splitlines()]
        return any(event["verb"] == "create" and event.get("objectRef", {}).get("name") == "seen-by-audit" for event in events)

    processes.wait_until(logged, deadline=10, what="the audit event")


def test_certificate_requests_are_signed(shared):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    _, _, kube = shared
    import base64

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ana")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    body = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    kube.create(
        {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": "ana"},
            "spec": {"request": body, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]},
        }
    )
    approved = kube.get("csr", "ana")
    approved["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "Test", "message": "test"}]}
    kube.raw("PUT", "/apis/certificates.k8s.io/v1/certificatesigningrequests/ana/approval", approved)
    kube.wait_for("csr", "ana", lambda item: item and item["status"].get("certificate"), deadline=20)


def test_a_failed_node_turns_not_ready_and_recovers(shared):
    maker, cluster, kube = shared
    maker.fail_node(cluster, "node-3")

    def lost(node) -> bool:
        conditions = {c["type"]: c for c in node["status"]["conditions"]}
        return conditions["Ready"]["status"] == "Unknown"

    kube.wait_for("node", "node-3", lost, deadline=90)
    maker.recover_node(cluster, "node-3")
    assert ready(kube.get("node", "node-3"))


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


def test_delete_leaves_no_process_port_or_file(maker):
    cluster = maker.create("gone", ONE, quiet)
    pids = {process.pid for process in processes.recorded(cluster.folder).values()}
    assert len(listening(pids)) >= 6
    maker.delete("gone")
    assert running_for(cluster.folder) == []
    assert not cluster.folder.exists()
    assert list(cluster.folder.parent.iterdir()) == []
    assert listening(pids) == []
    maker.delete("gone")  # and once more is no error


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


def test_a_port_taken_between_choice_and_bind_is_chosen_again(maker, monkeypatch):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    free, first = kwokctl._free_ports, [True]

    def choose(count: int) -> list[int]:
        ports = free(count)
        if first.pop() if first else False:
            ports[2] = taken.getsockname()[1]  # the API server's
        return ports

    monkeypatch.setattr(kwokctl, "_free_ports", choose)
    said: list[str] = []
    with taken:
        cluster = maker.create("ports", ONE, said.append)
    assert any("port" in line for line in said)
    pod_runs(cluster, "landed")


def test_ctrl_c_during_creation_leaves_nothing(home):
    code = (
        "from lab_helpers import settings; from lab_helpers.clusters import *\n"
        "def say(line): print(line, flush=True)\n"
        "provider(settings.load()).create('early', Profile((NodeShape('n'),)), say)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in child.stdout:
        if "waiting" in line:
            break
    child.send_signal(signal.SIGINT)
    assert child.wait(30) != 0
    folder = home / "data" / "eks-lab" / "clusters" / "early"
    assert running_for(folder) == []
    assert not folder.exists()


def test_a_kill_during_creation_is_cleaned_up_by_the_next_one(home):
    code = (
        "from lab_helpers import settings; from lab_helpers.clusters import *\n"
        "def say(line): print(line, flush=True)\n"
        "provider(settings.load()).create('half', Profile((NodeShape('n'),)), say)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if "waiting" in line:
            break
    child.kill()
    child.wait(30)
    maker = provider(settings.load())
    folder = home / "data" / "eks-lab" / "clusters" / "half"
    assert running_for(folder), "the components outlive their launcher"
    assert maker.get("half") is None, "half a cluster is none"
    cluster = maker.create("half", ONE, quiet)
    pod_runs(cluster, "whole")
    maker.delete("half")
    assert running_for(folder) == []


def test_several_stand_side_by_side(maker):
    made: dict[str, object] = {}
    failed: list[BaseException] = []

    def create(name: str) -> None:
        try:
            made[name] = maker.create(name, ONE, quiet)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=create, args=(f"side-{number}",)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [cluster.name for cluster in maker.list()] == ["side-1", "side-2", "side-3"]
    for name, cluster in made.items():
        pod_runs(cluster, name)
    maker.delete("side-2")
    assert maker.health(made["side-1"]) == dict.fromkeys(ALL, "running")


def test_creating_a_name_twice_says_so(shared):
    maker, _, _ = shared
    with pytest.raises(ClusterError, match="already"):
        maker.create("shared", ONE, quiet)


def test_a_home_with_a_space_and_a_letter_beyond_ascii(home, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "Zoë Ana" / "d"))
    maker = provider(settings.load())
    cluster = maker.create("odd", ONE, quiet)
    try:
        pod_runs(cluster, "odd")
        env = environment(cluster, maker, home)
        assert env["KUBECONFIG"] == str(cluster.kubeconfig)
    finally:
        maker.delete("odd")


def test_inherited_proxies_and_kubeconfig_do_not_matter(home, monkeypatch):
    own = home / "own-kubeconfig"
    own.write_text("apiVersion: v1\nkind: Config\n")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("KUBECONFIG", str(own))
    maker = provider(settings.load())
    cluster = maker.create("proxied", ONE, quiet)
    try:
        pod_runs(cluster, "through")
        env = environment(cluster, maker, home, {**os.environ, "AWS_SECRET_ACCESS_KEY": "canary"})
        assert env["KUBECONFIG"] == str(cluster.kubeconfig)
        assert "127.0.0.1" in env["NO_PROXY"] and "127.0.0.1" in env["no_proxy"]
        assert not [key for key in env if key.startswith("AWS_SECRET")]
    finally:
        maker.delete("proxied")
    assert own.read_text() == "apiVersion: v1\nkind: Config\n"


def test_a_dead_api_server_is_said_in_plain_words(shared):
    maker, cluster, _ = shared
    maker.stop(cluster, "kube-apiserver")
    try:
        with pytest.raises(KubernetesError, match="does not answer") as caught:
            Kube(cluster.kubeconfig).list("pods")
        assert caught.value.status == 0
    finally:
        maker.start(cluster, "kube-apiserver")
