"""AWS::EKS::* for moto's CloudFormation. A class that is defined is registered: moto asks CloudFormationModel's subclasses.

A stack waits for its resources, as CloudFormation does; what fails ends the stack with EKS's words.
"""

from __future__ import annotations

import time
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from moto.eks.models import eks_backends

from lab_helpers.eks.model import access, clusters, fargate, nodegroups, pod_identity, updates
from lab_helpers.eks.model.account import Account
from lab_helpers.eks.model.addons import operations as addons
from lab_helpers.eks.model.errors import EksError
from lab_helpers.eks.model.mended import camel

_PATIENCE = 600.0
_OWN_KEYS = ("Labels", "Tags")  # of maps whose keys are the customer's


def _account(account_id: str, region: str) -> Account:
    return eks_backends[account_id][region]  # type: ignore[return-value]


def _wanted(cloudformation_json: dict[str, Any]) -> dict[str, Any]:
    """A resource's properties with the API's names and kinds of values."""
    properties = cloudformation_json["Properties"]
    wanted = camel({key: value for key, value in properties.items() if key not in _OWN_KEYS and value is not None})
    if labels := properties.get("Labels"):
        wanted["labels"] = dict(labels)
    if tags := properties.get("Tags"):
        wanted["tags"] = {one["Key"]: one["Value"] for one in tags} if isinstance(tags, list) else dict(tags)
    return dict(_typed(wanted))


