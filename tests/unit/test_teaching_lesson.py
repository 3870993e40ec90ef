"""Lab folders: what is read, what is refused, and in which words."""

from __future__ import annotations

import json

import pytest

from lab_helpers.clusters import NodeShape
from lab_helpers.errors import LessonError
from lab_helpers.teaching import lesson
from lab_helpers.teaching.problems import problems

LAB = """
title: A room
minutes: 10
summary: For tests.
objectives: [name a Pod]
cluster:
  nodes:
  - {name: node-1, zone: a, taints: ["gpu=true:NoSchedule"]}
  arguments: {kube-scheduler: {v: "10"}}
"""
EXERCISES = """
first-pod:
  hints: ["Where is the list of verbs?", "Which one makes something new?"]
  solution: |
    done = True
  wrong:
  - {name: nothing, answer: "done = None", message: nothing}
  - {name: says no, answer: "done = False", message: not yet}
  debrief: On EKS it is the same, and it costs nothing.
"""
CHECKS = "def first_pod(lab):\n    pass\n"


def room(folder, name="07-room", lab=LAB, exercises=EXERCISES, checks=CHECKS, sources=()):
    """Write a lab folder."""
    made = folder / name
    made.mkdir(parents=True)
    for file, text in (("lab.yaml", lab), ("exercises.yaml", exercises), ("checks.py", checks)):
        if text is not None:
            (made / file).write_text(text)
    cells = [
        {"cell_type": kind, "id": key, "metadata": {"tags": tags}, "source": source, "outputs": []}
        for kind, key, tags, source in sources
    ]
    (made / "room.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return made


@pytest.fixture
def labs(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_LABS", str(tmp_path))
    return tmp_path


def test_a_folder_becomes_a_lesson(labs):
    room(labs)
    found = lesson.find("07-room")
    assert found.profile.nodes == (NodeShape("node-1", zone="a", taints=("gpu=true:NoSchedule",)),)
    assert found.profile.arguments == {"kube-scheduler": {"v": "10"}}
    assert found.exercises["first-pod"].wrong[1].message == "not yet"
    assert [known.name for known in lesson.every()] == ["07-room"]
    assert lesson.named("7").name == lesson.named("07").name == lesson.named("07-room").name == "07-room"


@pytest.mark.parametrize("typed", ["07-rom", "room", "7-room", "ROOM"])
def test_an_unknown_lab_gets_the_nearest_names(labs, typed):
    room(labs)
    room(labs, "99-unlike")
    with pytest.raises(LessonError) as caught:
        lesson.find(typed)
    assert "did you mean: 07-room?" in caught.value.next_step


def test_a_course_without_labs_and_a_folder_without_lab_yaml_are_said(labs):
    with pytest.raises(LessonError, match="no labs"):
        lesson.find("07-room")
    (labs / "08-empty").mkdir()
    room(labs)
    with pytest.raises(LessonError, match=r"08-empty has no lab\.yaml"):
        lesson.find("08-empty")


@pytest.mark.parametrize(
    ("lab", "words"),
    [
        (LAB + "minuts: 10\n", ["lab.yaml: minuts", "did you mean minutes?"]),
        (LAB + "title: Again\n", ["lab.yaml:", "'title' comes twice"]),
        (LAB.replace("minutes: 10", "minutes: true"), ["lab.yaml: minutes has to be a whole number", "True"]),
        (LAB.replace("zone: a", "zoen: a"), ["cluster.nodes[0]", "did you mean zone?"]),
        (LAB.replace("- {name: node-1", "- {nam: node-1"), ["cluster.nodes[0] needs a name"]),
        (LAB.replace("zone: a", "runs: containers"), ["runs cannot be 'containers'", "runs: programs"]),
        (LAB.replace("cluster:\n", "cluster:\n  metrics: perhaps\n"), ["cluster.metrics has to be true or false"]),
        (LAB.replace("kube-scheduler", "scheduler"), ["cluster.arguments.scheduler", "kube-scheduler"]),
        (LAB.replace("title: A room", "title: [A, room"), ["lab.yaml:", "cannot be read as YAML"]),
        ("\x07", ["cannot be read as YAML"]),
    ],
)
def test_a_malformed_lab_yaml_is_said_with_file_and_key(labs, lab, words):
    room(labs, lab=lab)
    with pytest.raises(LessonError) as caught:
        lesson.find("07-room")
    for word in words:
        assert word in caught.value.text()


@pytest.mark.parametrize(
    ("exercises", "words"),
    [
        (None, ["exercises.yaml cannot be read", "No such file"]),
        (EXERCISES + EXERCISES, ["'first-pod' comes twice"]),
        (EXERCISES.replace("  debrief", "  debreif"), ["exercises.yaml: first-pod", "did you mean debrief?"]),
        (EXERCISES.replace("message: not yet", "mesage: not yet"), ["first-pod: wrong[1] needs name, answer and message"]),
        (EXERCISES.replace("solution: |\n    done = True", "solution: [a]"), ["first-pod: solution has to be a text"]),
    ],
)
def test_a_malformed_exercises_yaml_is_said_with_file_and_key(labs, exercises, words):
    room(labs, exercises=exercises)
    with pytest.raises(LessonError) as caught:
        lesson.find("07-room")
    for word in words:
        assert word in caught.value.text()


def test_checks_are_loaded_afresh_and_leave_nothing(labs):
    found = lesson.read(room(labs))
    path = found.folder / "checks.py"
    path.write_text("def first_pod(lab): return 1\n")
    assert found.function("first-pod")(None) == 1
    path.write_text("def first_pod(lab): return 2\n")
    assert found.function("first-pod")(None) == 2, "also within the same second and of the same size"
    assert not (found.folder / "__pycache__").exists()
    path.write_text("def first_pod(lab:\n")
    with pytest.raises(LessonError, match=r"checks\.py cannot be loaded"):
        found.function("first-pod")


GOOD = (
    ("markdown", "title", [], "# A room\n```bash\n# a comment is no title\n```"),
    *(("code", f"step-{number}", [], "1") for number in range(14)),
    ("code", "answer", ["exercise"], "# your commands"),
    ("code", "check", ["check"], 'check("first-pod")'),
    ("code", "close", [], "lab.close()"),
)


def test_problems_name_what_is_wrong_and_the_cure(labs):
    two = EXERCISES + EXERCISES.replace("first-pod", "second-pod") + EXERCISES.replace("first-pod", "third-pod")
    checks = "\n".join(f"def {name}_pod(lab): pass" for name in ("first", "second", "third"))
    more = (
        *GOOD[:-1],
        *(("code", f"check-{name}", ["check"], f'check("{name}-pod")') for name in ("second", "third")),
        GOOD[-1],
    )
    assert problems(lesson.read(room(labs, exercises=two, checks=checks, sources=more))) == []
    bad = room(labs, "08-bad", exercises=two.replace("Which one makes something new?", ""), sources=GOOD[1:-1])
    said = "\n".join(problems(lesson.read(bad)))
    for words in (
        "0 headings of level 1",
        "0 cells tagged `check` call check('second-pod')",
        "no function second_pod(lab)",
        "first-pod has an empty hint",
        "end with lab.close()",
    ):
        assert words in said
    unknown = room(labs, "09-bad", sources=(*GOOD, ("code", "stray", ["check"], 'check("nobody")')))
    assert "check('nobody') is not in exercises.yaml" in "\n".join(problems(lesson.read(unknown)))
