"""Images and containers without a cluster: read, refused, unpacked, run here, limited."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from lab_helpers import containers, processes
from lab_helpers.containers import base, docker, image, memory, namespaces, registry, running
from lab_helpers.errors import LabError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are a part of Linux")
PYTHON = ("python3", "-c")


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    """An image of this machine's Python, made once: packing it takes a second or two."""
    python = containers.tar_of(containers.machine_python())
    extra = containers.tar_of({"app/hello.py": b"import os, money\nprint(money.NAME, os.environ.get('STAGE'))\n"})
    library = containers.tar_of({"app/money.py": b"NAME = 'money'\n"})
    folder, env = tmp_path_factory.mktemp("images") / "hello-1.0", containers.ENVIRONMENT
    return containers.write_image(folder, [python, library, extra], ["python3", "hello.py"], env, "/app")


@pytest.fixture
def made(hello, tmp_path, monkeypatch):
    """A copy of that image, and no engine."""
    monkeypatch.setenv("LAB_PROVIDER", "embedded")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return shutil.copytree(hello, tmp_path / "hello-1.0")


def rewrite(folder: Path, change) -> None:
    """Change the manifest, and name it anew, as somebody would who lies about something else."""
    index = json.loads((folder / "index.json").read_text())
    entry = index["manifests"][0]
    manifest = json.loads((folder / "blobs" / entry["digest"].replace(":", "/")).read_text())
    change(manifest)
    from lab_helpers.containers.make import _blob, _json

    index["manifests"] = [_blob(folder, _json(manifest), "manifest.v1+json")]
    (folder / "index.json").write_text(json.dumps(index))


# -- images -----------------------------------------------------------------------------------------------------------


def test_an_image_is_read_with_all_that_a_node_keeps_of_it(made):
    found = containers.read(made)
    assert len(found.layers) == 3 and len(found.blobs) == 5
    assert found.config["config"]["Cmd"] == ["python3", "hello.py"]
    assert [layer["size"] for layer in found.row("x")["layers"]] == [layer["size"] for layer in found.layers]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "index.json").unlink(), "there is no index.json"),
        (lambda f: (f / "index.json").write_text("{"), "is no JSON"),
        (lambda f: (f / "index.json").write_text('{"manifests": []}'), "names 0 manifests"),
        (lambda f: rewrite(f, lambda m: m["layers"].pop()), "The config knows 3 layers, the manifest 2"),
        (lambda f: rewrite(f, lambda m: m["layers"].reverse()), "A diff_id of the config is not that of its layer"),
        (lambda f: rewrite(f, lambda m: m["config"].update(size=1)), "its descriptor says 1"),
        (lambda f: rewrite(f, lambda m: m.pop("config")), "lacks a key"),
        (
            lambda f: max((f / "blobs/sha256").iterdir(), key=lambda p: p.stat().st_size).write_bytes(b"x"),
            "is not what its name",
        ),
        (lambda f: max((f / "blobs/sha256").iterdir(), key=lambda p: p.stat().st_size).unlink(), "there is no blobs/sha256/"),
    ],
)
def test_an_image_that_is_not_what_it_says_is_refused(made, spoil, words):
    spoil(made)
    with pytest.raises(LabError) as caught:
        containers.read(made)
    assert words in caught.value.text()


