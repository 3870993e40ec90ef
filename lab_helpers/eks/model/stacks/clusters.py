"""AWS::EKS::Cluster and AWS::EKS::Nodegroup."""

from __future__ import annotations

from typing import Any, ClassVar

from moto.core.common_models import CloudFormationModel

from lab_helpers.eks.model import clusters, nodegroups, updates
from lab_helpers.eks.model.account import Account
from lab_helpers.eks.model.stacks.resource import Attributes, Resource, failed, finished


class EksCluster(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::EKS::Cluster."""

    TYPE, NAME = "AWS::EKS::Cluster", "Name"
    ATTRIBUTES: ClassVar[Attributes] = {
        "Arn": lambda shown: shown["arn"],
        "Id": lambda shown: shown["name"],
        "Endpoint": lambda shown: shown.get("endpoint", ""),
        "CertificateAuthorityData": lambda shown: shown["certificateAuthority"].get("data", ""),
        "ClusterSecurityGroupId": lambda shown: shown["resourcesVpcConfig"]["clusterSecurityGroupId"],
        "EncryptionConfigKeyArn": lambda shown: "",
        "OpenIdConnectIssuerUrl": lambda shown: shown["identity"]["oidc"]["issuer"],
        "KubernetesNetworkConfig.ServiceIpv6Cidr": lambda shown: "",
    }

    @property
    def physical_resource_id(self) -> str:
        return self.cluster

    def shown(self) -> dict[str, Any]:
        return self.account.cluster(self.cluster).shown

    @classmethod
    def make(cls, where: Account, wanted: dict[str, Any]) -> tuple[str, str]:
        if logging := wanted.pop("logging", None):
            types = [one["type"] for one in (logging.get("clusterLogging") or {}).get("enabledTypes", [])]
            wanted["logging"] = {"clusterLogging": [{"types": types, "enabled": True}]}
        made = clusters.create(where, wanted, wait=True)
        if made.status == "FAILED":
            raise failed(f"Cluster {made.name}: {made.shown['health']['issues'][0]['message']}")
        return made.name, made.name

    def change(self, wanted: dict[str, Any]) -> None:
        where, name, shown = self.account, self.cluster, self.shown()
        if wanted.get("version", shown["version"]) != shown["version"]:
            finished(where, name, updates.update_cluster_version(where, {"name": name, "version": wanted["version"]}))
        before = shown["accessConfig"]["authenticationMode"]
        mode = (wanted.get("accessConfig") or {}).get("authenticationMode", before)
        if mode != before:
            change = {"name": name, "accessConfig": {"authenticationMode": mode}}
            finished(where, name, updates.update_cluster_config(where, change))

    @classmethod
    def remove(cls, where: Account, cluster: str, name: str, properties: dict[str, Any]) -> None:
        clusters.delete(where, where.clusters[cluster], wait=True)


class EksNodegroup(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::EKS::Nodegroup."""

    TYPE, NAME = "AWS::EKS::Nodegroup", "NodegroupName"
    ATTRIBUTES: ClassVar[Attributes] = {
        "Arn": lambda shown: shown["nodegroupArn"],
        "ClusterName": lambda shown: shown["clusterName"],
        "NodegroupName": lambda shown: shown["nodegroupName"],
        "Id": lambda shown: f"{shown['clusterName']}/{shown['nodegroupName']}",
    }

    @property
    def physical_resource_id(self) -> str:
        return f"{self.cluster}/{self.name}"

    def shown(self) -> dict[str, Any]:
        return self.account.nodegroup(self.cluster, self.name).shown

    @classmethod
    def make(cls, where: Account, wanted: dict[str, Any]) -> tuple[str, str]:
        shown = nodegroups.create(where, wanted, wait=True).shown
        if shown["status"] == "CREATE_FAILED":
            raise failed(f"Nodegroup {shown['nodegroupName']}: {shown['health']['issues'][0]['message']}")
        return shown["clusterName"], shown["nodegroupName"]

    def change(self, wanted: dict[str, Any]) -> None:
        """eksctl upgrade nodegroup changes Version or ReleaseVersion, and ForceUpdateEnabled."""
        where, shown = self.account, self.shown()
        names = {"clusterName": self.cluster, "nodegroupName": self.name}
        release = wanted.get("releaseVersion")
        version = str(wanted.get("version") or ".".join(str(release or shown["version"]).split(".")[:2]))
        if version != shown["version"] or release not in (None, shown["releaseVersion"]):
            change = {**names, "version": version, "releaseVersion": release, "force": wanted.get("forceUpdateEnabled")}
            finished(where, self.cluster, nodegroups.update_nodegroup_version(where, change))
        sizes = wanted.get("scalingConfig") or shown["scalingConfig"]
        if sizes != shown["scalingConfig"]:
            finished(where, self.cluster, nodegroups.update_nodegroup_config(where, {**names, "scalingConfig": sizes}))

    @classmethod
    def remove(cls, where: Account, cluster: str, name: str, properties: dict[str, Any]) -> None:
        groups = where.clusters[cluster].nodegroups
        if name in groups:
            nodegroups.delete(where, cluster, groups[name], wait=True)
