"""EKS on this machine: how long eksctl and the API take, what the authenticator costs, and how it answers with 1,000 nodes."""

from __future__ import annotations

import datetime
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from lab_helpers import settings, toolchain
from lab_helpers.eks import calls, plane, service
from lab_helpers.processes import wait_until
from tests.eks.eks_kit import Aws

Row = tuple[str, str, str, bool]
CREATE = "eksctl create cluster --name bench --region us-east-1 --nodegroup-name two --node-type m5.large --nodes 2"
PAUSE = 0.6, 1.0  # seconds: eksctl's pauses as the lab's patch has them, the shortest and the longest
CLUSTERS = ("bench", "second", "third", "fourth")
GROUPS, SIZE = 100, 10


def rows() -> list[Row]:
    """Every figure of it. The account and the clusters are gone afterwards."""
    folder, before = Path(tempfile.mkdtemp(prefix="lab-")), dict(os.environ)
    os.environ |= {"XDG_DATA_HOME": str(folder), "LAB_PROVIDER": "embedded"}
    links = toolchain.bin_folder(toolchain.ensure(["kubectl", "eksctl", "aws-iam-authenticator"]))
    try:
        began = time.monotonic()
        aws = Aws(folder)
        process = psutil.Process(aws.endpoint.pid)
        started = time.monotonic() - began
        path = f"{links}:{aws.env()['PATH']}"
        env = aws.env(PATH=path, KUBECONFIG=str(folder / "kubeconfig"), KUBECACHEDIR=str(folder / "cache"))
        return [
            ("the local AWS, start", f"{started:.1f} s", "–", True),
            *_eksctl(aws, env),
            _api(aws),
            _kubectl(env),
            *_groups(aws),
            ("the local AWS, memory after all that", f"{process.memory_info().rss / 2**20:.0f} MiB", "–", True),
        ]
    finally:
        service.clean(settings.load())
        plane.delete_every(settings.load())
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def _eksctl(aws: Aws, env: dict[str, str]) -> list[Row]:
    """A pause of eksctl's is a gap between two of its calls that is as long as its pauses are at least."""
    aws.client("cloudformation").list_stacks()  # the endpoint imports it for seconds after its start: learners type later
    since, began = time.time(), time.monotonic()
    subprocess.run(CREATE.split(), env=env, check=True, capture_output=True)
    took, ends, paused = time.monotonic() - began, 0.0, 0.0
    for event in calls.read(aws.endpoint.folder, since):
        end = datetime.datetime.fromisoformat(event["eventTime"]).timestamp()
        gap = end - event["additionalEventData"]["seconds"] - ends if ends else 0.0
        paused += min(gap, PAUSE[1]) if gap >= PAUSE[0] else 0
        ends = end
    rest = took - paused
    return [
        ("eksctl create cluster, two nodes", f"{took:.0f} s", "≤ 60 s (AWS: about 20 min)", took <= 60),
        ("of it without eksctl's pauses", f"{rest:.0f} s", "≤ 12 s", rest <= 12),
    ]


def _made(eks: Any, name: str) -> None:
    """CreateCluster to ACTIVE, in the VPC that eksctl made."""
    there = eks.describe_cluster(name="bench")["cluster"]
    subnets = {"subnetIds": there["resourcesVpcConfig"]["subnetIds"]}
    eks.create_cluster(name=name, roleArn=there["roleArn"], resourcesVpcConfig=subnets)
    wait_until(
        lambda: eks.describe_cluster(name=name)["cluster"]["status"] == "ACTIVE", deadline=120, what=f"cluster {name}: ACTIVE"
    )


def _api(aws: Aws) -> Row:
    took = _seconds(lambda: _made(aws.client("eks"), CLUSTERS[1]))
    return "aws eks create-cluster to ACTIVE", f"{took:.1f} s", "–", True


def _kubectl(env: dict[str, str]) -> Row:
    """A call through the authenticator against one with the administrator's certificate, one after the other."""
    admin = {**env, "KUBECONFIG": str(plane.get("eks-bench", "embedded").kubeconfig)}
    pairs = [(_seconds(lambda: _get(env)), _seconds(lambda: _get(admin))) for _ in range(9)]
    token, certificate = (statistics.median(column) for column in zip(*pairs, strict=True))
    value = f"{token:.2f} s, with a certificate {certificate:.2f} s (medians of 9, interleaved)"
    return "kubectl get namespaces through aws-iam-authenticator", value, "–", True


def _get(env: dict[str, str]) -> None:
    subprocess.run(["kubectl", "get", "namespaces"], env=env, check=True, capture_output=True)


def _groups(aws: Aws) -> list[Row]:
    """DescribeNodegroup with 100 node groups of 10 nodes: EKS allows 30 in a cluster, so there are four clusters."""
    eks = aws.client("eks")
    like = eks.describe_nodegroup(clusterName="bench", nodegroupName="two")["nodegroup"]
    for name in CLUSTERS[2:]:
        _made(eks, name)
    sizes = {"minSize": SIZE, "maxSize": SIZE, "desiredSize": SIZE}
    began = time.monotonic()
    for number in range(GROUPS):
        eks.create_nodegroup(
            clusterName=CLUSTERS[number % len(CLUSTERS)],
            nodegroupName=f"group-{number:03d}",
            scalingConfig=sizes,
            subnets=like["subnets"],
            nodeRole=like["nodeRole"],
        )
    kubes = [plane.kube(f"eks-{name}", "embedded") for name in CLUSTERS]
    number = GROUPS * SIZE + 2
    wait_until(lambda: sum(len(kube.list("nodes")) for kube in kubes) == number, deadline=900, what=f"{number} nodes")
    took = time.monotonic() - began
    found = sorted(_seconds(lambda: eks.describe_nodegroup(clusterName="bench", nodegroupName="group-000")) for _ in range(200))
    value = f"p50 {found[99] * 1000:.0f} ms, p99 {found[197] * 1000:.0f} ms"
    return [
        (f"{GROUPS} node groups of {SIZE} nodes: all nodes there", f"{took:.0f} s", "–", True),
        ("DescribeNodegroup then, 200 calls", value, "–", True),
    ]


def _seconds(action: Callable[[], Any]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began
