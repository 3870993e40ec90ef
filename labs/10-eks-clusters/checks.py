"""Lab 10: checks and scenes. They see the account as the learner does: by boto3, eksctl and kubectl's API."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from lab_helpers import CheckFailed, Lab, LabError

Object = dict[str, Any]

FOLDER = Path(__file__).parent
EXERCISE, WORK = FOLDER / "exercise", FOLDER / "work"
CLUSTER, REGION, VERSION, GROUP = "eks-test", "us-east-1", "1.36", "managed-node"
ORDER = f"--region {REGION} --version {VERSION} --nodegroup-name {GROUP} --node-type t2.micro --nodes 2"


# -- the first Pods ---------------------------------------------------------------------------------------------------

MOST = 0.0464  # dollars an hour for instances: twice what two t2.micro cost
SYSTEM = {"coredns": 2, "metrics-server": 2}


def scene_first_pods(lab: Lab) -> None:
    """eks-test as it was ordered, two t2.micro, and three Pods of web, none of which has a node."""
    _ready(lab)
    eks = lab.aws("eks")
    for name, replicas in SYSTEM.items():
        lab.kube.patch("deployment", name, {"spec": {"replicas": replicas}}, "kube-system")
    _no(lab, "deployment", "web")
    _no(lab, "pod", "web")
    for group in eks.list_nodegroups(clusterName=CLUSTER)["nodegroups"]:
        if group != GROUP:
            _eksctl(f"delete nodegroup --cluster {CLUSTER} --region {REGION} --name {group} --wait --disable-eviction")
    _size(lab, 2)
    lab.kube.apply(EXERCISE / "web.yaml", force=True)
    _wait(lambda: len(_pods(lab, "web")) == 3 and all(_why(pod) for pod in _pods(lab, "web")), 60)


def first_pods(lab: Lab) -> None:
    """Three Pods of web run, the system's own are all there, and the nodes cost at most twice as much as before."""
    _look(lab)
    deployment = lab.kube.find("deployment", "web")
    if deployment is None or deployment["spec"]["replicas"] != 3:
        raise CheckFailed("The Deployment web no longer wants three Pods.", next_step="set the scene again: three were ordered")
    _wait(lambda: sum(map(_runs, _pods(lab, "web"))) == 3, 30)
    for name, replicas in SYSTEM.items():
        item = lab.kube.find("deployment", name, "kube-system")
        wanted = item["spec"]["replicas"] if item else 0
        if wanted < replicas:
            raise CheckFailed(
                f"{name} of kube-system is to have {replicas} Pods, and somebody wants {wanted}.",
                "its places went to web",
                "what does the cluster need it for? Room can be had in another way",
            )
    running = sum(map(_runs, _pods(lab, "web")))
    if running < 3:
        waiting = [pod for pod in _pods(lab, "web") if not pod["spec"].get("nodeName")]
        raise CheckFailed(
            f"web has {running} of 3 Pods running.",
            _why(waiting[0]) if waiting else "one is starting still",
            "which of a node's resources is used up? How much of it has a new node for you, when its own Pods are on it?",
        )
    for name, replicas in SYSTEM.items():
        available = lab.kube.get("deployment", name, "kube-system")["status"].get("availableReplicas", 0)
        if available < replicas:
            raise CheckFailed(f"{name} has {available} of {replicas} Pods.", next_step="kubectl get pods -n kube-system: why?")
    items = [item for item in lab.aws.bill().items if item.kind.startswith("instance")]
    hourly = sum(item.hourly or 0.0 for item in items)
    if hourly > MOST + 1e-6:
        raise CheckFailed(
            f"The nodes cost ${hourly:.4f} an hour; the budget is ${MOST:.4f}.",
            ", ".join(sorted(item.kind for item in items)),
            "three small Pods need places, not power: which type has just enough of them, and what does each place cost?",
        )


# -- the node that never joins ----------------------------------------------------------------------------------------

BATCH = "batch-node"


