"""The cluster autoscaler on Auto Scaling groups: found by tags, templates without a node, up and down again."""

from __future__ import annotations

import threading

import pytest
from model_kit import group, until

from lab_helpers.autoscaling.aws import TEMPLATE, Discovery, wanted_tags
from lab_helpers.autoscaling.loop import Autoscaler
from lab_helpers.autoscaling.options import Options
from lab_helpers.errors import ClusterError, SettingError
from lab_helpers.kube import ready
from lab_helpers.views.facts import quantity

ENABLED, OWNED = "k8s.io/cluster-autoscaler/enabled", "k8s.io/cluster-autoscaler/shop"
OPTIONS = Options(
    scan_interval=0.5,
    scale_down_unneeded_time=2,
    scale_down_delay_after_add=1,
    scale_down_delay_after_failure=1,
    node_delete_delay_after_taint=0,
)


@pytest.fixture(scope="module")
def client(endpoint):
    made = {}

    def of(service):
        if service not in made:
            made[service] = endpoint.client(service)
        return made[service]

    return of


@pytest.fixture(scope="module")
def batch(shop, eks, site):
    """An empty node group with a label and a taint, of m5.large; its Auto Scaling group's name."""
    eks.create_nodegroup(
        **site.nodegroup(
            shop,
            "batch",
            scalingConfig={"minSize": 0, "maxSize": 3, "desiredSize": 0},
            instanceTypes=["m5.large"],
            labels={"team": "batch"},
            taints=[{"key": "team", "value": "batch", "effect": "NO_SCHEDULE"}],
        )
    )
    until(lambda: group(eks, name="batch")["status"] == "ACTIVE", what="batch is ACTIVE")
    yield group(eks, name="batch")["resources"]["autoScalingGroups"][0]["name"]
    eks.delete_nodegroup(clusterName=shop, nodegroupName="batch")
    until(lambda: "batch" not in eks.list_nodegroups(clusterName=shop)["nodegroups"], what="batch is gone")


def discovered(client):
    found = Discovery(client, [ENABLED, OWNED])()
    return {one.name: one for one in found}


def test_flags_name_tags():
    assert wanted_tags([f"asg:tag={ENABLED},{OWNED}=owned"]) == [ENABLED, f"{OWNED}=owned"]
    with pytest.raises(SettingError, match="finds no groups"):
        wanted_tags(["mig:namePrefix=x"])


def test_groups_are_found_by_all_of_their_tags(client, batch):
    found = discovered(client)
    assert batch in found and len(found) == 2
    assert (found[batch].minimum, found[batch].size, found[batch].maximum) == (0, 0, 3)
    assert [one.name for one in Discovery(client, [ENABLED, "k8s.io/cluster-autoscaler/other"])()] == []
    assert [one.name for one in Discovery(client, [f"{OWNED}=borrowed"])()] == []
    assert len(Discovery(client, [f"{OWNED}=owned"])()) == 2


def test_the_template_of_an_empty_group_is_the_node_that_would_come(client, batch, kube):
    """From zero: type, labels and taints are known though no node of it is there."""
    template = discovered(client)[batch].template
    labels = template["metadata"]["labels"]
    assert labels["team"] == "batch" and labels["node.kubernetes.io/instance-type"] == "m5.large"
    assert labels["eks.amazonaws.com/nodegroup"] == "batch"
    assert template["spec"]["taints"] == [{"key": "team", "value": "batch", "effect": "NoSchedule"}]
    assert template["status"]["allocatable"]["cpu"] == "1930m"
    assert template["status"]["allocatable"]["pods"] == "29"


