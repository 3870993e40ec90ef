"""Labs with `aws: true` in real kernels: the account, its clusters, a restart, two labs at once, reset, and what is left."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import psutil
import pytest
from test_teaching_lesson import room

from lab_helpers import clusters, settings
from lab_helpers.eks import service

LAB = """
title: A room with an account
minutes: 10
summary: For tests.
objectives: [name a cluster]
aws: true
"""
EXERCISES = """
staged:
  hints: [a, b]
  solution: "1"
  wrong: []
  debrief: EKS
"""
CHECKS = """
def scene_staged(lab):
    lab.aws("iam").create_user(UserName="staged")

def staged(lab):
    lab.aws("iam").get_user(UserName="staged")

def close(lab):
    print("users:", len(lab.aws("iam").list_users()["Users"]))
"""
IMPORT = "from lab_helpers import *"
CREATE = """
import json, time
eks, subnets = lab.aws("eks"), lab.aws("ec2").describe_subnets()["Subnets"][:3]
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}}]}
role = lab.aws("iam").create_role(RoleName="NAME", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
network = "subnetIds=" + ",".join(subnet["SubnetId"] for subnet in subnets)
get_ipython().system(f"aws eks create-cluster --name NAME --role-arn {role} --resources-vpc-config {network}")
"""
ACTIVE = """
while eks.describe_cluster(name="NAME")["cluster"]["status"] == "CREATING":
    time.sleep(0.2)
print(eks.describe_cluster(name="NAME")["cluster"]["status"])
"""


@pytest.fixture(scope="module")
def home():
    """Two lab folders and one state."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    for name in ("70-one", "71-two"):
        room(folder / "labs", name, lab=LAB, exercises=EXERCISES, checks=CHECKS)
    yield folder
    with pytest.MonkeyPatch.context() as patch:  # whatever a failed test left
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        service.clean(settings.load())
        for maker in clusters.every(settings.load()):
            maker.delete_all()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def enter(home, kernels):
    """Open a lab in a kernel of its own."""

    def enter(name: str):
        env = {"XDG_DATA_HOME": str(home / "data"), "LAB_LABS": str(home / "labs"), "AWS_PROFILE": "prod"}
        kernel = kernels(home / "labs" / name, **env)
        kernel.run(IMPORT)
        ran = kernel.run(f'lab = open_lab("{name}")')
        assert ran.error == "", ran.words
        kernel.opened = ran
        return kernel

    return enter


@pytest.fixture(scope="module")
def one(enter):
    return enter("70-one")


def make(kernel, name: str) -> None:
    assert kernel.run(CREATE.replace("NAME", name)).error == ""
    ran = kernel.run(ACTIVE.replace("NAME", name))
    assert "ACTIVE" in ran.text, ran.words


def mine(home: Path) -> list[str]:
    """Processes of this state folder."""
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if f"{home}/data/" in line]


def test_the_banner_says_what_is_played_and_the_caller_is_the_labs_own(one):
    assert "AWS itself is played" in one.opened.words and "Real" in one.opened.words
    assert "user/lab-admin" in one.run("!aws sts get-caller-identity").text


def test_without_a_cluster_the_errors_say_what_to_do(one):
    assert "update-kubeconfig" in one.run("!kubectl get pods").words
    assert "lab.use" in one.run("lab.map()").words
    assert "no EKS cluster" in one.run('lab.use("nowhere")').words
    assert "Nothing in this account costs" in one.run("lab.aws.bill()").words


def test_a_cluster_is_looked_at_counted_and_drawn(one):
    make(one, "first")
    assert "Updated context" in one.run("!aws eks update-kubeconfig --name first").text.replace("Added new", "Updated")
    assert "kube-system" in one.run("!kubectl get namespaces").text
    assert one.run('lab.use("first"); lab.map()').error == ""
    assert "control plane" in one.run("lab.aws.bill()").words
    drawn = one.run('lab.aws.vpc("first")')
    assert "3 zones" in drawn.words and "Amazon" not in drawn.error, drawn.words
    assert "running" in one.run("lab.health()").words


def test_the_meter_is_no_part_of_the_call_log(one):
    assert "an hour" in one.run("lab.aws.meter()").words
    words = one.run("lab.calls()").words
    assert "CreateCluster" in words and "DescribeNatGateways" not in words


def test_the_form_of_the_console_makes_what_its_command_says(one):
    ran = one.run('form = lab.aws.console("clicked")')
    assert "aws eks create-cluster --name clicked" in ran.words, ran.words
    assert one.run("form.subnets = form.subnets[:1]; form.create()").error == "CommandFailed"
    assert "at least two different AZs" in one.run("print(form.state)").text
    ran = one.run('form = lab.aws.console("clicked"); form.create()')
    assert ran.error == "" and "clicked is ACTIVE" in ran.text
    assert one.run('eks.delete_cluster(name="clicked")["cluster"]["status"]').error == ""


def test_a_scene_lasts_as_long_as_the_account_whatever_is_looked_at(one):
    assert one.run('scene("staged"); check("staged")').error == ""
    assert one.run('lab.use("first"); check("staged")').error == ""


def test_the_account_is_there_after_a_restart_of_the_kernel(one, enter):
    one.close()
    again = enter("70-one")
    assert "first" in again.run("!aws eks list-clusters").text
    assert again.run('check("staged")').error == ""
    assert "kube-system" in again.run("!kubectl get namespaces").text
    assert '"first"' in again.run("!lab shell 70-one -- aws eks list-clusters").text
    assert again.run("lab.reset()").error == ""
    assert "first" not in again.run("!aws eks list-clusters").text
    assert 'scene("staged")' in again.run('check("staged")').words
    assert "No resources" not in again.run("!lab clusters").text
    again.run("lab.close()")


def test_two_labs_share_the_account_and_each_takes_its_own_away(enter, home):
    first, second = enter("70-one"), enter("71-two")
    make(first, "of-one")
    make(second, "of-two")
    assert '"of-two"' in first.run("!aws eks list-clusters").text
    ran = first.run("lab.close()")
    assert ran.error == "" and "71-two goes on" in ran.text
    found = second.run("!aws eks list-clusters").text
    assert '"of-two"' in found and "of-one" not in found
    ran = second.run("lab.close()")
    assert ran.error == "" and "users: 1" in ran.text, ran.words
    assert mine(home) == []
    assert not list((home / "data" / "eks-lab" / "clusters").glob("eks-*"))
    assert not (home / "data" / "eks-lab" / "aws").exists()
