"""The real Karpenter beside a real cluster: Pods that wait become machines, machines that are not needed go, spot is heard."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import yaml
from eks_kit import until

from lab_helpers import processes
from lab_helpers.autoscaling import karpenter
from lab_helpers.clusters import every
from lab_helpers.eks import account, plane, prices
from lab_helpers.kube import Kube
from lab_helpers.teaching.karpenter import readable, warning

NAME = "packed"
ROLE = "KarpenterNodeRole-packed"
POOL = """
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata: {name: default}
spec:
  role: KarpenterNodeRole-packed
  amiSelectorTerms: [{alias: al2023@v20261013}]
  subnetSelectorTerms: [{tags: {karpenter.sh/discovery: packed}}]
  securityGroupSelectorTerms: [{tags: {karpenter.sh/discovery: packed}}]
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: default}
spec:
  template:
    spec:
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}
      requirements:
        - {key: kubernetes.io/arch, operator: In, values: [amd64]}
        - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
        - {key: karpenter.k8s.aws/instance-category, operator: In, values: [c, m, r]}
        - {key: karpenter.k8s.aws/instance-generation, operator: Gt, values: ["2"]}
  disruption: {consolidationPolicy: WhenEmptyOrUnderutilized, consolidateAfter: 5s, budgets: [{nodes: "100%"}]}
