"""What stops where an add-on is missing: new nodes and addresses, volumes; and what health says of an add-on."""

from __future__ import annotations

import pytest
from model_kit import until

from lab_helpers.clusters.kwok import MARK
from lab_helpers.eks import plane, state
from lab_helpers.kube import ready

NAME = "bare"


def addon(eks, name):
    return eks.describe_addon(clusterName=NAME, addonName=name)["addon"]


def settled(eks, name):
    return until(lambda: addon(eks, name)["status"] not in ("CREATING", "UPDATING") and addon(eks, name), 40)


def install(eks, name, **more):
    eks.create_addon(clusterName=NAME, addonName=name, resolveConflicts="OVERWRITE", **more)
    return settled(eks, name)


def remove(eks, name, **more):
    eks.delete_addon(clusterName=NAME, addonName=name, **more)
    until(lambda: name not in eks.list_addons(clusterName=NAME)["addons"], 30, f"{name} is gone")


def resize(eks, count):
    group = {"clusterName": NAME, "nodegroupName": "blue"}
    until(lambda: eks.describe_nodegroup(**group)["nodegroup"]["status"] == "ACTIVE", 60)
    eks.update_nodegroup_config(**group, scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": count})


def why(node):
    found = [one for one in node["status"].get("conditions", []) if one["type"] == "Ready"]
    return found[0] if found else {"status": "Unknown", "message": ""}


def pod(name, **spec):
    body = {"containers": [{"name": "web", "image": "web:1"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


@pytest.fixture(scope="module")
def bare(eks, site):
    """A cluster with the add-ons of the network under EKS's management, and two nodes."""
    eks.create_cluster(**site.cluster(NAME, bootstrapSelfManagedAddons=True))
    until(lambda: eks.describe_cluster(name=NAME)["cluster"]["status"] == "ACTIVE")
    sizes = {"minSize": 1, "maxSize": 3, "desiredSize": 2}
    eks.create_nodegroup(**site.nodegroup(NAME, "blue", scalingConfig=sizes, instanceTypes=["t3.medium"]))
    resize(eks, 2)
    for name in ("vpc-cni", "kube-proxy"):
        install(eks, name)
        until(lambda: addon(eks, name)["status"] == "ACTIVE", 40)  # noqa: B023
    yield plane.kube(f"eks-{NAME}", "embedded")
    resize(eks, 2)
    until(lambda: eks.describe_nodegroup(clusterName=NAME, nodegroupName="blue")["nodegroup"]["status"] == "ACTIVE", 60)
    eks.delete_nodegroup(clusterName=NAME, nodegroupName="blue")
    until(lambda: not eks.list_nodegroups(clusterName=NAME)["nodegroups"], 60)
    eks.delete_cluster(name=NAME)
    until(lambda: NAME not in eks.list_clusters()["clusters"], 60)


@pytest.fixture
def kube(bare, eks):
    yield bare
    for item in bare.list("pods", "default"):
        bare.delete("pod", item["metadata"]["name"])
    resize(eks, 2)
    until(lambda: len(bare.list("nodes")) == 2, 60)


def test_without_the_vpc_cni_a_new_pod_gets_no_address_and_the_old_ones_go_on(kube, eks):
    kube.create(pod("old"))
    kube.wait_for("pod", "old", "Ready")
    remove(eks, "vpc-cni")
    kube.create(pod("new"))
    until(lambda: kube.list("events", "default", fields="reason=FailedCreatePodSandBox"), 20)
    new = kube.get("pod", "new")
    assert new["spec"]["nodeName"] and not new["status"].get("podIP")
    assert new["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating"
    assert ready(kube.get("pod", "old"))
    kube.create(pod("host", hostNetwork=True))
    kube.wait_for("pod", "host", "Ready")
    kube.create(pod("leaves"))
    until(lambda: kube.get("pod", "leaves")["spec"].get("nodeName"), 10)
    kube.delete("pod", "leaves")  # it never had a sandbox: its node confirms it all the same

    install(eks, "vpc-cni")
    until(lambda: addon(eks, "vpc-cni")["status"] == "ACTIVE", 40)
    assert kube.wait_for("pod", "new", "Ready")["status"]["podIP"]
    assert MARK not in kube.get("pod", "new")["metadata"].get("annotations", {})
    kube.create(pod("later"))
    kube.wait_for("pod", "later", "Ready")


def test_without_kube_proxy_a_new_node_does_not_get_ready_and_the_vpc_cni_is_degraded(kube, eks):
    before = {node["metadata"]["name"] for node in kube.list("nodes")}
    remove(eks, "kube-proxy")
    resize(eks, 3)
    node = until(lambda: next((one for one in kube.list("nodes") if one["metadata"]["name"] not in before), None), 30)
    name = node["metadata"]["name"]
    until(lambda: why(kube.get("node", name))["status"] == "False", 20)
    assert "cni plugin not initialized" in why(kube.get("node", name))["message"]
    seen = until(lambda: addon(eks, "vpc-cni")["status"] == "DEGRADED" and addon(eks, "vpc-cni"), 20)
    assert "DaemonSet aws-node: 2 of 3 available" in seen["health"]["issues"][0]["message"]
    assert all(ready(kube.get("node", one)) for one in before)

    install(eks, "kube-proxy")
    kube.wait_for("node", name, "Ready")
    until(lambda: addon(eks, "vpc-cni")["status"] == "ACTIVE", 20)


def test_a_node_that_no_aws_node_comes_to_does_not_get_ready(kube, eks):
    eks.update_addon(clusterName=NAME, addonName="vpc-cni", configurationValues='{"nodeSelector": {"cni": "here"}}')
    until(lambda: not kube.list("pods", "kube-system", labels="k8s-app=aws-node"), 60)
    before = {node["metadata"]["name"] for node in kube.list("nodes")}
    resize(eks, 3)
    node = until(lambda: next((one for one in kube.list("nodes") if one["metadata"]["name"] not in before), None), 30)
    until(lambda: why(kube.get("node", node["metadata"]["name"]))["status"] == "False", 20)
    assert settled(eks, "vpc-cni")["status"] == "ACTIVE"  # it has as many Pods as it wants: none
    eks.update_addon(clusterName=NAME, addonName="vpc-cni", configurationValues="{}")
    kube.wait_for("node", node["metadata"]["name"], "Ready")


def claim(name, storage_class, mode):
    spec = {"accessModes": [mode], "storageClassName": storage_class, "resources": {"requests": {"storage": "4Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def kind(name, driver, **parameters):
    head = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    return {**head, "provisioner": driver, "parameters": parameters}


def test_a_claim_of_many_writers_becomes_an_access_point_and_no_ebs_volume(kube, eks, endpoint):
    efs = endpoint.client("efs")
    system = efs.create_file_system(CreationToken="shared")["FileSystemId"]
    kube.apply(
        [
            kind("shared", "efs.csi.aws.com", provisioningMode="efs-ap", fileSystemId=system),
            kind("block", "ebs.csi.aws.com"),
            claim("many", "shared", "ReadWriteMany"),
            claim("wrong", "block", "ReadWriteMany"),
        ]
    )
    install(eks, "aws-ebs-csi-driver")
    refused = until(lambda: kube.list("events", "default", fields="reason=ProvisioningFailed"), 20)
    assert refused[0]["involvedObject"]["name"] == "wrong"
    assert kube.get("pvc", "many")["status"]["phase"] == "Pending"

    install(eks, "aws-efs-csi-driver")
    until(lambda: kube.get("pvc", "many")["status"]["phase"] == "Bound", 20)
    points = efs.describe_access_points(FileSystemId=system)["AccessPoints"]
    volume = kube.get("pv", kube.get("pvc", "many")["spec"]["volumeName"])
    assert volume["spec"]["csi"]["volumeHandle"] == f"{system}::{points[0]['AccessPointId']}"
    assert state.capture()  # a file system can be saved

    remove(eks, "aws-efs-csi-driver")
    kube.delete("pvc", "many")
    assert efs.describe_access_points(FileSystemId=system)["AccessPoints"]  # nobody deletes it
    install(eks, "aws-efs-csi-driver")
    until(lambda: not efs.describe_access_points(FileSystemId=system)["AccessPoints"], 20)
    kube.delete("pvc", "wrong")


def test_an_add_on_that_a_policy_keeps_out_says_so(kube, eks):
    rules = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]
    group = "admissionregistration.k8s.io/v1"
    spec = {"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "false", "message": "not today"}]}
    head = {"apiVersion": group, "metadata": {"name": "closed"}}
    binding = {"policyName": "closed", "validationActions": ["Deny"]}
    kube.apply([{**head, "kind": "ValidatingAdmissionPolicy", "spec": spec}])
    kube.apply([{**head, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding}])
    probe = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "probe"}}

    def refused():
        try:
            kube.raw("POST", "/apis/apps/v1/namespaces/default/deployments?dryRun=All", {**probe, "spec": DEPLOYMENT})
        except Exception as error:
            return "not today" in str(error)
        return False

    until(refused, 20)
    shown = install(eks, "metrics-server")
    assert (shown["status"], shown["health"]["issues"][0]["code"]) == ("CREATE_FAILED", "AdmissionRequestDenied")
    for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        kube.raw("DELETE", f"/apis/{group}/{plural}/closed")


DEPLOYMENT = {
    "selector": {"matchLabels": {"app": "probe"}},
    "template": {"metadata": {"labels": {"app": "probe"}}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}},
}
