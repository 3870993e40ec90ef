"""Steps that EKS refuses, each as people met it (cases of the field; their threads stand beside them)."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from model_kit import until

from lab_helpers.eks.model import clusters, nodegroups

ROLE = "arn:aws:iam::123456789012:role/dev"


@pytest.fixture(scope="module")
def old(eks, site):
    """A cluster of the oldest minor that the lab can be, with aws-auth alone."""
    eks.create_cluster(**site.cluster("old", version="1.34", accessConfig={"authenticationMode": "CONFIG_MAP"}))
    until(lambda: eks.describe_cluster(name="old")["cluster"]["status"] != "CREATING", 120, "old is ACTIVE")
    yield "old"
    until(lambda: eks.describe_cluster(name="old")["cluster"]["status"] == "ACTIVE", 120, "old is ACTIVE again")
    eks.delete_cluster(name="old")
    until(lambda: "old" not in eks.list_clusters()["clusters"], 120, "old is gone")


def said(action, code: str) -> str:
    with pytest.raises(ClientError) as refused:
        action()
    assert refused.value.response["Error"]["Code"] == code
    return refused.value.response["Error"]["Message"]


@pytest.mark.parametrize("version", ["1.36", "1.34", "1.33"])
def test_a_version_that_skips_repeats_or_goes_back(old, eks, version):
    """rancher#26908, terraform-aws-eks#2607."""
    words = said(lambda: eks.update_cluster_version(name=old, version=version), "InvalidParameterException")
    assert f"Unsupported Kubernetes minor version update from 1.34 to {version}" in words


def test_modes_of_authentication_are_a_road_with_one_direction(old, eks, site):
    """pulumi-eks#1493, terraform-aws-eks#2881."""
    words = said(lambda: eks.create_access_entry(clusterName=old, principalArn=ROLE), "InvalidRequestException")
    assert "authentication mode must be set to one of [API, API_AND_CONFIG_MAP]" in words
    mode = {"authenticationMode": "API"}
    words = said(lambda: eks.update_cluster_config(name=old, accessConfig=mode), "InvalidParameterException")
    assert "Unsupported authentication mode update from CONFIG_MAP to API" in words
    nobody = {"authenticationMode": "CONFIG_MAP", "bootstrapClusterCreatorAdminPermissions": False}
    words = said(lambda: eks.create_cluster(**site.cluster("none", accessConfig=nobody)), "InvalidParameterException")
    assert "bootstrapClusterCreatorAdminPermissions must be true if cluster authentication mode is set to CONFIG_MAP" in words


def test_a_thing_that_is_busy_or_taken(old, shop, eks, site):
    """aws-controllers-k8s#1192: an update while one is on its way, a deletion too early, a name twice."""
    assert "Cluster has nodegroups attached" in said(lambda: eks.delete_cluster(name=shop), "ResourceInUseException")
    eks.update_cluster_version(name=old, version="1.35")
    api = {"clusterLogging": [{"types": ["api"], "enabled": True}]}
    words = said(lambda: eks.update_cluster_config(name=old, logging=api), "ResourceInUseException")
    assert "cluster old currently has update" in words
    pair = {"clusterName": shop, "namespace": "default", "serviceAccount": "web", "roleArn": site.roles["node"]}
    made = eks.create_pod_identity_association(**pair)["association"]["associationId"]
    words = said(lambda: eks.create_pod_identity_association(**pair), "ResourceInUseException")
    assert words == f"Association already exists: {made}"
    eks.delete_pod_identity_association(clusterName=shop, associationId=made)


def test_a_quota_that_is_reached(shop, eks, site, monkeypatch):
    """Service quotas of EKS: clusters in a region, node groups in a cluster, nodes in a group; nothing half-made is left."""
    monkeypatch.setattr(clusters, "_MOST", 1)
    words = said(lambda: eks.create_cluster(**site.cluster("one-more")), "ResourceLimitExceededException")
    assert "Cluster limit exceeded: 1 in this region" in words and "one-more" not in eks.list_clusters()["clusters"]
    groups = eks.list_nodegroups(clusterName=shop)["nodegroups"]
    sizes = {"minSize": 1, "maxSize": 451, "desiredSize": 1}
    order = site.nodegroup(shop, "green", scalingConfig=sizes)
    assert "Node limit exceeded: 450" in said(lambda: eks.create_nodegroup(**order), "ResourceLimitExceededException")
    monkeypatch.setattr(nodegroups, "_MOST", len(groups))
    order = site.nodegroup(shop, "green")
    assert "Node group limit exceeded" in said(lambda: eks.create_nodegroup(**order), "ResourceLimitExceededException")
    assert eks.list_nodegroups(clusterName=shop)["nodegroups"] == groups
