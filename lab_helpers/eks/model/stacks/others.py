"""AWS::EKS::Addon, AccessEntry, FargateProfile and PodIdentityAssociation."""

from __future__ import annotations

from typing import Any, ClassVar

from moto.core.common_models import CloudFormationModel

from lab_helpers.eks.model import access, access_operations, fargate, pod_identity
from lab_helpers.eks.model.account import Account
from lab_helpers.eks.model.addons import operations as addons
from lab_helpers.eks.model.stacks.resource import Attributes, Resource, failed, finished, wait


class EksAddon(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::EKS::Addon."""

    TYPE, NAME = "AWS::EKS::Addon", "AddonName"
    ATTRIBUTES: ClassVar[Attributes] = {"Arn": lambda shown: shown["addonArn"]}

    def shown(self) -> dict[str, Any]:
        return self.account.cluster(self.cluster).addons[self.name]

    @classmethod
    def make(cls, where: Account, wanted: dict[str, Any]) -> tuple[str, str]:
        wanted.pop("preserveOnDelete", None)
        shown = addons.create_addon(where, wanted)["addon"]
        wait(lambda: shown["status"] != "CREATING", f"Addon {shown['addonName']}")
        if shown["status"] == "CREATE_FAILED":
            raise failed(shown["health"]["issues"][0]["message"])
        return shown["clusterName"], shown["addonName"]

    def change(self, wanted: dict[str, Any]) -> None:
        keys = ("addonVersion", "configurationValues", "resolveConflicts", "serviceAccountRoleArn")
        change = {key: wanted[key] for key in keys if key in wanted}
        answer = addons.update_addon(self.account, {"clusterName": self.cluster, "addonName": self.name, **change})
        finished(self.account, self.cluster, answer)

    @classmethod
    def remove(cls, where: Account, cluster: str, name: str, properties: dict[str, Any]) -> None:
        addons.take_down_addon(where, cluster, name, str(properties.get("PreserveOnDelete", False)).lower() == "true")


class EksAccessEntry(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::EKS::AccessEntry."""

    TYPE = "AWS::EKS::AccessEntry"
    ATTRIBUTES: ClassVar[Attributes] = {"AccessEntryArn": lambda shown: shown["accessEntryArn"]}

    def shown(self) -> dict[str, Any]:
        return self.account.cluster(self.cluster).access[self.name].shown

    @classmethod
    def make(cls, where: Account, wanted: dict[str, Any]) -> tuple[str, str]:
        access_operations.create_access_entry(where, wanted)
        cls._associate(where, wanted)
        return wanted["clusterName"], wanted["principalArn"]

    def change(self, wanted: dict[str, Any]) -> None:
        access_operations.update_access_entry(self.account, wanted)
        self._associate(self.account, wanted)

    @classmethod
    def remove(cls, where: Account, cluster: str, name: str, properties: dict[str, Any]) -> None:
        access.remove(where.clusters[cluster], name)

    @staticmethod
    def _associate(where: Account, wanted: dict[str, Any]) -> None:
        """Exactly the policies of the template."""
        names = {"clusterName": wanted["clusterName"], "principalArn": wanted["principalArn"]}
        policies = {one["policyArn"]: one["accessScope"] for one in wanted.get("accessPolicies") or []}
        for arn in set(where.cluster(wanted["clusterName"]).access[wanted["principalArn"]].policies) - set(policies):
            access_operations.disassociate_access_policy(where, {**names, "policyArn": arn})
        for arn, scope in policies.items():
            access_operations.associate_access_policy(where, {**names, "policyArn": arn, "accessScope": scope})


class EksFargateProfile(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::EKS::FargateProfile; it cannot be changed: CloudFormation replaces it."""

    TYPE, NAME = "AWS::EKS::FargateProfile", "FargateProfileName"
    ATTRIBUTES: ClassVar[Attributes] = {"Arn": lambda shown: shown["fargateProfileArn"]}

    def shown(self) -> dict[str, Any]:
        return self.account.cluster(self.cluster).fargate[self.name]

    @classmethod
    def make(cls, where: Account, wanted: dict[str, Any]) -> tuple[str, str]:
        for selector in wanted.get("selectors", []):
            if isinstance(selector.get("labels"), list):
                selector["labels"] = {one["key"]: one["value"] for one in selector["labels"]}
        shown = fargate.create_fargate_profile(where, wanted)["fargateProfile"]
        wait(lambda: shown["status"] != "CREATING", f"Fargate profile {shown['fargateProfileName']}")
        return shown["clusterName"], shown["fargateProfileName"]

    @classmethod
    def remove(cls, where: Account, cluster: str, name: str, properties: dict[str, Any]) -> None:
        fargate.take_down_profile(where, cluster, name)


class EksPodIdentityAssociation(Resource, CloudFormationModel):  # type: ignore[misc]
    """AWS::EKS::PodIdentityAssociation."""

    TYPE = "AWS::EKS::PodIdentityAssociation"
    ATTRIBUTES: ClassVar[Attributes] = {
        "AssociationArn": lambda shown: shown["associationArn"],
        "AssociationId": lambda shown: shown["associationId"],
    }

    def shown(self) -> dict[str, Any]:
        return self.account.cluster(self.cluster).pod_identities[self.name]

    @classmethod
    def make(cls, where: Account, wanted: dict[str, Any]) -> tuple[str, str]:
        shown = pod_identity.put(where, where.cluster(wanted["clusterName"]), wanted)
        return wanted["clusterName"], shown["associationId"]

    def change(self, wanted: dict[str, Any]) -> None:
        names = {"clusterName": self.cluster, "associationId": self.name}
        pod_identity.update_pod_identity_association(self.account, {**names, "roleArn": wanted.get("roleArn")})

    @classmethod
    def remove(cls, where: Account, cluster: str, name: str, properties: dict[str, Any]) -> None:
        where.clusters[cluster].pod_identities.pop(name, None)
