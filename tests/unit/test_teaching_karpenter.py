"""What a lab shows of Karpenter: its log in words, its spot warnings, what its machines cost."""

from __future__ import annotations

import json

import pytest

from lab_helpers.eks import prices
from lab_helpers.teaching import karpenter

LINE = {
    "level": "INFO",
    "time": "2026-11-29T02:10:31.412Z",
    "logger": "controller",
    "message": "launched nodeclaim",
    "commit": "unset",
    "controller": "nodeclaim.lifecycle",
    "NodeClaim": {"name": "default-x7k2p"},
    "instance-type": "c6a.4xlarge",
    "allocatable": {"cpu": "15890m", "pods": "234"},
}


def test_a_line_of_the_log_is_time_words_and_what_it_is_about():
    said = karpenter.readable(json.dumps(LINE))
    assert said.startswith("02:10:31 launched nodeclaim (controller=nodeclaim.lifecycle, NodeClaim=default-x7k2p, ")
    assert 'allocatable={"cpu":"15890m","pods":"234"}' in said and "commit" not in said
    assert karpenter.readable(json.dumps({**LINE, "level": "ERROR"})).startswith("02:10:31 ERROR launched")
    assert len(karpenter.readable(json.dumps({**LINE, "instance-types": "m5.large, " * 100}))) < 500


@pytest.mark.parametrize("line", ["panic: port taken", "{half of a li", "[]", '{"level": "INFO"}', ""])
def test_what_is_no_line_of_its_log_stays_as_it_is(line):
    assert karpenter.readable(line) == line


def test_a_warning_names_the_instance_as_eventbridge_does():
    said = karpenter.warning("i-0abc")
    assert said["detail-type"] == "EC2 Spot Instance Interruption Warning" and said["source"] == "aws.ec2"
    assert said["detail"] == {"instance-id": "i-0abc", "instance-action": "terminate"}
    assert said["resources"] == ["arn:aws:ec2:us-east-1:123456789012:instance/i-0abc"]
    assert said["id"] != karpenter.warning("i-0abc")["id"]


def test_a_machine_costs_its_price_on_demand_or_on_the_spot_market():
    labels = {"node.kubernetes.io/instance-type": "c6a.4xlarge", "topology.kubernetes.io/zone": "us-east-1a"}
    assert karpenter.price({"metadata": {"labels": labels}}) == 0.612
    spot = {"metadata": {"labels": {**labels, "karpenter.sh/capacity-type": "spot"}}}
    assert karpenter.price(spot) == prices.spot("c6a.4xlarge", "us-east-1a") < 0.306
    assert karpenter.price({"metadata": {}}) is None


def claim(name, provider="", **meta):
    status = {"providerID": provider, "capacity": {"cpu": "16"}} if provider else {}
    labels = {"node.kubernetes.io/instance-type": "c6a.4xlarge"} if provider else {}
    return {"metadata": {"name": name, "labels": labels, "creationTimestamp": "2026-11-29T02:10:31Z", **meta}, "status": status}


def test_a_machine_is_coming_from_its_order_until_its_node_is_there():
    node = {"metadata": {"name": "ip-1"}, "spec": {"providerID": "aws:///us-east-1a/i-1"}}
    bare = {"metadata": {"name": "ip-0"}, "spec": {}}
    claims = [claim("new"), claim("bought", "aws:///us-east-1a/i-2"), claim("here", "aws:///us-east-1a/i-1")]
    claims.append(claim("going", "aws:///us-east-1a/i-3", deletionTimestamp="2026-11-29T02:11:00Z"))
    found = karpenter.coming(claims, [node, bare])
    assert [(one.name, one.kind, one.cpu) for one in found] == [("new", "", 0.0), ("bought", "c6a.4xlarge", 16.0)]
    assert found[0].since == 1795918231.0


def test_pods_took_from_the_first_birth_to_the_last_readiness():
    def pod(born, ready):
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": f"2026-11-29T02:10:{ready}Z"}
        return {"metadata": {"creationTimestamp": f"2026-11-29T02:10:{born}Z"}, "status": {"conditions": [condition]}}

    assert karpenter.took([pod(31, 39), pod(30, 36)]) == 9


def test_an_event_is_told_in_a_line():
    about = {"kind": "Pod", "name": "lost"}
    event = {"metadata": {"creationTimestamp": "2026-11-29T02:10:31Z"}, "involvedObject": about}
    event |= {"reason": "FailedScheduling", "message": "no", "lastTimestamp": "2026-11-29T02:12:00Z"}
    assert karpenter.told(event) == "02:12:00 Pod lost: FailedScheduling: no"
    assert karpenter.told({**event, "lastTimestamp": None}).startswith("02:10:31 ")