def scene_never_joins(lab: Lab) -> None:
    """An instance of the batch team, with a role of its own, that runs and is no node."""
    _ready(lab)
    eks, ec2 = lab.aws("eks"), lab.aws("ec2")
    _terminate(ec2, "tag:team", "batch")
    arn = _role(lab, BATCH)
    with suppress(eks.exceptions.ResourceNotFoundException):
        eks.delete_access_entry(clusterName=CLUSTER, principalArn=arn)
    _start(lab, CLUSTER, {"Name": "batch-1", "team": "batch"})


def never_joins(lab: Lab) -> None:
    """The batch team's instance is a node, with the batch team's role."""
    _look(lab)
    ec2, eks = lab.aws("ec2"), lab.aws("eks")
    _wait(lambda: _node_of(lab, _instances(ec2, "tag:team", "batch")), 12)
    instances = _instances(ec2, "tag:team", "batch")
    if not instances:
        raise CheckFailed("No instance of the batch team runs.", next_step="set the scene again: theirs has to become a node")
    node, arn = _node_of(lab, instances), _role(lab, BATCH)
    links = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    ids = {one["InstanceId"] for one in instances}
    roles = {link["IamInstanceProfile"]["Arn"].rpartition("/")[2] for link in links if link["InstanceId"] in ids}
    if roles != {BATCH}:
        raise CheckFailed(
            f"The instance has the role of {', '.join(sorted(roles)) or 'nobody'} now.",
            f"the batch team's rights hang on {BATCH}: with another role it may not read its data",
            "set the scene again: not the instance has to change. Who decides which roles may be nodes?",
        )
    if node:
        return
    try:
        entry = eks.describe_access_entry(clusterName=CLUSTER, principalArn=arn)["accessEntry"]
    except eks.exceptions.ResourceNotFoundException:
        entry = None
    tagged = any(tag["Key"] == f"kubernetes.io/cluster/{CLUSTER}" for one in instances for tag in one["Tags"])
    if entry and entry["type"] != "EC2_LINUX":
        raise CheckFailed(
            f"{BATCH} may enter, as {entry['type']}, and its instance is still no node.",
            f"username {entry['username']}, groups {entry.get('kubernetesGroups') or 'none'}",
            "people and programs enter like that. As what does a kubelet have to be known, and which type of entry says so?",
        )
    if not tagged:
        raise CheckFailed(f"The instance has lost its tag kubernetes.io/cluster/{CLUSTER}.", next_step="set the scene again")
    raise CheckFailed(
        "batch-1 runs, costs, and is no node.",
        f"{BATCH} is in no access entry of {CLUSTER}",
        "your own node from the section above joined. Compare what the cluster knows of the two roles",
    )


# -- the cluster as a file --------------------------------------------------------------------------------------------

FILE = "eks-file"


def scene_config_file(lab: Lab) -> None:
    """No cluster eks-file, and the colleague's draft in work/."""
    _delete(lab, FILE)
    WORK.mkdir(exist_ok=True)
    shutil.copy(EXERCISE / "cluster.yaml", WORK / "cluster.yaml")


