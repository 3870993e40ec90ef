"""Clusters come and go: interrupted, killed, side by side; nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from clusters_kit import ALL, ONE, listening, pod_runs, quiet, running_for

from lab_helpers import processes, settings
from lab_helpers.clusters import environment, kwokctl, provider
from lab_helpers.errors import ClusterError


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


def test_a_port_taken_between_choice_and_bind_is_chosen_again(maker, monkeypatch):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    free, first = kwokctl.free_ports, [True]

    def choose(count: int) -> list[int]:
        ports = free(count)
        if first.pop() if first else False:
            ports[2] = taken.getsockname()[1]  # the API server's
        return ports

    monkeypatch.setattr(kwokctl, "free_ports", choose)
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
