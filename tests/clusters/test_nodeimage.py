"""The node image on a real engine: built from nothing, checked, found again; a pulled one; and what `lab clean` leaves."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import registry
from engine_use import engine_use

from lab_helpers import settings, toolchain
from lab_helpers.clusters import diagnosis, engine, nodeimage
from lab_helpers.clusters.nodeimage import archive, check, debian, host, official, offline, parts
from lab_helpers.errors import ClusterError
from lab_helpers.toolchain import catalog, modules


def everything() -> dict[str, set[str]]:
    """What the engine has, by kind."""
    images = set(
        engine.docker("image", "ls", "--all", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    )
    others = {"container": "{{.Names}}", "network": "{{.Name}}", "volume": "{{.Name}}"}
    flags = {"container": ["--all"]}
    found = {what: engine.docker(what, "ls", *flags.get(what, []), "--format", form) for what, form in others.items()}
    return {"image": images, **{what: set(said.splitlines()) for what, said in found.items()}}


@pytest.fixture(scope="module", autouse=True)
def alone():
    with engine_use(alone=True):
        yield


@pytest.fixture
def image(home, monkeypatch):
    """The node image, built now if it is not there."""
    monkeypatch.delenv("LAB_PROVIDER", raising=False)
    return nodeimage.ensure(settings.load(), say=print)


def test_the_image_is_found_again_at_once_and_the_doctor_knows_it(image):
    began = time.monotonic()
    assert nodeimage.ensure(settings.load()) == nodeimage.present(settings.load()) == image
    assert time.monotonic() - began < 3
    rows = {row.what: row for row in diagnosis.diagnose(settings.load())}
    assert rows["node image"].found == image and rows["Docker engine"].ok
    assert engine.docker("image", "inspect", "--format", '{{index .Config.Labels "io.eks-lab"}}', image) == "1"
    assert engine.docker("image", "inspect", "--format", "{{.Config.StopSignal}}", image) == offline.STOP_SIGNAL


def test_lab_setup_kind_says_what_is_ready_and_without_an_engine_what_to_type(image, monkeypatch, tmp_path):
    lab = [Path(sys.executable).with_name("lab"), "setup", "kind"]
    done = subprocess.run(lab, capture_output=True, text=True)
    assert done.returncode == 0 and f"The node image {image} is ready." in done.stdout, done.stdout + done.stderr
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    done = subprocess.run(lab, capture_output=True, text=True)
    assert done.returncode == 1 and "does not run" in done.stderr and "systemctl start docker" in done.stderr


def test_an_image_that_does_not_work_is_not_called_good_and_leaves_nothing(image, monkeypatch):
    """A node whose network agent is missing boots, and no Pod answers."""
    before = everything()
    monkeypatch.setattr(check, "_ANSWER_SECONDS", 15)
    name = "lab.local/node-test:1-broken"

    def broken(unproved: str) -> None:
        box = "lab-node-image-broken"
        engine.run(image, "/kind/bin/lab-cni", options=("--name", box, "--entrypoint", "rm"))
        entry = ", ".join(f'"{word}"' for word in offline.ENTRYPOINT)
        engine.docker("commit", "--change", f"ENTRYPOINT [{entry}]", box, unproved)
        offline.remove(box)

    with pytest.raises(ClusterError, match="does not work") as caught:
        nodeimage._checked(settings.load(), name, print, broken)
    assert "NotReady" in caught.value.seen or "Pending" in caught.value.seen
    assert everything() == before


def test_a_check_that_was_stopped_goes_on_with_the_image_that_is_there(image, monkeypatch):
    name, made, said = "lab.local/node-test:1-stopped", [], []

    def make(unproved: str) -> None:
        made.append(unproved)
        engine.docker("tag", image, unproved)

    def stopped(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(check, "check", stopped)
        nodeimage._checked(settings.load(), name, said.append, make)
    assert not engine.exists("image", name) and engine.exists("image", made[0])
    monkeypatch.setattr(check, "check", lambda *words: None)
    assert nodeimage._checked(settings.load(), name, said.append, make) == name
    assert len(made) == 1 and any("made already" in line for line in said)
    assert engine.exists("image", name) and not engine.exists("image", made[0])
    engine.docker("image", "rm", name)


def test_the_official_image_is_pulled_by_digest_and_the_course_is_added(home, image, monkeypatch):
    """From a registry that stands in for Docker's: a node image without the course's images."""
    conf = settings.load()
    programs = toolchain.ensure(parts.PROGRAMS)
    kind = modules.files(catalog.KIND, "sigs.k8s.io/kind", "images/base/files")
    storage = modules.files(catalog.LOCAL_PATH, "github.com/rancher/local-path-provisioner", "deploy")
    place, store = home / "layers", offline.folder(conf)
    place.mkdir()
    node = (debian.make(debian.NODE, store), parts.node_layer(programs, kind, storage, place))
    served = archive.Image("kindest/node:v1.36.4", node, offline.ENTRYPOINT, {"container": "docker"}, stop_signal="SIGRTMIN+3")
    before, name = everything(), "lab.local/node-test:1-pulled"
    with registry.serving(served, catalog.machine()[1]) as (address, digest):
        monkeypatch.setattr(official, "NODE", f"kindest/node:v1.36.4@{digest}")
        monkeypatch.setenv("LAB_DOWNLOADS", address)
        assert official.reachable(settings.load())
        said: list[str] = []
        official.build(settings.load(), name, said.append)
    assert any("pulling 127.0.0.1" in line for line in said)
    try:
        box = engine.run(name, "infinity", options=("--detach", "--entrypoint", "sleep"))
        engine.docker("exec", "--detach", box, "containerd")
        listed = ("sh", "-c", "until ctr version >/dev/null 2>&1; do sleep 0.1; done; ctr -n k8s.io images list -q")
        assert "lab.local/web:1.1" in engine.exec(box, *listed)
        offline.remove(box)
    finally:
        engine.docker("image", "rm", "--force", name)
    assert everything() == before, "what was pulled only for this is let go of"


def test_a_registry_that_does_not_answer_is_given_up_after_two_seconds(home, monkeypatch):
    monkeypatch.setenv("LAB_DOWNLOADS", "http://127.0.0.1:9")
    began = time.monotonic()
    assert not official.reachable(settings.load()) and time.monotonic() - began < 4


def test_this_machine_gets_the_patches_it_needs(image):
    found, info = nodeimage.patches(image), engine.required()
    held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd")).split()[1]
    lacks = info.rootless or not int(held, 16) >> 24 & 1
    assert found.get("containerdConfigPatches", []) == ([host.CONTAINERD_PATCH] if lacks else [])
    assert found.get("kubeadmConfigPatches", []) == ([host.KUBELET_PATCH] if info.cgroup == 1 else [])


def test_clean_removes_what_the_lab_made_and_nothing_else(home, image, monkeypatch):
    """A label of this test's own stands in for the lab's: the node image stays for the next test."""
    monkeypatch.setattr(engine, "LABEL", "io.eks-lab-test=1")
    monkeypatch.setattr(engine, "HOME", "io.eks-lab-test.home")
    monkeypatch.setitem(archive.LABELS, "io.eks-lab-test", "1")
    tiny = archive.layer(home / "tiny.tar", [archive.Entry("tiny", b"")])
    programs = archive.layer(home / "more.tar", [archive.Entry("more", b"")])
    stranger = io.BytesIO()
    with tarfile.open(fileobj=stranger, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    (home / "stranger.tar").write_bytes(stranger.getvalue())
    engine.docker("import", home / "stranger.tar", "stranger:1")
    sleep = ("--detach", "--entrypoint", "sleep")
    engine.docker("run", *sleep, "--name", "stranger", "--volume", "stranger:/data", image, "infinity")
    engine.docker("network", "create", "stranger")
    before = everything()
    try:
        pair = [archive.Image("test.local/a:1", (tiny,), ("/x",)), archive.Image("test.local/b:1", (tiny, programs), ("/x",))]
        engine.docker("load", stdin=archive.write(home / "pair.tar", pair, "amd64"))
        engine.docker("network", "create", *engine.labels(), "lab-test")
        engine.docker("volume", "create", *engine.labels(), "lab-test")
        engine.run(image, "infinity", options=(*sleep, "--name", "lab-test", "--network", "lab-test", "--volume", "/var"))
        other = engine.labels(home / "another data folder")
        engine.docker("run", *other, *sleep, "--name", "neighbour", image, "infinity")
        assert engine.clean(images=False) == {"container": 1, "network": 1, "volume": 1}
        after = everything()
        assert after["container"] - before["container"] == {"neighbour"}, "another lab's on the same engine"
        assert len(after["image"] - before["image"]) == 2, "images stay"
        engine.docker("rm", "--force", "--volumes", "neighbour")
        assert engine.clean(images=True)["image"] == 2
        assert everything() == before
    finally:
        engine.docker("rm", "--force", "--volumes", "stranger")
        engine.docker("network", "rm", "stranger")
        engine.docker("volume", "rm", "stranger")
        engine.docker("image", "rm", "stranger:1")
