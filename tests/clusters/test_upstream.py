"""Upstream's Cluster Autoscaler as LAB_CLUSTER_AUTOSCALER names it, played by a program that reads what the real one would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from types import SimpleNamespace

import pytest
import yaml

from lab_helpers import processes
from lab_helpers.autoscaling import upstream
from lab_helpers.autoscaling.groups import LABEL
from lab_helpers.clusters import kwok
from lab_helpers.kube import Kube
from lab_helpers.processes import wait_until
from lab_helpers.teaching.scaler import Scaler

# As the kwok provider does: it reads both ConfigMaps, makes nodes from the template, and takes them away at SIGTERM.
STAND_IN = f"""#!{sys.executable}
import json, os, signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
import yaml

flags = dict(word[2:].partition("=")[::2] for word in sys.argv[1:])
print("I1129 08:00:00.000001    4711 main.go:1] Cluster Autoscaler VERSION", flush=True)
if flags["kubeconfig"] == "/dev/null":
    print("F1129 08:00:00.000002    4711 main.go:2] Failed to build config", flush=True)
    sys.exit(255)

from lab_helpers.kube import Kube
kube, space = Kube(Path(os.environ["KUBECONFIG"])), os.environ["POD_NAMESPACE"]
config = yaml.safe_load(kube.get("configmap", "kwok-provider-config", space)["data"]["config"])
text = kube.get("configmap", config["configmap"]["name"], space)["data"]["templates"]
items = yaml.safe_load(text)["items"]
mode = os.environ["KWOK_PROVIDER_MODE"]
seen = {{"argv": sys.argv[1:], "config": config, "templates": items, "mode": mode, "pid": os.getpid()}}
Path(__file__).with_suffix(".new").write_text(json.dumps(seen))
Path(__file__).with_suffix(".new").rename(Path(__file__).with_suffix(".json"))

def name(item):
    return item["metadata"]["annotations"]["cluster-autoscaler.kwok.nodegroup/name"]

def end(*_):
    for item in items:
        if kube.find("node", name(item) + "-abcde"):
            kube.delete("node", name(item) + "-abcde")
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
def say(words):
    print(datetime.now().strftime("I%m%d %H:%M:%S.%f    4711 orchestrator.go:7] ") + words, flush=True)

for item in items:
    fresh = name(item) + "-abcde"
    if not kube.find("node", fresh):
        item["metadata"]["name"], item["spec"]["providerID"] = fresh, "kwok:" + fresh
        kube.create(item)
        say("Scale-up: setting group " + name(item) + " size to 1")
say("Node workers-abcde unremovable: cpu requested (93%) is above")
while True:
    health = {{"cloudProviderTarget": 1, "nodeCounts": {{"registered": {{"total": 1}}}}}}
    said = {{"autoscalerStatus": "Running", "nodeGroups": [{{"name": name(item), "health": health}} for item in items]}}
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f123 +0000 UTC")
    meta = {{"name": "cluster-autoscaler-status", "annotations": {{"cluster-autoscaler.kubernetes.io/last-updated": stamp}}}}
    data = {{"status": yaml.safe_dump(said)}}
    kube.apply({{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}}, space, force=True)
    time.sleep(0.2)
