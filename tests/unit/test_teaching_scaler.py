"""The lab's autoscaler as a notebook sees it: its log as marks, its reasons and stories as tables, its flags."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import yaml

from lab_helpers import processes
from lab_helpers.autoscaling.__main__ import main, options, rows
from lab_helpers.errors import LessonError, SettingError
from lab_helpers.teaching.scaler import NAME, Scaler
from lab_helpers.teaching.told import Reasons, Story


@pytest.fixture
def scaler(tmp_path):
    """The autoscaler of a lab whose cluster is a folder."""
    found = {}
    kube = SimpleNamespace(find=lambda kind, name, namespace: found.get(name))
    lab = SimpleNamespace(cluster=SimpleNamespace(folder=tmp_path, name="18"), _cluster=True, kube=kube, _quiet=True)
    made = Scaler(lab)
    made.found = found
    return made


def write_log(scaler, *lines):
    scaler._file.parent.mkdir(parents=True)
    scaler._file.write_text("".join(f"{time.strftime('%H:%M:%S')}.250 {line}\n" for line in lines))


def test_what_the_log_did_is_marked(scaler):
    write_log(
        scaler,
        "groups: workers 1 to 10",
        "1 Pods need 1 nodes of workers: 2 → 3",
        "workers-3 is not needed: 2 Pods to move",
        "workers-3 is kept: eviction refused",
    )
    marks = scaler.marks()
    assert [words for _, words in marks] == ["workers: 2 → 3", "workers-3 is not needed", "workers-3 is kept"]
    assert all(abs(at - time.time()) < 5 for at, _ in marks)


def test_reasons_and_sizes_come_from_the_status_config_map(scaler):
    assert scaler.stays() == {} and scaler.sizes() == {}
    assert repr(scaler.stays()) == "no node has to stay"
    table = {
        "nodeGroups": [{"name": "workers", "health": {"cloudProviderTarget": 3}}],
        "nodesThatStay": {"workers-1": "NotUnderutilized 93% requested"},
    }
    scaler.found["cluster-autoscaler-status"] = {"data": {"status": yaml.safe_dump(table)}, "metadata": {}}
    assert scaler.sizes() == {"workers": 3}
    assert "NotUnderutilized 93% requested" in repr(scaler.stays())
    assert "<td" in scaler.stays()._repr_html_()


def test_what_is_foreign_is_escaped():
    assert "<b>" not in Reasons({"<b>": "x"})._repr_html_()


def test_a_story_counts_from_its_first_moment():
    story = Story([(100.0, "web-1 is made", "ReplicaSet controller"), (103.26, "web-1 runs", "kubelet")])
    assert story.rows()[1] == ("3.3 s", "web-1 runs", "kubelet")
    assert "3.3 s  web-1 runs  [kubelet]" in repr(story)


def test_the_source_of_its_decisions_can_be_read(scaler):
    assert "def unschedulable" in scaler.source("unschedulable")
    assert "def choose" in scaler.source("choose")
    with pytest.raises(LessonError, match="no function 'guess'"):
        scaler.source("guess")


def test_it_is_ended_and_its_command_kept_for_the_next_time(scaler):
    assert not scaler.running and scaler.pid == 0
    scaler.stop()
    started = processes.start(NAME, ["sleep", "60"], folder=scaler._folder)
    assert scaler.running and scaler.pid == started.pid
    scaler.stop()
    assert not processes.alive(started) and not scaler.running
    assert scaler._command == ["sleep", "60"]


def test_prices_are_those_of_the_courses_table(scaler):
    assert scaler.prices["m5.large"] == 0.096
    assert scaler.date.startswith("20")


def test_a_sum_of_prices_is_whole_or_none(scaler):
    kinds = ["m5.large", "c5.large", None]
    nodes = [{"metadata": {"labels": {"node.kubernetes.io/instance-type": kind} if kind else {}}} for kind in kinds]
    scaler._lab.kube.list = lambda kind: nodes
    assert scaler.hourly() == pytest.approx(0.096 + 0.085)
    nodes[1]["metadata"]["labels"]["node.kubernetes.io/instance-type"] = "x9.huge"
    with pytest.raises(LessonError, match=r"no price of x9\.huge"):
        scaler.hourly()


def test_flags_are_written_as_upstreams(tmp_path, capsys):
    assert options({"scan_interval": 2.0, "expander": "priority,least-waste"}).expander == ("priority", "least-waste")
    with pytest.raises(SettingError, match="no expander 'cheapest'"):
        options({"expander": "cheapest"})
    with pytest.raises(SystemExit):
        main(["--cluster", "x", "--groups", "y", "--scale-down-enabled", "perhaps"])
    assert "true or false" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10.0), ("1m30s", 90.0), ("10m", 600.0), ("1h", 3600.0), ("0.5", 0.5), ("0s", 0.0), ("500ms", 0.5)],
)
def test_durations_are_gos_or_seconds(text, seconds):
    from lab_helpers.autoscaling.__main__ import _number

    assert _number(text) == seconds


def test_a_file_of_groups_that_is_none_is_said(tmp_path):
    file = tmp_path / "groups.yaml"
    with pytest.raises(SettingError, match="cannot be read"):
        rows(file)
    file.write_text("- {name: workers}")
    with pytest.raises(SettingError, match="no list of node groups"):
        rows(file)
    file.write_text("- {name: workers, max: 3}")
    assert rows(file) == [{"name": "workers", "max": 3}]


def test_what_each_cloud_needs_is_said(capsys):
    assert main(["--cloud-provider", "aws"]) == 1
    assert "--node-group-auto-discovery" in capsys.readouterr().err
    assert main(["--cluster", "x"]) == 1
    assert "--groups" in capsys.readouterr().err
