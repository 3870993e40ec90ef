"""The course books' command, typed as printed: the real eksctl, from its refusal of an old version to the empty account."""

from __future__ import annotations

import json

import pytest
from eks_kit import until

NAME = "eks-test"
CREATE = f"eksctl create cluster --name {NAME} --region us-east-1 --nodegroup-name managed-node --node-type t2.micro --nodes 2"


@pytest.fixture(scope="module")
def cluster(typed):
    said = typed(f"{CREATE} --version 1.34")
    assert f'EKS cluster "{NAME}" in "us-east-1" region is ready' in said


def nodes(typed) -> list[dict]:
    items = json.loads(typed("kubectl get nodes -o json"))["items"]
    return [item for item in items if {"Ready": "True"}.items() <= _conditions(item).items()]


def _conditions(item: dict) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in item["status"].get("conditions", [])}


def test_a_version_out_of_support_is_refused_in_eksctls_words(typed):
    said = typed(f"{CREATE} --version 1.27", code=1)
    assert "1.27 is no longer supported, supported values:" in said and "1.36" in said


def test_two_nodes_as_ordered_and_the_caller_is_known_by_name(typed, cluster):
    until(lambda: len(nodes(typed)) == 2, deadline=60)
    for node in nodes(typed):
        assert node["metadata"]["labels"]["node.kubernetes.io/instance-type"] == "t2.micro"
        assert node["metadata"]["labels"]["alpha.eksctl.io/nodegroup-name"] == "managed-node"
        assert node["spec"]["providerID"].startswith("aws:///us-east-1")
        assert node["status"]["allocatable"]["pods"] == "4"
    assert "user/lab-admin" in typed("kubectl auth whoami")


def test_the_system_fills_two_small_nodes(typed, cluster):
    """Eight places: two for the network, two for the rules, two for names, two for metrics. The learner's Pod waits."""

    def bound() -> int:
        pods = json.loads(typed("kubectl get pods --all-namespaces -o json"))["items"]
        return sum("nodeName" in pod["spec"] for pod in pods)

    until(lambda: bound() == 8, deadline=60)


def test_scaling_shows_in_the_cluster(typed, cluster):
    typed(f"eksctl scale nodegroup --cluster {NAME} --region us-east-1 --name managed-node --nodes 3 --nodes-max 4")
    until(lambda: len(nodes(typed)) == 3, deadline=60)
    assert "\t3\t" in typed(f"eksctl get nodegroup --cluster {NAME} --region us-east-1")


def test_a_key_in_the_wrong_case_is_dropped_without_a_word(typed, cluster, tmp_path):
    """eksctl#1602: no error, no node group. So checks look for the group, never at the exit code."""
    text = f"apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {{name: {NAME}, region: us-east-1}}\n"
    (tmp_path / "group.yaml").write_text(f"{text}managedNodegroups: [{{name: dropped, desiredCapacity: 2}}]\n")
    assert "no tasks" in typed(f"eksctl create nodegroup -f {tmp_path / 'group.yaml'}")
    assert "dropped" not in typed(f"eksctl get nodegroup --cluster {NAME} --region us-east-1")


def test_upgraded_by_eksctl_and_what_runs_stays(typed, cluster):
    """eksctl waits until the API server itself says that it is the new minor."""

    def says() -> str:
        return typed("kubectl version").partition("Server Version: ")[2].split()[0]  # a warning about two minors follows

    assert says() == "v1.34.0-lab"
    typed("kubectl create configmap kept --from-literal=a=1")
    said = typed(f"eksctl upgrade cluster --name {NAME} --region us-east-1 --version 1.35 --approve")
    assert 'cluster "eks-test" control plane has been upgraded to version "1.35"' in said
    assert says() == "v1.35.0-lab"
    assert "kept" in typed("kubectl get configmaps")
    until(lambda: len(nodes(typed)) == 3, deadline=60)


def test_deleted_and_nothing_that_costs_is_left(typed, aws, cluster):
    assert "all cluster resources were deleted" in typed(f"eksctl delete cluster --name {NAME} --region us-east-1")
    ec2, stacks = aws.client("ec2"), aws.client("cloudformation")
    until(lambda: not aws.client("eks").list_clusters()["clusters"], deadline=90)
    until(
        lambda: {stack["StackStatus"] for stack in stacks.list_stacks()["StackSummaries"]} == {"DELETE_COMPLETE"}, deadline=90
    )
    assert aws.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []
    instances = [one for group in ec2.describe_instances()["Reservations"] for one in group["Instances"]]
    assert {one["State"]["Name"] for one in instances} <= {"terminated"}
    assert all(vpc["IsDefault"] for vpc in ec2.describe_vpcs()["Vpcs"])
    assert {gateway["State"] for gateway in ec2.describe_nat_gateways()["NatGateways"]} <= {"deleted"}
    assert ec2.describe_addresses()["Addresses"] == []
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