def test_a_template_says_of_a_node_what_the_node_then_is(client, shop, kube):
    """Of the group that has nodes: size and labels that the scheduler may look at are the same as the real node's."""
    [mine] = [one for one in discovered(client).values() if "-blue-" in one.name]
    [node, *_] = [node for node in kube.list("nodes") if mine.holds(node)]
    planned, there = (one["status"]["allocatable"] for one in (mine.template, node))
    assert {what: quantity(size) for what, size in planned.items()} == {what: quantity(size) for what, size in there.items()}
    for key in ("node.kubernetes.io/instance-type", "kubernetes.io/arch", "eks.amazonaws.com/nodegroup"):
        assert mine.template["metadata"]["labels"][key] == node["metadata"]["labels"][key], key


def test_tags_of_the_group_win(client, batch):
    rows = {"label/team": "night", "taint/spot": "true:NoSchedule", "resources/ephemeral-storage": "100Gi"}
    client("autoscaling").create_or_update_tags(
        Tags=[
            {"ResourceId": batch, "ResourceType": "auto-scaling-group", "Key": TEMPLATE + key, "Value": value,
             "PropagateAtLaunch": False}
            for key, value in rows.items()
        ]
    )  # fmt: skip
    template = discovered(client)[batch].template
    assert template["metadata"]["labels"]["team"] == "night"
    assert {"key": "spot", "value": "true", "effect": "NoSchedule"} in template["spec"]["taints"]
    assert template["status"]["allocatable"]["ephemeral-storage"] == "100Gi"
    client("autoscaling").delete_tags(
        Tags=[{"ResourceId": batch, "ResourceType": "auto-scaling-group", "Key": TEMPLATE + key} for key in rows]
    )


def test_a_pod_gets_an_instance_and_it_is_given_back(client, batch, kube, eks):
    """From zero and back: SetDesiredCapacity, an instance, its node, the Pod; then TerminateInstance with the decrement."""
    lines, stop = [], threading.Event()
    # Only this group: other tests count on the nodes of blue.
    scaler = Autoscaler(kube, Discovery(client, [ENABLED, "eks:nodegroup-name=batch"]), OPTIONS, lines.append)
    container = {"name": "app", "image": "app", "resources": {"requests": {"cpu": "500m"}}}
    tolerations = [{"key": "team", "value": "batch", "effect": "NoSchedule"}]
    template = {
        "metadata": {"labels": {"app": "train"}},
        "spec": {"nodeSelector": {"team": "batch"}, "tolerations": tolerations, "containers": [container]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "train"}}, "template": template}
    kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "train"}, "spec": spec}, force=True)
    thread = threading.Thread(target=scaler.run, args=(stop,))
    thread.start()
    try:
        until(lambda: [p for p in kube.list("pods", "default", labels="app=train") if p["status"].get("phase") == "Running"])
        assert sum(ready(node) for node in kube.list("nodes", labels="team=batch")) == 1, lines
        until(lambda: group(eks, name="batch")["scalingConfig"]["desiredSize"] == 1, 10)
        kube.delete("deployment", "train")
        until(lambda: not kube.list("nodes", labels="team=batch"), 60, f"the node is given back: {lines}")
        rows = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[batch])["AutoScalingGroups"]
        assert rows[0]["DesiredCapacity"] == 0
        assert any(one.reason == "NotAutoscaled" for one in scaler.verdicts.values()), "blue is not its business"
    finally:
        stop.set()
        thread.join(60)
        kube.delete("deployment", "train")


def test_an_aws_that_refuses_is_an_error_that_the_loop_can_live_with(client, batch):
    there = discovered(client)[batch]
    there.name = "no-such-group"
    with pytest.raises(ClusterError, match="AWS refused SetDesiredCapacity") as caught:
        there.set_desired(1)
    assert "not found" in caught.value.seen


def test_an_aws_that_does_not_answer_is_too():
    import boto3
    from botocore.config import Config

    def gone(service):
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
        return boto3.client(
            service,
            "us-east-1",
            endpoint_url="http://127.0.0.1:9",
            aws_access_key_id="x",
            aws_secret_access_key="y",
            config=config,
        )

    with pytest.raises(ClusterError, match="AWS did not answer"):
        Discovery(gone, [ENABLED])()
