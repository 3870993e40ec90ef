"""What lab 00 shows, and that `lab_helpers` stays light: course map, preflight, progress bar, panels in plain text."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from test_teaching_lesson import EXERCISES, room

import lab_helpers
from lab_helpers.teaching import lesson, panels, progress


@pytest.fixture
def labs(tmp_path, monkeypatch, home):
    monkeypatch.setenv("LAB_LABS", str(tmp_path))
    return tmp_path


def test_the_names_that_notebooks_import():
    assert lab_helpers.__all__ == sorted(lab_helpers.__all__)
    for name in lab_helpers.__all__:
        assert getattr(lab_helpers, name) is not None
    with pytest.raises(AttributeError):
        lab_helpers.nothing  # noqa: B018


@pytest.mark.parametrize("statement", ["from lab_helpers import *", "import lab_helpers.teaching.room"])
def test_importing_them_imports_nothing_heavy(statement):
    heavy = "{'kubernetes', 'matplotlib', 'IPython', 'ipywidgets', 'anywidget', 'requests', 'urllib3'}"
    code = f"{statement}\nimport sys\nprint({heavy} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_without_a_notebook_panels_are_words(labs, capsys):
    panels.hint(1, lesson.read(room(labs)).exercises["first-pod"])
    assert capsys.readouterr().out.startswith("Hint 1 of 2\nHint 1: Where is the list of verbs?\n")


def test_the_course_map_shows_progress_and_a_fault_on_its_own_card(labs, capsys):
    room(labs)
    room(labs, "08-bad", lab="title: x")
    progress.note("07-room", "passed", "first-pod", "now")
    panels.course_map()
    out = capsys.readouterr().out
    assert "07-room: A room. For tests. 10 min, ✓ done." in out
    assert "08-bad: " in out and "summary" in out


def test_cards_link_to_notebooks_from_the_kernels_folder(labs, monkeypatch):
    folder = room(labs, "07 räume")
    monkeypatch.chdir(room(labs, "00-here"))
    html, _ = panels._card(lesson.read(folder))
    assert "href='../07%20r%C3%A4ume/room.ipynb'" in html


def test_no_dollar_stands_free_in_what_is_shown(labs, monkeypatch):
    """JupyterLab typesets what lies between two dollars as mathematics, except in code."""
    shown = []
    monkeypatch.setattr(panels, "put", lambda html, words: shown.append((html, words)))
    exercises = EXERCISES.replace("debrief: On EKS", "debrief: From $1 to `$HOME`, $2, on EKS").replace(
        '"Where is', '"What do $1 and `$x` and $2 cost? Where is'
    )
    found = lesson.read(room(labs, exercises=exercises))
    panels.passed(found, found.exercises["first-pod"])
    panels.hint(2, found.exercises["first-pod"])
    panels.solution(found.exercises["first-pod"])
    assert "From $1 to $HOME, $2, on EKS" in shown[0][1]
    assert "What do $1 and $x and $2 cost?" in shown[1][1]
    for html, _ in shown:
        assert "$" not in re.sub(r"<code.*?</code>", "", html, flags=re.S)


def test_every_colour_of_a_panel_has_a_fallback(monkeypatch):
    shown = []
    monkeypatch.setattr(panels, "put", lambda html, words: shown.append(html))
    panels.show("Title", "<p>Words</p>", good=True)
    assert "var(" in shown[0]
    assert re.findall(r"var\(--[\w-]+\)", shown[0]) == []


def test_progress_of_a_set_up_without_a_browser(kernels, tmp_path):
    """Programs are missing and nobody prepares them: the cell ends at once, its words say what is going on."""
    kernel = kernels(LAB_PROGRAMS="", XDG_CACHE_HOME=str(tmp_path), PATH="/usr/bin:/bin", LAB_DOWNLOADS="off")
    ran = kernel.run("from lab_helpers import *\nsetup_progress()")
    assert ran.error == "" and "waiting for the set-up to begin" in ran.words
    ran = kernel.run("preflight()")
    assert ran.error == "" and "lab setup" in ran.words and "kube-apiserver" in ran.words
    assert "Still to come" in ran.words


def test_progress_follows_a_set_up_to_its_end(kernels, tmp_path):
    """The file that the set-up writes is what the bar shows; the bar goes on while other cells run."""
    programs = tmp_path / "programs"
    programs.mkdir()
    kernel = kernels(LAB_PROGRAMS=str(programs), XDG_CACHE_HOME=str(tmp_path), PATH="/usr/bin:/bin", LAB_DOWNLOADS="off")
    kernel.run(
        "from lab_helpers.teaching import waiting\nfrom lab_helpers import settings\n"
        "from lab_helpers.toolchain import setup_status as status\n"
        "settings.writable(settings.load().cache)\n"
        "thread = waiting.setup_progress()"
    )
    ran = kernel.run(
        "now = status.SetupStatus({'etcd': status.Line('ready', 1.0), 'kubectl': status.Line('building', 0.5, 60)})\n"
        "status.write(settings.load(), now)"
    )
    assert ran.error == "", ran.words
    words = (
        "import ipywidgets\n"
        "print([w.value for w in ipywidgets.widgets.widget._instances.values() if isinstance(w, ipywidgets.Label)])"
    )
    kernel.until(lambda: "1 of 2 programs ready, building kubectl, about 60 s left" in kernel.run(words).text)
