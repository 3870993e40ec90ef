"""Process nodes as machines: lost, frozen, added, removed, full; simulated ones beside them; what is left (nothing)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest
from clusters_kit import ONE, quiet, running_for
from processnode_kit import QUICK, WORKERS, Lab, Requests, available, deployment, ended, first, namespace, pod, profile, service

from lab_helpers import processes, settings
from lab_helpers.clusters import NodeShape, Profile, provider
from lab_helpers.clusters.processnode import launch
from lab_helpers.errors import ClusterError
from lab_helpers.kube import ready
from lab_helpers.processes import wait_until

# A Pod of a lost machine moves at once, not after five minutes.
MOVES = [
    {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
    for what in ("unreachable", "not-ready")
]


@pytest.fixture(scope="module")
def lab():
    """Two process nodes, a simulated one, metrics-server."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        maker = provider(settings.load())
    cluster = maker.create("machines", Profile((*WORKERS, NodeShape("sim-1")), QUICK, metrics=True), quiet)
    yield Lab(maker, cluster)
    maker.delete("machines")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def whole(lab):
    """The cluster with both nodes Ready, whatever the test before did."""
    for component, state in lab.maker.health(lab.cluster).items():
        if state == "stopped":
            lab.maker.start(lab.cluster, component)
    for name in ("worker-1", "worker-2"):
        lab.kube.wait_for("node", name, ready, deadline=60)
    return lab


def web(lab: Lab, where: str, replicas: int = 4, **more) -> None:
    """A Deployment whose Pods spread over the nodes, and its Service."""
    namespace(lab.kube, where)
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    spec = {"tolerations": MOVES, "topologySpreadConstraints": [spread]}
    lab.kube.create(deployment("web", replicas, spec=spec, **more), where)
    lab.kube.create(service("web"), where)
    available(lab.kube, "web", replicas, where)
    wait_until(lambda: lab.ask(f"http://web.{where}/")[0] == 200, deadline=10, what="an answer by name")


def nodes_of(lab: Lab, where: str) -> set[str]:
    """The nodes on which Ready Pods are."""
    return {item["spec"]["nodeName"] for item in lab.kube.list("pods", where) if ready(item)}


def not_ready(item: dict | None) -> bool:
    return item is not None and not ready(item)


def test_pods_that_answer_stay_off_simulated_nodes(whole):
    web(whole, "mixed", 6)
    assert nodes_of(whole, "mixed") == {"worker-1", "worker-2"}
    body = pod("simulated", spec={"tolerations": [{"operator": "Exists"}], "nodeSelector": {"kubernetes.io/hostname": "sim-1"}})
    whole.kube.create(body, "mixed")
    whole.kube.wait_for("pod", "simulated", "Ready", "mixed", 30)
    address = whole.kube.get("pod", "simulated", "mixed")["status"]["podIP"]
    wait_until(lambda: "is simulated" in whole.ask(f"http://{address}:8080/")[1], deadline=10, what="the proxy says so")


def test_the_banner_says_that_these_pods_are_processes(whole):
    real, simulated = whole.maker.described(whole.cluster.profile)
    assert "real" in real and "not containers" in simulated and "kwok.x-k8s.io/node" in simulated
    assert whole.maker.described(ONE) == (whole.maker.real, whole.maker.simulated)


