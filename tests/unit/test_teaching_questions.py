"""Predictions and quizzes: words without a browser, answers that are remembered, comparisons that never judge early."""

from __future__ import annotations

import json

import pytest
from test_teaching_lesson import LAB, room

OPTIONS = '["no: `spec` cannot be changed", "yes, for $1", "never for $2"]'
PREDICT = f'predict("bind", "Will it run?", {OPTIONS})'
QUIZ = 'quiz("what", "Who binds?", {"a": "kubelet", "b": "the scheduler"}, right="b", why="It writes a Binding.")'


@pytest.fixture(scope="module")
def kernel(kernels, tmp_path_factory):
    """A kernel in a lab without a cluster: questions need none."""
    home = tmp_path_factory.mktemp("home")
    folder = room(home / "labs", lab=LAB.partition("cluster:")[0], exercises="{}", checks="")
    made = kernels(folder, XDG_DATA_HOME=str(home / "data"), LAB_LABS=str(home / "labs"))
    made.run("from lab_helpers import *\nfrom lab_helpers.teaching import quiz as questions")
    assert made.run('lab = open_lab("07-room")').error == ""
    made.progress = home / "data" / "eks-lab" / "progress.json"
    return made


def _choose(kernel, choice):
    """What the browser sends when the learner answers the question that was shown last."""
    return kernel.run(
        "import ipywidgets\n"
        "shown = [w for w in ipywidgets.widgets.widget._instances.values() if type(w).__name__ == 'Question'][-1]\n"
        f"shown.choice = {choice!r}\n"
        f"shown._handle_custom_msg({{'answer': {choice!r}}}, [])\n"
        "print(shown.said)"
    ).text


def test_a_prediction_stands_there_in_words_and_does_not_wait(kernel):
    ran = kernel.run(PREDICT)
    assert ran.error == "" and len(ran.panels) == 1
    assert ran.words.startswith("Will it run?\n  ( ) no: `spec` cannot be changed")
    assert "application/vnd.jupyter.widget-view+json" in ran.panels[0]


def test_without_a_prediction_the_comparison_says_what_happened(kernel):
    words = kernel.run('compare("bind", "yes, for $1")').words
    assert "What happened" in words and "yes, for $1" in words and "no prediction" in words


def test_a_prediction_is_remembered_and_not_judged(kernel):
    kernel.run(PREDICT)
    said = _choose(kernel, "never for $2")
    assert "Noted" in said and "right" not in said.lower() and "✗" not in said
    assert json.loads(kernel.progress.read_text())["07-room"]["predictions"] == {"bind": "never for $2"}
    ran = kernel.run('compare("bind", "yes, for $1")')
    assert "Not as you predicted" in ran.words and "never for $2" in ran.words
    assert ">$</code>" in ran.panels[0]["text/html"], "two prices are no mathematics"
    assert "As you predicted" in kernel.run('compare("bind", "never for $2")').words
    assert "(x) never for $2" in kernel.run(PREDICT).words, "asked again, it shows the answer of before"


def test_a_comparison_that_was_no_option_is_an_error(kernel):
    ran = kernel.run('compare("bind", "perhaps")')
    assert ran.error == "SettingError" and "never for $2" in ran.words


def test_a_quiz_can_be_answered_until_it_is_right_and_is_remembered(kernel):
    assert "Who binds?\n  ( ) kubelet" in kernel.run(QUIZ).words
    assert "Not yet" in _choose(kernel, "a")
    assert _choose(kernel, "b") == "✓ Right. It writes a Binding.\n"
    assert json.loads(kernel.progress.read_text())["07-room"]["answers"] == {"what": "b"}
    assert "(x) the scheduler\n✓ Right." in kernel.run(QUIZ).words
    assert "Choose one first" in _choose(kernel, "")


@pytest.mark.parametrize(
    "call",
    [
        'predict("a", "?", ["one"])',
        'predict("a", "?", ["one", "one"])',
        'quiz("a", "?", {"a": "b", "c": "d"}, right="x", why="")',
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(kernel, call):
    assert kernel.run(call).error == "SettingError"
