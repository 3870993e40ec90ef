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


def test_self_managed_nodes_join_when_the_cluster_lets_their_role_in(shop, eks, site, endpoint, kube):
    """An Auto Scaling group with a launch template: image, instance profile and the cluster's tag."""
    iam, ec2, asg = (endpoint.client(name) for name in ("iam", "ec2", "autoscaling"))
    iam.create_instance_profile(InstanceProfileName="own")
    role = iam.create_role(RoleName="own", AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}')["Role"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="own", RoleName="own")
    ssm = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended/image_id"
    image = endpoint.client("ssm").get_parameter(Name=ssm)["Parameter"]["Value"]
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 33}}
    data = {"ImageId": image, "InstanceType": "t3.small", "IamInstanceProfile": {"Name": "own"}, "BlockDeviceMappings": [disk]}
    before = len(ec2.describe_volumes()["Volumes"])
    ec2.create_launch_template(LaunchTemplateName="own", LaunchTemplateData=data)
    asg.create_auto_scaling_group(
        AutoScalingGroupName="own",
        LaunchTemplate={"LaunchTemplateName": "own"},
        MinSize=1,
        MaxSize=1,
        DesiredCapacity=1,
        VPCZoneIdentifier=site.subnets[0],
        Tags=[{"Key": f"kubernetes.io/cluster/{shop}", "Value": "owned", "PropagateAtLaunch": True}],
    )

    def own():
        found = asg.describe_auto_scaling_groups(AutoScalingGroupNames=["own"])["AutoScalingGroups"][0]["Instances"]
        return [node for node in nodes(kube).values() if node["spec"]["providerID"].endswith(found[0]["InstanceId"])]

    eks.create_access_entry(clusterName=shop, principalArn=role)  # as people enter: no node comes of it
    eks.describe_cluster(name=shop)
    assert not own()
    eks.delete_access_entry(clusterName=shop, principalArn=role)
    eks.create_access_entry(clusterName=shop, principalArn=role, type="EC2_LINUX")
    until(own, 15)
    assert len(ec2.describe_volumes()["Volumes"]) == before + 1
    asg.delete_auto_scaling_group(AutoScalingGroupName="own", ForceDelete=True)
    until(lambda: len(ec2.describe_volumes()["Volumes"]) == before, 15, "the root volume went with its instance")
    kinds = "node.kubernetes.io/instance-type"
    until(lambda: all(node["metadata"]["labels"][kinds] != "t3.small" for node in nodes(kube).values()), 15)
