"""What Karpenter asks of AWS and moto has otherwise: instance types, prices, fleets, and instances that become nodes."""

from __future__ import annotations

import base64
import json

import pytest
from botocore.exceptions import ClientError
from model_kit import until
from moto.core.utils import utcnow

from lab_helpers.eks import prices
from lab_helpers.eks.model import bootstrap, fleet, network, nodes, self_managed

NODE_CONFIG = """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="//"

--//
Content-Type: application/node.eks.aws

# Karpenter Generated NodeConfig
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster: {name: CLUSTER, cidr: 10.0.0.0/16}
  kubelet:
    config:
      maxPods: 58
      registerWithTaints: [{key: karpenter.sh/unregistered, effect: NoExecute}]
    flags: ['--node-labels="karpenter.sh/nodepool=default,karpenter.sh/capacity-type=spot"']

--//--
"""


def profile(endpoint, name="karpenter", path="/karpenter/us-east-1/shop/"):
    """A role with an instance profile of its own."""
    iam = endpoint.client("iam")
    try:
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}')["Role"]
        iam.create_instance_profile(InstanceProfileName=name, Path=path)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    except iam.exceptions.EntityAlreadyExistsException:
        role = iam.get_role(RoleName=name)["Role"]
    return role["Arn"]


def template(endpoint, site, cluster="shop"):
    """A launch template as Karpenter makes them; its security group."""
    ec2 = endpoint.client("ec2")
    profile(endpoint)
    group = ec2.create_security_group(GroupName=f"g-{cluster}", Description="nodes", VpcId=site.vpc)["GroupId"]
    data = {
        "IamInstanceProfile": {"Name": "karpenter"},
        "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [group]}],
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 21, "DeleteOnTermination": True}}],
        "UserData": base64.b64encode(NODE_CONFIG.replace("CLUSTER", cluster).encode()).decode(),
        "ImageId": "ami-1",
    }
    ec2.create_launch_template(LaunchTemplateName=f"karpenter-{cluster}", LaunchTemplateData=data)
    return group


@pytest.fixture(scope="module")
def group(endpoint, site):
    return template(endpoint, site)


def order(endpoint, site, *kinds, capacity="on-demand", cluster="shop", **more):
    """CreateFleet as Karpenter sends it: any of these types, in any of the zones."""
    zones = zip("abc", site.subnets, strict=True)
    pools = [{"InstanceType": k, "SubnetId": net, "AvailabilityZone": f"us-east-1{z}"} for z, net in zones for k in kinds]
    tags = {f"kubernetes.io/cluster/{cluster}": "owned", "eks:eks-cluster-name": cluster, "karpenter.sh/nodepool": "default"}
    return endpoint.client("ec2").create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": f"karpenter-{cluster}", "Version": "$Latest"},
                "Overrides": pools,
            }
        ],
        TargetCapacitySpecification={"DefaultTargetCapacityType": capacity, "TotalTargetCapacity": 1},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}],
        **more,
    )


def instance(endpoint, answer):
    number = answer["Instances"][0]["InstanceIds"][0]
    found = endpoint.client("ec2").describe_instances(InstanceIds=[number])["Reservations"][0]["Instances"][0]
    return found


def end(endpoint, *instances):
    endpoint.client("ec2").terminate_instances(InstanceIds=[one["InstanceId"] for one in instances])


def test_instance_types_come_in_pages_and_are_those_with_a_price(endpoint):
    ec2 = endpoint.client("ec2")
    with pytest.raises(ClientError, match="DryRunOperation"):
        ec2.describe_instance_types(DryRun=True)
    pages = list(ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 100}))
    names = [row["InstanceType"] for page in pages for row in page["InstanceTypes"]]
    assert len(pages) == 3 and sorted(names) == sorted(prices.table()["instances"])
    assert ec2.describe_instance_types(InstanceTypes=["p4d.24xlarge"])["InstanceTypes"], "named, it is described"
    asked = {"LocationType": "availability-zone", "PaginationConfig": {"PageSize": 500}}
    offers = [
        row
        for page in ec2.get_paginator("describe_instance_type_offerings").paginate(**asked)
        for row in page["InstanceTypeOfferings"]
    ]
    assert {row["InstanceType"] for row in offers} == set(names)
    assert {"us-east-1a", "us-east-1b", "us-east-1c"} <= {row["Location"] for row in offers}


