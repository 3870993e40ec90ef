"""Which cluster autoscaler is used, and what is said where the one that the user names cannot be."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lab_helpers import settings
from lab_helpers.autoscaling import diagnosis, upstream
from lab_helpers.errors import SettingError


def write(folder: Path, body: str, mode: int = 0o755) -> Path:
    path = folder / "my autoscaler"
    path.write_text(body)
    path.chmod(mode)
    return path


def says(folder: Path, version: str, more: str = "exit 255") -> Path:
    line = f"I1129 08:00:00.000001    4711 main.go:1] Cluster Autoscaler {version}"
    return write(folder, f'#!/bin/sh\necho "{line}" >&2\n{more}\n')


def row(monkeypatch, path):
    monkeypatch.setenv(upstream.VARIABLE, str(path))
    return diagnosis.diagnose(settings.load())[0]


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv(upstream.VARIABLE, raising=False)


def test_without_the_setting_it_is_the_courses_own():
    assert upstream.program(settings.load()) is None
    [said] = diagnosis.diagnose(settings.load())
    assert said.ok and said.what == "Cluster Autoscaler" and "own loop" in said.found


def test_with_it_upstreams_is_used_and_doctor_says_so(monkeypatch, tmp_path):
    path = says(tmp_path, f"{upstream.wanted()}.7")
    said = row(monkeypatch, path)
    assert upstream.program(settings.load()) == path
    assert said.ok and f"upstream's {upstream.wanted()}.7" in said.found and str(path) in said.found


def test_a_program_that_goes_on_is_ended_once_its_version_is_known(monkeypatch, tmp_path):
    began = time.monotonic()
    assert upstream.version(says(tmp_path, "1.36.0", "sleep 15")) == "1.36.0"
    assert time.monotonic() - began < 10


def test_a_program_that_says_nothing_is_not_waited_for_without_end(monkeypatch, tmp_path):
    monkeypatch.setattr(upstream, "_PATIENCE", 0.3)
    began = time.monotonic()
    assert upstream.version(write(tmp_path, "#!/bin/sh\nsleep 15\n")) == ""
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("body", "mode", "words"),
    [
        (None, 0, "is no file"),
        ("", 0o644, "cannot be executed"),
        ("#!/no/such/shell\n", 0o755, "does not start"),
        ("#!/bin/sh\necho Cluster Autoscaler 1.2.3\n", 0o755, "it says that it is Cluster Autoscaler 1.2.3"),
        ("#!/bin/sh\necho kwok 1.36.1\n", 0o755, "it does not say that it is Cluster Autoscaler"),
    ],
)
def test_what_cannot_be_used_is_said_by_the_lab_and_by_doctor(monkeypatch, tmp_path, body, mode, words):
    path = tmp_path / "nothing" if body is None else write(tmp_path, body, mode)
    said = row(monkeypatch, path)
    assert not said.ok and words in said.found and str(path) in said.found
    with pytest.raises(SettingError) as caught:
        upstream.program(settings.load())
    assert words in caught.value.text() and upstream.VARIABLE in caught.value.text()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01 00:01:00.5 +0000 UTC", 60.5),
        ("1970-01-01 01:01:00.123456789 +0100 CET", 60.123456),
        ("1970-01-01 00:01:00 +0000 UTC", 60.0),
        ("1970-01-01T00:01:00.250000Z", 60.25),
    ],
)
def test_both_ways_to_write_a_time_are_read(text, seconds):
    assert upstream.moment(text) == pytest.approx(seconds, abs=1e-6)


def test_why_nodes_stay_is_what_its_log_said_last():
    lines = [
        (100.0, "Node old unremovable: cpu requested (93% of allocatable) is above the scale-down utilization threshold"),
        (150.0, "Node busy unremovable: memory requested (60% of allocatable) is above the scale-down utilization threshold"),
        (151.0, "node solo cannot be removed: default/solo is not replicated"),
        (151.5, "Calculating unneeded nodes"),
    ]
    said = upstream.staying(lines)
    assert sorted(said) == ["busy", "solo"]
    assert said["solo"] == "default/solo is not replicated"
