"""Sequence diagrams: who is who in an audit log, what was asked, what was answered, what is folded."""

from __future__ import annotations

import pytest
from views_objects import KUBECTL, KWOK, SCHEDULER, Seen, controller, request

from lab_helpers.views import sequence
from lab_helpers.views.audit_rows import actor, is_loop, rows_of
from lab_helpers.views.palette import VERMILLION
from lab_helpers.views.sequence import ROWS


def created():
    """kubectl create deployment web, in the order in which it happens."""
    made = {"responseObject": {"metadata": {"name": "web-7d-x2x"}}}
    return [
        request(KUBECTL, "create", "deployments", "web", 201, 0),
        request(controller("deployment-controller"), "create", "replicasets", "web-7d", 201, 0.011),
        request(controller("replicaset-controller"), "create", "pods", "", 201, 0.018, **made),
        request(SCHEDULER, "create", "pods/binding", "web-7d-x2x", 201, 0.045),
        request(controller("deployment-controller"), "update", "deployments/status", "web", 409, 0.05),
        request(KWOK, "patch", "pods/status", "web-7d-x2x", 200, 0.06),
    ]


def test_one_deployment_followed():
    picture = sequence(created(), title="kubectl create deployment web")
    assert picture.alt.splitlines() == [
        "kubectl create deployment web: 6 requests, 1 refused.",
        "0 ms: kubectl to the API server: create deployments web → 201.",
        "11 ms: deployment-controller to the API server: create replicasets web-7d → 201.",
        "18 ms: replicaset-controller to the API server: create pods web-7d-x2x → 201.",
        "45 ms: scheduler to the API server: create pods/binding web-7d-x2x → 201.",
        "50 ms: deployment-controller to the API server: update deployments/status web → 409 Conflict.",
        "60 ms: KWOK (as kubelet) to the API server: patch pods/status web-7d-x2x → 200.",
    ]


def test_people_stand_left_of_the_api_server_and_loops_right():
    places = {text.text: float(text.get("x")) for text in Seen(sequence(created()))._all("text")}
    assert places["kubectl"] < places["API server"] < places["deployment"] < places["replicaset"] < places["scheduler"]


@pytest.mark.parametrize(
    ("agent", "name", "loop"),
    [
        (KUBECTL, "kubectl", False),
        (SCHEDULER, "scheduler", True),
        (KWOK, "KWOK (as kubelet)", True),
        (controller("replicaset-controller"), "replicaset-controller", True),
        (controller("generic-garbage-collector"), "generic-garbage-collector", True),
        ("kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/abc", "controller-manager", True),
        ("kube-apiserver/v1.36.3 (linux/amd64) kubernetes/abc", "API server (itself)", True),
        ("OpenAPI-Generator/37.0.2/python", "Python", False),
        ("lab", "the lab", False),
        ("", "unknown", False),
    ],
)
def test_who_asked(agent, name, loop):
    assert actor(request(agent, "get", "pods")) == name
    assert is_loop(name) == loop


def test_who_is_not_the_administrator_is_named():
    jane = {"user": {"username": "jane", "groups": ["system:authenticated"]}}
    assert actor(request(KUBECTL, "get", "pods", **jane)) == "kubectl (jane)"
    robot = {"user": {"username": "system:serviceaccount:ci:robot", "groups": []}}
    assert actor(request(KUBECTL, "get", "pods", **robot)) == "kubectl (ci:robot)"
    acting = {"impersonatedUser": {"username": "joe", "groups": []}}
    assert actor(request(KUBECTL, "get", "pods", **acting)) == "kubectl (joe)"
    assert actor(request(KUBECTL, "get", "pods", user={})) == "kubectl", "401: nobody knows who"


@pytest.mark.parametrize(
    ("code", "why"), [(401, "Unauthorized"), (403, "Forbidden"), (404, "NotFound"), (409, "Conflict"), (422, "Invalid")]
)
def test_refusals_are_seen(code, why):
    status = {"code": code, "reason": why, "message": "no, because of <this>"}
    picture = sequence([request(KUBECTL, "create", "pods", "web", code, responseStatus=status)])
    seen = Seen(picture)
    assert f"create pods web → {code} {why}" in seen.words
    assert "no, because of <this>" in seen.hints
    assert f"→ {code} {why} (no, because of <this>)." in picture.alt
    assert f'stroke="{VERMILLION}"' in picture.html
    assert f'stroke="{VERMILLION}"' not in sequence([request(KUBECTL, "get", "pods", "web", 200)]).html


