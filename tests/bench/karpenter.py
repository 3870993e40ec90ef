"""The real Karpenter on an EKS cluster of the local AWS, as lab 19 starts it: the ninth Pod, and 1,000 Pods of four sizes.

Both limits of its own are published: Karpenter's scale tests ask for more than 53 % of the CPU and 65 % of the memory in use,
within two minutes. What waits beside them is named in each row.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import yaml

from lab_helpers import open_lab
from lab_helpers.eks import service
from lab_helpers.processes import wait_until
from lab_helpers.settings import LABS, load
from lab_helpers.teaching.lab import Lab

Row = tuple[str, str, str, bool]
ROOM = LABS / "19-karpenter"
TIMES = 1000 / 150  # mixed.yaml has 150 Pods
BATCH, BOOT = 1.0, 3.0  # seconds that Karpenter waits for more Pods, and that a machine of the local AWS takes to boot


def rows() -> list[Row]:
    """Every figure of it. The account, the cluster and Karpenter are gone afterwards."""
    folder, before = Path(tempfile.mkdtemp(prefix="lab-")), dict(os.environ)
    os.environ |= {"XDG_DATA_HOME": str(folder), "LAB_PROVIDER": "embedded"}
    lab = open_lab("19-karpenter")
    try:
        _shell("aws cloudformation deploy --stack-name shop --template-file shop.yaml --capabilities CAPABILITY_NAMED_IAM")
        _shell("aws eks update-kubeconfig --name shop --alias shop")
        lab.use("shop")
        lab.karpenter.start()
        return [_ninth(lab), *_thousand(lab)]
    finally:
        lab.close()
        service.clean(load())
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def _shell(command: str) -> None:
    subprocess.run(command, shell=True, check=True, cwd=ROOM, stdout=subprocess.DEVNULL)


def _running(lab: Lab, number: int) -> bool:
    pods = lab.kube.list("pods", "default")
    return len(pods) == number and all(pod["status"].get("phase") == "Running" for pod in pods)


def _ninth(lab: Lab) -> Row:
    """Eight Pods that fill machines of four places; then one more."""
    pool = next(yaml.safe_load_all((ROOM / "mixed-pool.yaml").read_text()))
    for document in yaml.safe_load_all((ROOM / "nodepool.yaml").read_text()):
        if document["kind"] == "EC2NodeClass":
            lab.kube.apply(document)
    four = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.xlarge"]}
    pool["spec"]["template"]["spec"]["requirements"].append(four)
    pool["spec"]["disruption"] = {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "Never"}
    lab.kube.apply(pool)
    nine = yaml.safe_load((ROOM / "nine.yaml").read_text())
    nine["spec"]["replicas"] = 8
    nine["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "900m", "memory": "1Gi"}
    lab.kube.apply(nine)
    wait_until(lambda: _running(lab, 8), deadline=120, what="eight Pods: Running")
    began = time.monotonic()
    lab.kube.patch("deployment", "nine", {"spec": {"replicas": 9}})
    wait_until(lambda: _running(lab, 9), deadline=120, what="the ninth Pod: Running")
    took = time.monotonic() - began - BATCH - BOOT
    lab.kube.delete("deployment", "nine")
    lab.kube.delete("nodepool", "mixed", deadline=120)
    what = "the ninth Pod with Karpenter, Pending to Running, without its batch and the machine's boot"
    return what, f"{took:.1f} s", "≤ 5 s", took <= 5


def _thousand(lab: Lab) -> list[Row]:
    lab.kube.apply(ROOM / "mixed-pool.yaml")
    wait_until(lambda: not lab.kube.list("nodes"), deadline=120, what="no machine")
    deployments = list(yaml.safe_load_all((ROOM / "mixed.yaml").read_text()))
    for one in deployments:
        one["spec"]["replicas"] = round(one["spec"]["replicas"] * TIMES)
    number = sum(one["spec"]["replicas"] for one in deployments)
    lab.kube.apply(deployments)
    wait_until(lambda: _running(lab, number), deadline=600, what=f"{number} Pods: Running")
    found = {row.who: row for row in lab.karpenter.rivals(["c6a.2xlarge", "m6a.2xlarge", "r6a.2xlarge"], nodepool="mixed")}
    mine, bound = found["Karpenter"], found["lower bound"].hourly
    good = (mine.cpu or 0) > 0.53 and (mine.memory or 0) > 0.65 and (mine.seconds or 999) < 120 and mine.hourly >= bound
    goal = "CPU > 53 %, memory > 65 %, < 120 s"
    head = f"{number:,} mixed Pods"
    said = f"CPU {mine.cpu:.0%}, memory {mine.memory:.0%}, ${mine.hourly:.2f} an hour, {mine.seconds:.0f} s"
    kinds = mine.nodes.partition(":")[0]
    result = [(f"{head}, Karpenter", f"{kinds} machines, {said}", f"{goal}; bound ${bound:.2f}", good)]
    for who, row in found.items():
        if row is not mine:
            result.append((f"{head}, {who}", f"{row.nodes.partition(':')[0]} ${row.hourly:.2f} an hour".strip(), "–", True))
    return result
