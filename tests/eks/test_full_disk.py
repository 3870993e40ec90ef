"""The local AWS on a disk that gets full: it goes on, and saves when there is room again."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from eks_kit import Aws, until

from lab_helpers import settings
from lab_helpers.eks import service


@pytest.fixture
def small(monkeypatch):
    """A disk of 64 MB with the state folder on it; only root can make one."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"no small disk can be made: {done.stderr.strip()}")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    yield folder
    service.clean(settings.load())
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def fill(folder: Path) -> Path:
    """Leave no byte free; the file that takes them."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def test_what_was_done_on_a_full_disk_is_kept_when_there_is_room(small):
    aws = Aws(small)
    iam, log = aws.client("iam"), aws.endpoint.folder / "logs" / "aws.log"
    iam.create_user(UserName="before")
    until(lambda: "before" in saved(aws), 30)
    filler = fill(small)
    assert os.statvfs(small).f_bavail == 0
    iam.create_user(UserName="meanwhile")  # it answers: the account is in memory
    assert {user["UserName"] for user in iam.list_users()["Users"]} >= {"before", "meanwhile"}
    filler.unlink()
    iam.create_user(UserName="afterwards")
    until(lambda: "afterwards" in saved(aws), 60)
    service.stop(settings.load())
    names = {user["UserName"] for user in aws.client("iam").list_users()["Users"]}
    assert names >= {"before", "meanwhile", "afterwards"} and "Traceback" not in log.read_text()


def saved(aws: Aws) -> str:
    """What stands in the account's file."""
    return "".join(path.read_bytes().decode("latin-1") for path in aws.endpoint.folder.glob("state*") if path.is_file())
