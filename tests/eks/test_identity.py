"""Who enters a cluster: the real AWS CLI, kubectl, API server and aws-iam-authenticator, from the token to the audit log."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import pytest
from eks_kit import until

from lab_helpers import settings, toolchain
from lab_helpers.eks import calls, plane
from lab_helpers.kube import Kube
from lab_helpers.teaching import audit, cloud

TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":%s}]}'
ACCOUNT = "123456789012"


@dataclass
class City:
    """A cluster `city` with people who want to enter it."""

    aws: object
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)

    def user(self, name: str) -> str:
        """A user with a key and a profile; the ARN."""
        iam = self.aws.client("iam")
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.keys[name] = (key["AccessKeyId"], key["SecretAccessKey"])
        self.profile(name, *self.keys[name])
        return arn

    def profile(self, name: str, key: str, secret: str) -> None:
        for what, value in (("aws_access_key_id", key), ("aws_secret_access_key", secret)):
            self.aws.run("aws", "configure", "set", what, value, "--profile", name)

    def kubectl(self, profile: str, *words: str, **env: str) -> tuple[int, str]:
        """What kubectl says to the user of a profile: exit code and words."""
        folder = self.aws.home
        kubeconfig = folder / f"kubeconfig-{profile}"
        if not kubeconfig.exists():
            self.aws.run(
                "aws", "eks", "update-kubeconfig", "--name", "city", "--profile", profile, "--kubeconfig", str(kubeconfig)
            )
        path = f"{toolchain.bin_folder(['kubectl'])}:{self.aws.env()['PATH']}"
        here = self.aws.env(KUBECONFIG=str(kubeconfig), KUBECACHEDIR=str(folder / "cache"), PATH=path, **env)
        done = subprocess.run(["kubectl", *words], env=here, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    @property
    def kube(self) -> Kube:
        return Kube(cloud.cluster(settings.load(), "city").kubeconfig)

    def log(self) -> str:
        return cloud.log(settings.load(), plane.local_name("us-east-1", "city")).read_text()


@pytest.fixture(scope="module")
def city(aws):
    os.environ["LAB_PROVIDER"] = "embedded"
    toolchain.ensure(["kubectl", "aws-iam-authenticator"])
    iam, ec2, eks = (aws.client(name) for name in ("iam", "ec2", "eks"))
    role = iam.create_role(RoleName="cluster", AssumeRolePolicyDocument=TRUST % '{"Service":"eks.amazonaws.com"}')["Role"][
        "Arn"
    ]
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:3]]
    eks.create_cluster(
        name="city",
        roleArn=role,
        resourcesVpcConfig={"subnetIds": subnets},
        accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"},
    )
    until(lambda: eks.describe_cluster(name="city")["cluster"]["status"] != "CREATING", 240)
    assert eks.describe_cluster(name="city")["cluster"]["status"] == "ACTIVE"
    made = City(aws)
    yield made
    eks.delete_cluster(name="city")
    until(lambda: "city" not in eks.list_clusters()["clusters"], 120)


def test_the_creator_is_administrator_and_the_audit_log_has_their_name(city):
    code, said = city.kubectl("default", "auth", "whoami")
    assert code == 0 and f"arn:aws:iam::{ACCOUNT}:user/lab-admin" in said, said
    assert city.kubectl("default", "create", "namespace", "made-by-admin")[0] == 0
    cluster = cloud.cluster(settings.load(), "city")
    path = cloud.plane.maker(cluster.provider).log(cluster, "audit")
    events: list = []
    until(lambda: events.extend(audit.read(path, ("made-by-admin",))) or events)
    assert events[0]["user"]["username"] == f"arn:aws:iam::{ACCOUNT}:user/lab-admin"


def test_the_token_is_a_signed_request_to_sts_and_nothing_else(city):
    token = json.loads(city.aws.run("aws", "eks", "get-token", "--cluster-name", "city"))["status"]["token"]
    url = base64.urlsafe_b64decode(token.removeprefix("k8s-aws-v1.") + "==").decode()
    asked = dict(parse_qsl(urlsplit(url).query))
    assert urlsplit(url).netloc == "sts.us-east-1.amazonaws.com" and asked["Action"] == "GetCallerIdentity"
    assert asked["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    env = city.aws.env()
    ask = ["curl", "-sS", "--cacert", env["AWS_CA_BUNDLE"], "-H", "Accept: application/json"]
    good = subprocess.run([*ask, "-H", "x-k8s-aws-id: city", url], env=env, capture_output=True, text=True).stdout
    assert "user/lab-admin" in good
    other = subprocess.run([*ask, "-H", "x-k8s-aws-id: village", url], env=env, capture_output=True, text=True).stdout
    assert "SignatureDoesNotMatch" in other


def test_an_unmapped_user_is_nobody(city):
    city.user("mallory")
    code, said = city.kubectl("mallory", "get", "nodes")
    assert code != 0 and "must be logged in to the server" in said
    assert "not mapped" in city.log()


def test_aws_auth_lets_a_user_in_as_a_master(city):
    arn = city.user("alice")
    assert city.kubectl("alice", "get", "nodes")[0] != 0
    rows = [{"userarn": arn, "username": "alice", "groups": ["system:masters"]}]
    meta = {"name": "aws-auth", "namespace": "kube-system"}
    city.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"mapUsers": json.dumps(rows)}})
    until(lambda: city.kubectl("alice", "get", "nodes")[0] == 0, 60)
    assert "alice" in city.kubectl("alice", "auth", "whoami")[1]


def test_an_access_entry_wins_over_the_configmap_and_a_policy_gives_its_own_rights(city):
    arn, eks = f"arn:aws:iam::{ACCOUNT}:user/alice", city.aws.client("eks")
    eks.create_access_entry(clusterName="city", principalArn=arn)
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    scope = {"type": "namespace", "namespaces": ["default"]}
    eks.associate_access_policy(clusterName="city", principalArn=arn, policyArn=policy, accessScope=scope)
    until(lambda: "orbidden" in city.kubectl("alice", "get", "nodes")[1], 60)
    assert city.kubectl("alice", "get", "pods", "-n", "default")[0] == 0
    eks.delete_access_entry(clusterName="city", principalArn=arn)
    until(lambda: city.kubectl("alice", "get", "nodes")[0] == 0, 60)


def test_a_role_that_trusts_enters_as_what_it_is_mapped_to(city):
    bob, iam, eks = city.user("bob"), city.aws.client("iam"), city.aws.client("eks")
    role = iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=TRUST % json.dumps({"AWS": bob}))["Role"]["Arn"]
    eks.create_access_entry(clusterName="city", principalArn=role, kubernetesGroups=["developers"], username="dev")
    for who in ("bob", "mallory"):
        for what, value in (("role_arn", role), ("source_profile", who)):
            city.aws.run("aws", "configure", "set", what, value, "--profile", f"{who}-as-deployer")
    # Mallory first: the AWS CLI keeps the credentials of a role by the role alone, whoever asked for them.
    said = city.aws.run("aws", "sts", "get-caller-identity", "--profile", "mallory-as-deployer", code=255)
    assert "is not authorized to perform: sts:AssumeRole" in said
    assert calls.read(city.aws.endpoint.folder)[-1]["errorCode"] == "AccessDenied"
    until(lambda: "developers" in city.kubectl("bob-as-deployer", "auth", "whoami")[1], 60)
    code, said = city.kubectl("bob-as-deployer", "get", "nodes")
    assert code != 0 and 'User "dev" cannot list resource "nodes"' in said


def test_the_path_of_a_role_counts_for_an_entry_and_not_for_aws_auth(city):
    """aws-iam-authenticator#268, terraform-aws-eks#2292: what STS says of a session has no path."""
    carol, iam, eks = city.user("carol"), city.aws.client("iam"), city.aws.client("eks")
    trust = TRUST % json.dumps({"AWS": carol})
    role = iam.create_role(RoleName="ops", Path="/sso/eu/", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    for what, value in (("role_arn", role), ("source_profile", "carol")):
        city.aws.run("aws", "configure", "set", what, value, "--profile", "ops")

    def mapped(arn: str) -> None:
        roles = json.dumps([{"rolearn": arn, "username": "ops", "groups": ["system:masters"]}])
        users = json.dumps([{"userarn": carol, "username": "carol", "groups": [arn]}])  # a sign that this map has been read
        meta = {"name": "aws-auth", "namespace": "kube-system"}
        city.kube.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"mapUsers": users, "mapRoles": roles}}
        )
        until(lambda: arn in city.kubectl("carol", "auth", "whoami")[1], 60)

    before = city.kube.get("configmap", "aws-auth", "kube-system")["data"]
    mapped(role)
    assert city.kubectl("ops", "get", "nodes")[0] != 0
    mapped(role.replace("/sso/eu/", "/"))
    assert city.kubectl("ops", "get", "nodes")[0] == 0
    meta = {"name": "aws-auth", "namespace": "kube-system"}
    city.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": before})
    eks.create_access_entry(clusterName="city", principalArn=role, kubernetesGroups=["operators"], username="ops")
    until(lambda: "operators" in city.kubectl("ops", "auth", "whoami")[1], 60)


