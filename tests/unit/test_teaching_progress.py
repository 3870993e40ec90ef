"""The progress file: it outlives kernels, is never half written, and a broken one is kept aside."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lab_helpers.errors import SettingError
from lab_helpers.teaching import progress


def test_what_is_noted_is_there_for_the_next_kernel(home):
    progress.note("03-control-plane", "passed", "bind-by-hand", "2026-11-25 10:00")
    read = "from lab_helpers.teaching import progress; print(progress.passed('03-control-plane'))"
    assert subprocess.check_output([sys.executable, "-c", read], text=True) == "['bind-by-hand']\n"


def test_many_kernels_at_once_lose_nothing(home):
    code = """
import sys
from lab_helpers.teaching import progress
for number in range(25):
    progress.note("lab", "passed", f"{sys.argv[1]}-{number}", "now")
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, str(writer)]) for writer in range(4)]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    assert len(progress.passed("lab")) == 100


@pytest.mark.parametrize("text", ["{half", "[1, 2]", '{"lab": 3}', '{"lab": {"passed": ["a"]}}', "\xff"])
def test_a_broken_file_is_set_aside_and_said(home, capsys, text):
    progress.path().parent.mkdir(parents=True)
    progress.path().write_text(text, encoding="latin-1")
    assert progress.passed("lab") == []
    progress.note("lab", "passed", "first", "now")
    assert progress.passed("lab") == ["first"]
    aside = list(progress.path().parent.glob("progress.broken-*.json"))
    assert [path.read_text(encoding="latin-1") for path in aside] == [text]
    assert str(aside[0]) in capsys.readouterr().err


def test_an_error_between_leaves_the_file_as_it_was(home):
    progress.note("lab", "hints", "first", 1)
    with pytest.raises(RuntimeError), progress.change("lab") as record:
        record["hints"]["first"] = 2
        raise RuntimeError
    assert json.loads(progress.path().read_text()) == {"lab": {"hints": {"first": 1}}}


def test_a_folder_that_cannot_be_written_is_said_with_the_variable_that_moves_it(home, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/nowhere")
    with pytest.raises(SettingError) as caught:
        progress.note("lab", "passed", "first", "now")
    assert "XDG_DATA_HOME" in caught.value.next_step
    assert progress.passed("lab") == []
