"""Clusters and node groups are real objects: a control plane that answers, nodes that follow the account's instances."""

from __future__ import annotations

from model_kit import group, until


def nodes(kube):
    return {item["metadata"]["name"]: item for item in kube.list("nodes")}


def ready(kube, count):
    def check():
        found = nodes(kube)
        states = [
            one["status"] for item in found.values() for one in item["status"].get("conditions", []) if one["type"] == "Ready"
        ]
        return len(found) == count and states == ["True"] * count and found

    return check


def instances(endpoint, name="blue"):
    asg = endpoint.client("autoscaling")
    groups = asg.describe_auto_scaling_groups()["AutoScalingGroups"]
    return next(one for one in groups if one["AutoScalingGroupName"].startswith(f"eks-{name}-"))


def test_a_node_group_is_nodes_of_its_instances(shop, eks, endpoint, kube):
    found = until(ready(kube, 2))
    there = {one["InstanceId"]: one for one in instances(endpoint)["Instances"]}
    for node in found.values():
        scheme, _, number = node["spec"]["providerID"].rpartition("/")
        labels = node["metadata"]["labels"]
        assert scheme == f"aws:///{there[number]['AvailabilityZone']}"
        assert labels["node.kubernetes.io/instance-type"] == "t3.medium"
        assert labels["topology.kubernetes.io/zone"] == there[number]["AvailabilityZone"]
        assert labels["eks.amazonaws.com/nodegroup"] == "blue"
        assert node["status"]["capacity"]["pods"] == "17"
        assert node["status"]["allocatable"]["cpu"] == "1930m"
        assert node["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.36.")
    assert len({node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in found.values()}) == 2


def test_nodes_follow_auto_scaling_and_ec2(shop, eks, endpoint, kube):
    asg, ec2 = endpoint.client("autoscaling"), endpoint.client("ec2")
    until(ready(kube, 2))
    name = instances(endpoint)["AutoScalingGroupName"]
    asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=3)
    until(ready(kube, 3), 15)
    until(lambda: group(eks)["scalingConfig"]["desiredSize"] == 3, 5)
    victim = instances(endpoint)["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[victim])
    until(lambda: all(not one["spec"]["providerID"].endswith(victim) for one in nodes(kube).values()), 15)
    until(ready(kube, 3), 15)
    asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2)
    until(ready(kube, 2), 15)


def test_scaling_by_eks(shop, eks, kube):
    sizes = {"minSize": 1, "maxSize": 4, "desiredSize": 3}
    update = eks.update_nodegroup_config(clusterName=shop, nodegroupName="blue", scalingConfig=sizes)["update"]
    asked = {"name": shop, "updateId": update["id"], "nodegroupName": "blue"}
    until(lambda: eks.describe_update(**asked)["update"]["status"] == "Successful", 20)
    assert len(nodes(kube)) == 3
    labels = {"addOrUpdateLabels": {"team": "shop"}}
    eks.update_nodegroup_config(clusterName=shop, nodegroupName="blue", scalingConfig={"desiredSize": 2}, labels=labels)
    until(lambda: group(eks)["status"] == "ACTIVE", 40)
    assert [node["metadata"]["labels"].get("team") for node in nodes(kube).values()] == ["shop", "shop"]
