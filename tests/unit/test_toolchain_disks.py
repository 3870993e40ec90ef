"""Full disks and folders that cannot be written."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toolchain_tiny import HERE, TINY, script

from lab_helpers import toolchain
from lab_helpers.toolchain import own

SMALL = """
import contextlib, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import toolchain_tiny as t
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
import toolchain_tiny as t
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
