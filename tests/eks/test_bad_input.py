"""What a learner may type, or what may happen meanwhile: each refused in words that help, or gone on with afterwards."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal

import pytest
from botocore.exceptions import ClientError
from eks_kit import until

from lab_helpers import toolchain
from lab_helpers.eks import plane, service

TRUST = '{"Version": "2012-10-17", "Statement": []}'


@pytest.fixture(scope="module")
def parts(aws):
    """A role and subnets in three zones, as CreateCluster wants them."""
    os.environ["LAB_PROVIDER"] = "embedded"
    role = aws.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    subnets = [subnet["SubnetId"] for subnet in aws.client("ec2").describe_subnets()["Subnets"][:3]]
    return {"roleArn": role, "resourcesVpcConfig": {"subnetIds": subnets}}


def refused(action) -> str:
    with pytest.raises(ClientError) as said:
        action()
    return str(said.value)


HEAD = "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\n"
SHOP = f"{HEAD}metadata: {{name: shop, region: us-east-1}}\n"
ROLE = "principalARN: arn:aws:iam::111122223333:role/dev"
VIEW = "policyARN: arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
SOME = f"{{{VIEW}, accessScope: {{type: namespace}}}}"
FILES = {
    "no YAML": ("metadata: [", "loading config file"),
    "a word that is none": (f"{HEAD}metadata: {{nam: shop, region: us-east-1}}\n", 'unknown field "nam"'),
    "no name": (f"{HEAD}metadata: {{region: us-east-1}}\n", "metadata.name must be set"),
    "sizes that contradict": (
        f"{SHOP}managedNodeGroups: [{{name: a, minSize: 3, maxSize: 1}}]\n",
        "cannot use --nodes-min=3 and --nodes-max=1 at the same time",
    ),
    "a region that is none": (f"{HEAD}metadata: {{name: shop, region: mars-1}}\n", "mars-1 is none of AWS's"),
    # From here on cases of the field (eksctl#5556, and eksctl's tests of access entries): what the shipped one says.
    "a version without quotes": (
        f"{HEAD}metadata: {{name: shop, region: us-east-1, version: 1.30}}\n",
        "cannot unmarshal number into Go struct field ClusterMeta.metadata.version of type string",
    ),
    "a version that is none": (
        f"{HEAD}metadata: {{name: shop, region: us-east-1, version: '1.99'}}\n",
        "invalid version, supported values: ",
    ),
    "entries beside aws-auth alone": (
        f"{SHOP}accessConfig: {{authenticationMode: CONFIG_MAP, accessEntries: [{{{ROLE}}}]}}\n",
        "authenticationMode must be set to either API_AND_CONFIG_MAP or API to use access entries",
    ),
    "groups for a node's entry": (
        f"{SHOP}accessConfig: {{accessEntries: [{{{ROLE}, type: EC2_LINUX, kubernetesGroups: [a]}}]}}\n",
        "when type is set to EC2_LINUX",
    ),
    "a scope without namespaces": (
        f"{SHOP}accessConfig: {{accessEntries: [{{{ROLE}, accessPolicies: [{SOME}]}}]}}\n",
        "at least one namespace must be specified",
    ),
    "an entry twice": (f"{SHOP}accessConfig: {{accessEntries: [{{{ROLE}}}, {{{ROLE}}}]}}\n", "duplicate access entry"),
    "service accounts without OIDC": (
        f"{SHOP}iam: {{withOIDC: false, serviceAccounts: [{{metadata: {{name: s}}}}]}}\n",
        "iam.withOIDC must be enabled explicitly",
    ),
}


@pytest.mark.parametrize(("text", "words"), FILES.values(), ids=FILES)
def test_eksctl_says_what_is_wrong_with_a_file_and_makes_nothing(aws, tmp_path, text, words):
    (tmp_path / "shop.yaml").write_text(text)
    path = f"{toolchain.bin_folder(toolchain.ensure(['eksctl']))}:{aws.env()['PATH']}"
    said = aws.run("eksctl", "create", "cluster", "-f", str(tmp_path / "shop.yaml"), code=1, PATH=path)
    assert words in said
    assert aws.client("eks").list_clusters()["clusters"] == []
    assert not aws.client("cloudformation").list_stacks()["StackSummaries"]


def test_names_and_networks_that_eks_refuses(aws, parts):
    eks, subnets = aws.client("eks"), parts["resourcesVpcConfig"]["subnetIds"]
    for name in ("two words", "-dash", "a" * 101):
        assert "name" in refused(lambda: eks.create_cluster(**{**parts, "name": name})).lower()  # noqa: B023
    one_zone = {**parts, "name": "shop", "resourcesVpcConfig": {"subnetIds": subnets[:1]}}
    assert "Subnets specified must be in at least two different AZs" in refused(lambda: eks.create_cluster(**one_zone))
    nowhere = {**parts, "name": "shop", "resourcesVpcConfig": {"subnetIds": ["subnet-1", "subnet-2"]}}
    assert "subnet-1" in refused(lambda: eks.create_cluster(**nowhere))
    assert eks.list_clusters()["clusters"] == []


@pytest.mark.parametrize(("minutes", "words"), [(-20, "Signature expired"), (20, "Signature not yet current")])
def test_a_clock_twenty_minutes_off_is_named(aws, monkeypatch, minutes, words):
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime", lambda: datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    )
    assert words in refused(aws.client("sts").get_caller_identity)


def killed(aws) -> None:
    """The endpoint's process ends without a chance to do anything; the next call starts it again."""
    os.kill(aws.endpoint.pid, signal.SIGKILL)
    until(lambda: service.running(aws.settings) is None)


