"""Pods that answer, on process nodes: real control plane, real processes, requests by every name a Pod has."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from clusters_kit import quiet
from processnode_kit import (
    Lab,
    available,
    container,
    deployment,
    ended,
    first,
    namespace,
    pod,
    profile,
    reason,
    service,
)

from lab_helpers import settings
from lab_helpers.clusters import provider
from lab_helpers.errors import ClusterError
from lab_helpers.processes import wait_until


@pytest.fixture(scope="module")
def lab():
    """A cluster with two process nodes."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        maker = provider(settings.load())
    yield Lab(maker, maker.create("programs", profile(), quiet))
    maker.delete("programs")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_process_node_has_no_machine_to_look_into(lab):
    with pytest.raises(ClusterError, match="no machine of its own") as refused:
        lab.maker.inside(lab.cluster, lab.cluster.profile.nodes[0].name)
    assert "kubelet@" in refused.value.next_step


_NUMBERS = itertools.count(1)


@pytest.fixture
def where(lab, request):
    """A namespace of the test's own."""
    name = f"{request.node.originalname.replace('_', '-')[5:40].rstrip('-')}-{next(_NUMBERS)}"
    yield namespace(lab.kube, name)
    lab.kube.delete("namespace", name, wait=False)


@pytest.fixture
def web(lab, where):
    """The Deployment `web` with three Pods, and its Service."""
    lab.kube.create(deployment("web", 3), where)
    lab.kube.create(service("web"), where)
    available(lab.kube, "web", 3, where)
    # an EndpointSlice follows its Pods, and on a busy machine one Pod at a time: a Pod that is not in it gets no requests yet
    wait_until(
        lambda: len(lab.spread(f"http://web.{where}/hostname", 12)) == 3, deadline=30, what="answers by name, from all Pods"
    )
    return where


def test_every_component_is_healthy_and_listens_on_the_loopback_interface(lab):
    states = lab.maker.health(lab.cluster)
    assert {"service-proxy", "kubelet@worker-1", "kubelet@worker-2"} <= states.keys()
    assert set(states.values()) == {"running"}
    listening = [c.laddr.ip for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.pid in lab.pids()]
    assert listening and set(listening) <= {"127.0.0.1", "::1"}


def test_a_pod_is_ready_quickly(lab, where):
    began = time.monotonic()
    lab.kube.create(pod("quick", readinessProbe={"httpGet": {"path": "/readyz", "port": 8080}}), where)
    lab.kube.wait_for("pod", "quick", "Ready", where, 20)
    assert time.monotonic() - began < 5
    item = lab.kube.get("pod", "quick", where)
    assert item["status"]["phase"] == "Running" and first(item)["restartCount"] == 0
    assert item["status"]["podIP"].startswith("10.128.")


def test_requests_by_name_spread_over_all_pods(lab, web):
    spread = lab.spread(f"http://web.{web}/hostname", 300)
    pods = {item["metadata"]["name"] for item in lab.kube.list("pods", web)}
    assert spread.keys() == pods and min(spread.values()) >= 60, spread


def test_every_name_and_address_leads_to_a_pod(lab, web):
    item = lab.kube.list("pods", web)[0]
    name, address = item["metadata"]["name"], item["status"]["podIP"]
    assert lab.ask(f"http://{address}:8080/hostname") == (200, name)
    cluster_ip = lab.kube.get("service", "web", web)["spec"]["clusterIP"]
    short = lab.env["http_proxy"].replace("default:", f"{web}:")
    for host, proxy in ((cluster_ip, None), (f"web.{web}.svc", None), (f"web.{web}.svc.cluster.local", None), ("web", short)):
        code, said = lab.ask(f"http://{host}/", proxy)
        assert code == 200 and json.loads(said)["namespace"] == web, host
    here = json.loads(lab.ask(f"http://{address}:8080/")[1])
    assert here == {"pod": name, "node": item["spec"]["nodeName"], "namespace": web, "version": "1.0"}


def test_what_leads_nowhere_is_said(lab, web):
    lab.kube.create(service("empty"), web)
    wait_until(lambda: "ready endpoints" in lab.ask(f"http://empty.{web}/")[1], deadline=10, what="the Service is known")
    assert lab.ask(f"http://empty.{web}/")[0] == 503
    for url, words in (
        (f"http://nobody.{web}/", f"looked for Service nobody in namespace {web}"),
        (f"http://web.{web}:81/", "has no port 81; it has 80"),
        ("http://10.96.255.254/", "no Pod and no Service"),
        ("http://example.com/", "no such name in this cluster"),
    ):
        code, said = lab.ask(url)
        assert code == 502 and words in said, said