def test_the_api_servers_own_reason_goes_first():
    status = {"code": 409, "reason": "AlreadyExists", "message": "deployments.apps web already exists"}
    (row,) = rows_of([request(KUBECTL, "create", "deployments", "web", 409, responseStatus=status)], 40)
    assert row.label == "create deployments web → 409 AlreadyExists"


def test_repeats_are_folded():
    events = [request(KUBECTL, "get", "pods", "web", 200, n / 10) for n in range(5)]
    events += [request(KUBECTL, "get", "pods", "web", 404, 0.6)]
    assert [row.label for row in rows_of(events, 40)] == ["get pods web ×5 → 200", "get pods web → 404 NotFound"]


def test_many_objects_are_folded_only_where_there_are_too_many():
    def pods(number):
        agent = controller("replicaset-controller")
        return [request(agent, "create", "pods", f"web-7d-{n:03d}", 201, n / 100) for n in range(number)]

    assert len(rows_of(pods(5), ROWS)) == 5
    (row,) = rows_of(pods(300), ROWS)
    assert row.label == "create pods web-7d-… ×300 → 201"


def test_rows_are_capped_and_the_rest_is_counted():
    events = [request(KUBECTL, ("create", "delete", "get")[n % 3], f"kind{n}", "x", 200, n) for n in range(100)]
    picture = sequence(events)
    assert f"{100 - ROWS} more requests not shown" in Seen(picture).words
    assert f"{100 - ROWS} more requests not shown." in picture.alt


def test_a_request_is_one_row_whatever_stages_were_logged():
    stages = [request(KUBECTL, "get", "pods", "web", 200, 0, stage=stage) for stage in ("RequestReceived", "ResponseComplete")]
    assert len(rows_of(stages, 40)) == 1


def test_of_each_request_the_last_stage_counts():
    """As the API server logs them: a 401 and a watch that goes on have no stage ResponseComplete."""
    said = {"code": 401, "status": "Failure", "reason": "Unauthorized", "message": "Unauthorized"}
    stranger = request(KUBECTL, "list", "deployments", at=0, auditID="a", stage="ResponseStarted", user={}, responseStatus=said)
    open_watch = request(SCHEDULER, "watch", "pods", at=1, auditID="b", stage="ResponseStarted")
    stages = ("ResponseComplete", "ResponseStarted")
    ended = [request(SCHEDULER, "watch", "nodes", at=2, auditID="c", stage=stage) for stage in stages]
    died = [
        request(KWOK, "patch", "nodes/status", "n", code, 3, auditID="d", stage=stage)
        for code, stage in ((200, "ResponseStarted"), (500, "Panic"))
    ]
    rows = rows_of([stranger, open_watch, *ended, *died], 40)
    assert [row.label for row in rows] == [
        "list deployments → 401 Unauthorized",
        "watch pods → 200",
        "watch nodes → 200",
        "patch nodes/status n → 500",
    ]


def test_a_dry_run_says_so():
    uri = "/apis/apps/v1/namespaces/default/deployments/web?dryRun=All&fieldManager=kubectl"
    assert rows_of([request(KUBECTL, "patch", "deployments", "web", requestURI=uri)], 40)[0].label.startswith("patch (dry run)")


def test_requests_that_concern_no_object():
    (row,) = rows_of([request(KUBECTL, "get", "pods", objectRef=None, requestURI="/api?timeout=32s")], 40)
    assert row.label == "get /api → 200"


def test_too_many_loops_stand_together():
    events = [request(controller(f"loop{n}-controller"), "update", "pods/status", "web", 200, n) for n in range(12)]
    events += [request(controller("loop0-controller"), "get", "pods", "web", 200, 20)]
    words = Seen(sequence(events)).words
    assert "7 others" in words and "loop0-controller" in words


def test_words_stay_within_the_picture():
    name = "a-name-of-sixty-three-letters-" + "x" * 33
    events = [request(agent, "update", "horizontalpodautoscalers/status", name, 422) for agent in (KUBECTL, SCHEDULER)]
    seen = Seen(sequence(events))
    for text in seen._all("text"):
        if "…" in (text.text or ""):
            assert len(text.text) * 5 < seen.width


def test_nothing_was_asked():
    assert "There is no request." in Seen(sequence([])).words
