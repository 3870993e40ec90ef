"""The engine seen through a `docker` that answers as told: what is found out, and what the user is told to type."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile

import pytest

from lab_helpers import settings
from lab_helpers.clusters import diagnosis, engine, nodeimage
from lab_helpers.clusters.nodeimage import archive, offline
from lab_helpers.errors import ClusterError

GOOD = {
    "ServerVersion": "28.2.2",
    "CgroupVersion": "2",
    "CgroupDriver": "systemd",
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
    "MemTotal": 16 << 30,
    "NCPU": 8,
    "DockerRootDir": "/nowhere/docker",
    "Driver": "overlay2",
    "OperatingSystem": "Debian GNU/Linux 13 (trixie)",
    "Architecture": "x86_64",
    "ID": "an-id",
}
NOT_RUNNING = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
NO_PERMISSION = (
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: "
    'Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info": dial unix /var/run/docker.sock: connect: permission denied'
)


@pytest.fixture
def stand_in(monkeypatch, tmp_path, home):
    """Put a `docker` on PATH that prints these words for `docker info`, and writes down what it is asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "sleep"):
        (folder / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(folder))
    for name in ("DOCKER_HOST", "LAB_PROVIDER"):
        monkeypatch.delenv(name, raising=False)

    def put(info: object = None, error: str = "", other: str = ""):
        (tmp_path / "info").write_text(json.dumps(info) if info else "")
        (tmp_path / "error").write_text(error)
        answer = f"cat {tmp_path}/info; cat {tmp_path}/error >&2; [ ! -s {tmp_path}/error ]; exit"
        lines = ["#!/bin/sh", f'echo "$@" >>{tmp_path}/asked', f"if [ $1 = info ]; then {answer}; fi", other]
        (folder / "docker").write_text("\n".join([*lines, ""]))
        (folder / "docker").chmod(0o755)
        return tmp_path / "asked"

    return put


def test_an_engine_that_answers_is_described(stand_in):
    stand_in(GOOD)
    info = engine.info()
    assert info and engine.why_not() is None
    assert (info.version, info.cgroup, info.cgroup_driver, info.rootless) == ("28.2.2", 2, "systemd", False)
    assert (info.memory, info.cpus, info.arch) == (16 << 30, 8, "amd64")