def test_other_users_cannot_use_the_proxy(lab, web):
    port = lab.env["http_proxy"].rpartition(":")[2]
    for proxy in (f"http://127.0.0.1:{port}", f"http://default:guess@127.0.0.1:{port}"):
        assert lab.ask(f"http://web.{web}/", proxy)[0] == 407
    with socket.create_connection(("127.0.0.1", int(port))) as client:
        client.sendall(b"\x05\x01\x00")  # SOCKS5 without a password
        assert client.recv(2) == b"\x05\xff"
    for path in (lab.cluster.folder / "proxy.json", lab.cluster.folder / "nodes" / "worker-1" / "node.json"):
        assert path.stat().st_mode & 0o077 == 0
    token = lab.env["http_proxy"].split(":")[2].partition("@")[0]
    assert token and not any(
        token in word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or []
    )


def test_socks_reaches_the_same_pods(lab, web):
    token, port = lab.env["http_proxy"].removeprefix("http://default:").split("@127.0.0.1:")
    with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as client:
        client.sendall(b"\x05\x01\x02")
        assert client.recv(2) == b"\x05\x02"
        user = web.encode()
        client.sendall(b"\x01" + bytes([len(user)]) + user + bytes([len(token)]) + token.encode())
        assert client.recv(2) == b"\x01\x00"
        client.sendall(b"\x05\x01\x00\x03\x03web" + (80).to_bytes(2, "big"))
        assert client.recv(10)[1] == 0
        client.sendall(b"GET /hostname HTTP/1.0\r\n\r\n")
        said = b""
        while more := client.recv(4096):
            said += more
    assert said.decode().strip().split("\n")[-1].startswith("web-")


def test_readiness_takes_a_pod_out_and_back(lab, web):
    item = lab.kube.list("pods", web)[0]
    name, address = item["metadata"]["name"], item["status"]["podIP"]
    assert lab.ask(f"http://{address}:8080/fail/ready")[0] == 200
    lab.kube.wait_for("pod", name, lambda now: now and not first(now)["ready"], web, 10)
    url = f"http://web.{web}/hostname"
    wait_until(lambda: name not in lab.spread(url, 20), deadline=10, what="it is out")
    spread = lab.spread(url, 100)
    assert name not in spread and len(spread) == 2
    lab.ask(f"http://{address}:8080/heal")
    lab.kube.wait_for("pod", name, "Ready", web, 10)
    wait_until(lambda: name in lab.spread(url, 30), deadline=10, what="it is back")
    assert first(lab.kube.get("pod", name, web))["restartCount"] == 0


def test_liveness_starts_a_container_again(lab, web):
    item = lab.kube.list("pods", web)[0]
    name, address = item["metadata"]["name"], item["status"]["podIP"]
    before = lab.process_of(name, web)
    lab.ask(f"http://{address}:8080/fail/live")
    lab.kube.wait_for("pod", name, lambda now: now and first(now)["restartCount"] == 1 and first(now)["ready"], web, 30)
    assert ended(before) and lab.process_of(name, web).pid != before.pid

    def told() -> bool:
        found = lab.kube.list("events", web, fields=f"involvedObject.name={name}")
        return {"Unhealthy", "Killing"} <= {event["reason"] for event in found}

    wait_until(told, deadline=10, what="events that say why")
    assert "listening" in lab.kubectl("logs", name, "-n", web, "--previous")


def test_a_killed_process_counts_as_a_restart(lab, web):
    name = lab.kube.list("pods", web)[0]["metadata"]["name"]
    lab.process_of(name, web).send_signal(signal.SIGKILL)
    lab.kube.wait_for("pod", name, lambda now: now and first(now)["restartCount"] == 1 and first(now)["ready"], web, 20)
    ended = first(lab.kube.get("pod", name, web))["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")


