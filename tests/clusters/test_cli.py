"""The `lab` command, as typed: each verb on a real cluster, and bad input with an answer that helps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from lab_helpers import processes, settings
from lab_helpers.clusters import provider
from lab_helpers.settings import LABS
from lab_helpers.teaching import lesson
from lab_helpers.teaching.ownership import Ownership
from lab_helpers.toolchain import setup_status
from lab_helpers.toolchain.setup_status import Line, SetupStatus

LAB = Path(sys.executable).with_name("lab")
NAME = "00-start-here"


def lab(*words: str, code: int = 0, **env: str) -> str:
    done = subprocess.run([LAB, *words], capture_output=True, text=True, env={**os.environ, "COLUMNS": "200", **env})
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def opened(home):
    """Lab 00's cluster, as its notebook would have made it."""
    maker, room = provider(settings.load()), lesson.find(NAME)
    yield maker.create(NAME, room.profile, lambda line: None)
    maker.delete(NAME)


def test_list_names_every_lab_with_minutes(home):
    rows = json.loads(lab("list", "--json"))
    assert [row["lab"] for row in rows] == sorted(path.parent.name for path in LABS.glob("*/lab.yaml"))
    assert all(row["minutes"] >= 5 and row["passed"] == 0 for row in rows)
    assert NAME in lab("list")


def test_doctor_says_that_all_is_well_or_what_to_type(home, tmp_path):
    rows = json.loads(lab("doctor", "--json"))
    assert {"what", "found", "needed", "next_step", "ok"} == set(rows[0])
    assert all(row["ok"] for row in rows)
    empty = json.loads(lab("doctor", "--json", code=1, XDG_CACHE_HOME=str(tmp_path), PATH="/usr/bin:/bin"))
    missing = {row["what"]: row for row in empty if not row["ok"]}
    assert missing["kube-apiserver"]["next_step"] == "lab setup"


def test_setup_with_everything_there_returns_at_once(home):
    assert "programs are ready" in lab("setup")


def test_shell_runs_a_command_in_the_labs_environment(opened):
    assert "node-1" in lab("shell", NAME, "--", "kubectl", "get", "nodes")
    assert "node-1" in lab("shell", "0", "--", "kubectl", "get", "nodes"), "a number is enough"
    lab("shell", NAME, "--", "kubectl", "get", "pod", "ghost", code=1)
    seen = lab("shell", NAME, "--", "env", AWS_SECRET_ACCESS_KEY="canary", KUBECONFIG="/own/kubeconfig")
    assert f"KUBECONFIG={opened.kubeconfig}" in seen
    assert "canary" not in seen


def test_shell_of_a_lab_that_is_not_open_says_how_to_open_it(home):
    assert f"lab open {NAME}" in lab("shell", NAME, "--", "true", code=1)


def test_clusters_and_reset(opened):
    assert json.loads(lab("clusters", "--json"))[0]["health"]["etcd"] == "running"
    assert NAME in lab("clusters")
    assert "is gone" in lab("reset", NAME)
    assert "No clusters" in lab("clusters")


def test_reset_of_a_lab_that_a_notebook_owns_says_who(opened):
    owner = Ownership(settings.load(), NAME)
    try:
        said = lab("reset", NAME, code=1)
        assert f"process {os.getpid()}" in said and "Shut Down Kernel" in said
    finally:
        owner.release()


def test_clean_ends_everything_and_keeps_progress(opened, home):
    data = home / "data" / "eks-lab"
    (data / "progress.json").write_text("{}")
    assert "1 cluster ended" in lab("clean")
    assert [path.name for path in data.iterdir()] == ["progress.json"]
    assert "No clusters" in lab("clusters")


def test_an_unknown_lab_gets_the_nearest_names(home):
    assert f"did you mean: {NAME}" in lab("open", "00-start-hre", code=1)
    assert NAME in lab("check", "start", code=1)


def test_check_runs_the_learners_notebook_and_reports_each_exercise(home):
    said = lab("check", NAME, code=1)
    for exercise in lesson.find(NAME).exercises:
        assert f"✗ {exercise}" in said
    assert "There is no namespace team-blue" in said
    assert "No clusters" in lab("clusters"), "it had a cluster of its own, and that is gone"


def test_open_twice_gives_the_same_server_and_ctrl_c_ends_it(home):
    env = {**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    first = subprocess.Popen([LAB, "open", "--no-browser"], stdout=subprocess.PIPE, text=True, env=env)
    try:
        lines = iter(first.stdout.readline, "")
        address = next(line.strip() for line in lines if "http://127.0.0.1:" in line)
        assert "/lab/tree/00-start-here/start-here.ipynb?token=" in address
        second = lab("open", "03", "--no-browser")
        assert "runs already" in second
        assert address.partition("/lab/")[0] in second and "control-plane.ipynb" in second
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    record = processes.recorded(home / "data" / "eks-lab" / "jupyter")["jupyterlab"]
    assert not processes.alive(record)


def test_a_bad_setting_is_named(home):
    assert "LAB_PROVIDER is 'moon'" in lab("clusters", code=1, LAB_PROVIDER="moon")


def test_clean_leaves_a_set_up_of_others_alone_and_ends_what_a_killed_one_left(home, tmp_path, monkeypatch):
    """Several state folders share one cache of programs; a build belongs to the set-up that runs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    chosen = settings.load()
    builds = settings.writable(chosen.cache / "build")
    build = processes.start("go-build-kubectl", ["sleep", "600"], folder=builds)
    setup = processes.start("setup", ["sleep", "600"], folder=settings.writable(tmp_path / "other" / "setup"))
    try:
        state = SetupStatus({"kubectl": Line("building")}, setup.pid, setup.birth)
        setup_status.path(chosen).write_text(json.dumps(asdict(state)))
        lab("clean")
        assert processes.alive(build) and processes.alive(setup)
        assert f"kill {setup.pid}" in lab("clean", "--all", code=1)
        processes.stop(setup, grace=0)
        lab("clean", "--all")
        assert not processes.alive(build) and not chosen.cache.exists()
    finally:
        processes.stop(build, grace=0)
        processes.stop(setup, grace=0)