def tar_with(*entries: tuple[str, dict[str, object], bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, fields, data in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in fields.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_an_upper_layer_replaces_and_takes_away(tmp_path):
    link = {"type": tarfile.SYMTYPE, "linkname": "/etc/one"}
    lower = tar_with(("etc/one", {}, b"1"), ("etc/two", {}, b"2"), ("d/inner", {}, b"3"), ("l", link, b""))
    upper = tar_with(("etc/one", {}, b"new"), ("etc/.wh.two", {}, b""), (".wh.d", {}, b""))
    root = containers.unpack(containers.read(containers.write_image(tmp_path / "i", [lower, upper])), tmp_path / "root")
    assert (root / "etc/one").read_text() == "new"
    assert not (root / "etc/two").exists() and not (root / "d").exists()
    assert (root / "l").readlink() == Path("/etc/one")


def test_a_layer_cannot_write_outside(tmp_path):
    (tmp_path / "outside").mkdir()
    away = {"type": tarfile.SYMTYPE, "linkname": str(tmp_path / "outside")}
    for number, layer in enumerate((tar_with(("../x", {}, b"1")), tar_with(("away", away, b""), ("away/x", {}, b"1")))):
        made = containers.read(containers.write_image(tmp_path / f"i{number}", [layer]))
        with pytest.raises(LabError, match="outside of the container"):
            containers.unpack(made, tmp_path / f"root{number}")
    assert list((tmp_path / "outside").iterdir()) == []


def test_the_archive_for_docker_holds_both_forms(made):
    with tarfile.open(fileobj=io.BytesIO(image.archive(containers.read(made), "lab.local/hello:1.0"))) as tar:
        names = tar.getnames()
        old = json.load(tar.extractfile("manifest.json"))[0]
        new = json.load(tar.extractfile("index.json"))["manifests"][0]
    assert old["RepoTags"] == ["lab.local/hello:1.0"] and {old["Config"], *old["Layers"]} <= set(names)
    assert new["annotations"]["io.containerd.image.name"] == "lab.local/hello:1.0"


def test_the_same_files_make_the_same_bytes():
    files = {"b": b"2", "a": b"1"}
    assert containers.tar_of(files) == containers.tar_of(dict(reversed(files.items())))


# -- this machine's Python ----------------------------------------------------------------------------------------------


def test_the_base_holds_a_python_with_its_libraries():
    files = containers.machine_python()
    assert files["usr/bin/python3"].exists()
    assert any(path.endswith("/os.py") for path in files) and any("ld-" in path for path in files)
    assert all(path.is_file() for path in files.values())
    assert not any(path.startswith("/") or ".." in path for path in files)
    assert sum(path.stat().st_size for path in files.values()) < 80 * 2**20


def test_on_another_system_the_base_can_be_made_and_nothing_runs(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not any(path.startswith(("lib/", "bin/")) for path in containers.machine_python())
    assert "part of Linux" in namespaces.obstacle()


def test_ldd_is_read_whoever_wrote_it(monkeypatch, tmp_path):
    program = tmp_path / "program"
    said = {
        "glibc": "\tlinux-vdso.so.1 (0x0000ffff)\n\tlibz.so.1 => /usr/lib/libz.so.1 (0x7f)\n\t/lib64/ld-linux.so.2 (0x01)\n",
        "musl": "\t/lib/ld-musl.so.1 (0x7f)\n\tlibz.so.1 => /usr/lib/libz.so.1 (0x7f)\n",
        "missing": "\tlibz.so.1 => not found\n",
        "static": "\tnot a dynamic executable\n",
    }
    found = {}
    for name, words in said.items():
        done = subprocess.CompletedProcess([], 0, f"{program}:\n{words}{program}:\n{words}", "")
        monkeypatch.setattr(base.subprocess, "run", lambda *_, done=done, **__: done)
        found[name] = base.shared_libraries([program])[program]
    assert found["glibc"] == {
        "linux-vdso.so.1": None,
        "libz.so.1": Path("/usr/lib/libz.so.1").resolve(),
        "/lib64/ld-linux.so.2": Path("/lib64/ld-linux.so.2").resolve(),
    }
    assert set(found["musl"]) == {"/lib/ld-musl.so.1", "libz.so.1"}
    assert not any(found["missing"].values()) and not any(found["static"].values())


# -- running ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def box():
    missing = namespaces.obstacle()
    assert not missing or not os.environ.get("LAB_CI"), missing
    if missing:
        pytest.skip(missing)
    return containers.Runtime(running.NAMESPACES, "")


@LINUX
def test_an_image_runs_and_only_its_configuration_differs(made, box, capfd):
    ran = box.run(made, STAGE="dev")
    assert (ran.code, ran.output) == (0, "money dev\n")
    said = capfd.readouterr().out
    assert "$ env -i" in said and "unshare --user" in said and said.endswith("money dev\n")
    assert box.run(made, STAGE="prod", quiet=True).output == "money prod\n"
    assert capfd.readouterr().out == ""


@LINUX
def test_a_container_sees_itself_alone_and_leaves_nothing(made, box, tmp_path):
    look = "import os, socket; socket.sethostname('inside'); print(os.getpid(), os.getuid(), sorted(os.listdir('/')))"
    before = os.uname().nodename
    ran = box.run(made, *PYTHON, look, quiet=True)
    assert ran.output.startswith("1 0 ['app', 'bin', 'dev', 'etc', 'lib'"), ran.output
    assert os.uname().nodename == before
    box.run(made, *PYTHON, "open('/app/money.py', 'w').write('NAME = 1')", quiet=True)
    assert box.run(made, quiet=True).output == "money None\n", "what one container wrote, another one has not"
    assert [path.name for path in (tmp_path / "data" / "eks-lab" / "containers").iterdir()] == ["images"]


@LINUX
def test_exit_codes_are_a_shells(made, box):
    assert box.run(made, *PYTHON, "raise SystemExit(3)", quiet=True).code == 3
    assert box.run(made, *PYTHON, "import os; os.kill(os.getpid(), 9) or os._exit(0)", quiet=True).code == 0, (
        "process 1 is safe"
    )
    assert box.run(made, "no-such-program", quiet=True).code != 0
    late = box.run(made, *PYTHON, "import time; time.sleep(60)", quiet=True, seconds=1)
    assert late.code == 137 and "ended after 1 s" in late.output


@LINUX
def test_memory_over_the_limit_ends_it_and_says_how(made, box):
    hungry = "held = []\nwhile len(held) < 150: held.append(bytearray(b'x' * 2**20))\nprint(len(held))"
    ended, fine = box.run(made, *PYTHON, hungry, memory=64, quiet=True), box.run(made, *PYTHON, hungry, memory=400, quiet=True)
    assert (fine.code, fine.output) == (0, "150\n") and not fine.killed
    assert "150" not in ended.output
    if box.limit().name == "addresses":
        assert (ended.code, ended.killed) == (1, False) and "RLIMIT_AS" in ended.why
    else:
        assert (ended.code, ended.killed) == (137, True) and "out of memory" in ended.why


@LINUX
def test_a_user_without_cgroups_gets_a_limit_on_addresses_that_says_so(made, box, monkeypatch):
    monkeypatch.setattr(memory, "_parents", list)
    monkeypatch.setattr(memory, "_systemd_works", lambda: False)
    assert "refuses instead of killing" in box.memory()
    hungry = "held = []\nwhile len(held) < 150: held.append(bytearray(b'x' * 2**20))\nprint(len(held))"
    ended = box.run(made, *PYTHON, hungry, memory=64, quiet=True)
    assert (ended.code, ended.killed) == (1, False) and "MemoryError" in ended.output


def test_a_systemd_that_sets_no_limit_is_not_believed(monkeypatch, tmp_path):
    for shown, good in (("33554432", True), ("max", False)):
        (tmp_path / "systemd-run").write_text(f"#!/bin/sh\necho {shown}\n")
        (tmp_path / "systemd-run").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        assert memory._systemd_works() is good
    words = memory.Limit("systemd", "").begin(64)
    assert words[0] == "systemd-run" and "MemoryMax=64M" in words and "MemorySwapMax=0" in words


def test_who_runs_containers_is_said_with_the_reason(monkeypatch):
    monkeypatch.setattr(docker, "answer", lambda: ("28.2.2", f"linux/{base.PLATFORM['architecture']}"))
    monkeypatch.setenv("LAB_PROVIDER", "auto")
    if sys.platform == "linux":
        assert containers.runtime().name == "docker"
    monkeypatch.setattr(docker, "answer", lambda: ("28.2.2", "linux/s390x"))
    monkeypatch.setattr(namespaces, "obstacle", lambda: "")
    found = containers.runtime()
    assert found.name == "namespaces" and "s390x" in found.seen
    monkeypatch.setattr(namespaces, "obstacle", lambda: "no namespaces here.")
    monkeypatch.setenv("LAB_PROVIDER", "embedded")
    found = containers.runtime()
    assert found.name == "nobody" and "no namespaces here" in repr(found) and "no engine is asked" in found._repr_html_()


def test_where_nobody_runs_containers_that_is_said(made, capsys):
    ran = containers.Runtime(running.NOBODY, "Nothing here runs containers.").run(made)
    assert ran.code is None and "Nothing ran" in capsys.readouterr().out


def test_docker_is_told_labels_limits_and_never_to_pull():
    line = [word for part in docker.command("lab.local/x:1", "n", ["ls"], {"A": "b"}, 64) for word in part]
    text = " ".join(line)
    assert "--label io.eks-lab=1" in text and "--pull never" in text and "--memory 64m --memory-swap 64m" in text
    assert line[-2:] == ["lab.local/x:1", "ls"] and "--env A=b" in text


def test_an_image_without_the_labels_is_not_given_to_the_engine(tmp_path, monkeypatch):
    monkeypatch.setattr("lab_helpers.containers.make.LABELS", {})
    bare = containers.read(containers.write_image(tmp_path / "bare", [containers.tar_of({"a": b"1"})]))
    with pytest.raises(LabError, match="lacks the lab's labels"):
        docker.load(bare, "lab.local/bare:1")


# -- the registry -------------------------------------------------------------------------------------------------------


def test_a_registry_takes_an_image_and_ends(made, tmp_path):
    from lab_helpers import toolchain

    toolchain.ensure(["crane"])
    address = containers.serve_registry()
    try:
        assert containers.serve_registry() == address, "one is enough"
        crane = toolchain.path("crane")
        assert containers.read(made).digest in processes.run([crane, "push", made, f"{address}/hello:1.0"])
        processes.run([crane, "validate", "--remote", f"{address}/hello:1.0"])
    finally:
        assert registry.end_registry()
    assert not (tmp_path / "data" / "eks-lab" / "containers").exists()
    assert not registry.end_registry()
