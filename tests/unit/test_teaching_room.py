"""A lab from opening to close, in real kernels on real clusters: what the learner sees, and what is left."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from test_teaching_lesson import LAB, room

from lab_helpers import clusters, settings

EXERCISES = """
first-pod:
  hints: ["Where is the list of verbs?", "Which one makes `something` new?"]
  solution: |
    !kubectl run web --image=nginx
  wrong:
  - {name: another, answer: "!kubectl run wbe --image=nginx", message: no Pod web}
  - {name: nothing, answer: "1", message: no Pod web}
  debrief: |
    **Why it worked.** `kubectl run` makes one Pod.

    **On EKS** it is the same.

    **What it would cost.** Between $0.01 and $0.02 an hour.
staged: &same
  hints: [a, b]
  solution: "1"
  wrong: []
  debrief: EKS
broken: *same
refused: *same
down: *same
"""
CHECKS = """
from lab_helpers import CheckFailed

def first_pod(lab):
    if not lab.kube.find("pod", "web"):
        raise CheckFailed("There is no Pod web.", "kubectl get pods shows none")

def scene_staged(lab):
    lab.stop("kube-scheduler")
    lab.start("kube-scheduler")
    lab.kube.delete("pod", "web")

def staged(lab):
    if lab.kube.find("pod", "web"):
        raise CheckFailed("The Pod web is there still.")

def broken(lab):
    return {}["spec"]

def refused(lab):
    lab.kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "no name at all"}, "spec": {}})

def down(lab):
    lab.kube.list("pods")
"""
NOTEBOOK = (
    ("markdown", "title", [], "# A room\n### Make a Pod\nOne Pod, please."),
    ("code", "answer-first-pod", ["exercise"], "# your commands"),
    ("code", "check-first-pod", ["check"], 'check("first-pod")'),
)
IMPORT = "from lab_helpers import *"
OPEN = 'lab = open_lab("07-room")'


@pytest.fixture(scope="module")
def place(kernels):
    """Starts kernels in one lab folder with one state."""
    home = Path(tempfile.mkdtemp(prefix="lab-"))
    folder = room(
        home / "labs",
        lab=LAB.replace("gpu=true:NoSchedule", "gpu=true:PreferNoSchedule"),
        exercises=EXERCISES,
        checks=CHECKS,
        sources=NOTEBOOK,
    )
    room(home / "labs", "08-plain", lab=LAB.partition("cluster:")[0], exercises="{}", checks="", sources=NOTEBOOK)
    env = {
        "XDG_DATA_HOME": str(home / "data"),
        "LAB_LABS": str(home / "labs"),
        "KUBECONFIG": "/users/own",
        "AWS_PROFILE": "prod",
    }
    yield lambda **more: kernels(folder, **{**env, **more})
    with pytest.MonkeyPatch.context() as patch:  # whatever a failed test left
        patch.setenv("XDG_DATA_HOME", env["XDG_DATA_HOME"])
        clusters.provider(settings.load()).delete("07-room")
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def kernel(place):
    made = place()
    made.run(IMPORT)
    opened = made.run(OPEN)
    assert not opened.error, opened.words
    yield made
    made.run("lab.close()")


def test_the_banner_says_what_is_real_and_what_to_do_next(kernel):
    words = kernel.run(OPEN).words
    for part in ("A room", "Real", "Simulated", "lab.reset()", "lab shell 07-room", "About 10 minutes", "Shift+Enter"):
        assert part in words


def test_commands_see_the_labs_cluster_and_nothing_of_the_users(kernel):
    assert "node-1" in kernel.run("!kubectl get nodes").text
    assert kernel.run("!echo $AWS_PROFILE-$KUBECONFIG").text.endswith("/clusters/07-room/kubeconfig.yaml\n")
    assert kernel.run("!etcdctl endpoint health").error == ""
    assert kernel.run("!command -v lab && command -v python").error == ""


def test_a_second_opening_takes_up_the_same_cluster(kernel):
    uid = "print(lab.kube.get('namespace', 'default')['metadata']['uid'])"
    before = kernel.run(uid).text
    assert kernel.run(OPEN).error == ""
    assert kernel.run(uid).text == before


def test_another_kernel_learns_who_has_the_lab(kernel, place):
    other = place()
    other.run(IMPORT)
    ran = other.run(OPEN)
    assert ran.error == "ClusterError"
    pid = kernel.run("import os; print(os.getpid())").text.strip()
    assert f"process {pid}" in ran.words and "lab shell 07-room" in ran.words
    assert other.run("!echo $KUBECONFIG").text != "", "the failed opening"
    assert "No lab is open" in other.run('check("first-pod")').words


def test_a_check_before_its_lab_says_which_cell_to_run(place):
    other = place()
    other.run(IMPORT)
    for call in ('check("first-pod")', 'hint("first-pod")', 'scene("staged")', 'predict("a", "?", ["b", "c"])'):
        ran = other.run(call)
        assert ran.error == "LessonError"
        assert 'lab = open_lab("07-room")' in ran.words


def test_an_unknown_lab_provider_or_exercise_gets_the_nearest_names(kernel):
    assert "did you mean: 07-room" in kernel.run('open_lab("07-rom")').words
    ran = kernel.run('open_lab("07-room", provider="docker")')
    assert ran.error == "SettingError" and "embedded" in ran.words
    assert kernel.run("print(lab.is_running('etcd'))").text == "True\n", "the lab that was open is open still"
    ran = kernel.run('check("frist-pod")')
    assert ran.error == "LessonError" and "did you mean: first-pod" in ran.words


def test_a_failed_check_is_one_panel_that_names_the_cell_never_run(kernel):
    kernel.run(OPEN)
    ran = kernel.run('check("first-pod")')
    assert ran.error == "CheckFailed" and len(ran.panels) == 1
    for part in ("There is no Pod web.", "kubectl get pods shows none", "the exercise cell above", "Make a Pod"):
        assert part in ran.words
    kernel.run("# your commands")
    ran = kernel.run('check("first-pod")')
    assert "There is no Pod web." in ran.words and 'hint("first-pod")' in ran.words


def test_with_cell_ids_the_exercises_own_cell_has_to_have_run(kernel):
    """JupyterLab sends ids; another cell than the exercise's does not count."""
    as_jupyterlab = "get_ipython().run_cell({source!r}, cell_id={cell!r})"
    kernel.run(OPEN)
    kernel.run(as_jupyterlab.format(source="1", cell="another"))
    assert "the exercise cell above" in kernel.run('check("first-pod")').words
    kernel.run(as_jupyterlab.format(source="1", cell="answer-first-pod"))
    assert "the exercise cell above" not in kernel.run('check("first-pod")').words