def config_file(lab: Lab) -> None:
    """eks-file is what eks-test was, and the file would make it again."""
    eks = lab.aws("eks")
    if FILE not in eks.list_clusters()["clusters"]:
        raise CheckFailed(
            f"There is no cluster {FILE}.",
            _complaint(),
            "eksctl create cluster -f work/cluster.yaml: what does it object to?",
        )
    version = eks.describe_cluster(name=FILE)["cluster"]["version"]
    if version != VERSION:
        raise CheckFailed(
            f"{FILE} runs Kubernetes {version}, not {VERSION}.",
            next_step="whose choice was that? What does the file say of the version, and of which type is it there?",
        )
    groups = eks.list_nodegroups(clusterName=FILE)["nodegroups"]
    if not groups:
        raise CheckFailed(
            f"{FILE} is there, and has no node group.",
            "eksctl said that all is well",
            "it makes what it understands and skips what it does not: compare each key with its own files, letter by letter",
        )
    for name in groups:
        shown = eks.describe_nodegroup(clusterName=FILE, nodegroupName=name)["nodegroup"]
        seen = (name, shown["instanceTypes"], shown["scalingConfig"]["desiredSize"])
        if seen != (GROUP, ["t2.micro"], 2):
            raise CheckFailed(
                f"{FILE} has {shown['scalingConfig']['desiredSize']} of {', '.join(shown['instanceTypes'])} in {name}.",
                next_step=f"eks-test had two t2.micro in {GROUP}",
            )
    done = _eksctl(f"create cluster -f {WORK / 'cluster.yaml'} --dry-run", check=False)
    if done.returncode:
        raise CheckFailed("The cluster is right; the file is not: eksctl refuses it.", done.stderr.strip()[-300:])
    written = yaml.safe_load(done.stdout)
    asked = [group["name"] for group in written.get("managedNodeGroups") or []]
    if written["metadata"]["name"] != FILE or written["metadata"]["version"] != VERSION or asked != [GROUP]:
        raise CheckFailed(
            "The cluster is right, but the file would make another one.",
            f"{written['metadata']}, managed node groups: {asked}",
            "whoever comes next has only the file",
        )


def _complaint() -> str:
    done = _eksctl(f"create cluster -f {WORK / 'cluster.yaml'} --dry-run", check=False)
    return (done.stderr or done.stdout).strip()[-300:] if done.returncode else "eksctl takes the file, and was not told to"


# -- a careless deletion ----------------------------------------------------------------------------------------------

OLD = "old"


def scene_careless(lab: Lab) -> None:
    """A cluster with all that clusters have, deleted by somebody who thought that this was all."""
    _forget_old(lab)
    eks, asg = lab.aws("eks"), lab.aws("autoscaling")
    _eksctl(f"create cluster --name {OLD} --region {REGION} --version {VERSION} --without-nodegroup")
    eks.create_access_entry(clusterName=OLD, principalArn=_role(lab, "old-node"), type="EC2_LINUX")
    _start(lab, OLD, {"Name": "old-worker"}, group="old-workers")
    lab.use(OLD)
    eks.create_addon(clusterName=OLD, addonName="aws-ebs-csi-driver")
    lab.kube.apply(FOLDER / "db.yaml")
    lab.kube.apply(FOLDER / "front.yaml")
    _wait(lambda: lab.kube.get("pvc", "data")["status"].get("phase") == "Bound", 60)
    _wait(lambda: lab.kube.get("service", "front")["status"]["loadBalancer"].get("ingress"), 30)
    eks.delete_cluster(name=OLD)
    _wait(lambda: OLD not in eks.list_clusters()["clusters"], 60)
    lab.leave()
    assert asg.describe_auto_scaling_groups()["AutoScalingGroups"]
    (_notes(lab) / "old.json").write_text(json.dumps([item.name for item in _of_old(lab, [])]))


def careless(lab: Lab) -> None:
    """Nothing of the old cluster costs any more, and it stays so."""
    known = json.loads((_notes(lab) / "old.json").read_text())
    left = _of_old(lab, known)
    if not left:
        _steady(lab, known)
        return
    groups = lab.aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["old-workers"])["AutoScalingGroups"]
    machines = [item for item in left if item.kind.startswith("instance")]
    if groups and machines and all(item.name not in known for item in machines):
        raise CheckFailed(
            f"You ended the instance, and another one runs: {machines[0].name}.",
            f"the Auto Scaling group {groups[0]['AutoScalingGroupName']} wants {groups[0]['DesiredCapacity']}",
            "who starts a new one each time, and how do you end that?",
        )
    raise CheckFailed(
        f"Still on the bill: {', '.join(sorted(item.kind for item in left))}.",
        f"${sum(item.hourly or 0 for item in left):.4f} an hour, ${730 * sum(item.hourly or 0 for item in left):.2f} a month",
        "for each of them: which service lists it, and who made it: eksctl's stack, the cluster's controllers, or a colleague?",
    )


