"""Building: once, recorded, found again, and refused once it has changed."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest
from toolchain_tiny import FAMILY, HERE, TINY, use

from lab_helpers import settings, toolchain
from lab_helpers.errors import ProgramError
from lab_helpers.toolchain import diagnose, modules, own, setup_status, store


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


def test_what_a_program_needs_of_its_modules_is_kept_with_it(cache, monkeypatch):
    """Fetched while the modules are there anyhow; `lab setup --all` is then enough for a lab without a network."""
    use(monkeypatch, replace(TINY, family=replace(FAMILY, files=(("lab.local/other", "pkg/crds"),))))

    def fetch(settings, family, module, inside, target):
        target.mkdir(parents=True)
        (target / "one.yaml").write_text(module)

    monkeypatch.setattr(modules, "_fetch", fetch)
    toolchain.ensure(["tiny"])
    monkeypatch.delattr(modules, "_fetch")
    assert (modules.files(FAMILY, "lab.local/other", "pkg/crds") / "one.yaml").read_text() == "lab.local/other"


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
