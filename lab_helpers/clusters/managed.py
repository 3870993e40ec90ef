"""A kind cluster whose control plane is a cloud's (Profile.managed): it runs, and is no node that anybody sees.

Its kubelet goes on with the static Pods and registers nothing: `registerNode: false` (KubeletConfiguration v1beta1). What its
nodes have of their own stands in cloudnode.py.
"""

from __future__ import annotations

from lab_helpers import processes
from lab_helpers.clusters import controlplane, engine, kindconfig, nodeimage, relay
from lab_helpers.clusters.provider import Cluster
from lab_helpers.kube import Kube

_CONFIG = "/var/lib/kubelet/config.yaml"
_ALONE = f"systemctl stop kubelet; echo 'registerNode: false' >> {_CONFIG}"
# What kind installs in every cluster: its storage class.
_KINDS = (
    "/apis/apps/v1/namespaces/local-path-storage/deployments/local-path-provisioner",
    "/api/v1/namespaces/local-path-storage",
    "/apis/storage.k8s.io/v1/storageclasses/standard",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/local-path-provisioner-role",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/local-path-provisioner-bind",
)


def arrange(cluster: Cluster, kube: Kube) -> None:
    """Make a new cluster of kind so: nothing in it, no node, and what the API server calls is reached."""
    machine = controlplane.control(cluster)
    relay.install(cluster, machine, kindconfig.RELAY)
    if minor := cluster.profile.arguments.get("kube-apiserver", {}).get("emulated-version"):
        controlplane.reconfigure(cluster, {"kube-apiserver": {"emulated-version": minor}}, lambda line: None)
    for path in _KINDS:
        kube.raw("DELETE", path)
    kube.apply(nodeimage.NETWORK["rights"])
    engine.exec(machine, "sh", "-c", _ALONE)  # one that runs while its node goes makes its mirrors again
    kube.delete("node", machine)
    processes.wait_until(lambda: not _pods(kube), deadline=60, what=f"Cluster {cluster.name}: to be empty")
    engine.exec(machine, "systemctl", "start", "kubelet")
    controlplane.wait(cluster, lambda line: None)
    for namespace in ("default", "kube-system"):  # what happened to them
        kube.raw("DELETE", f"/api/v1/namespaces/{namespace}/events")


def _pods(kube: Kube) -> bool:
    """Whether there are Pods yet: mirrors of the static ones, and the provisioner's that never ran; they are asked to go."""
    found = kube.list("pods")
    for pod in found:
        kube.delete("pod", pod["metadata"]["name"], pod["metadata"]["namespace"], wait=False, grace=0)
    return bool(found)