def test_a_wrong_key_is_refused_by_sts(city):
    city.profile("forged", city.keys["alice"][0], "x" * 40)
    # The plugin signs without asking anybody: only the cluster finds out.
    kubeconfig = city.aws.home / "kubeconfig-forged"
    city.aws.run("aws", "eks", "update-kubeconfig", "--name", "city", "--kubeconfig", str(kubeconfig))
    code, said = city.kubectl("forged", "get", "nodes", AWS_PROFILE="forged")
    assert code != 0 and "must be logged in to the server" in said
    refused = [event for event in calls.read(city.aws.endpoint.folder) if event["errorCode"] == "SignatureDoesNotMatch"]
    assert refused and refused[-1]["additionalEventData"]["presigned"]


def test_an_expired_token_and_one_for_another_cluster_are_refused(city):
    """Signed with another clock, and for another cluster: by the AWS CLI's own code."""
    script = (
        "import sys, datetime, botocore.session, botocore.auth, botocore.compat\n"
        "late = datetime.timedelta(minutes=int(sys.argv[2]))\n"
        "real = botocore.compat.get_current_datetime if hasattr(botocore.compat, 'get_current_datetime') else None\n"
        "import botocore.auth as auth\n"
        "auth.get_current_datetime = lambda *a, **k: real(*a, **k) - late\n"
        "from awscli.customizations.eks.get_token import STSClientFactory, TokenGenerator\n"
        "session = botocore.session.get_session()\n"
        "client = STSClientFactory(session).get_sts_client(region_name='us-east-1')\n"
        "print(TokenGenerator(client).get_token(sys.argv[1]))\n"
    )
    import sys

    def status(name: str, minutes: int) -> int:
        done = subprocess.run(
            [sys.executable, "-c", script, name, str(minutes)], env=city.aws.env(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        cluster = cloud.cluster(settings.load(), "city")
        server, _ = plane.endpoint(cluster)
        answer = subprocess.run(
            ["curl", "-sk", "-o", os.devnull, "-w", "%{http_code}", "-H", f"Authorization: Bearer {done.stdout.strip()}",
             f"{server}/api/v1/nodes"], env={"PATH": os.environ["PATH"], "NO_PROXY": "*"}, capture_output=True, text=True,
        )  # fmt: skip
        return int(answer.stdout)

    assert status("city", 0) == 200
    assert status("city", 20) == 401
    assert "expired" in city.log()
    assert status("village", 0) == 401


def test_an_authenticator_that_is_killed_comes_back_with_the_endpoint(city):
    from lab_helpers import processes
    from lab_helpers.eks import authenticator, service

    here = authenticator.folder(city.aws.endpoint.folder, plane.local_name("us-east-1", "city"))
    process = processes.recorded(here)[authenticator.NAME]
    processes.stop(process, grace=0)
    service.stop(city.aws.settings)
    assert city.aws.endpoint.pid
    until(lambda: city.kubectl("default", "get", "namespaces")[0] == 0, 60)


def test_nothing_of_it_listens_but_on_loopback(city):
    import psutil

    from lab_helpers import processes
    from lab_helpers.eks import authenticator

    here = authenticator.folder(city.aws.endpoint.folder, plane.local_name("us-east-1", "city"))
    process = processes.recorded(here)[authenticator.NAME]
    links = [link for link in psutil.Process(process.pid).net_connections() if link.status == psutil.CONN_LISTEN]
    assert len(links) == 2 and {link.laddr.ip for link in links} == {"127.0.0.1"}