"""


@pytest.fixture(scope="module")
def cluster(aws):
    """An EKS cluster with what a Karpenter installation finds: tagged subnets and security group, a node role, a queue."""
    ec2, iam, eks, sqs, events = (aws.client(name) for name in ("ec2", "iam", "eks", "sqs", "events"))
    tags = [{"Key": "karpenter.sh/discovery", "Value": NAME}]
    vpc = ec2.create_vpc(CidrBlock="192.168.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc,
            AvailabilityZone=f"us-east-1{zone}",
            CidrBlock=f"192.168.{32 * number}.0/19",
            TagSpecifications=[{"ResourceType": "subnet", "Tags": tags}],
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("abc")
    ]
    group = ec2.create_security_group(
        GroupName="nodes", Description="nodes", VpcId=vpc, TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}]
    )["GroupId"]
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    node = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    role = iam.create_role(RoleName="packed-cluster", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    url = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"]}
    events.put_rule(Name="states", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="states", Targets=[{"Id": "karpenter", "Arn": arn}])
    eks.create_cluster(
        name=NAME,
        roleArn=role,
        resourcesVpcConfig={"subnetIds": subnets, "securityGroupIds": [group]},
        accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"},
        bootstrapSelfManagedAddons=False,
    )
    until(lambda: eks.describe_cluster(name=NAME)["cluster"]["status"] == "ACTIVE", 120)
    eks.create_access_entry(clusterName=NAME, principalArn=node, type="EC2_LINUX")
    local = plane.local_name(account.REGION, NAME)
    yield next(found for maker in every(aws.settings) if (found := maker.get(local)))
    plane.delete_every(aws.settings)


@pytest.fixture(scope="module")
def kube(cluster):
    return Kube(cluster.kubeconfig)


@pytest.fixture(scope="module")
def folder(aws, cluster, kube):
    """Karpenter, running, with a NodePool that is ready."""
    here = Path(cluster.folder) / "karpenter"
    karpenter.install(kube)
    karpenter.start(here, karpenter.Wanted(NAME, str(cluster.kubeconfig), queue=NAME))
    kube.apply(POOL)
    kube.wait_for("nodepool", "default", "Ready", deadline=60)
    yield here
    karpenter.stop(here)


def deployment(name, replicas):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}],
                },
            },
        },
    }


def running(kube, count):
    """Whether exactly so many Pods are there, all Running and none going."""
    pods = kube.list("pods", "default")
    up = [pod for pod in pods if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")]
    return len(up) == len(pods) == count


def claims(kube):
    return {item["metadata"]["name"]: item for item in kube.list("nodeclaims")}


def kinds(kube):
    return sorted(item["metadata"]["labels"].get("node.kubernetes.io/instance-type", "") for item in claims(kube).values())


def conditions(item):
    return {one["type"] for one in item.get("status", {}).get("conditions", []) if one["status"] == "True"}


def empty(kube, aws):
    """Nothing is left: no Pods, no NodeClaims, no nodes, no instances."""
    for item in kube.list("deployments", "default"):
        kube.delete("deployment", item["metadata"]["name"])
    until(lambda: not claims(kube) and not kube.list("nodes"), 120)
    live = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    assert not aws.client("ec2").describe_instances(Filters=live)["Reservations"]


def test_nine_pods_get_one_machine_and_fewer_get_a_smaller_one(aws, kube, folder):
    kube.apply([deployment("nine", 9)])
    until(lambda: running(kube, 9), 90)
    (claim,) = claims(kube).values()
    until(lambda: {"Launched", "Registered", "Initialized"} <= conditions(next(iter(claims(kube).values()))), 30)
    assert kinds(kube) == ["c6a.4xlarge"], "the cheapest machine that holds nine Pods of a core"
    (node,) = kube.list("nodes")
    assert node["spec"]["providerID"] == claim["status"]["providerID"]
    assert {one["key"] for one in node["spec"].get("taints", [])} == set(), "the taint of the unregistered is gone"
    wanted, there = claims(kube).popitem()[1]["status"]["allocatable"], node["status"]["allocatable"]
    assert wanted["cpu"] == there["cpu"] == "15890m" and wanted["pods"] == there["pods"] == "234"
    (found,) = aws.client("ec2").describe_instances()["Reservations"][-1]["Instances"]
    assert claim["status"]["providerID"].endswith(found["InstanceId"]) and found["InstanceType"] == "c6a.4xlarge"
    assert any("created nodeclaim" in readable(line) for line in karpenter.log(folder, 60))

    kube.patch("deployment", "nine", {"spec": {"replicas": 3}})
    until(lambda: kinds(kube) == ["c6a.xlarge"] and running(kube, 3), 150)
    assert prices.on_demand("c6a.xlarge") * 4 == pytest.approx(prices.on_demand("c6a.4xlarge"))
    empty(kube, aws)


def test_a_spot_machine_is_left_before_it_is_taken(aws, kube, folder):
    pool = next(one for one in yaml.safe_load_all(POOL) if one["kind"] == "NodePool")
    pool["spec"]["template"]["spec"]["requirements"][1]["values"] = ["spot"]
    kube.apply([pool])
    kube.apply([deployment("spot", 3)])
    until(lambda: running(kube, 3), 90)
    ((old, claim),) = claims(kube).items()
    assert claim["metadata"]["labels"]["karpenter.sh/capacity-type"] == "spot"
    until(lambda: "Initialized" in conditions(claims(kube)[old]), 30)
    number = claim["status"]["providerID"].rpartition("/")[2]
    sqs = aws.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=NAME)["QueueUrl"], MessageBody=json.dumps(warning(number)))
    until(lambda: old not in claims(kube) and running(kube, 3), 90)
    (new,) = claims(kube).values()
    before, after = (one["metadata"]["labels"]["node.kubernetes.io/instance-type"] for one in (claim, new))
    zones = [one["metadata"]["labels"]["topology.kubernetes.io/zone"] for one in (claim, new)]
    assert (before, zones[0]) != (after, zones[1]), "the pool that was interrupted is avoided"
    empty(kube, aws)


def test_a_machine_that_is_ended_by_hand_is_missed_at_once(aws, kube, folder):
    """By EC2's event in the queue; without it Karpenter looks every two minutes."""
    kube.apply([deployment("hand", 2)])
    until(lambda: running(kube, 2), 90)
    ((old, claim),) = claims(kube).items()
    aws.client("ec2").terminate_instances(InstanceIds=[claim["status"]["providerID"].rpartition("/")[2]])
    until(lambda: old not in claims(kube) and running(kube, 2), 60)
    empty(kube, aws)


def test_it_is_started_again_when_it_dies_and_goes_with_its_keeper(folder):
    def now():
        found = processes.recorded(folder).get(karpenter.NAME)
        return found if found and processes.alive(found) else None

    first = now()
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: now() not in (None, first) and karpenter.ready(folder), 120)
    second, keeper = now(), processes.recorded(folder)[karpenter.KEEPER]
    os.kill(keeper.pid, signal.SIGKILL)
    until(lambda: not processes.alive(keeper) and not processes.alive(second), 20)
    assert not karpenter.running(folder)


def test_it_ends_with_its_cluster(aws, cluster, kube):
    here = Path(cluster.folder) / "karpenter"
    karpenter.start(here, karpenter.Wanted(NAME, str(cluster.kubeconfig)))
    found = [processes.recorded(here)[name] for name in (karpenter.NAME, karpenter.KEEPER)]
    aws.client("eks").delete_cluster(name=NAME)
    until(lambda: not cluster.kubeconfig.exists(), 60)
    until(lambda: not any(processes.alive(one) for one in found), 30)
    assert not Path(cluster.folder).exists()