def test_spot_is_cheaper_and_differs_by_zone(endpoint):
    rows = endpoint.client("ec2").describe_spot_price_history(InstanceTypes=["c6a.4xlarge"])["SpotPriceHistory"]
    found = {row["AvailabilityZone"]: float(row["SpotPrice"]) for row in rows}
    assert len(set(found.values())) > 1
    for zone, price in found.items():
        assert price == pytest.approx(prices.spot("c6a.4xlarge", zone)) and 0.28 * 0.612 <= price <= 0.45 * 0.612
    assert prices.spot("p4d.24xlarge", "us-east-1a") is None, "no price of it on demand"


def test_a_fleet_takes_the_cheapest_pool_and_all_that_the_template_says(endpoint, site, group):
    answer = order(endpoint, site, "c5.4xlarge", "c6a.4xlarge", "c5a.4xlarge")
    found = instance(endpoint, answer)
    assert found["InstanceType"] == "c6a.4xlarge" and answer["Errors"] == []
    assert [one["GroupId"] for one in found["SecurityGroups"]] == [group]
    assert found["IamInstanceProfile"]["Arn"].endswith("/karpenter")
    assert "SpotInstanceRequestId" not in found and "InstanceLifecycle" not in found
    assert {tag["Key"] for tag in found["Tags"]} >= {"aws:ec2:fleet-id", "eks:eks-cluster-name"}
    ec2 = endpoint.client("ec2")
    disk = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [found["InstanceId"]]}])["Volumes"]
    assert [one["Size"] for one in disk] == [21]
    end(endpoint, found)
    assert disk[0]["VolumeId"] not in [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]]


def test_a_spot_fleet_is_known_as_spot_and_costs_less(endpoint, site, group):
    answer = order(endpoint, site, "c6a.4xlarge", "c5a.4xlarge", capacity="spot")
    found = instance(endpoint, answer)
    assert found["InstanceLifecycle"] == "spot" and found["SpotInstanceRequestId"].startswith("sir-")
    pools = {(k, f"us-east-1{z}"): prices.spot(k, f"us-east-1{z}") for k in ("c6a.4xlarge", "c5a.4xlarge") for z in "abc"}
    assert (found["InstanceType"], found["Placement"]["AvailabilityZone"]) == min(pools, key=pools.get)
    end(endpoint, found)


def test_pools_without_capacity_are_errors_and_the_next_one_is_taken(endpoint, site, group):
    ssm = endpoint.client("ssm")
    ssm.put_parameter(Name=fleet.NO_CAPACITY, Type="String", Value="c6a.*, c5a.4xlarge/us-east-1a, */*/spot")
    try:
        answer = order(endpoint, site, "c6a.4xlarge", "c5a.4xlarge")
        found = instance(endpoint, answer)
        assert (found["InstanceType"], found["Placement"]["AvailabilityZone"]) == ("c5a.4xlarge", "us-east-1b")
        assert {one["ErrorCode"] for one in answer["Errors"]} == {"InsufficientInstanceCapacity"} and len(answer["Errors"]) == 4
        end(endpoint, found)
        nothing = order(endpoint, site, "c5.4xlarge", capacity="spot")
        assert nothing["Instances"] == [] and len(nothing["Errors"]) == 3
    finally:
        ssm.delete_parameter(Name=fleet.NO_CAPACITY)
    with pytest.raises(ClientError, match="DryRunOperation"):
        order(endpoint, site, "c5.4xlarge", DryRun=True)


def test_instance_profiles_are_listed_by_their_path(endpoint):
    profile(endpoint)
    iam = endpoint.client("iam")
    iam.create_instance_profile(InstanceProfileName="somebody-elses")
    listed = iam.list_instance_profiles(PathPrefix="/karpenter/")["InstanceProfiles"]
    assert [one["InstanceProfileName"] for one in listed] == ["karpenter"]
    assert len(iam.list_instance_profiles()["InstanceProfiles"]) >= 2


def test_reservations_and_placement_groups_are_empty_lists(endpoint):
    ec2 = endpoint.client("ec2")
    assert ec2.describe_capacity_reservations()["CapacityReservations"] == []
    assert ec2.describe_placement_groups()["PlacementGroups"] == []