def _steady(lab: Lab, known: list[str]) -> None:
    """An Auto Scaling group that is left needs a moment to start what it wants."""
    if lab.aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["old-workers"])["AutoScalingGroups"]:
        raise CheckFailed(
            "Nothing runs just now, but the Auto Scaling group old-workers is still there.",
            next_step="as soon as somebody gives it a size again, it costs again: who needs it?",
        )


def _of_old(lab: Lab, known: list[str]) -> list[Any]:
    """What costs and belongs to the old cluster: what was there, and instances that its group has started since."""
    others = {one["InstanceId"] for one in _instances(lab.aws("ec2"), "tag:aws:autoscaling:groupName", "old-workers")}
    items = lab.aws.bill().items
    return [item for item in items if not known or item.name in known or item.name in others]


def _forget_old(lab: Lab) -> None:
    """Whatever is left of an earlier scene, and whatever else costs in the account: the scene begins with an empty bill."""
    for name in lab.aws("eks").list_clusters()["clusters"]:
        _delete(lab, name)
    ec2, elb, asg = lab.aws("ec2"), lab.aws("elbv2"), lab.aws("autoscaling")
    for group in asg.describe_auto_scaling_groups()["AutoScalingGroups"]:
        asg.delete_auto_scaling_group(AutoScalingGroupName=group["AutoScalingGroupName"], ForceDelete=True)
    _terminate(ec2)
    for one in elb.describe_load_balancers()["LoadBalancers"]:
        elb.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
    for one in elb.describe_target_groups()["TargetGroups"]:
        elb.delete_target_group(TargetGroupArn=one["TargetGroupArn"])
    for one in ec2.describe_volumes()["Volumes"]:
        ec2.delete_volume(VolumeId=one["VolumeId"])
    stacks = lab.aws("cloudformation")
    for one in stacks.describe_stacks()["Stacks"]:
        stacks.delete_stack(StackName=one["StackName"])


# -- shared -----------------------------------------------------------------------------------------------------------


def _eksctl(words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["eksctl", *words.split()], capture_output=True, text=True, timeout=240, env=os.environ)
    if check and done.returncode:
        raise LabError(f"eksctl {words.partition(' --')[0]} failed.", (done.stdout + done.stderr)[-600:], "lab.reset()")
    return done


def _ready(lab: Lab) -> None:
    """eks-test is there, and looked at."""
    if CLUSTER not in lab.aws("eks").list_clusters()["clusters"]:
        _eksctl(f"create cluster --name {CLUSTER} {ORDER}")
    _look(lab)


def _look(lab: Lab) -> None:
    try:
        here = lab.cluster.name
    except LabError:
        here = ""
    if not here.startswith(f"eks-{CLUSTER}"):
        if CLUSTER not in lab.aws("eks").list_clusters()["clusters"]:
            raise CheckFailed(f"There is no cluster {CLUSTER}.", next_step="set the scene again: it makes it anew")
        lab.use(CLUSTER)


def _size(lab: Lab, nodes: int) -> None:
    """The managed node group has so many nodes, and they are Ready."""
    eks, group = lab.aws("eks"), {"clusterName": CLUSTER, "nodegroupName": GROUP}
    _wait(lambda: eks.describe_nodegroup(**group)["nodegroup"]["status"] == "ACTIVE", 60)
    eks.update_nodegroup_config(**group, scalingConfig={"minSize": nodes, "maxSize": nodes, "desiredSize": nodes})
    _wait(lambda: eks.describe_nodegroup(**group)["nodegroup"]["status"] == "ACTIVE", 120)


def _delete(lab: Lab, name: str) -> None:
    """A cluster is gone, with its stacks, if it has any."""
    eks, stacks = lab.aws("eks"), lab.aws("cloudformation")
    if name not in eks.list_clusters()["clusters"]:
        return
    if any(stack["StackName"] == f"eksctl-{name}-cluster" for stack in stacks.describe_stacks()["Stacks"]):
        _eksctl(f"delete cluster --name {name} --region {REGION} --wait --disable-nodegroup-eviction")
    else:
        for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
            eks.delete_nodegroup(clusterName=name, nodegroupName=group)
        _wait(lambda: not eks.list_nodegroups(clusterName=name)["nodegroups"], 120)
        eks.delete_cluster(name=name)
    _wait(lambda: name not in eks.list_clusters()["clusters"], 120)