def test_hints_come_one_by_one_and_never_end_in_an_error(kernel):
    said = [kernel.run('hint("first-pod")').words for _ in range(3)]
    assert "Hint 1 of 2" in said[0] and "list of verbs" in said[0] and "something" not in said[0]
    assert "Hint 2 of 2" in said[1] and "list of verbs" in said[1] and "something" in said[1]
    assert "solution(" in said[2]


def test_the_solution_can_be_copied_and_is_noted(kernel):
    ran = kernel.run('solution("first-pod")')
    assert "!kubectl run web --image=nginx" in ran.words and "noted" in ran.words
    assert "first-pod" in _progress(kernel)["solutions"]


def test_a_passed_check_shows_debrief_and_progress_and_passes_again(kernel):
    kernel.run("!kubectl run web --image=nginx")
    for _ in range(2):
        ran = kernel.run('check("first-pod")')
        assert ran.error == ""
        for part in ("Passed", "1 of 5", "Why it worked", "On EKS", "$0.02 an hour"):
            assert part in ran.words, ran.words
    assert "first-pod" in _progress(kernel)["passed"]


def test_a_scene_is_wanted_first_and_tells_nothing(kernel):
    ran = kernel.run('check("staged")')
    assert ran.error == "CheckFailed" and 'scene("staged")' in ran.words
    ran = kernel.run('scene("staged")')
    assert ran.error == "" and "scheduler" not in ran.words
    assert kernel.run('check("staged")').error == ""
    assert kernel.run('scene("first-pod")').error == "LessonError"


def test_a_check_with_a_fault_of_its_own_says_so(kernel):
    ran = kernel.run('check("broken")')
    assert ran.error == "LessonError"
    assert "not yours" in ran.words and "KeyError: 'spec'" in ran.words and "checks.py:" in ran.words


def test_the_api_servers_words_reach_the_learner_through_a_check(kernel):
    ran = kernel.run('check("refused")')
    assert ran.error == "CheckFailed" and "metadata.name" in ran.words


