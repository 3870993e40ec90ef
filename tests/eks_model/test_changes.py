"""Add-ons, access, updates and Fargate, on the shared cluster."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from model_kit import group, until

PREFIX = "arn:aws:eks::aws:cluster-access-policy/"
USER = "arn:aws:iam::123456789012:user/alice"


def addon(eks, name="coredns"):
    return eks.describe_addon(clusterName="shop", addonName=name)["addon"]


def settled(eks, name="coredns"):
    return until(lambda: addon(eks, name)["status"] not in ("CREATING", "UPDATING") and addon(eks, name), 40)


def image(kube):
    return kube.get("deployment", "coredns", "kube-system")["spec"]["template"]["spec"]["containers"][0]["image"]


@pytest.fixture(scope="module")
def coredns(shop, eks):
    eks.create_addon(clusterName=shop, addonName="coredns", addonVersion="v1.12.4-eksbuild.1")
    assert settled(eks)["status"] == "ACTIVE", addon(eks)["health"]


def update(eks, **change):
    number = eks.update_addon(clusterName="shop", addonName="coredns", **change)["update"]["id"]
    asked = {"name": "shop", "updateId": number, "addonName": "coredns"}
    until(lambda: eks.describe_update(**asked)["update"]["status"] != "InProgress", 40)
    return eks.describe_update(**asked)["update"]


def test_an_update_overwrites_preserves_or_stops_at_what_somebody_changed(coredns, eks, kube):
    kube.raw(
        "PATCH",
        "/apis/apps/v1/namespaces/kube-system/deployments/coredns?fieldManager=kubectl-edit",
        {"spec": {"replicas": 3}},
        "application/merge-patch+json",
    )
    newer = {"addonVersion": "v1.13.1-eksbuild.1"}
    failed = update(eks, **newer, resolveConflicts="NONE")
    assert failed["status"] == "Failed"
    assert failed["errors"][0]["errorCode"] == "ConfigurationConflict"
    assert ".spec.replicas" in failed["errors"][0]["errorMessage"]
    assert addon(eks)["status"] == "UPDATE_FAILED"
    assert "v1.12.4" in image(kube)

    assert update(eks, **newer, resolveConflicts="PRESERVE")["status"] == "Successful"
    assert "v1.13.1" in image(kube)
    assert kube.get("deployment", "coredns", "kube-system")["spec"]["replicas"] == 3

    assert update(eks, **newer, resolveConflicts="OVERWRITE")["status"] == "Successful"
    assert kube.get("deployment", "coredns", "kube-system")["spec"]["replicas"] == 2


def test_settings_act_and_unknown_ones_are_refused(coredns, eks, kube):
    done = update(eks, configurationValues='{"replicaCount": 1}', resolveConflicts="OVERWRITE")
    assert done["status"] == "Successful"
    assert kube.get("deployment", "coredns", "kube-system")["spec"]["replicas"] == 1
    with pytest.raises(ClientError, match=r"\$\.replicas: is not defined in the schema"):
        eks.update_addon(clusterName="shop", addonName="coredns", configurationValues='{"replicas": 1}')


def test_health_is_what_the_cluster_says(coredns, eks, kube):
    kube.raw("DELETE", "/apis/apps/v1/namespaces/kube-system/deployments/coredns", {"propagationPolicy": "Background"})
    seen = until(lambda: addon(eks)["status"] == "DEGRADED" and addon(eks), 10)
    assert seen["health"]["issues"][0]["code"] == "K8sResourceNotFound"
    update(eks, resolveConflicts="OVERWRITE")
    until(lambda: addon(eks)["status"] == "ACTIVE", 20)


def test_a_deleted_add_on_leaves_its_objects_or_not(coredns, eks, kube):
    eks.delete_addon(clusterName="shop", addonName="coredns", preserve=True)
    until(lambda: "coredns" not in eks.list_addons(clusterName="shop")["addons"])
    assert kube.find("deployment", "coredns", "kube-system")
    eks.create_addon(clusterName="shop", addonName="coredns", resolveConflicts="OVERWRITE")
    settled(eks)
    eks.delete_addon(clusterName="shop", addonName="coredns")
    until(lambda: kube.find("deployment", "coredns", "kube-system") is None)


def test_versions_of_add_ons(shop, eks):
    rows = eks.describe_addon_versions(addonName="kube-proxy", kubernetesVersion="1.35")["addons"][0]["addonVersions"]
    defaults = [row["addonVersion"] for row in rows if row["compatibilities"][0]["defaultVersion"]]
    assert defaults == ["v1.35.0-eksbuild.2"]
    assert eks.describe_addon_versions(addonName="nothing")["addons"] == []
    with pytest.raises(ClientError, match="Addon version specified is not supported"):
        eks.create_addon(clusterName=shop, addonName="coredns", addonVersion="v0.0.0-eksbuild.1")


# -- access ------------------------------------------------------------------------------------------------------


def may(kube, group_name, verb, resource, namespace=""):
    attributes = {"verb": verb, "resource": resource, "namespace": namespace}
    attributes["group"] = {"deployments": "apps", "nodes": "", "secrets": "", "pods": ""}[resource]
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "alice", "groups": [group_name], "resourceAttributes": attributes},
    }
    return kube.raw("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)["status"]["allowed"]


def test_policies_have_the_rules_that_aws_publishes(shop, eks, kube):
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    eks.create_access_entry(clusterName=shop, principalArn=USER)
    eks.associate_access_policy(
        clusterName=shop,
        principalArn=USER,
        policyArn=PREFIX + "AmazonEKSViewPolicy",
        accessScope={"type": "namespace", "namespaces": ["team"]},
    )
    view = "eks-access:AmazonEKSViewPolicy:team"
    assert may(kube, view, "list", "deployments", "team")
    assert not may(kube, view, "list", "deployments", "default")
    assert not may(kube, view, "get", "secrets", "team")
    assert not may(kube, view, "list", "nodes")
    whole = {"clusterName": shop, "principalArn": USER, "accessScope": {"type": "cluster"}}
    eks.associate_access_policy(**whole, policyArn=PREFIX + "AmazonEKSAdminViewPolicy")
    eks.associate_access_policy(**whole, policyArn=PREFIX + "AmazonEKSComputePolicy")
    assert may(kube, "eks-access:AmazonEKSAdminViewPolicy", "list", "nodes")
    assert not may(kube, "eks-access:AmazonEKSComputePolicy", "list", "pods", "default")
    eks.delete_access_entry(clusterName=shop, principalArn=USER)


def test_access_entries_are_refused_in_eks_words(shop, eks):
    make = eks.create_access_entry
    with pytest.raises(ClientError, match="cannot start with system:"):
        make(clusterName=shop, principalArn=USER, kubernetesGroups=["system:masters"])
    with pytest.raises(ClientError, match="can only be set for entries of type STANDARD"):
        make(clusterName=shop, principalArn=USER, type="EC2_LINUX", username="me")
    make(clusterName=shop, principalArn=USER)
    with pytest.raises(ClientError, match="already in use on this cluster"):
        make(clusterName=shop, principalArn=USER)
    eks.delete_access_entry(clusterName=shop, principalArn=USER)
    with pytest.raises(ClientError, match="could not be found"):
        eks.describe_access_entry(clusterName=shop, principalArn=USER)
    with pytest.raises(ClientError, match="Unsupported authentication mode update from API_AND_CONFIG_MAP to CONFIG_MAP"):
        eks.update_cluster_config(name=shop, accessConfig={"authenticationMode": "CONFIG_MAP"})


# -- node groups -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more, words",
    [
        (
            {"scalingConfig": {"minSize": 3, "maxSize": 6, "desiredSize": 1}},
            "Minimum capacity 3 can't be greater than desired size 1",
        ),
        (
            {"scalingConfig": {"minSize": 1, "maxSize": 2, "desiredSize": 3}},
            "Desired capacity 3 can't be greater than max size 2",
        ),
        ({"instanceTypes": ["t2.gigantic"]}, "do not exist"),
        (
            {"instanceTypes": ["t4g.medium"], "amiType": "AL2023_x86_64_STANDARD"},
            "not a valid instance type for requested amiType",
        ),
        ({"subnets": ["subnet-1"]}, "does not exist"),
        ({"version": "1.37"}, "not supported by cluster version"),
        ({"nodegroupName": "blue"}, "NodeGroup already exists with name blue and cluster name shop"),
        ({"launchTemplate": {"name": "none"}}, "Launch template details can't be found"),
    ],
)
def test_node_groups_that_cannot_be(shop, eks, site, more, words):
    with pytest.raises(ClientError, match=words):
        eks.create_nodegroup(**{**site.nodegroup(shop, "green"), **more})
    assert "green" not in eks.list_nodegroups(clusterName=shop)["nodegroups"]


def test_a_budget_blocks_a_rolling_update_until_it_is_gone(shop, eks, kube):
    labels = {"app": "pay"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "pay", "image": "pay:1"}]}}
    kube.apply(
        [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "pay"},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
            },
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": "pay"},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
            },
        ]
    )
    kube.wait_for("deployment", "pay", "Available")
    before = {item["metadata"]["name"] for item in kube.list("nodes")}
    number = eks.update_nodegroup_version(clusterName=shop, nodegroupName="blue", releaseVersion="1.36.3-20261013")["update"][
        "id"
    ]
    asked = {"name": shop, "updateId": number, "nodegroupName": "blue"}

    def cordoned():
        home = kube.list("pods", labels="app=pay")[0]["spec"]["nodeName"]
        return kube.get("node", home)["spec"].get("unschedulable")

    until(cordoned, 60, "the Pod's node is cordoned")
    assert eks.describe_update(**asked)["update"]["status"] == "InProgress"
    kube.delete("poddisruptionbudget", "pay")
    until(lambda: eks.describe_update(**asked)["update"]["status"] == "Successful", 60)
    until(lambda: group(eks)["status"] == "ACTIVE")
    after = {item["metadata"]["name"] for item in kube.list("nodes")}
    assert len(after) == 2 and not after & before
    assert group(eks)["releaseVersion"] == "1.36.3-20261013"
    kube.delete("deployment", "pay")


def test_a_pod_of_a_fargate_profile_gets_a_node_of_its_own(shop, eks, site, kube):
    profile = {"clusterName": shop, "fargateProfileName": "serverless", "podExecutionRoleArn": site.roles["fargate"]}
    eks.create_fargate_profile(**profile, subnets=site.subnets, selectors=[{"namespace": "serverless"}])
    name = {"clusterName": shop, "fargateProfileName": "serverless"}
    until(lambda: eks.describe_fargate_profile(**name)["fargateProfile"]["status"] == "ACTIVE")
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "serverless"}})
    until(lambda: kube.find("serviceaccount", "default", "serverless"))
    requests = {"cpu": "250m", "memory": "512Mi"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "job", "namespace": "serverless"},
        "spec": {
            "nodeSelector": {"eks.amazonaws.com/compute-type": "fargate"},
            "containers": [{"name": "job", "image": "job:1"}],
        },
    }
    pod["spec"]["containers"][0]["resources"] = {"requests": requests}
    kube.create(pod, "serverless")
    found = until(lambda: [node for node in kube.list("nodes") if node["metadata"]["name"].startswith("fargate-ip-")], 20)
    assert found[0]["metadata"]["labels"]["eks.amazonaws.com/compute-type"] == "fargate"
    kube.wait_for("pod", "job", "Ready", "serverless")
    item = kube.get("pod", "job", "serverless")
    assert item["spec"]["nodeName"] == found[0]["metadata"]["name"]
    assert item["metadata"]["annotations"]["CapacityProvisioned"] == "0.25vCPU 1GB"
    kube.delete("pod", "job", "serverless")
    until(lambda: kube.find("node", found[0]["metadata"]["name"]) is None, 20)
    eks.delete_fargate_profile(**name)
    until(lambda: not eks.list_fargate_profiles(clusterName=shop)["fargateProfileNames"])