def test_a_process_that_dies_at_once_shows_a_crash_loop(lab, where):
    lab.kube.create(pod("crash", "crash:1.0"), where)
    lab.kube.wait_for("pod", "crash", lambda now: reason(now) == "CrashLoopBackOff", where, 20)
    status = first(lab.kube.get("pod", "crash", where))
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert status["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=crash pod=crash_")
    assert "DATABASE_URL is not set" in lab.kubectl("logs", "crash", "-n", where)
    assert "CrashLoopBackOff" in lab.kubectl("get", "pod", "crash", "-n", where)


def test_the_memory_limit_kills(lab, where):
    limits = {"limits": {"memory": "64Mi"}}
    lab.kube.create(pod("hungry", "hungry:1.0", {"restartPolicy": "Never"}, resources=limits), where)
    lab.kube.wait_for("pod", "hungry", lambda now: now and now["status"]["phase"] == "Failed", where, 30)
    ended = first(lab.kube.get("pod", "hungry", where))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


@pytest.mark.parametrize("image", ["nginx:1.27", "lab.local/web:9.9", "lab.local/web"])
def test_an_unknown_image_is_not_pulled_and_says_which_there_are(lab, where, image):
    lab.kube.create(pod("typo", spec={"containers": [{"name": "c", "image": image}]}), where)
    seen = set()
    lab.kube.wait_for("pod", "typo", lambda now: seen.add(reason(now)) or "ImagePullBackOff" in seen, where, 20)
    assert "ErrImagePull" in seen
    message = first(lab.kube.get("pod", "typo", where))["state"]["waiting"]["message"]
    assert "lab.local/web:1.0" in message and "lab.local/hungry:1.0" in message


def test_a_command_of_a_manifest_is_never_run(lab, where):
    target = Path(tempfile.gettempdir()) / f"never-{os.getpid()}"
    lab.kube.create(pod("command", command=["touch", str(target)]), where)
    lab.kube.wait_for("pod", "command", lambda now: reason(now) == "CreateContainerError", where, 20)
    assert "remove `command`" in first(lab.kube.get("pod", "command", where))["state"]["waiting"]["message"]
    assert not target.exists()


def test_configuration_comes_from_configmaps_and_fields(lab, where):
    env = [
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "colour"}}},
        {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "BOTH", "value": "$(COLOUR)/$(ME)"},
    ]
    mounts = [{"name": "files", "mountPath": "/etc/shop"}]
    volumes = {"volumes": [{"name": "files", "configMap": {"name": "later"}}]}
    lab.kube.create(pod("configured", spec={**volumes}, env=env, volumeMounts=mounts), where)
    lab.kube.wait_for("pod", "configured", lambda now: reason(now) == "CreateContainerConfigError", where, 20)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"colour": "green"}}
    lab.kube.create(config, where)
    lab.kube.wait_for("pod", "configured", "Ready", where, 30)
    assert "BOTH=green/configured\n" in lab.kubectl("exec", "configured", "-n", where, "--", "env")
    assert lab.kubectl("exec", "configured", "-n", where, "--", "cat", "/etc/shop/colour") == "green"


def test_a_task_ends_and_its_pod_succeeds(lab, where):
    job = pod("task", "shell:1.0", {"restartPolicy": "Never"}, args=["--seconds", "0.5"])
    job["spec"]["initContainers"] = [{**container("shell:1.0", args=["--seconds", "0.2"]), "name": "before"}]
    lab.kube.create(job, where)
    lab.kube.wait_for("pod", "task", lambda now: now and now["status"]["phase"] == "Succeeded", where, 20)
    assert "done" in lab.kubectl("logs", "task", "-n", where, "-c", "shell")


def test_a_deleted_pod_finishes_its_requests_and_leaves_nothing(lab, web):
    item = lab.kube.list("pods", web)[0]
    name, node = item["metadata"]["name"], item["spec"]["nodeName"]
    process = lab.process_of(name, web)
    files = lab.cluster.folder / "nodes" / node / "pods" / item["metadata"]["uid"]
    assert files.is_dir()
    lab.kube.delete("pod", name, web)
    wait_until(lambda: ended(process) and not files.exists(), deadline=10, what="process and files are gone")


def test_nodes_that_are_full_take_no_more(lab, where):
    """What the scheduler may count on is capped by what this machine has."""
    for node in lab.kube.list("nodes"):
        assert int(node["status"]["allocatable"]["pods"]) <= 110
        assert node["metadata"]["labels"]["lab.local/runs"] == "programs"
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("process://")