def _typed(value: Any) -> Any:
    """Templates have numbers and booleans as text; the API has not."""
    if isinstance(value, dict):
        return {
            key: _number(item) if key.endswith("Size") or key.startswith("maxUnavailable") else _typed(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _or_fail(error: EksError) -> ValidationError:
    return ValidationError(message=f'Resource handler returned message: "{error.message} (Service: Eks, {error.code})"')


class EksCluster(CloudFormationModel):
    """AWS::EKS::Cluster."""

    def __init__(self, name: str, account_id: str, region: str) -> None:
        self.physical_resource_id, self.account_id, self.region = name, account_id, region

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EKS::Cluster"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in _CLUSTER

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """What Fn::GetAtt gives."""
        shown = _account(self.account_id, self.region).cluster(self.physical_resource_id).shown
        return str(_CLUSTER[attribute_name](shown))

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
    ) -> EksCluster:
        wanted = {**_wanted(cloudformation_json), "name": resource_name}
        logging = wanted.pop("logging", None)
        if logging:
            types = [one["type"] for one in (logging.get("clusterLogging") or {}).get("enabledTypes", [])]
            wanted["logging"] = {"clusterLogging": [{"types": types, "enabled": True}]}
        try:
            made = clusters.create(_account(account_id, region_name), wanted, wait=True)
        except EksError as error:
            raise _or_fail(error) from None
        if made.status == "FAILED":
            raise ValidationError(message=f"Cluster {resource_name}: {made.shown['health']['issues'][0]['message']}")
        return cls(resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: EksCluster,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> EksCluster:
        account, name = _account(account_id, region_name), original_resource.physical_resource_id
        wanted, shown = _wanted(cloudformation_json), account.cluster(name).shown
        try:
            if wanted.get("version", shown["version"]) != shown["version"]:
                _finished(account, name, updates.update_cluster_version(account, {"name": name, "version": wanted["version"]}))
            mode = (wanted.get("accessConfig") or {}).get("authenticationMode", shown["accessConfig"]["authenticationMode"])
            if mode != shown["accessConfig"]["authenticationMode"]:
                change = {"name": name, "accessConfig": {"authenticationMode": mode}}
                _finished(account, name, updates.update_cluster_config(account, change))
        except EksError as error:
            raise _or_fail(error) from None
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        account = _account(account_id, region_name)
        if resource_name in account.clusters:
            clusters.delete(account, account.clusters[resource_name], wait=True)


_CLUSTER: dict[str, Any] = {
    "Arn": lambda shown: shown["arn"],
    "Id": lambda shown: shown["name"],
    "Endpoint": lambda shown: shown.get("endpoint", ""),
    "CertificateAuthorityData": lambda shown: shown["certificateAuthority"].get("data", ""),
    "ClusterSecurityGroupId": lambda shown: shown["resourcesVpcConfig"]["clusterSecurityGroupId"],
    "EncryptionConfigKeyArn": lambda shown: "",
    "OpenIdConnectIssuerUrl": lambda shown: shown["identity"]["oidc"]["issuer"],
    "KubernetesNetworkConfig.ServiceIpv6Cidr": lambda shown: "",
}


def _finished(account: Account, cluster: str, answer: dict[str, Any]) -> None:
    """Wait for an update; what it failed with ends the stack."""
    end = time.monotonic() + _PATIENCE
    shown = answer["update"]
    while shown["status"] == "InProgress" and time.monotonic() < end:
        time.sleep(0.1)
    if shown["status"] != "Successful":
        words = shown["errors"][0]["errorMessage"] if shown["errors"] else shown["status"]
        raise ValidationError(message=words)
    while account.cluster(cluster).status == "UPDATING" and time.monotonic() < end:
        time.sleep(0.1)


class EksNodegroup(CloudFormationModel):
    """AWS::EKS::Nodegroup."""

    def __init__(self, cluster: str, name: str, account_id: str, region: str) -> None:
        self.physical_resource_id, self.account_id, self.region = f"{cluster}/{name}", account_id, region

    @staticmethod
    def cloudformation_name_type() -> str:
        return "NodegroupName"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EKS::Nodegroup"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in ("Arn", "ClusterName", "NodegroupName", "Id")

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """What Fn::GetAtt gives."""
        cluster, _, name = self.physical_resource_id.partition("/")
        arn = _account(self.account_id, self.region).nodegroup(cluster, name).shown["nodegroupArn"]
        facts = {"Arn": arn, "ClusterName": cluster, "NodegroupName": name, "Id": self.physical_resource_id}
        return str(facts[attribute_name])

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
    ) -> EksNodegroup:
        wanted = {**_wanted(cloudformation_json), "nodegroupName": resource_name}
        try:
            group = nodegroups.create(_account(account_id, region_name), wanted, wait=True)
        except EksError as error:
            raise _or_fail(error) from None
        if group.shown["status"] == "CREATE_FAILED":
            raise ValidationError(message=f"Nodegroup {resource_name}: {group.shown['health']['issues'][0]['message']}")
        return cls(wanted["clusterName"], resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: EksNodegroup,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> EksNodegroup:
        """eksctl upgrade nodegroup changes Version or ReleaseVersion, and ForceUpdateEnabled."""
        account = _account(account_id, region_name)
        cluster, _, name = original_resource.physical_resource_id.partition("/")
        wanted, shown = _wanted(cloudformation_json), account.nodegroup(cluster, name).shown
        names = {"clusterName": cluster, "nodegroupName": name}
        version = wanted.get("version") or ".".join(str(wanted.get("releaseVersion", shown["version"])).split(".")[:2])
        release = wanted.get("releaseVersion")
        try:
            if version != shown["version"] or release not in (None, shown["releaseVersion"]):
                change = {**names, "version": version, "releaseVersion": release, "force": wanted.get("forceUpdateEnabled")}
                _finished(account, cluster, nodegroups.update_nodegroup_version(account, change))
            sizes = wanted.get("scalingConfig") or shown["scalingConfig"]
            if sizes != shown["scalingConfig"]:
                _finished(account, cluster, nodegroups.update_nodegroup_config(account, {**names, "scalingConfig": sizes}))
        except EksError as error:
            raise _or_fail(error) from None
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        account = _account(account_id, region_name)
        cluster, _, name = resource_name.partition("/")
        if cluster in account.clusters and name in account.clusters[cluster].nodegroups:
            nodegroups.delete(account, cluster, account.clusters[cluster].nodegroups[name], wait=True)


class EksAddon(CloudFormationModel):
    """AWS::EKS::Addon."""

    def __init__(self, cluster: str, name: str, account_id: str, region: str) -> None:
        self.physical_resource_id, self.account_id, self.region = f"{cluster}|{name}", account_id, region

    @staticmethod
    def cloudformation_name_type() -> str:
        return "AddonName"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EKS::Addon"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """What Fn::GetAtt gives."""
        cluster, _, name = self.physical_resource_id.partition("|")
        return str(_account(self.account_id, self.region).cluster(cluster).addons[name]["addonArn"])

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
    ) -> EksAddon:
        account, wanted = _account(account_id, region_name), {**_wanted(cloudformation_json), "addonName": resource_name}
        wanted.pop("preserveOnDelete", None)
        try:
            addons.create_addon(account, wanted)
        except EksError as error:
            raise _or_fail(error) from None
        shown, end = account.cluster(wanted["clusterName"]).addons[resource_name], time.monotonic() + _PATIENCE
        while shown["status"] == "CREATING" and time.monotonic() < end:
            time.sleep(0.1)
        if shown["status"] == "CREATE_FAILED":
            raise ValidationError(message=shown["health"]["issues"][0]["message"])
        return cls(wanted["clusterName"], resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: EksAddon,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> EksAddon:
        account = _account(account_id, region_name)
        cluster, _, name = original_resource.physical_resource_id.partition("|")
        wanted = _wanted(cloudformation_json)
        keys = ("addonVersion", "configurationValues", "resolveConflicts", "serviceAccountRoleArn")
        change = {key: wanted[key] for key in keys if key in wanted}
        try:
            _finished(account, cluster, addons.update_addon(account, {"clusterName": cluster, "addonName": name, **change}))
        except EksError as error:
            raise _or_fail(error) from None
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        account = _account(account_id, region_name)
        cluster, _, name = resource_name.partition("|")
        if cluster in account.clusters and name in account.clusters[cluster].addons:
            preserve = str(cloudformation_json["Properties"].get("PreserveOnDelete", False)).lower() == "true"
            addons.take_down_addon(account, cluster, name, preserve)


class EksAccessEntry(CloudFormationModel):
    """AWS::EKS::AccessEntry."""

    def __init__(self, cluster: str, arn: str, account_id: str, region: str) -> None:
        self.physical_resource_id, self.account_id, self.region = f"{arn}|{cluster}", account_id, region

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EKS::AccessEntry"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "AccessEntryArn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """What Fn::GetAtt gives."""
        arn, _, cluster = self.physical_resource_id.partition("|")
        return str(_account(self.account_id, self.region).cluster(cluster).access[arn].shown["accessEntryArn"])

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
    ) -> EksAccessEntry:
        account, wanted = _account(account_id, region_name), _wanted(cloudformation_json)
        try:
            access.create_access_entry(account, wanted)
            _associate(account, wanted)
        except EksError as error:
            raise _or_fail(error) from None
        return cls(wanted["clusterName"], wanted["principalArn"], account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: EksAccessEntry,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> EksAccessEntry:
        account, wanted = _account(account_id, region_name), _wanted(cloudformation_json)
        try:
            access.update_access_entry(account, wanted)
            _associate(account, wanted)
        except EksError as error:
            raise _or_fail(error) from None
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        account = _account(account_id, region_name)
        arn, _, cluster = resource_name.partition("|")
        if cluster in account.clusters:
            access.remove(account.clusters[cluster], arn)


def _associate(account: Account, wanted: dict[str, Any]) -> None:
    """Exactly the policies of the template."""
    names = {"clusterName": wanted["clusterName"], "principalArn": wanted["principalArn"]}
    policies = {one["policyArn"]: one["accessScope"] for one in wanted.get("accessPolicies") or []}
    for arn in set(account.cluster(wanted["clusterName"]).access[wanted["principalArn"]].policies) - set(policies):
        access.disassociate_access_policy(account, {**names, "policyArn": arn})
    for arn, scope in policies.items():
        access.associate_access_policy(account, {**names, "policyArn": arn, "accessScope": scope})


class EksFargateProfile(CloudFormationModel):
    """AWS::EKS::FargateProfile."""

    def __init__(self, cluster: str, name: str, account_id: str, region: str) -> None:
        self.physical_resource_id, self.account_id, self.region = f"{cluster}|{name}", account_id, region

    @staticmethod
    def cloudformation_name_type() -> str:
        return "FargateProfileName"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EKS::FargateProfile"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """What Fn::GetAtt gives."""
        cluster, _, name = self.physical_resource_id.partition("|")
        return str(_account(self.account_id, self.region).cluster(cluster).fargate[name]["fargateProfileArn"])

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
    ) -> EksFargateProfile:
        wanted = {**_wanted(cloudformation_json), "fargateProfileName": resource_name}
        for selector in wanted.get("selectors", []):
            if isinstance(selector.get("labels"), list):
                selector["labels"] = {one["key"]: one["value"] for one in selector["labels"]}
        try:
            fargate.create_fargate_profile(_account(account_id, region_name), wanted)
        except EksError as error:
            raise _or_fail(error) from None
        return cls(wanted["clusterName"], resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: EksFargateProfile, *rest: Any, **kwargs: Any
    ) -> EksFargateProfile:
        return original_resource  # a profile cannot be changed: CloudFormation replaces it

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        account = _account(account_id, region_name)
        cluster, _, name = resource_name.partition("|")
        if cluster in account.clusters and name in account.clusters[cluster].fargate:
            fargate.take_down_profile(account, cluster, name)


class EksPodIdentityAssociation(CloudFormationModel):
    """AWS::EKS::PodIdentityAssociation."""

    def __init__(self, cluster: str, number: str, account_id: str, region: str) -> None:
        self.cluster, self.physical_resource_id, self.account_id, self.region = cluster, number, account_id, region

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::EKS::PodIdentityAssociation"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in ("AssociationArn", "AssociationId")

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """What Fn::GetAtt gives."""
        shown = _account(self.account_id, self.region).cluster(self.cluster).pod_identities[self.physical_resource_id]
        return str(shown[attribute_name[0].lower() + attribute_name[1:]])

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
    ) -> EksPodIdentityAssociation:
        account, wanted = _account(account_id, region_name), _wanted(cloudformation_json)
        try:
            shown = pod_identity.put(account, account.cluster(wanted["clusterName"]), wanted)
        except EksError as error:
            raise _or_fail(error) from None
        return cls(wanted["clusterName"], shown["associationId"], account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: EksPodIdentityAssociation,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> EksPodIdentityAssociation:
        wanted = _wanted(cloudformation_json)
        names = {"clusterName": original_resource.cluster, "associationId": original_resource.physical_resource_id}
        pod_identity.update_pod_identity_association(
            _account(account_id, region_name), {**names, "roleArn": wanted.get("roleArn")}
        )
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str
    ) -> None:
        for cluster in _account(account_id, region_name).clusters.values():
            cluster.pod_identities.pop(resource_name, None)
