"""The scheduler's log, read; its score table, drawn."""

from __future__ import annotations

import pytest

from lab_helpers.errors import LabError
from lab_helpers.teaching.scheduling import decisions, latest
from lab_helpers.views import scores

# As kube-scheduler v1.36.3 wrote it with --vmodule=schedule_one=10.
BEGIN = 'I1128 18:49:44.345946   25422 schedule_one.go:123] "Attempting to schedule pod" pod="default/p1"'
SCORED = (
    'I1128 18:49:44.346377   25422 schedule_one.go:982] "Plugin scored node for pod" '
    'pod="default/p1" plugin="{}" node="{}" score={}'
)
SUM = (
    'I1128 18:49:44.346560   25422 schedule_one.go:1050] "Calculated node\'s final score for pod" '
    'pod="default/p1" node="{}" score={}'
)
BOUND = (
    'I1128 18:49:44.354464   25422 schedule_one.go:481] "Successfully bound pod to node" '
    'pod="default/p1" node="{}" evaluatedNodes=4 feasibleNodes={}'
)
REFUSED = (
    'I1128 18:49:44.359210   25422 schedule_one.go:1239] "Unable to schedule pod; no fit; waiting" pod="default/p1" '
    'err="0/4 nodes are available: 4 Insufficient cpu. had \\"quotes\\""'
)
TABLE = [
    SCORED.format("TaintToleration", "node-1", 300),
    SCORED.format("NodeResourcesFit", "node-1", 62),
    SCORED.format("ImageLocality", "node-1", 0),
    SCORED.format("TaintToleration", "node-4", 300),
    SCORED.format("NodeResourcesFit", "node-4", 81),
    SCORED.format("ImageLocality", "node-4", 0),
    SUM.format("node-1", 362),
    SUM.format("node-4", 381),
]
PLACED = [BEGIN, *TABLE, BOUND.format("node-4", 2)]


def test_a_decision_is_read_with_its_points():
    found = decisions(["W1128 something else", *PLACED])["default/p1"]
    assert found.scores["node-4"] == {"TaintToleration": 300, "NodeResourcesFit": 81, "ImageLocality": 0}
    assert (found.totals, found.node, found.evaluated, found.feasible) == ({"node-1": 362, "node-4": 381}, "node-4", 4, 2)
    assert found.made and found.said == ""


def test_a_refusal_is_read_in_the_schedulers_words():
    found = decisions([BEGIN, REFUSED])["default/p1"]
    assert found.said == '0/4 nodes are available: 4 Insufficient cpu. had "quotes"'
    assert not found.node and found.made


def test_the_latest_look_counts():
    found = decisions([BEGIN, REFUSED, *PLACED])["default/p1"]
    assert found.said == "" and found.node == "node-4"
    again = decisions([*PLACED, BEGIN])["default/p1"]
    assert not again.made and not again.scores


def test_one_node_that_is_left_is_not_scored():
    found = decisions([BEGIN, BOUND.format("node-2", 1)])["default/p1"]
    assert found.made and not found.totals and found.feasible == 1


def test_a_deployments_name_means_its_latest_pod():
    earlier = [line.replace("default/p1", "default/web-7d-aaaaa") for line in PLACED]
    later = [line.replace("default/p1", "default/web-7d-bbbbb") for line in [BEGIN, BOUND.format("node-2", 1)]]
    text = "\n".join([*earlier, *later, *PLACED])
    assert latest("web", "default", lambda: text).pod == "default/web-7d-bbbbb"
    assert latest("p1", "default", lambda: text).pod == "default/p1"


def test_a_log_without_decisions_says_how_to_get_them():
    with pytest.raises(LabError, match="verbosity 10") as caught:
        latest("p1", "default", lambda: "I1128 nothing", seconds=0)
    assert "vmodule" in caught.value.next_step


def test_a_pod_that_was_not_looked_at_is_said():
    with pytest.raises(LabError, match="not decided about default/other"):
        latest("other", "default", lambda: "\n".join(PLACED), seconds=0)


def picture(**changes):
    found = decisions(PLACED)["default/p1"]
    return scores("p1", found.scores, changes.get("totals", found.totals), found.node, evaluated=4, feasible=2)


def test_the_table_says_who_won_and_what_decided():
    drawn = picture()
    assert drawn.alt.splitlines() == [
        "Where p1 goes: 2 of 4 nodes passed the filters; the highest sum wins.",
        "node-4 (chosen): 381 = NodeResourcesFit 81, TaintToleration 300.",
        "node-1: 362 = NodeResourcesFit 62, TaintToleration 300.",
    ]
    assert "ImageLocality" not in drawn.html, "nobody got a point from it"


def test_a_tie_is_said():
    assert "2 have the highest sum, one of them is drawn by lot" in picture(totals={"node-1": 381, "node-4": 381}).alt


def test_without_scores_the_table_says_why():
    one = scores("p1", {}, {}, "node-2", evaluated=4, feasible=1).alt
    assert one == "Where p1 goes: 1 of 4 nodes passed the filters: node-2. With one left there is nothing to score."
    assert "Insufficient cpu" in scores("p1", {}, {}, "", said="0/4 nodes are available: 4 Insufficient cpu.").alt
