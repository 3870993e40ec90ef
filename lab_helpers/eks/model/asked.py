"""What a request for a node group asks for, held against the account: launch template, types, AMI, version."""

from __future__ import annotations

from typing import Any

from lab_helpers.eks.model import instances, network, versions
from lab_helpers.eks.model.account import Account, Cluster
from lab_helpers.eks.model.errors import invalid, refused
from lab_helpers.eks.model.registry import Parameters


def template(account: Account, wanted: Parameters, members: dict[str, str]) -> tuple[dict[str, str], dict[str, Any]] | None:
    """The learner's launch template, as shown and its data; None: there is none."""
    asked = wanted.get("launchTemplate")
    if not asked:
        return None
    if wanted.get("diskSize"):
        raise invalid("Disk size must be specified within the launch template.", **members)
    if wanted.get("remoteAccess"):
        raise invalid("Remote access configuration cannot be specified with a launch template.", **members)
    ids, names = ([asked["id"]] if asked.get("id") else None), ([asked["name"]] if asked.get("name") else None)
    try:
        found = network.ec2(account).describe_launch_templates(template_ids=ids, template_names=None if ids else names)
    except network.REFUSALS:
        found = []
    if not found or not (ids or names):
        words = f"Launch template details can't be found: {asked.get('id') or asked.get('name') or 'give its id or name'}"
        raise invalid(words, **members)
    number = asked.get("version") or "$Default"
    try:
        data = found[0].get_version(number).data if str(number).isdigit() else found[0].latest_version().data
    except (*network.REFUSALS, IndexError, KeyError):
        raise invalid(f"Launch template version {number} does not exist", **members) from None
    for key in ("IamInstanceProfile", "NetworkInterfaces.SubnetId"):
        if key in data:
            raise invalid(f"Launch template should not specify {key}", **members)
    shown = {"id": found[0].id, "name": found[0].name, "version": str(asked.get("version") or found[0].default_version_number)}
    return shown, dict(data)


def kinds(wanted: Parameters, template: Any, members: dict[str, str]) -> list[str]:
    asked = list(wanted.get("instanceTypes") or [])
    of_template = template[1].get("InstanceType") if template else None
    if asked and of_template:
        raise invalid("Cannot specify instance types in launch template and API request", **members)
    kinds = asked or ([of_template] if of_template else ["t3.medium"])
    if unknown := [kind for kind in kinds if not instances.known(kind)]:
        raise invalid(f"The following supplied instance types do not exist: [{', '.join(unknown)}]", **members)
    return kinds


def image_type(wanted: Parameters, template: Any, kinds: list[str], members: dict[str, str]) -> str:
    if template and template[1].get("ImageId"):
        if wanted.get("amiType") not in (None, "CUSTOM"):
            raise invalid(
                "You cannot specify an AMI Type other than CUSTOM, when specifying an image id in your launch template.",
                **members,
            )
        return "CUSTOM"
    arm = instances.architecture(kinds[0]) == "arm64"
    kind = wanted.get("amiType") or ("AL2023_ARM_64_STANDARD" if arm else "AL2023_x86_64_STANDARD")
    if kind == "CUSTOM":
        raise invalid("An amiType of CUSTOM needs a launch template with an image id", **members)
    wrong = [one for one in kinds if (instances.architecture(one) == "arm64") != ("ARM" in kind)]
    if wrong:
        raise refused(f"[{', '.join(wrong)}] is not a valid instance type for requested amiType {kind}", **members)
    return str(kind)


def version(cluster: Cluster, asked: str | None, members: dict[str, str]) -> str:
    version = asked or cluster.version
    newer = version in versions.table() and versions.minor(version) > versions.minor(cluster.version)
    if version not in versions.runnable() or newer:
        raise invalid(f"Requested Nodegroup version {version} is not supported by cluster version {cluster.version}", **members)
    return version