"""
GROUPS = [
    {"name": "workers", "min": 1, "max": 3, "boot": 2, "cpu": "1930m", "memory": "6903Mi", "pods": 29,
     "labels": {"node.kubernetes.io/instance-type": "m5.large"}},
    {"name": "batch", "max": 2, "cpu": "8", "memory": "32Gi", "taints": ["team=batch:NoSchedule"]},
]  # fmt: skip


@pytest.fixture
def scaler(shared, tmp_path, monkeypatch):
    """`lab.autoscaler` of a lab with two groups, and the stand-in named by the user."""
    _, cluster, kube = shared
    program = tmp_path / "mine" / "autoscaler.py"
    program.parent.mkdir()
    program.write_text(STAND_IN.replace("VERSION", f"{upstream.wanted()}.1"))
    program.chmod(0o755)
    monkeypatch.setenv("LAB_CLUSTER_AUTOSCALER", str(program))
    (tmp_path / "groups.yaml").write_text(yaml.safe_dump(GROUPS))
    here = tmp_path / "cluster"
    here.mkdir()
    kubeconfig = here / "kubeconfig"
    shutil.copy(cluster.kubeconfig, kubeconfig)
    there = SimpleNamespace(name=cluster.name, folder=here, kubeconfig=kubeconfig)
    lab = SimpleNamespace(cluster=there, _cluster=there, kube=kube, _quiet=True, lesson=SimpleNamespace(folder=tmp_path))
    made = Scaler(lab)
    made.record = program.with_suffix(".json")
    yield made
    made.stop()
    for node in kube.list("nodes", labels=LABEL):
        kube.delete("node", node["metadata"]["name"])


def test_it_is_told_what_upstreams_own_documents_ask_for(scaler):
    scaler.start("--expander=least-waste", "--scan-interval=2s")
    seen = json.loads(scaler.record.read_text())
    kubeconfig = scaler._lab.cluster.kubeconfig
    wanted = {
        "--cloud-provider=kwok", f"--kubeconfig={kubeconfig}", "--namespace=kube-system", "--leader-elect=false",
        "--scale-down-unready-time=30s", "--unremovable-node-recheck-timeout=10s", "--enforce-node-group-min-size=true",
        "--expander=least-waste", "--scan-interval=2s", "--scale-down-unneeded-time=6s", "--scale-down-delay-after-add=4s",
        "--node-delete-delay-after-taint=1s",
    }  # fmt: skip
    assert wanted <= set(seen["argv"]) and seen["mode"] == "local"
    assert sum(word.startswith("--scan-interval") for word in seen["argv"]) == 1, "the lesson's wins"
    [address] = [word for word in seen["argv"] if word.startswith("--address=")]
    assert address.startswith("--address=127.0.0.1:"), "it listens on nothing else"
    assert scaler.pid == seen["pid"], "what is on record is the program itself"

    assert seen["config"]["readNodesFrom"] == "configmap" and seen["config"]["nodes"]["skipTaint"] is True
    key = seen["config"]["nodegroups"]["fromNodeLabelKey"]
    assert key != LABEL, "nodes of the lab would be counted"
    for row, item in zip(GROUPS, seen["templates"], strict=True):
        meta = item["metadata"]
        sizes = {what.rpartition("/")[2]: text for what, text in meta["annotations"].items() if "nodegroup/" in what}
        assert sizes == {"name": row["name"], "min-count": "0", "max-count": str(row["max"])}
        assert (item["apiVersion"], item["kind"]) == ("v1", "Node")
        assert meta["labels"][key] == meta["labels"][LABEL] == row["name"]
        assert "kubernetes.io/hostname" not in meta["labels"]
        assert item["status"]["allocatable"]["cpu"] == row["cpu"]
    assert seen["templates"][1]["spec"]["taints"] == [{"key": "team", "value": "batch", "effect": "NoSchedule"}]


def test_a_node_of_its_template_takes_pods_and_the_notebook_sees_what_it_says(scaler, shared):
    scaler.start()
    kwok.wait_usable(shared[2], ["workers-abcde"])
    assert scaler.sizes() == {"workers": 1, "batch": 1}
    assert scaler.stays() == {"workers-abcde": "cpu requested (93%) is above"}
    marks = scaler.marks()
    assert [words for _, words in marks] == ["workers: → 1", "batch: → 1"]
    assert all(abs(at - time.time()) < 30 for at, _ in marks)
    assert "setting group workers" in scaler.log()


def test_its_nodes_stay_when_it_is_stopped_and_it_goes_on_as_it_was(scaler, shared):
    scaler.start("--expander=most-pods")
    first = json.loads(scaler.record.read_text())
    scaler.stop()
    assert not scaler.running
    assert shared[2].find("node", "workers-abcde"), "SIGTERM would have taken it away"
    scaler.record.unlink()
    scaler.again()
    second = json.loads(scaler.record.read_text())
    assert second["argv"] == first["argv"] and second["pid"] != first["pid"]
    os.kill(scaler.pid, signal.SIGTERM)
    wait_until(lambda: not scaler.running, deadline=30, what="it ends by itself")
    assert shared[2].find("node", "workers-abcde") is None, "so the stand-in does what upstream's does"


def test_it_goes_with_the_cluster(scaler):
    scaler.start()
    found = processes.recorded(scaler._folder)["cluster-autoscaler"]
    scaler._lab.cluster.kubeconfig.unlink()
    wait_until(lambda: not processes.alive(found), deadline=30, what="its end")


def test_for_amazons_groups_the_courses_own_loop_stays(scaler, monkeypatch, capsys):
    started = []
    monkeypatch.setattr(scaler, "_run", started.append)
    scaler._lab._quiet = False
    scaler.start("--cloud-provider=aws", "--cluster-name=shop")
    assert "the course's own loop: LAB_CLUSTER_AUTOSCALER is for" in capsys.readouterr().out
    assert started[0][1:3] == ["-m", "lab_helpers.autoscaling"] and not scaler.record.exists()


def test_the_kubeconfig_that_is_given_on_reaches_the_cluster(scaler):
    assert Kube(scaler._lab.cluster.kubeconfig).list("nodes")
