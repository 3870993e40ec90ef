"""What one lab made in an account that several labs use: found in the call log, deleted as a learner would delete it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from lab_helpers.eks import calls
from lab_helpers.processes import wait_until

Client = Callable[[str], Any]
_SECONDS = 180.0  # for one thing to go: a node group drains its nodes first


def mark(lab: str) -> str:
    """The value of AWS_EXECUTION_ENV in a lab."""
    return f"lab-{lab}"


def made(folder: Path, lab: str) -> tuple[list[str], list[str]]:
    """Names of the clusters and stacks that were ordered by a lab, oldest first; some of them may be gone.

    Args:
        folder: the endpoint's.
    """
    clusters: dict[str, None] = {}
    stacks: dict[str, None] = {}
    for event in calls.read(folder):
        if event["errorCode"] or f"exec-env/{mark(lab)}" not in event["userAgent"]:
            continue
        asked = event["requestParameters"]
        if event["eventName"] == "CreateCluster":
            clusters[str(asked.get("name"))] = None
        elif event["eventName"] in ("CreateStack", "CreateChangeSet"):
            stacks[str(asked.get("stackName"))] = None
    return list(clusters), list(stacks)


def remove(folder: Path, lab: str, client: Client) -> None:
    """Delete them: first what stands in the way (node groups, Fargate profiles), then stacks, newest first, then clusters.

    Raises:
        WaitTimeout: one of them does not go.
    """
    eks, formation = client("eks"), client("cloudformation")
    clusters, stacks = made(folder, lab)
    stacks = [name for name in reversed(stacks) if _there(formation, name)]
    for name in stacks:
        rows = formation.describe_stack_resources(StackName=name)["StackResources"]
        clusters += [row["PhysicalResourceId"] for row in rows if row["ResourceType"] == "AWS::EKS::Cluster"]
    mine = [name for name in dict.fromkeys(clusters) if _cluster(eks, name)]
    for name in mine:
        _empty(eks, name)
        _end_machines(client, name)
    for name in stacks:
        formation.delete_stack(StackName=name)
        _until_not(partial(_there, formation, name), f"the stack {name}")
    for name in mine:
        if _cluster(eks, name):
            eks.delete_cluster(name=name)
            _until_not(partial(_cluster, eks, name), f"the cluster {name}")


def _empty(eks: Any, name: str) -> None:
    for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
        eks.delete_nodegroup(clusterName=name, nodegroupName=group)
    _until_not(lambda: eks.list_nodegroups(clusterName=name)["nodegroups"], f"the last node group of {name}")
    for profile in eks.list_fargate_profiles(clusterName=name)["fargateProfileNames"]:  # one at a time: so EKS wants it
        eks.delete_fargate_profile(clusterName=name, fargateProfileName=profile)
        _until_not(partial(_profile, eks, name, profile), f"the Fargate profile {profile} of {name}")


def _end_machines(client: Client, name: str) -> None:
    """Machines that no node group and no stack knows: those of Karpenter, with its templates and profiles, and self-managed."""
    ec2, iam = client("ec2"), client("iam")
    wanted = [
        {"Name": "tag-key", "Values": [f"kubernetes.io/cluster/{name}"]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    rows = ec2.describe_instances(Filters=wanted)["Reservations"]
    if numbers := [one["InstanceId"] for row in rows for one in row["Instances"]]:
        ec2.terminate_instances(InstanceIds=numbers)
    mine = [{"Name": "tag:eks:eks-cluster-name", "Values": [name]}]
    for one in ec2.describe_launch_templates(Filters=mine)["LaunchTemplates"]:
        ec2.delete_launch_template(LaunchTemplateId=one["LaunchTemplateId"])
    path = f"/karpenter/{ec2.meta.region_name}/{name}/"
    for one in iam.list_instance_profiles(PathPrefix=path)["InstanceProfiles"]:
        for role in one["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=one["InstanceProfileName"], RoleName=role["RoleName"])
        iam.delete_instance_profile(InstanceProfileName=one["InstanceProfileName"])


def _cluster(eks: Any, name: str) -> bool:
    return name in eks.list_clusters()["clusters"]


def _profile(eks: Any, cluster: str, name: str) -> bool:
    return name in eks.list_fargate_profiles(clusterName=cluster)["fargateProfileNames"]


def _there(formation: Any, stack: str) -> bool:
    with suppress(formation.exceptions.ClientError):
        found = formation.describe_stacks(StackName=stack)["Stacks"]
        return any(one["StackStatus"] != "DELETE_COMPLETE" for one in found)
    return False


def _until_not(there: Callable[[], object], what: str) -> None:
    step = "lab clean ends and removes everything that the lab runs"
    wait_until(lambda: not there(), deadline=_SECONDS, what=f"the end of {what}", next_step=step)
