"""Every lab folder is as it has to be, and the suite fails on one that is not: a lab that has rotted is caught."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from journey import Journey, steps
from test_nbval import validate

from lab_helpers.errors import LessonError
from lab_helpers.settings import LABS
from lab_helpers.teaching import lesson
from lab_helpers.teaching.problems import problems

ROOMS = sorted(path.parent for path in LABS.glob("*/lab.yaml"))
BROKEN = Path(__file__).parent / "broken"


def test_every_folder_of_labs_is_a_lab():
    assert [path for path in LABS.iterdir() if path.is_dir() and path not in ROOMS and path.name[0].isdigit()] == []


@pytest.mark.parametrize("room", ROOMS, ids=[room.name for room in ROOMS])
def test_a_lab_folder_has_no_problems(room):
    assert problems(lesson.read(room)) == []


@pytest.mark.parametrize("room", ROOMS, ids=[room.name for room in ROOMS])
def test_links_between_labs_lead_somewhere(room):
    import re

    text = lesson.read(room).notebook.read_text()
    for target in re.findall(r"\]\((\.\./[^)#]+)\)", text):
        assert (room / target).exists(), target


def test_a_deliberately_broken_lab_fails_in_every_way_that_it_is_broken():
    """The check that passes untouched, the wrong answer with another message, the solution that fails, the file left."""
    verdicts = {}
    with Journey(BROKEN / "90-broken") as journey:
        for step in steps(BROKEN / "90-broken"):
            verdicts[step.name] = journey.run(step)
        left = journey.leftovers()
    bad = {name: said for name, said in verdicts.items() if said}
    assert "had to raise CheckFailed" in bad["too-kind · untouched · check"]
    assert "wanted the message: the moon is missing" in bad["vague · wrong: forgets it · check"]
    assert "The sun is missing" in bad["vague · wrong: forgets it · check"], "message wanted and message got"
    assert "raised CheckFailed" in bad["hopeless · solution · check"]
    assert "wanted CheckFailed, got LessonError" in bad["buggy · untouched · check"]
    assert "raised ValueError" in bad["falls-over: run"]
    assert "had to raise *" in bad["does-not-fail: run"]
    assert any("left-behind.txt" in line for line in left)


def test_a_kernel_that_dies_is_named_with_its_cell():
    with Journey(BROKEN / "91-dies") as journey:
        verdicts = [journey.run(step) for step in steps(BROKEN / "91-dies")]
    assert verdicts[0] == ""
    assert "the kernel died in boom: run" in verdicts[1]
    assert verdicts[2].startswith("not reached")


def test_nbval_fails_on_the_broken_lab_and_names_a_dead_kernels_cell(tmp_path):
    copy = shutil.copytree(BROKEN / "91-dies", tmp_path / "labs" / "91-dies")
    passed, said = validate(copy / "dies.ipynb", tmp_path / "data", cell=8, limit=60)
    assert not passed
    assert "Cell 1" in said


def test_problems_are_named_with_file_and_cure():
    said = "\n".join(problems(lesson.read(BROKEN / "90-broken")))
    for words in ("minutes is 7", "empty hint", "gives the command", "wrong answers", "no function missing_check", "clean up"):
        assert words in said, said


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("lab.yaml", {"minutes": "long"}, ["lab.yaml: minutes", "a whole number"]),
        ("lab.yaml", {"title": None}, ["lab.yaml: title", "a text"]),
        ("lab.yaml", {"cluster": {"nodes": [{"nam": "x"}]}}, ["cluster.nodes[0]", "nam"]),
        ("exercises.yaml", {"first-pod": {"hints": "one"}}, ["exercises.yaml: first-pod"]),
        ("exercises.yaml", {"first-pod": ["a"]}, ["exercises.yaml: first-pod", "mapping"]),
    ],
)
def test_a_malformed_file_is_said_with_file_key_and_what_is_expected(tmp_path, file, change, words):
    room = shutil.copytree(LABS / "00-start-here", tmp_path / "00-start-here")
    table = yaml.safe_load((room / file).read_text())
    (room / file).write_text(yaml.safe_dump({**table, **change}))
    with pytest.raises(LessonError) as caught:
        lesson.read(room)
    for word in words:
        assert word in caught.value.text()


@pytest.mark.parametrize(("text", "words"), [("a: [b", r"lab\.yaml:\d"), ("- a", "no mapping"), (None, "cannot be read")])
def test_a_lab_yaml_that_is_none_is_said(tmp_path, text, words):
    room = shutil.copytree(LABS / "00-start-here", tmp_path / "00-start-here")
    (room / "lab.yaml").unlink()
    if text:
        (room / "lab.yaml").write_text(text)
    with pytest.raises(LessonError, match=words):
        lesson.read(room)


def test_an_unknown_lab_gets_the_nearest_names():
    with pytest.raises(LessonError) as caught:
        lesson.find("00-start-her")
    assert "00-start-here" in caught.value.next_step
    with pytest.raises(LessonError) as caught:
        lesson.find("06-manifest")
    assert "06-manifests" in caught.value.next_step


def test_the_suite_itself_fails_on_a_broken_lab(tmp_path):
    """pytest, run on a course with a broken lab in it, ends red."""
    code = (
        "import sys, pathlib, pytest; sys.path.insert(0, sys.argv[1]); import lab_helpers.settings as s\n"
        "s.LABS = pathlib.Path(sys.argv[2])\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', sys.argv[1] + '/test_journeys.py']))"
    )
    shutil.copytree(BROKEN / "90-broken", tmp_path / "90-broken")
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, here, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "too-kind" in done.stdout and "hopeless" in done.stdout
