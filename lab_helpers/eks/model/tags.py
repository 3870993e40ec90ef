"""Tags of everything that EKS has an ARN for."""

from __future__ import annotations

from typing import Any

from lab_helpers.eks.model.account import Account
from lab_helpers.eks.model.errors import EksError
from lab_helpers.eks.model.registry import Parameters, Result, operation

_MOST = 50
_ARNS = (
    "arn",
    "nodegroupArn",
    "fargateProfileArn",
    "addonArn",
    "accessEntryArn",
    "associationArn",
    "identityProviderConfigArn",
)


def _tagged(account: Account, arn: str) -> dict[str, Any]:
    for shown in account.tagged():
        if next((shown[key] for key in _ARNS if key in shown), None) == arn:
            return shown
    if not arn.startswith("arn:"):
        raise EksError("BadRequestException", f"Resource ARN is not valid: {arn}")
    raise EksError("NotFoundException", f"Resource was not found: {arn}")


@operation
def tag_resource(account: Account, parameters: Parameters) -> Result:
    """Works."""
    shown = _tagged(account, parameters["resourceArn"])
    tags = {**shown["tags"], **parameters["tags"]}
    if len(tags) > _MOST or any(key.startswith("aws:") for key in parameters["tags"]):
        raise EksError("BadRequestException", f"Tags may be {_MOST}, and none may begin with aws:")
    shown["tags"] = tags
    return {}


@operation
def untag_resource(account: Account, parameters: Parameters) -> Result:
    """Works."""
    shown = _tagged(account, parameters["resourceArn"])
    shown["tags"] = {key: value for key, value in shown["tags"].items() if key not in parameters["tagKeys"]}
    return {}


@operation
def list_tags_for_resource(account: Account, parameters: Parameters) -> Result:
    """Works."""
    return {"tags": _tagged(account, parameters["resourceArn"])["tags"]}