def _role(lab: Lab, name: str) -> str:
    """A role for instances, in an instance profile of the same name; its ARN."""
    iam = lab.aws("iam")
    with suppress(iam.exceptions.NoSuchEntityException):
        return str(iam.get_role(RoleName=name)["Role"]["Arn"])
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=(FOLDER / "ec2-trust.json").read_text())["Role"]
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return str(role["Arn"])


def _start(lab: Lab, cluster: str, tags: dict[str, str], group: str = "") -> None:
    """An instance that wants to be a node of a cluster; with `group`, by an Auto Scaling group of that name."""
    ec2, ssm = lab.aws("ec2"), lab.aws("ssm")
    shown = lab.aws("eks").describe_cluster(name=cluster)["cluster"]
    path = f"/aws/service/eks/optimized-ami/{shown['version']}/amazon-linux-2023/x86_64/standard/recommended/image_id"
    image = ssm.get_parameter(Name=path)["Parameter"]["Value"]
    subnets = shown["resourcesVpcConfig"]["subnetIds"]
    rows = [{"Key": key, "Value": value} for key, value in {**tags, f"kubernetes.io/cluster/{cluster}": "owned"}.items()]
    if not group:
        ec2.run_instances(
            ImageId=image,
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnets[0],
            IamInstanceProfile={"Name": BATCH},
            TagSpecifications=[{"ResourceType": "instance", "Tags": rows}],
        )
        return
    with suppress(ec2.exceptions.ClientError):
        ec2.delete_launch_template(LaunchTemplateName=group)
    ec2.create_launch_template(
        LaunchTemplateName=group,
        LaunchTemplateData={"ImageId": image, "InstanceType": "t3.medium", "IamInstanceProfile": {"Name": "old-node"}},
    )
    lab.aws("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=group,
        LaunchTemplate={"LaunchTemplateName": group},
        MinSize=1,
        MaxSize=1,
        DesiredCapacity=1,
        VPCZoneIdentifier=subnets[0],
        Tags=[{**row, "PropagateAtLaunch": True} for row in rows],
    )


def _instances(ec2: Any, name: str = "", value: str = "") -> list[Object]:
    chosen = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    chosen += [{"Name": name, "Values": [value]}] if name else []
    return [one for row in ec2.describe_instances(Filters=chosen)["Reservations"] for one in row["Instances"]]


def _terminate(ec2: Any, name: str = "", value: str = "") -> None:
    if ids := [one["InstanceId"] for one in _instances(ec2, name, value)]:
        ec2.terminate_instances(InstanceIds=ids)


def _node_of(lab: Lab, instances: list[Object]) -> Object | None:
    ids = {one["InstanceId"] for one in instances}
    for node in lab.kube.list("nodes"):
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", []))
        if ready and node["spec"].get("providerID", "").rpartition("/")[2] in ids:
            return node
    return None


def _pods(lab: Lab, app: str) -> list[Object]:
    found = lab.kube.list("pods", "default", labels=f"app={app}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _runs(pod: Object) -> bool:
    return pod["status"].get("phase") == "Running"


def _why(pod: Object) -> str:
    for condition in pod["status"].get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message", ""))
    return ""


def _no(lab: Lab, kind: str, name: str) -> None:
    if lab.kube.find(kind, name):
        lab.kube.delete(kind, name)


def _notes(lab: Lab) -> Path:
    """A place that lasts as long as the account does."""
    path = Path(re.sub(r"/config$", "", os.environ["AWS_CONFIG_FILE"])) / "labs" / lab.name
    path.mkdir(parents=True, exist_ok=True)
    return path


def _wait(holds: Callable[[], object], seconds: float) -> None:
    """Wait until something holds, or so long: what holds then is looked at by the caller."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.3)
