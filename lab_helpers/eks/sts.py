"""STS where moto takes everything: presigned tokens are answered, and roles are assumed only where they trust the caller."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from lab_helpers.eks import answers, policies
from lab_helpers.eks.answers import Answer
from lab_helpers.eks.callers import Caller
from lab_helpers.eks.requests import Asked
from lab_helpers.eks.signature import Refused


def identity(caller: Caller) -> Answer:
    """GetCallerIdentity in JSON, as a presigned request of aws-iam-authenticator wants it."""
    result = {"Arn": caller.arn, "UserId": caller.user_id, "Account": caller.account}
    meta = {"RequestId": str(uuid.uuid4())}
    return answers.as_json({"GetCallerIdentityResponse": {"GetCallerIdentityResult": result, "ResponseMetadata": meta}})


def check_role(asked: Asked, caller: Caller) -> None:
    """Let a caller assume a role only where the role trusts them.

    A trust policy that names the caller is enough; one that names their account wants their own policies to allow
    sts:AssumeRole as well.

    Raises:
        Refused: the role does not trust them, or is not there: AWS says the same of both.
    """
    arn = asked.form.get("RoleArn", "")
    context = {
        "sts:ExternalId": asked.form.get("ExternalId", ""),
        "sts:RoleSessionName": asked.form.get("RoleSessionName", ""),
        "aws:PrincipalArn": caller.principal,
        "aws:PrincipalAccount": caller.account,
        "aws:username": caller.name if not caller.role else "",
    }
    context = {name: value for name, value in context.items() if value}
    document = trust_policy(arn)
    said = policies.trusts(document, "sts:AssumeRole", caller, context) if document else ""
    own = policies.decide(documents(caller), "sts:AssumeRole", arn, context)
    if own == "deny" or said not in ("allow", "account") or (said == "account" and own != "allow"):
        words = f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise Refused("AccessDenied", words)


def trust_policy(arn: str) -> Mapping[str, Any]:
    """Whom a role trusts: its document, empty where there is no such role or none that can be read."""
    role = _role(arn)
    try:
        return dict(json.loads(role.assume_role_policy_document)) if role else {}
    except (TypeError, ValueError):
        return {}


def _role(arn: str) -> Any:
    from moto.iam.models import iam_backends

    parts = arn.split(":")
    if len(parts) != 6 or parts[:3] != ["arn", "aws", "iam"]:
        return None
    backend = iam_backends[parts[4]]["aws"]
    return next((role for role in list(backend.roles.values()) if role.arn == arn), None)


def documents(caller: Caller) -> list[Mapping[str, Any]]:
    """The policies of a user, with those of their groups, or of the role that was assumed."""
    from moto.iam.models import iam_backends

    backend = iam_backends[caller.account]["aws"]
    if caller.role:
        role = _role(caller.role)
        holders = [role] if role else []
    else:
        user = next((user for user in list(backend.users.values()) if user.arn == caller.arn), None)
        holders = [user, *backend.get_groups_for_user(user.name)] if user else []
    found: list[Mapping[str, Any]] = []
    for holder in holders:
        inline, attached = holder.policies, holder.managed_policies
        texts = [
            *(inline.values() if isinstance(inline, dict) else inline),
            *(_document(policy) for policy in attached.values()),
        ]
        found += [json.loads(text) for text in texts if isinstance(text, str)]
    return found


def _document(policy: Any) -> Any:
    """A managed policy's text: that of its default version."""
    return next((version.document for version in policy.versions if version.is_default), "{}")
