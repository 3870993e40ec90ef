"""EKS's AMIs: in EC2's list of images, and as the public parameters by which eksctl and others find the newest one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ssm import models as ssm

from lab_helpers.eks.model import versions
from lab_helpers.eks.model.account import Account
from lab_helpers.eks.model.network import ec2

RELEASES = ("20261013", "20261110")
"""Release dates of the AMIs that the lab has of each minor, oldest first."""
_OWNER = "602401143452"  # AWS's account for EKS images
_AL2023 = {"AL2023_x86_64_STANDARD": ("x86_64", "standard"), "AL2023_ARM_64_STANDARD": ("arm64", "standard")}


def release(version: str, date: str = RELEASES[-1]) -> str:
    """The release version of an AMI, for instance `1.36.3-20261110`."""
    return f"{versions.patch(version)}-{date}"


def newest(account: Account, version: str, kind: str) -> str:
    """Id of the newest AMI of a minor and an AMI type."""
    return image(account, version, kind, RELEASES[-1])


def image(account: Account, version: str, kind: str, date: str) -> str:
    """Id of an AMI; it is put into EC2's list where it is not there yet."""
    arch, flavour = _AL2023.get(kind, ("arm64" if "ARM" in kind else "x86_64", kind.lower()))
    title = f"amazon-eks-node-al2023-{arch}-{flavour}-{version}-v{date}"
    number = f"ami-{hashlib.sha256(f'{account.region_name}/{title}'.encode()).hexdigest()[:17]}"
    backend = ec2(account)
    if number not in backend.amis:
        words = f"EKS-optimized Kubernetes node based on Amazon Linux 2023, (k8s: {versions.patch(version)})"
        made = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
        backend.amis[number] = Ami(
            backend,
            number,
            name=title,
            description=words,
            owner_id=_OWNER,
            owner_alias="amazon",
            public=True,
            virtualization_type="hvm",
            architecture=arch,
            creation_date=made,
            image_location=f"amazon/{title}",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name="/dev/xvda",
            region_name=account.region_name,
        )
    return number


def publish(account: Account) -> None:
    """Put the images into EC2 and their parameters into SSM; state that was loaded may lack both."""
    parameters: Any = ssm.ssm_backends[account.account_id][account.region_name]._parameters
    parameter: Any = ssm.Parameter
    for version in versions.runnable():
        for kind, (arch, flavour) in _AL2023.items():
            for date in (*RELEASES, "recommended"):
                real = RELEASES[-1] if date == "recommended" else date
                values = {"image_id": image(account, version, kind, real), "release_version": release(version, real)}
                where = f"amazon-eks-node-al2023-{arch}-{flavour}-{version}-v{date}" if date != "recommended" else date
                for key, value in values.items():
                    name = f"/aws/service/eks/optimized-ami/{version}/amazon-linux-2023/{arch}/{flavour}/{where}/{key}"
                    made = parameter(account.account_id, name, value, "String", "", None, None, datetime.now(UTC), 1, "text")
                    parameters[name] = [made]
    account.published = True
