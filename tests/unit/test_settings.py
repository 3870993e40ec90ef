"""Settings: the folders of the XDG specification, and bad values that are named."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lab_helpers import settings
from lab_helpers.errors import SettingError


def test_folders_follow_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    found = settings.load()
    assert found.data == tmp_path / "d" / "eks-lab"
    assert found.cache == tmp_path / ".cache" / "eks-lab"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("LAB_PROVIDER", "minikube"), ("LAB_DOWNLOADS", "sometimes"), ("LAB_PROGRAMS", "/no/such/folder")],
)
def test_a_bad_value_is_named(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError) as caught:
        settings.load()
    assert variable in caught.value.headline and value in caught.value.headline
    assert caught.value.next_step


def test_a_read_only_disk_is_said_with_the_variable_that_moves_it(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")  # root may write anywhere, but not below a file
    with pytest.raises(SettingError) as caught:
        settings.writable(blocked / "eks-lab")
    assert "XDG_DATA_HOME" in caught.value.next_step


def test_a_name_without_white_space_stands_for_one_with(tmp_path, monkeypatch):
    monkeypatch.setattr(settings.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / "Zoë Ana"
    alias = settings.plain(folder)
    assert " " not in str(alias)
    (alias / "file").write_text("same place")
    assert (folder / "file").read_text() == "same place"
    assert settings.plain(folder) == alias, "the same name every time"
    assert settings.plain(tmp_path) == tmp_path


def test_the_front_door_opens_quickly():
    """`from lab_helpers import open_lab` imports neither the Kubernetes client nor matplotlib nor widgets."""
    code = (
        "import sys; from lab_helpers import open_lab\n"
        "print([m for m in ('kubernetes', 'matplotlib', 'ipywidgets', 'requests', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