def saved(aws, words: str) -> None:
    """Wait until the account on disk knows of it."""
    until(lambda: words.encode() in (aws.endpoint.folder / "state").read_bytes())


def test_killed_in_the_middle_of_each_step_of_a_clusters_life(aws, parts):
    def status() -> str:
        return aws.client("eks").describe_cluster(name="often")["cluster"]["status"]

    def group() -> dict:
        return aws.client("eks").describe_nodegroup(clusterName="often", nodegroupName="two")["nodegroup"]

    aws.client("eks").create_cluster(**parts, name="often")
    saved(aws, "often")
    killed(aws)
    assert "is being created" in refused(lambda: aws.client("eks").delete_cluster(name="often"))
    until(lambda: status() != "CREATING", 120)
    assert status() == "ACTIVE"
    sizes = {"minSize": 1, "maxSize": 2, "desiredSize": 2}
    subnets = parts["resourcesVpcConfig"]["subnetIds"]
    more = {"clusterName": "often", "nodegroupName": "two", "scalingConfig": sizes, "subnets": subnets}
    aws.client("eks").create_nodegroup(**more, nodeRole=parts["roleArn"])
    saved(aws, "eks-two-")
    killed(aws)
    until(lambda: group()["status"] != "CREATING", 120)
    assert group()["status"] == "ACTIVE"
    until(lambda: len(plane.kube("eks-often", "embedded").list("nodes")) == 2, 60)
    deleted(aws, lambda eks: eks.delete_nodegroup(clusterName="often", nodegroupName="two"))
    until(lambda: not aws.client("eks").list_nodegroups(clusterName="often")["nodegroups"], 120)
    deleted(aws, lambda eks: eks.delete_cluster(name="often"))
    until(lambda: not aws.client("eks").list_clusters()["clusters"], 120)
    until(lambda: plane.find("eks-often", "embedded") is None, 30)
    instances = [one for row in aws.client("ec2").describe_instances()["Reservations"] for one in row["Instances"]]
    assert {one["State"]["Name"] for one in instances} <= {"terminated"}


def deleted(aws, delete) -> None:
    """Ask for it and kill the endpoint at once. What was answered less than half a second before may be forgotten: so ask
    once more, as a learner would; where it was not, AWS says that it is on its way, or gone."""
    delete(aws.client("eks"))
    killed(aws)
    with contextlib.suppress(ClientError):
        delete(aws.client("eks"))
