"""What the pictures read out of API objects."""

from __future__ import annotations

import pytest
from views_objects import NOW, node, pod, stamp

from lab_helpers.views import facts


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", 0.5),
        ("2", 2.0),
        ("16Gi", 16 * 2.0**30),
        ("1.5G", 1.5e9),
        ("100k", 1e5),
        ("1e3", 1000.0),
        ("5n", 5e-9),
        (0, 0.0),
    ],
)
def test_quantities(text, number):
    assert facts.quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "many", "1.5 Gi", "2Xi"])
def test_what_is_no_quantity_is_named(text):
    with pytest.raises(ValueError, match="no Kubernetes quantity"):
        facts.quantity(text)


def _with(**spec):
    return {"spec": spec}


def _container(cpu, **more):
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("given", "cores"),
    [
        (_with(containers=[_container("1"), _container("500m")]), 1.5),
        (_with(containers=[_container("1")], initContainers=[_container("3")]), 3),
        (_with(containers=[_container("1")], initContainers=[_container("2", restartPolicy="Always")]), 3),
        # A sidecar runs while the init container after it does.
        (_with(containers=[_container("1")], initContainers=[_container("2", restartPolicy="Always"), _container("4")]), 6),
        (_with(containers=[_container("1")], overhead={"cpu": "250m"}), 1.25),
        (_with(containers=[_container("1")], resources={"requests": {"cpu": "2"}}), 2),
        (_with(containers=[{"name": "none"}]), 0),
    ],
)
def test_requests_as_the_scheduler_counts_them(given, cores):
    assert facts.requests(given, "cpu") == pytest.approx(cores)


def _owned(kind, name, pod_name="x", **labels):
    reference = {"kind": kind, "name": name, "controller": True}
    return {"metadata": {"name": pod_name, "labels": labels, "ownerReferences": [reference]}}


@pytest.mark.parametrize(
    ("given", "owner"),
    [
        (_owned("ReplicaSet", "web-5d9c", **{"pod-template-hash": "5d9c"}), "web"),
        (_owned("ReplicaSet", "by-hand"), "by-hand"),
        (_owned("Job", "report-29384756"), "report"),
        (_owned("Job", "import-2"), "import-2"),
        (_owned("DaemonSet", "agent"), "agent"),
        (_owned("Node", "node-1", "etcd-node-1"), "etcd"),
        ({"metadata": {"name": "alone"}}, "alone"),
    ],
)
def test_owner(given, owner):
    assert facts.owner(given) == owner


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (pod(1), "Pending"),
        (pod(1, on="n"), "Running"),
        (pod(1, on="n", ready=False), "Not ready"),
        (pod(1, on="n", leaves=True), "Terminating"),
        (pod(1, on="n", phase="Failed"), "Failed"),
        ({"metadata": {"name": "new"}}, "Pending"),
    ],
)
def test_state(given, state):
    assert facts.state(given) == state


def test_reasons_are_counted_over_pods():
    both = "0/3 nodes are available: 2 Insufficient cpu, 1 Too many pods. preemption: 0/3 nodes are available: 3 No victims."
    one = "0/3 nodes are available: 2 Insufficient cpu."
    assert facts.reasons([pod(1, why=both), pod(2, why=one), pod(3)]) == [
        ("Insufficient cpu on 2 nodes", 2),
        ("Too many pods on 1 node", 1),
        ("the scheduler has not looked at it yet", 1),
    ]
    assert facts.reasons([pod(1, why="no nodes available to schedule pods")]) == [("no nodes available to schedule pods", 1)]


def test_what_the_scheduler_says_of_preemption_is_no_reason():
    """As Kubernetes 1.36 says it."""
    why = (
        "0/3 nodes are available: 2 Too many pods, 3 Insufficient cpu. no new claims to deallocate, preemption: "
        "0/3 nodes are available: 3 No preemption victims found for incoming pod."
    )
    assert facts.reasons([pod(1, why=why)]) == [("Too many pods on 2 nodes", 1), ("Insufficient cpu on 3 nodes", 1)]


def test_a_comma_within_a_reason_does_not_split_it():
    why = "0/1 nodes are available: 1 node(s) had untolerated taint {team: a, b}."
    assert facts.reasons([pod(1, why=why)]) == [("1 node(s) had untolerated taint {team: a, b}", 1)]


def test_since_when_a_node_is_not_ready():
    assert facts.not_ready_since(node("n")) is None
    assert facts.not_ready_since(node("n", ready=False, since=NOW - 72)) == NOW - 72
    unborn = {"metadata": {"name": "n", "creationTimestamp": stamp(NOW - 5)}}
    assert facts.not_ready_since(unborn) == NOW - 5, "a node that never reported is not Ready since it was made"


@pytest.mark.parametrize(("span", "words"), [(5, "5 s"), (119, "119 s"), (300, "5 min"), (9000, "2 h")])
def test_times_that_people_read(span, words):
    assert facts.lasting(span) == words
