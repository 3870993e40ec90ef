"""EKS on the kind provider: its control planes are containers, and so are nodes of managed node groups, as many as fit."""

from __future__ import annotations

import os

import pytest
from eks_kit import until
from engine_use import engine_use

from lab_helpers import processes, settings, toolchain
from lab_helpers.clusters import engine
from lab_helpers.eks import authenticator, plane, service
from lab_helpers.eks.model import machines
from lab_helpers.kube import Kube, ready
from lab_helpers.teaching import audit

ORDER = "eksctl create cluster --name port --version 1.35 --nodegroup-name workers --node-type t3.medium"
ASK = """
import time, urllib.request
for _ in range(60):
    try:
        print(urllib.request.urlopen("http://web.default.svc.cluster.local", timeout=2).status)
        break
    except OSError:
        time.sleep(0.5)
"""
CLAIM = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: gp3}
provisioner: ebs.csi.aws.com
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: log, namespace: default}
spec: {storageClassName: gp3, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer, namespace: default}
spec:
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
    {matchExpressions: [{key: type, operator: NotIn, values: [kwok]}]}]}}}
  containers: [{name: shell, image: "lab.local/shell:1.0", volumeMounts: [{name: log, mountPath: /log}]}]
  volumes: [{name: log, persistentVolumeClaim: {claimName: log}}]