def test_kubectl_reaches_the_processes(whole):
    web(whole, "reached", 1)
    name = whole.kube.list("pods", "reached")[0]["metadata"]["name"]
    here = ("-n", "reached")
    whole.ask("http://web.reached/slow?ms=1")
    log = whole.kubectl("logs", name, *here)
    assert "listening on port 8080" in log and "GET /slow" in log and "/readyz" not in log
    assert len(whole.kubectl("logs", name, *here, "--tail=1").splitlines()) == 1
    run = ("exec", name, *here, "--")
    assert whole.kubectl(*run, "hostname") == f"{name}\n"
    assert json.loads(whole.kubectl(*run, "curl", "-s", "http://web/"))["pod"] == name
    assert whole.kubectl(*run, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://web/readyz") == "200"
    assert "10.96." in whole.kubectl(*run, "nslookup", "web")
    assert whole.kubectl(*run, "sh", "-c", "cat /nowhere", good=False).startswith("1\n")
    assert "no shell" in whole.kubectl(*run, "sh", "-c", "id; id", good=False)
    assert whole.kubectl(*run, "python3", good=False).startswith("127\n")
    process = whole.process_of(name, "reached")
    whole.kubectl(*run, "kill", "1")
    wait_until(lambda: ended(process), deadline=10, what="its process ended")


def test_port_forward_reaches_the_process(whole):
    web(whole, "forwarded", 1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["kubectl", "port-forward", "-n", "forwarded", "deployment/web", f"{port}:8080"]
    forward = subprocess.Popen(command, env=whole.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert "Forwarding" in forward.stdout.readline()
        said = [
            subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/hostname"], capture_output=True, text=True)
            for _ in range(5)
        ]
        assert {answer.stdout.strip() for answer in said} == {whole.kube.list("pods", "forwarded")[0]["metadata"]["name"]}
    finally:
        forward.terminate()
        forward.communicate()


def test_a_lost_machine_turns_not_ready_and_its_pods_move(whole):
    web(whole, "lost")
    on_it = [item["metadata"]["name"] for item in whole.kube.list("pods", "lost") if item["spec"]["nodeName"] == "worker-2"]
    gone = [whole.process_of(name, "lost") for name in on_it]
    assert gone
    whole.maker.fail_node(whole.cluster, "worker-2")
    assert all(ended(process) for process in gone)
    assert whole.maker.health(whole.cluster)["kubelet@worker-2"] == "stopped"
    whole.kube.wait_for("node", "worker-2", not_ready, deadline=40, what="NotReady")
    wait_until(lambda: nodes_of(whole, "lost") == {"worker-1"}, deadline=60, what="its Pods run elsewhere")
    available(whole.kube, "web", 4, "lost")
    assert whole.spread("http://web.lost/hostname", 40).keys().isdisjoint(on_it)
    whole.maker.mend(whole.cluster, quiet)
    assert whole.maker.health(whole.cluster)["kubelet@worker-2"] == "stopped", "the learner's own doing is not mended"
    whole.maker.recover_node(whole.cluster, "worker-2")
    assert ready(whole.kube.get("node", "worker-2"))
    wait_until(
        lambda: not any(whole.kube.find("pod", name, "lost") for name in on_it), deadline=30, what="the old Pods are gone"
    )


def test_a_stopped_kubelet_leaves_its_pods_answering(whole):
    web(whole, "frozen", 2)
    on_it = {item["metadata"]["name"] for item in whole.kube.list("pods", "frozen") if item["spec"]["nodeName"] == "worker-1"}
    with Requests(whole, "http://web.frozen/hostname") as requests:
        whole.maker.stop(whole.cluster, "kubelet@worker-1")
        whole.kube.wait_for("node", "worker-1", not_ready, deadline=40, what="NotReady")
        assert not any(ended(whole.process_of(name, "frozen")) for name in on_it)
        wait_until(lambda: nodes_of(whole, "frozen") == {"worker-2"}, deadline=60, what="its Pods are replaced")
        whole.maker.start(whole.cluster, "kubelet@worker-1")
        whole.kube.wait_for("node", "worker-1", ready, deadline=30, what="Ready")
        wait_until(lambda: not any(whole.kube.find("pod", name, "frozen") for name in on_it), deadline=30, what="cleaned up")
    assert requests.outcomes.keys() == {200}, requests.outcomes


def test_an_agent_that_died_or_froze_is_mended(whole):
    web(whole, "mended", 2)
    found = processes.recorded(whole.cluster.folder)
    os.kill(found["kubelet@worker-1"].pid, signal.SIGKILL)
    os.kill(found["service-proxy"].pid, signal.SIGKILL)
    wait_until(lambda: not processes.alive(found["kubelet@worker-1"]), deadline=5, what="it is dead")
    assert whole.maker.health(whole.cluster)["kubelet@worker-1"] == "dead"
    whole.maker.mend(whole.cluster, quiet)
    assert set(whole.maker.health(whole.cluster).values()) == {"running"}

    def again(item) -> bool:
        on_it = item["spec"]["nodeName"] == "worker-1"
        return first(item).get("ready", False) and first(item)["restartCount"] == int(on_it)

    for item in whole.kube.list("pods", "mended"):
        whole.kube.wait_for("pod", item["metadata"]["name"], again, "mended", 30)
    assert whole.ask("http://web.mended/")[0] == 200, "the same proxy address serves again"


def test_nodes_come_and_go(whole):
    shape = NodeShape(
        "worker-3", "2", "4Gi", 5, "c", {"node-role.kubernetes.io/spot": ""}, ("only=here:NoSchedule",), "programs"
    )
    whole.maker.add_node(whole.cluster, shape)
    node = whole.kube.get("node", "worker-3")
    assert node["status"]["allocatable"]["pods"] == "5" and node["status"]["capacity"]["cpu"] == "2"
    assert "node-role.kubernetes.io/spot" in node["metadata"]["labels"]
    namespace(whole.kube, "comes")
    here = {"tolerations": [{"key": "only", "operator": "Exists"}], "nodeSelector": {"kubernetes.io/hostname": "worker-3"}}
    whole.kube.create(pod("visitor", spec=here), "comes")
    whole.kube.wait_for("pod", "visitor", "Ready", "comes", 30)
    process = whole.process_of("visitor", "comes")
    whole.maker.remove_node(whole.cluster, "worker-3")
    assert whole.kube.find("node", "worker-3") is None and ended(process)
    wait_until(lambda: whole.kube.find("pod", "visitor", "comes") is None, deadline=20, what="its Pod is gone")
    assert "kubelet@worker-3" not in whole.maker.health(whole.cluster)
    assert not running_for(whole.cluster.folder / "nodes" / "worker-3")


def test_a_machine_without_memory_starts_no_more_pods(whole):
    """200 Pods on a small laptop: what has to stay free is raised here, so that this machine is the small one."""
    path = whole.cluster.folder / "nodes" / "worker-2" / "node.json"
    before = path.read_text()
    free = psutil.virtual_memory().available >> 20
    whole.maker.fail_node(whole.cluster, "worker-2")
    path.write_text(json.dumps({**json.loads(before), "reserve_mib": free * 4}))
    whole.maker.recover_node(whole.cluster, "worker-2")
    try:
        namespace(whole.kube, "full")
        here = {"nodeName": "worker-2"}
        whole.kube.create(pod("too-much", spec=here), "full")
        reason = lambda item: first(item).get("state", {}).get("waiting", {})  # noqa: E731
        whole.kube.wait_for("pod", "too-much", lambda item: reason(item).get("reason") == "OutOfMemory", "full", 30)
        said = reason(whole.kube.get("pod", "too-much", "full"))["message"]
        assert "MiB of memory left" in said and "scale something down" in said
        pressed = lambda item: any(  # noqa: E731
            entry["type"] == "MemoryPressure" and entry["status"] == "True" for entry in item["status"]["conditions"]
        )
        whole.kube.wait_for("node", "worker-2", pressed, deadline=20)
    finally:
        whole.maker.fail_node(whole.cluster, "worker-2")
        path.write_text(before)
        whole.maker.recover_node(whole.cluster, "worker-2")
    whole.kube.wait_for("pod", "too-much", "Ready", "full", 40)


def test_usage_is_real_and_the_autoscaler_acts_on_it(whole):
    web(whole, "scaled", 2, resources={"requests": {"cpu": "100m"}})
    target = {"type": "Utilization", "averageUtilization": 50}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec}
    whole.kube.create(scaler, "scaled")
    whole.kube.create(pod("load", "load:1.0", args=["http://web/work?ms=20", "--rate", "20", "--workers", "8"]), "scaled")
    replicas = lambda item: item["spec"]["replicas"]  # noqa: E731
    whole.kube.wait_for("deployment", "web", lambda item: replicas(item) >= 3, "scaled", 120, what="scaled up")
    assert "web-" in whole.kubectl("top", "pods", "-n", "scaled")
    assert "worker-1" in whole.kubectl("top", "nodes")
    whole.kube.delete("pod", "load", "scaled")
    whole.kube.wait_for("deployment", "web", lambda item: replicas(item) == 2, "scaled", 180, what="scaled down")


def test_a_cluster_without_such_nodes_says_what_is_missing(maker):
    cluster = maker.create("plain", ONE, quiet)
    with pytest.raises(ClusterError, match="made without such nodes") as caught:
        maker.add_node(cluster, NodeShape("late", runs="programs"))
    assert "runs: programs" in caught.value.next_step
    assert maker.environment(cluster).keys() == {"ETCDCTL_ENDPOINTS"}


def test_a_deleted_cluster_leaves_no_process_port_or_file(maker):
    lab = Lab(maker, maker.create("gone", profile(), quiet))
    namespace(lab.kube, "here")
    lab.kube.create(deployment("web", 4), "here")
    available(lab.kube, "web", 4, "here")
    maker.stop(lab.cluster, "kubelet@worker-1")  # a frozen agent ends too
    pids, folder = lab.pids(), lab.cluster.folder
    ports = {c.laddr.port for c in psutil.net_connections("tcp") if c.pid in pids and c.status == "LISTEN"}
    assert len(pids) >= 12 and len(ports) >= 12
    maker.delete("gone")
    assert running_for(folder) == [] and not any(processes.birth(pid) for pid in pids)
    assert not {c.laddr.port for c in psutil.net_connections("tcp") if c.status == "LISTEN"} & ports
    assert not folder.exists()


def test_the_records_name_every_part(lab):
    assert launch.components(lab.cluster.folder) == ["service-proxy", "kubelet@worker-1", "kubelet@worker-2"]
    found = lab.maker.get("machines")
    assert found is not None and found.profile == lab.cluster.profile