def test_a_check_while_the_api_server_is_down_says_what_is_down(kernel):
    kernel.run("lab.stop('kube-apiserver')")
    ran = kernel.run('check("down")')
    assert ran.error == "CheckFailed" and "does not answer" in ran.words
    ran = kernel.run("!kubectl get pods")
    assert "lab.health()" in ran.words
    stopped = kernel.run(OPEN).words
    assert "Stopped by you: kube-apiserver" in stopped and "lab.start('kube-apiserver')" in stopped
    assert "stopped" in kernel.run("lab.health()").words
    assert kernel.run("lab.map(until=0.3)").error == "", "the last picture, and no error"
    assert kernel.run("lab.start('kube-apiserver')").text == "kube-apiserver runs again.\n"
    assert kernel.run('check("down")').error == ""


def test_a_live_map_ends_when_it_is_true_and_keeps_its_last_frame(kernel):
    kernel.run("!kubectl create deployment web --image=nginx --replicas=3")
    ready = "lambda: lab.kube.get('deployment', 'web')['status'].get('readyReplicas') == 3"
    ran = kernel.run(f"lab.map(until={ready})")
    assert ran.error == "" and len(ran.panels) == 1
    assert "<svg" in ran.panels[0]["text/html"] and "3 Pods" in ran.words, ran.words
    ran = kernel.run("lab.map(until=lambda: False, seconds=0.3)")
    assert ran.error == "WaitTimeout"
    ran = kernel.run("lab.fill()")
    assert "node-1" in ran.words


def test_timeline_and_sequence_tell_what_happened(kernel):
    kernel.run("!kubectl scale deployment web --replicas=1 && kubectl rollout status deployment/web")
    ran = kernel.run("lab.mark('scaled'); lab.timeline(namespace='default')")
    assert ran.error == "" and "scaled" in ran.words and "web" in ran.words
    ran = kernel.run("lab.sequence('web')")
    assert ran.error == "" and "kubectl" in ran.words and "binding" in ran.words, ran.words
    ran = kernel.run("print({event['verb'] for event in lab.audit('web', resource='deployments', code=201)})")
    assert "create" in ran.text
    assert kernel.run("lab.audit(verbs='get')").error == "SettingError"


def test_a_log_reads_like_a_log(kernel):
    words = kernel.run("lab.log('kube-scheduler', 3)").words
    assert words.count("\n") == 2 and "\\n" not in words
    assert kernel.run("lab.log('scheduler')").error == "ClusterError"


def test_reset_makes_a_new_cluster_and_keeps_progress(kernel):
    ran = kernel.run("lab.reset()")
    assert ran.error == "" and "as at the beginning" in ran.words
    assert "No resources found" in kernel.run("!kubectl get pods").text
    assert "first-pod" in _progress(kernel)["passed"]
    assert 'scene("staged")' in kernel.run('check("staged")').words, "its scene went with the old cluster"


def test_a_lab_without_a_cluster_opens_too(place):
    other = place()
    other.run(IMPORT)
    ran = other.run('lab = open_lab("08-plain")')
    assert ran.error == "" and "Real" not in ran.words
    assert "has no cluster" in other.run("lab.map()").words
    assert "nothing to reset" in other.run("lab.reset()").words
    assert other.run("lab.close()").error == ""


def test_after_close_nothing_is_left_and_nothing_of_the_users_is_in_reach(place, kernel):
    ran = kernel.run("lab.close()")
    assert "closed" in ran.text and "3 of 5" in ran.text
    state = Path(kernel.run("import os; print(os.environ['XDG_DATA_HOME'])").text.strip()) / "eks-lab"
    assert list((state / "clusters").iterdir()) == []
    assert kernel.run("!echo $KUBECONFIG").text == f"{os.devnull}\n"
    assert "open_lab" in kernel.run("!kubectl get pods").words
    assert "open_lab" in kernel.run("lab.map()").words
    assert kernel.run("lab.close()").error == ""
    other = place()
    other.run(IMPORT)
    assert other.run(OPEN).error == "", "the owner has let go"
    assert other.run("lab.close()").error == ""


def _progress(kernel):
    return json.loads(kernel.run("import os; print(open(os.environ['XDG_DATA_HOME'] + '/eks-lab/progress.json').read())").text)[
        "07-room"
    ]