"""


@pytest.fixture(scope="module")
def port(aws):
    """Types command lines; a cluster `port` of an older minor stands, with more nodes than this machine holds."""
    os.environ["LAB_PROVIDER"] = "kind"
    path = f"{toolchain.bin_folder(['kubectl', 'eksctl', 'aws-iam-authenticator'])}:{aws.env()['PATH']}"
    environment = {"PATH": path, "KUBECONFIG": str(aws.home / "kubeconfig"), "KUBECACHEDIR": str(aws.home / "cache")}

    def typed(line: str, *more: str) -> str:
        return aws.run(*line.split(), *more, **environment)

    with engine_use(alone=False):
        typed(f"{ORDER} --nodes {real() + 1} --nodes-max 6")
        yield typed
        engine.clean()


@pytest.fixture(scope="module")
def cluster(port):
    return plane.of_eks(settings.load(), "us-east-1", "port")


@pytest.fixture(scope="module")
def kube(cluster):
    return Kube(cluster.kubeconfig)


def real() -> int:
    return min(machines.MOST, os.cpu_count() or 1)


def nodes(kube) -> tuple[list, list]:
    """Machines, simulated ones."""
    found = kube.list("nodes")
    fake = [node for node in found if node["metadata"].get("annotations", {}).get("kwok.x-k8s.io/node")]
    return [node for node in found if node not in fake], fake


def pod(name: str, node: str, image: str = "lab.local/shell:1.0") -> dict:
    spec = {"nodeName": node, "containers": [{"name": "main", "image": image}]}
    meta = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def test_the_control_plane_is_a_container_and_no_node(port, cluster, kube):
    assert cluster.provider == "kind" and f"{cluster.name}-control-plane" in engine.docker("ps", "--format", "{{.Names}}")
    assert not [name for name in port("kubectl get nodes -o name").split() if "control-plane" in name]
    assert "kube-apiserver" not in port("kubectl get pods -A")
    assert "Server Version: v1.35.0-lab" in port("kubectl version")


def test_nodes_are_machines_as_far_as_this_one_holds_them_and_the_others_say_what_they_are(port, kube):
    machines_, fake = nodes(kube)
    assert len(machines_) == real() and len(fake) == 1
    assert all(ready(node) for node in (*machines_, *fake))
    info = {node["status"]["nodeInfo"]["kubeletVersion"] for node in machines_}
    assert info == {"v1.35.0-lab"}, "a kubelet is never newer than its API server"
    assert "simulated by KWOK" in fake[0]["status"]["nodeInfo"]["osImage"]
    for node in machines_:
        labels = node["metadata"]["labels"]
        assert labels["node.kubernetes.io/instance-type"] == "t3.medium" and labels["eks.amazonaws.com/nodegroup"] == "workers"
        assert node["spec"]["providerID"].startswith("aws:///us-east-1") and node["status"]["capacity"]["cpu"] == "2"


def test_the_real_authenticator_lets_in_and_the_audit_log_has_the_name(port, cluster):
    assert "user/lab-admin" in port("kubectl auth whoami")
    port("kubectl create namespace seen")
    log, events = plane.maker("kind"), []
    until(lambda: events.extend(audit.read(log.log(cluster, "audit"), ("seen",))) or events)
    assert "lab-admin" in str(events[0])


def test_pods_answer_by_name_over_the_add_ons_kube_proxy_and_coredns(port, kube):
    first, second = (node["metadata"]["name"] for node in nodes(kube)[0][:2])
    kube.create(pod("web", first, "lab.local/web:1.0"))
    kube.create(pod("client", second))
    port("kubectl expose pod web --port 80 --target-port 8080")
    for name in ("web", "client"):
        kube.wait_for("pod", name, "Ready", deadline=60)
    assert port("kubectl exec client -- python3 -c", ASK).strip() == "200"
    assert "GET /" in port("kubectl logs web")


def test_a_pod_writes_into_its_volume_and_the_next_one_reads_it(port, kube):
    port("eksctl create addon --cluster port --name aws-ebs-csi-driver")
    kube.apply(CLAIM)
    kube.wait_for("pod", "writer", "Ready", deadline=60)
    port("kubectl exec writer -- python3 -c", "open('/log/entry', 'w').write('still here')")
    ours = "--filters Name=tag-key,Values=ebs.csi.aws.com/cluster"  # the others are the instances' own
    number = port(f"aws ec2 describe-volumes {ours} --query Volumes[].VolumeId --output text").strip()
    assert kube.list("persistentvolumes")[0]["spec"]["hostPath"]["path"].endswith(number)
    kube.delete("pod", "writer", "default", grace=0)
    kube.apply(CLAIM)
    kube.wait_for("pod", "writer", "Ready", deadline=60)
    assert port("kubectl exec writer -- cat /log/entry") == "still here"


def test_without_aws_node_what_runs_goes_on_and_a_new_pod_gets_no_address(port, kube):
    node = nodes(kube)[0][0]["metadata"]["name"]
    port("eksctl delete addon --cluster port --name vpc-cni")
    until(lambda: not kube.list("pods", "kube-system", labels="k8s-app=aws-node"), 60)
    until(lambda: "aws-cni" in configuration(kube, node), 30)
    kube.create(pod("late", node))
    told = 'plugin type="aws-cni"'
    until(lambda: any(told in event.get("message", "") for event in kube.list("events", "default")), 60)
    assert port("kubectl exec client -- python3 -c", ASK).strip() == "200"
    assert ready(kube.get("node", node)), "as at work: only new Pods suffer"
    port("eksctl create addon --cluster port --name vpc-cni")
    kube.wait_for("pod", "late", "Ready", deadline=120)


def configuration(kube, node: str) -> str:
    cluster = plane.of_eks(settings.load(), "us-east-1", "port")
    return processes.run([*plane.maker("kind").inside(cluster, node), "sh", "-c", "cat /etc/cni/net.d/*"])


def test_nodes_come_and_go_with_their_instances(port, kube):
    before = {node["metadata"]["name"] for node in nodes(kube)[0]}
    gone = sorted(before)[0]
    number = kube.get("node", gone)["spec"]["providerID"].rpartition("/")[2]
    port(f"aws ec2 terminate-instances --instance-ids {number}")
    until(lambda: kube.find("node", gone) is None, 30)
    # Auto Scaling starts another one, and there is room for a machine again.
    until(lambda: len(nodes(kube)[0]) == real() and all(map(ready, kube.list("nodes"))), 120)
    port("eksctl scale nodegroup --cluster port --name workers --nodes 1 --nodes-min 1")
    until(lambda: len(kube.list("nodes")) == 1, 60)


def test_after_a_restart_of_the_machine_all_is_there_again(port, aws, cluster, kube):
    names = [f"{cluster.name}-control-plane", *(f"{cluster.name}-{node}" for node in plane.maker("kind").machines(cluster))]
    relay = processes.recorded(cluster.folder)["relay"]
    service.stop(settings.load())
    processes.stop(relay, grace=0)
    engine.docker("stop", "--time", "1", *names, timeout=120)
    assert aws.endpoint.pid
    until(lambda: "user/lab-admin" in whoami(port), 180)
    until(lambda: all(map(ready, kube.list("nodes"))), 120)


def whoami(port) -> str:
    try:
        return port("kubectl auth whoami")
    except AssertionError:
        return ""


def test_nothing_of_it_is_left(port, cluster):
    port("eksctl delete cluster --name port --wait --disable-nodegroup-eviction")
    assert cluster.name not in engine.docker("ps", "--all", "--format", "{{.Names}}")
    assert not cluster.folder.exists() and not authenticator.folder(service.folder(settings.load()), cluster.name).exists()
    assert not plane.machines()