CLIENT_ONLY = {"ServerVersion": "", "ClientInfo": {"Version": "28.2.2"}}
REFUSED = {
    "not running": (CLIENT_ONLY, NOT_RUNNING, "does not run", "sudo systemctl start docker"),
    "not running, as an old client says it": ({"ServerErrors": [NOT_RUNNING]}, "", "does not run", "systemctl start docker"),
    "no permission on the socket": (CLIENT_ONLY, NO_PERMISSION, "you may not use it", "sudo usermod -aG docker"),
    "podman's own command": ({"host": {}, "store": {}, "version": {}}, "", "Podman", "LAB_PROVIDER=embedded"),
    "podman behind docker": ({**GOOD, "ProductLicense": "Apache-2.0"}, "", "Podman", "LAB_PROVIDER=embedded"),
    "too old": ({**GOOD, "ServerVersion": "19.03.1"}, "", "too old", "20.10 or newer"),
    "a client too old": (CLIENT_ONLY, "Error response: client version 1.24 is too old.", "do not fit", "update Docker"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_engine_that_cannot_be_used_says_why_and_what_to_type(stand_in, case):
    said, error, headline, remedy = REFUSED[case]
    stand_in(said, error)
    assert engine.info() is None
    why = engine.why_not()
    assert why and headline in why.headline and remedy in why.next_step and "LAB_PROVIDER=embedded" in why.next_step
    with pytest.raises(ClusterError, match=headline):
        engine.required()
    row = diagnosis.diagnose(settings.load())[0]
    assert row.what == "Docker engine" and headline in row.found and row.next_step == why.next_step


def test_docker_that_is_not_installed(stand_in, tmp_path):
    why = engine.why_not()
    assert why and "not installed" in why.headline and "no docker on PATH" in why.seen
    (tmp_path / "bin" / "podman").symlink_to(shutil.which("sh"))
    assert "podman" in engine.why_not().seen


def test_an_engine_that_hangs_is_given_up_after_the_time_allowed(stand_in, tmp_path):
    stand_in(GOOD)
    (tmp_path / "bin" / "docker").write_text("#!/bin/sh\nexec sleep 30\n")
    assert "does not answer" in engine.why_not(timeout=0.3).headline


def rows(stand_in, **changed):
    stand_in({**GOOD, **changed}, other="echo 'Error: No such image: x' >&2; exit 1")
    return {row.what: row for row in diagnosis.diagnose(settings.load())}


def test_the_doctor_knows_rootless_engines(stand_in):
    rootless = ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]
    assert rows(stand_in, SecurityOptions=rootless)["control groups"].ok
    old = rows(stand_in, SecurityOptions=rootless, CgroupVersion="1", CgroupDriver="none")["control groups"]
    assert not old.ok and "rootless" in old.needed and "unified_cgroup_hierarchy" in old.next_step
    alone = rows(stand_in, SecurityOptions=rootless, CgroupDriver="none")["control groups"]
    assert not alone.ok and "delegated" in alone.needed


def test_the_doctor_knows_small_machines_and_missing_images(stand_in, monkeypatch):
    found = rows(stand_in, MemTotal=2 << 30)
    assert not found["the engine's memory"].ok and "memory" in found["the engine's memory"].next_step
    assert "not prepared yet" in found["node image"].found and found["node image"].next_step == "lab setup kind"
    assert found["control groups"].ok


def test_the_doctor_counts_disk_and_inotify_where_the_engine_is_here(stand_in, monkeypatch, tmp_path):
    (tmp_path / "max_user_instances").write_text("128\n")
    (tmp_path / "max_user_watches").write_text("1000000\n")
    monkeypatch.setattr(diagnosis, "_PROC", tmp_path)
    found = rows(stand_in, DockerRootDir=str(tmp_path))
    assert "GB free under" in found["the engine's disk"].found
    low = found["inotify max_user_instances"]
    assert not low.ok and low.next_step == "sudo sysctl -w fs.inotify.max_user_instances=512"
    assert found["inotify max_user_watches"].ok
    monkeypatch.setattr(diagnosis, "_DISK", 10**6)
    assert not rows(stand_in, DockerRootDir=str(tmp_path))["the engine's disk"].ok
    assert "inotify max_user_instances" not in rows(stand_in, OperatingSystem="Docker Desktop", DockerRootDir=str(tmp_path))


def test_a_failed_command_carries_dockers_words(stand_in):
    stand_in(GOOD, other="echo 'Error response from daemon: no space left on device' >&2; exit 1")
    with pytest.raises(ClusterError) as caught:
        engine.docker("run", "x")
    assert "disk is full" in caught.value.headline and "no space left" in caught.value.seen
    stand_in(GOOD, other="echo 'exec: no such file or directory' >&2; exit 127")
    with pytest.raises(ClusterError, match=r"docker run x failed"):  # a program in a container is not the engine
        engine.docker("run", "x")


def test_everything_made_carries_the_labs_labels_and_kind_is_given_them_too(stand_in, home):
    asked = stand_in(GOOD)
    engine.run("an/image", "a-command", options=("--rm",))
    line = asked.read_text().splitlines()[-1]
    assert line.startswith("run --label io.eks-lab=1 --label io.eks-lab.home=") and line.endswith("--rm an/image a-command")
    env = engine.environment(labelling=settings.load())
    subprocess.run(["docker", "run", "-d", "x"], env=env, check=True)
    subprocess.run(["docker", "ps"], env=env, check=True)
    made, other = asked.read_text().splitlines()[-2:]
    assert made.startswith("run --label io.eks-lab=1 --label io.eks-lab.home=") and made.endswith("-d x") and other == "ps"


def test_a_platform_of_the_users_does_not_reach_our_images(stand_in, monkeypatch):
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/s390x")
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    env = engine.environment()
    assert "DOCKER_DEFAULT_PLATFORM" not in env and env["DOCKER_CONTEXT"] == "mine"


def test_the_image_is_named_after_its_content(stand_in, monkeypatch):
    pulled, built = nodeimage.references()
    assert pulled.startswith("lab.local/node:1.36.4-") and built.startswith("lab.local/node:1.36.3-")
    asked = stand_in(GOOD, other=f"[ $5 = {built} ] && exit 0; echo 'No such image: x' >&2; exit 1")
    assert nodeimage.present(settings.load()) == built and asked.read_text().count("image inspect") == 2


def test_what_a_build_lacks_is_said_before_anything_starts(stand_in, monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_DOWNLOADS", "off")
    other = "echo 'No such image: x' >&2; exit 1"
    asked = stand_in({**GOOD, "DockerRootDir": str(tmp_path)}, other=other)
    with pytest.raises(ClusterError, match="mmdebstrap is missing") as caught:
        nodeimage.ensure(settings.load())
    assert "sudo apt install mmdebstrap" in caught.value.next_step
    (tmp_path / "bin" / "mmdebstrap").symlink_to(shutil.which("sh"))
    monkeypatch.setattr(offline, "_GIGABYTES", 10**6)
    with pytest.raises(ClusterError, match="needs 1000002 GB of disk") as caught:
        nodeimage.ensure(settings.load())
    assert "GB are free under" in caught.value.seen
    stand_in({**GOOD, "Architecture": "riscv64"}, other=other)
    with pytest.raises(ClusterError, match="another kind of processor") as caught:
        nodeimage.ensure(settings.load())
    assert "riscv64" in caught.value.seen
    assert not {line.split()[0] for line in asked.read_text().splitlines()} & {"run", "load", "pull"}


def test_layers_and_archives_are_the_same_every_time(tmp_path):
    entries = [archive.Entry("b/c", b"text", 0o755), archive.Entry("a", link="b/c"), archive.Entry("b/d", mode=0o1777)]
    one, two = archive.layer(tmp_path / "1.tar", entries), archive.layer(tmp_path / "2.tar", entries[::-1])
    assert one.digest == two.digest
    with tarfile.open(one.path) as tar:
        found = {member.name: (member.type, oct(member.mode), member.linkname) for member in tar}
    folder = tarfile.DIRTYPE
    assert found["b"] == (folder, "0o755", "") and found["b/d"] == (folder, "0o1777", "")
    assert found["b/c"] == (tarfile.REGTYPE, "0o755", "") and found["a"][2] == "b/c"
    images = [archive.Image(f"x/y:{tag}", (one,), ("/b/c",), {"TAG": tag}, user="1000") for tag in "12"]
    with tarfile.open(archive.write(tmp_path / "all.tar", images, "amd64")) as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))
        index = json.load(tar.extractfile("index.json"))
        config = json.load(tar.extractfile(manifest[1]["Config"]))
    assert names.count(f"blobs/sha256/{one.digest}") == 1, "a layer that two images share stands there once"
    assert [image["RepoTags"] for image in manifest] == [["x/y:1"], ["x/y:2"]]
    assert [one["annotations"]["io.containerd.image.name"] for one in index["manifests"]] == ["x/y:1", "x/y:2"]
    assert config["config"]["User"] == "1000" and "TAG=2" in config["config"]["Env"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{one.digest}"]