def test_an_instance_becomes_the_node_that_its_node_config_says(shop, eks, site, endpoint, kube, group):
    def own(number):
        return [node for node in kube.list("nodes") if node["spec"].get("providerID", "").endswith(number)]

    found = instance(endpoint, order(endpoint, site, "c6a.4xlarge", capacity="spot"))
    other = instance(endpoint, order(endpoint, site, "c6a.4xlarge"))
    eks.create_access_entry(clusterName=shop, principalArn=profile(endpoint), type="EC2_LINUX")
    node = until(lambda: own(found["InstanceId"]), 20)[0]
    assert node["spec"]["providerID"] == f"aws:///{found['Placement']['AvailabilityZone']}/{found['InstanceId']}"
    labels = node["metadata"]["labels"]
    assert labels["karpenter.sh/nodepool"] == "default" and labels["karpenter.sh/capacity-type"] == "spot"
    assert labels["node.kubernetes.io/instance-type"] == "c6a.4xlarge"
    assert {"key": "karpenter.sh/unregistered", "effect": "NoExecute"} in node["spec"]["taints"]
    assert node["status"]["capacity"]["pods"] == "58" and node["status"]["allocatable"]["cpu"] == "15890m"
    until(lambda: own(other["InstanceId"]), 20)
    end(endpoint, found, other)
    until(lambda: not own(found["InstanceId"]) and not own(other["InstanceId"]), 20)
    eks.delete_access_entry(clusterName=shop, principalArn=profile(endpoint))


def test_an_instance_of_another_cluster_or_that_may_not_enter_is_no_node(shop, site, endpoint, group):
    template(endpoint, site, "elsewhere")
    account, cluster = next(pair for pair in nodes.every() if pair[1].name == shop)
    before = set(nodes.wanted(account, cluster))
    wrong = instance(endpoint, order(endpoint, site, "t3.small", cluster="elsewhere"))
    mine = [{"Key": f"kubernetes.io/cluster/{shop}", "Value": "owned"}]
    endpoint.client("ec2").create_tags(Resources=[wrong["InstanceId"]], Tags=mine)
    refused = instance(endpoint, order(endpoint, site, "t3.small"))
    until(lambda: age(account, refused) > self_managed.BOOT_SECONDS, 10)
    assert set(nodes.wanted(account, cluster)) == before, "no access entry, no mapping"
    end(endpoint, wrong, refused)


def age(account, found):
    """Seconds since an instance was started: only when it has booted its absence says something."""
    return (utcnow() - network.ec2(account).get_instance(found["InstanceId"]).launch_time).total_seconds()


@pytest.mark.parametrize(
    ("text", "cluster"),
    [
        (NODE_CONFIG.replace("CLUSTER", "shop"), "shop"),
        ("apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec: {cluster: {name: bare}}\n", "bare"),
        ("#!/bin/sh\n/etc/eks/bootstrap.sh shop\n", None),
        ("apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\nspec: [\n", None),
        ("", None),
    ],
)
def test_user_data_that_is_no_node_config_is_none(text, cluster):
    class Machine:
        user_data = base64.b64encode(text.encode()).decode()

    found = bootstrap.read(Machine())
    assert (found.cluster if found else None) == cluster


def test_a_rule_sends_ec2s_own_events_to_a_queue(endpoint, site, group):
    sqs, events = endpoint.client("sqs"), endpoint.client("events")
    url = sqs.create_queue(QueueName="interruptions")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"]}
    events.put_rule(Name="changes", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="changes", Targets=[{"Id": "queue", "Arn": arn}])
    found = instance(endpoint, order(endpoint, site, "t3.small"))
    end(endpoint, found)
    bodies = []
    while rows := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for row in rows:
            bodies.append(json.loads(row["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=row["ReceiptHandle"])
    events.remove_targets(Rule="changes", Ids=["queue"])
    assert [(one["source"], one["detail"]["state"]) for one in bodies] == [("aws.ec2", "running"), ("aws.ec2", "terminated")]
    assert {one["detail"]["instance-id"] for one in bodies} == {found["InstanceId"]}
    assert bodies[0]["time"].endswith("Z") and bodies[0]["resources"][0].endswith(f"instance/{found['InstanceId']}")
